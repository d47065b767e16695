/**
 * The demonstration of an owner and its members on one transport: what the owner provisions, the
 * members' own drivers find. On PCI they are virtual functions, elsewhere devices of a platform group.
 */
import { FEATURE, FeatureSet, MGMT_ATTRS_GET, type TransportPlugin } from "@virtio-admin/core";
import type { DependencyContainer } from "@virtio-admin/core/di";
import type { GroupDescription } from "../group/description.ts";
import { shortNames } from "../group/feature-names.ts";
import { refusalOf } from "../group/refusal.ts";
import { type MemberView, openGroup, type RunningGroup } from "../group/running-group.ts";
import type { Checks } from "./checks.ts";

const MEMBERS = 8;
const { VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC } = FEATURE;
/** The vectors of the virtual functions; 32 are given out at first. */
const POOL = { total: 40, min: 1, max: 16, default: 4 } as const;
/** What the owner sets, vectors where there is MSI-X. One vector of the pool is free afterwards. */
const STEPS = [
  {
    member: 1,
    vectors: 12,
    cleared: FeatureSet.of(VIRTIO_F_EVENT_IDX),
    change: "no EVENT_IDX",
  },
  {
    member: 2,
    vectors: 1,
    cleared: FeatureSet.of(VIRTIO_F_INDIRECT_DESC),
    change: "no INDIRECT_DESC",
  },
  {
    member: 3,
    vectors: 6,
    cleared: FeatureSet.of(VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC),
    change: "neither",
  },
] as const;
/** A member that wants more than the pool has. */
const LATE = { member: 4, vectors: 8 } as const;
/** A member that its driver uses when the owner comes. */
const BUSY_MEMBER = 5;

type Views = ReadonlyMap<number, MemberView>;

/** Tells of an owner and its members; every step is a check. */
export async function tellOfMembers(
  application: DependencyContainer,
  { description: { name, groupTypes } }: TransportPlugin,
  checks: Checks,
): Promise<void> {
  const virtual = groupTypes.includes("SR-IOV");
  const description: GroupDescription = {
    transport: name as GroupDescription["transport"],
    owner: { device: "entropy", adminQueues: 1 },
    group: {
      type: virtual ? "sr-iov" : "platform",
      members: Array.from({ length: MEMBERS }, (_, i) => i + 1),
      ...(virtual ? { msix: POOL } : {}),
    },
    provision: [],
  };
  const title = virtual ? "SR-IOV: an owner and 8 VFs" : "platform group: an owner and 8 devices";
  let group: RunningGroup;
  try {
    group = await openGroup(application, description);
  } catch (error) {
    checks.add(title, false, error instanceof Error ? error.message : String(error));
    return;
  }
  let before: Views = new Map();
  await checks.attempt(title, async () => {
    before = await look(group, group.members);
    const views = [...before.values()];
    const vectors = virtual ? POOL.default : undefined;
    const texts = new Set(views.map(viewText));
    const right = texts.size === 1 && views[0]?.vectors === vectors;
    return [right, `their drivers find ${[...texts].join(" or ")}`];
  });
  await attributes(group, virtual, checks);
  for (const step of STEPS) await provision(group, step, before.get(step.member), checks);
  await untouched(group, before, checks);
  if (virtual) await exhausted(group, checks);
  await busy(group, virtual, checks);
  if (!virtual) return group.close();
  await checks.attempt("VF Enable cleared", async () => {
    await group.close();
    return [group.memberCount === 0, `${group.memberCount} members`];
  });
}

async function attributes(group: RunningGroup, virtual: boolean, checks: Checks): Promise<void> {
  await checks.attempt(MGMT_ATTRS_GET.name, async () => {
    const { msix, settable } = await group.management.attrs(group.type);
    const free = POOL.total - MEMBERS * POOL.default;
    const right = virtual ? msix?.total === POOL.total && msix.free === free : msix === undefined;
    const pool =
      msix === undefined
        ? "no MSI-X; "
        : `${msix.total} vectors, ${msix.free} free, ${msix.min} to ${msix.max} each; `;
    const names = shortNames(settable, "entropy").join(", ");
    return [right && !settable.isEmpty, `${pool}settable ${names}`];
  });
}

async function provision(
  group: RunningGroup,
  { member, vectors, cleared, change }: (typeof STEPS)[number],
  was: MemberView | undefined,
  checks: Checks,
): Promise<void> {
  if (was === undefined) return;
  const count = was.vectors === undefined ? "" : `vectors ${vectors}, `;
  await checks.attempt(`member ${member}: ${count}${change}`, async () => {
    const { management, type } = group;
    if (was.vectors !== undefined) await management.setMsixCount(type, member, vectors);
    await management.setFeatures(type, member, cleared, FeatureSet.EMPTY);
    const is = await group.look(member);
    const right =
      is.vectors === (was.vectors === undefined ? undefined : vectors) &&
      cleared.isSubsetOf(was.offered) &&
      is.offered.equals(was.offered.minus(cleared));
    return [right, `its driver found ${viewText(was)}; now ${viewText(is)}`];
  });
}

/** The members that were not named are as they were. */
async function untouched(group: RunningGroup, before: Views, checks: Checks): Promise<void> {
  const others = group.members.slice(STEPS.length);
  await checks.attempt(`members ${others[0]} to ${others.at(-1)}`, async () => {
    const after = await look(group, others);
    const changed = others.filter((id) => {
      const [was, is] = [before.get(id), after.get(id)];
      return was === undefined || is === undefined || viewText(was) !== viewText(is);
    });
    return [changed.length === 0, changed.length === 0 ? "as before" : `changed: ${changed}`];
  });
}

async function exhausted({ management, type }: RunningGroup, checks: Checks): Promise<void> {
  const { member, vectors } = LATE;
  await checks.attempt(`member ${member}: vectors ${vectors}, pool exhausted`, async () => {
    const refusal = await refusalOf(management.setMsixCount(type, member, vectors));
    const { msix } = await management.attrs(type);
    const { vectors: kept } = await management.msixCount(type, member);
    const right = refusal === "ENOSPC, NORESOURCE" && kept === POOL.default;
    return [right, `${refusal ?? "OK"}; ${msix?.free} free, it keeps ${kept}`];
  });
}

async function busy(group: RunningGroup, virtual: boolean, checks: Checks): Promise<void> {
  const { management, type } = group;
  const cleared = FeatureSet.of(VIRTIO_F_EVENT_IDX);
  const set = () =>
    virtual
      ? management.setMsixCount(type, BUSY_MEMBER, POOL.min)
      : management.setFeatures(type, BUSY_MEMBER, cleared, FeatureSet.EMPTY);
  await checks.attempt(`member ${BUSY_MEMBER}: busy, its driver uses it`, async () => {
    const inUse = await group.use(BUSY_MEMBER);
    const refusal = await refusalOf(set());
    await inUse.close();
    const later = await refusalOf(set());
    const right = refusal === "EBUSY, INVALID_COMMAND" && later === undefined;
    return [right, `${refusal ?? "OK"}; once the driver is gone, ${later ?? "OK"}`];
  });
}

async function look(group: RunningGroup, ids: readonly number[]): Promise<Views> {
  const views = new Map<number, MemberView>();
  for (const id of ids) views.set(id, await group.look(id));
  return views;
}

function viewText({ vectors, offered }: MemberView): string {
  return vectors === undefined ? `features ${offered}` : `vectors ${vectors}, features ${offered}`;
}
