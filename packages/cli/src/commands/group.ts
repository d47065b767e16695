/** `virtio-admin group FILE`: a group that a file describes, run and looked at. */
import type { FeatureSet, MsixAttributes } from "@virtio-admin/core";
import Table from "cli-table3";
import { createApplication } from "../application.ts";
import type { GroupDescription } from "../group/description.ts";
import { featureNames, shortNames } from "../group/feature-names.ts";
import { type GroupFile, readGroupFile } from "../group/group-file.ts";
import { refusalOf } from "../group/refusal.ts";
import { type MemberView, openGroup, type RunningGroup } from "../group/running-group.ts";
import type { Output } from "../output.ts";

/** What came of one step of provisioning. */
interface ProvisionResult {
  readonly member: number;
  readonly vectors?: number;
  readonly features?: { readonly set: readonly string[]; readonly clear: readonly string[] };
  /** Where the file asks for it. */
  readonly place: string;
  /** The status and qualifier when the device refused it. */
  readonly refused: string | undefined;
}

/** A member as its owner and as its own driver see it. */
interface MemberState extends MemberView {
  readonly member: number;
  readonly driver: MemberView;
}

/**
 * Runs the group of a file and prints its state; 0 when the device took everything, and the members'
 * own drivers find what their owner does, 1 otherwise.
 *
 * @throws VirtioError `GROUP_INVALID` for a file that describes no group
 */
export async function group(file: string, output: Output): Promise<number> {
  const { description, placeOf } = readGroupFile(file);
  const running = await openGroup(createApplication(), description);
  try {
    const results = await provision(running, description, placeOf, output);
    const attrs = await running.management.attrs(running.type);
    const states = await statesOf(running, attrs.msix !== undefined, output);
    const differ = states.filter((state) => !isSame(state, state.driver));
    report(description, attrs.msix, attrs.settable, states, results, output);
    for (const { member } of differ) {
      output.line(`✗ member ${member}: its own driver finds something else`);
    }
    const refused = results.filter((result) => result.refused !== undefined);
    return refused.length === 0 && differ.length === 0 ? 0 : 1;
  } finally {
    await running.close();
  }
}

async function provision(
  { management, type }: RunningGroup,
  { provision: steps, owner }: GroupDescription,
  placeOf: GroupFile["placeOf"],
  output: Output,
): Promise<ProvisionResult[]> {
  const results: ProvisionResult[] = [];
  for (const [i, { member, vectors, features }] of steps.entries()) {
    output.progress(`provisioning member ${member}`);
    if (vectors !== undefined) {
      const refused = await refusalOf(management.setMsixCount(type, member, vectors));
      results.push({ member, vectors, place: placeOf(["provision", i, "vectors"]), refused });
    }
    if (features !== undefined) {
      const { set, clear } = features;
      const mask = set.union(clear);
      const refused = await refusalOf(management.setFeatures(type, member, mask, set));
      const names = {
        set: featureNames(set, owner.device),
        clear: featureNames(clear, owner.device),
      };
      const place = placeOf(["provision", i, "features"]);
      results.push({ member, features: names, place, refused });
    }
  }
  return results;
}

async function statesOf(
  running: RunningGroup,
  hasVectors: boolean,
  output: Output,
): Promise<MemberState[]> {
  const { management, type } = running;
  const states: MemberState[] = [];
  for (const member of running.members) {
    output.progress(`looking at member ${member}`);
    const vectors = hasVectors ? (await management.msixCount(type, member)).vectors : undefined;
    const { offered } = await management.features(type, member);
    states.push({ member, vectors, offered, driver: await running.look(member) });
  }
  return states;
}

function report(
  { transport, owner, group: { type, members } }: GroupDescription,
  msix: MsixAttributes | undefined,
  settable: FeatureSet,
  states: readonly MemberState[],
  results: readonly ProvisionResult[],
  output: Output,
): void {
  const { device, queues, adminQueues } = owner;
  const { colours } = output;
  output.line(
    `${type} group of ${members.length} ${device} devices on ${transport}, ` +
      `${adminQueues} administration virtqueue${adminQueues === 1 ? "" : "s"}`,
  );
  for (const result of results) {
    const step = `member ${result.member}: ${changeText(result)}`;
    output.line(
      result.refused === undefined
        ? `  ${colours.green("✓")} ${step}`
        : `  ${colours.red("✗")} ${step}: ${result.refused} (${result.place})`,
    );
  }
  const table = new Table({
    head: ["member", ...(msix === undefined ? [] : ["vectors"]), "features its driver is offered"],
    style: { head: [], border: [] },
    chars: { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" },
  });
  for (const { member, driver } of states) {
    const vectors = msix === undefined ? [] : [driver.vectors ?? "none"];
    table.push([member, ...vectors, shortNames(driver.offered, device).join(" ")]);
  }
  output.line(table.toString());
  if (msix !== undefined) {
    const { total, free, min, max } = msix;
    output.line(`pool: ${total} vectors, ${free} free, ${min} to ${max} for one member`);
  }
  output.line(`settable: ${shortNames(settable, device).join(" ")}`);
  const view = ({ vectors, offered }: MemberView) => ({
    ...(vectors === undefined ? {} : { vectors }),
    offered: featureNames(offered, device),
  });
  output.document({
    transport,
    owner: {
      device,
      ...(queues === undefined ? {} : { queues }),
      admin_queues: adminQueues,
    },
    group: {
      type,
      ...(msix === undefined ? {} : { msix }),
      settable: featureNames(settable, device),
    },
    provision: results,
    members: states.map((state) => ({
      member: state.member,
      ...view(state),
      driver: view(state.driver),
    })),
  });
}

function changeText({ vectors, features }: ProvisionResult): string {
  if (features === undefined) return `vectors ${vectors}`;
  const { set, clear } = features;
  return [...set.map((name) => `+${name}`), ...clear.map((name) => `-${name}`)].join(" ");
}

function isSame(one: MemberView, other: MemberView): boolean {
  return one.vectors === other.vectors && one.offered.equals(other.offered);
}
