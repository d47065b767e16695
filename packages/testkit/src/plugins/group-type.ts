/** Rules of group types: what an executor, a snapshot and the management commands rely on. */
import {
  AdminExecutor,
  type DeviceGroup,
  FEATURE_BITS,
  type FeatureSet,
  freeVectors,
  isManagedGroup,
  isMemberInUse,
  type ManagedGroup,
  type ManagedMember,
  type MaybePromise,
  MSIX_VECTOR_LIMIT,
  restoreDefaults,
  SELF_GROUP,
  SelfGroup,
  SR_IOV_GROUP,
} from "@virtio-admin/core";
import { expectAnswer, LIST, le64, WIRE } from "../compliance/admin-bench.ts";
import { expectEqual, expectInteger, expectText, expectTrue } from "../compliance/expect.ts";
import { PROBE_COMMANDS, ProbeFamily } from "../compliance/probe-family.ts";
import { send, useSupported } from "./commands.ts";
import {
  type PluginCase,
  type PluginCheckOptions,
  type PluginReport,
  pluginCase,
  runPluginCases,
  skip,
} from "./run.ts";

/** A group that exists, and what can be done to it. */
export interface GroupUnderTest {
  /** The group. */
  readonly group: DeviceGroup;
  /** The identifiers of its members now; at least one. No driver uses a member. */
  readonly members: readonly number[];
  /** Makes this member leave; absent where members do not leave one by one. */
  readonly leave?: (id: number) => unknown;
  /** Makes the group not exist; absent where it always does. */
  readonly vanish?: () => unknown;
}

/** A group type as it is checked. */
export interface GroupTypeFixture {
  /** What to call it in the report. */
  readonly name: string;
  /** Makes a group of it, with members. Called for every case. */
  make(): MaybePromise<GroupUnderTest>;
}

/** No identifiers, or such as no member has. */
const NO_IDS: readonly number[] = [
  ...[-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, 2 ** 64],
];
const NEAR_IDS: readonly number[] = [0, 1, 2, 3, 0xff, 0xffff, 2 ** 32, 2 ** 53 - 1];
const GARBAGE: readonly unknown[] = [undefined, null, 42, "garbage", {}, [{}], [-1, -1]];

const groupCase = (
  id: string,
  title: string,
  clauses: readonly string[],
  run: (made: GroupUnderTest) => void | Promise<void>,
): PluginCase<GroupTypeFixture> =>
  pluginCase(id, title, clauses, async (fixture) => run(await fixture.make()));

/** The cases, in the order in which they are run. */
export const GROUP_TYPE_CASES: readonly PluginCase<GroupTypeFixture>[] = [
  groupCase("group-declares", "The type has an identifier that it may have.", [], ({ group }) => {
    const { type } = group;
    expectInteger("the identifier", type.id, 0, 0xffff);
    expectText("the name", type.name);
    expectText("the section that defines it", type.cite);
    const { transports } = type;
    if (transports !== "any") {
      expectTrue("some transport can carry it", transports.length > 0);
      for (const transport of transports) expectText("the name of a transport", transport);
    }
    const ratified = [SELF_GROUP.id, SR_IOV_GROUP.id].includes(type.id);
    expectEqual(`group type ${type.id} is in no ratified text`, type.private, !ratified);
    expectEqual("the identifier, asked for again", group.type.id, type.id);
  }),
  groupCase("group-members", "Each member is one, and they are counted.", [], (made) => {
    const { group, members } = made;
    expectTrue("there are members", members.length > 0);
    expectEqual("whether the group exists", group.exists, true);
    expectEqual("the count of members", group.memberCount, members.length);
    for (const id of members) {
      expectInteger("the identifier of a member", id, 0, Number.MAX_SAFE_INTEGER);
      expectEqual(`member ${id} is there`, group.hasMember(id), true);
    }
  }),
  groupCase("group-strangers", "No other identifier names a member.", [], (made) => {
    for (const id of strangersOf(made)) {
      expectEqual(`member ${id} is there`, made.group.hasMember(id), false);
    }
  }),
  groupCase(
    "group-commands",
    "Commands reach members, and no others.",
    ["admin-cmd-device-1", "admin-cmd-device-4"],
    async (made) => {
      const { group, members } = made;
      const { executor, family } = ownerOf(group);
      await useSupported(executor, group.type.id);
      for (const member of members) await expectReaches(executor, group, member);
      expectEqual("the commands that ran", family.ran.length, members.length);
      for (const member of strangersOf(made).filter(Number.isSafeInteger)) {
        if (member >= 0) await expectMisses(executor, group, member);
      }
      expectEqual("the commands that ran", family.ran.length, members.length);
    },
  ),
  groupCase(
    "group-leaves",
    "A member that left is none any more.",
    ["admin-cmd-device-4"],
    async ({ group, members, leave }) => {
      if (leave === undefined) skip("members do not leave one by one");
      const { executor } = ownerOf(group);
      await useSupported(executor, group.type.id);
      const [left, ...others] = members as readonly [number, ...number[]];
      await leave(left);
      expectEqual("the count of members", group.memberCount, others.length);
      await expectMisses(executor, group, left);
      for (const member of others) await expectReaches(executor, group, member);
    },
  ),
  groupCase(
    "group-vanishes",
    "A group that does not exist has no members, and refuses every command.",
    ["admin-cmd-device-1", "admin-cmd-device-2"],
    async ({ group, members, vanish }) => {
      if (vanish === undefined) skip("the group always exists");
      const { executor } = ownerOf(group);
      await vanish();
      expectEqual("whether the group exists", group.exists, false);
      expectEqual("the count of members", group.memberCount, 0);
      for (const id of members) expectEqual(`member ${id} is there`, group.hasMember(id), false);
      const answer = await send(executor, { opcode: LIST.query, group: group.type.id });
      expectAnswer("LIST_QUERY", answer, WIRE.einval, WIRE.invalidGroup);
    },
  ),
  groupCase(
    "group-state",
    "What it saves is JSON, and restores it; to look at a state changes nothing.",
    [],
    async ({ group, members, leave }) => {
      const { save, restore } = group;
      expectEqual("save and restore go together", typeof save, typeof restore);
      if (save === undefined || restore === undefined) skip("it saves nothing of its own");
      const saved = JSON.stringify(group.save?.());
      expectText("the saved state as JSON", saved);
      for (const garbage of GARBAGE) {
        attemptRestore(group, garbage);
        expectEqual("the state after a look at garbage", JSON.stringify(group.save?.()), saved);
      }
      const [first] = members;
      if (leave !== undefined && first !== undefined) await leave(first);
      const before = JSON.stringify(group.save?.());
      const apply = group.restore?.(JSON.parse(saved), "state");
      expectEqual("the state before it is put in place", JSON.stringify(group.save?.()), before);
      apply?.();
      expectEqual("the state once it is restored", JSON.stringify(group.save?.()), saved);
      for (const id of members) expectEqual(`member ${id} is there`, group.hasMember(id), true);
    },
  ),
  groupCase(
    "group-managed-members",
    "Members that can be provisioned are members, and their vectors are those of the pool.",
    [],
    (made) => {
      const group = managed(made.group);
      const members = [...group.managedMembers()];
      for (const { id } of members) {
        expectEqual(`member ${id} is there`, group.hasMember(id), true);
        expectEqual(`the identifier of member ${id}`, group.member(id)?.id, id);
      }
      for (const id of strangersOf(made)) {
        expectEqual(`member ${id} can be provisioned`, group.member(id) === undefined, true);
      }
      checkPool(group, members);
    },
  ),
  groupCase(
    "group-provisions",
    "What is provisioned is what was asked for; a refusal changes nothing; defaults come back.",
    [],
    (made) => {
      const group = managed(made.group);
      for (const member of group.managedMembers()) {
        if (isMemberInUse(member)) continue;
        checkFeatures(member);
        checkVectors(group, member);
        expectEqual("what going back to the defaults comes to", restoreDefaults(member), undefined);
        expectEqual("the features", member.offeredFeatures, member.defaults.features);
        expectEqual("the vectors", member.msixVectors, member.defaults.msixVectors);
      }
      checkPool(group, [...group.managedMembers()]);
    },
  ),
];

/** Checks a group type against the rules that all of them keep. */
export function checkGroupType(
  fixture: GroupTypeFixture,
  options?: PluginCheckOptions,
): Promise<PluginReport> {
  return runPluginCases("group type", GROUP_TYPE_CASES, fixture, options);
}

function ownerOf(group: DeviceGroup) {
  const family = new ProbeFamily();
  const groups = group.type.id === SELF_GROUP.id ? [group] : [new SelfGroup(), group];
  return { family, executor: new AdminExecutor({ groups, families: [family] }) };
}

function strangersOf({ members }: GroupUnderTest): readonly number[] {
  // Next to a member, and such as look like one where bits are lost.
  const alike = members.flatMap((id) => [1, 2 ** 8, 2 ** 16, 2 ** 32].map((more) => id + more));
  return [...NO_IDS, ...NEAR_IDS, ...alike].filter((id) => !members.includes(id));
}

async function expectReaches(executor: AdminExecutor, { type }: DeviceGroup, member: number) {
  const command = { opcode: PROBE_COMMANDS.echo.opcode, group: type.id, member, data: le64(5) };
  expectAnswer(`a command for member ${member}`, await send(executor, command), WIRE.ok, 0);
}

async function expectMisses(executor: AdminExecutor, { type }: DeviceGroup, member: number) {
  const command = { opcode: PROBE_COMMANDS.echo.opcode, group: type.id, member };
  const answer = await send(executor, command);
  expectAnswer(`a command for ${member}`, answer, WIRE.einval, WIRE.invalidMember);
}

function managed(group: DeviceGroup): ManagedGroup {
  return isManagedGroup(group) ? group : skip("its members cannot be provisioned");
}

/** Looks at a state; it may be refused, and is never put in place. */
function attemptRestore(group: DeviceGroup, value: unknown): void {
  try {
    group.restore?.(value, "state");
  } catch (error) {
    expectTrue("a state is refused with an error", error instanceof Error);
  }
}

function checkPool(group: ManagedGroup, members: readonly ManagedMember[]): void {
  const { msix } = group;
  let used = 0;
  for (const { id, msixVectors } of members) {
    expectEqual(
      `member ${id} has MSI-X as its group`,
      msixVectors === undefined,
      msix === undefined,
    );
    if (msix === undefined || msixVectors === undefined) continue;
    expectInteger(`the vectors of member ${id}`, msixVectors, msix.min, msix.max);
    used += msixVectors;
  }
  if (msix === undefined) return;
  expectInteger("the most vectors of a member", msix.max, msix.min, MSIX_VECTOR_LIMIT);
  expectInteger("the vectors of the pool", msix.total, used, 0xffff_ffff);
  expectEqual("the free vectors", freeVectors(group), msix.total - used);
}

function checkFeatures(member: ManagedMember): void {
  const { offeredFeatures: offered, settableFeatures: settable } = member;
  const fixed = range(FEATURE_BITS).filter((bit) => !settable.has(bit));
  for (const bit of fixed) {
    const refusal = member.provisionFeatures(toggled(offered, bit));
    expectEqual(`what switching bit ${bit} comes to`, refusal, "invalid");
    expectEqual("the features after a refusal", member.offeredFeatures, offered);
  }
  for (const bit of settable.bits()) {
    const before = member.offeredFeatures;
    const wanted = toggled(before, bit);
    const refusal = member.provisionFeatures(wanted);
    if (refusal !== undefined) expectEqual(`what bit ${bit} comes to`, refusal, "invalid");
    expectEqual(
      `the features after bit ${bit}`,
      member.offeredFeatures,
      refusal === undefined ? wanted : before,
    );
  }
}

function checkVectors({ msix }: ManagedGroup, member: ManagedMember): void {
  if (msix === undefined) return;
  const before = member.msixVectors;
  for (const vectors of [0, -1, 1.5, MSIX_VECTOR_LIMIT + 1, Number.NaN]) {
    expectEqual(`what ${vectors} vectors come to`, member.provisionVectors?.(vectors), "invalid");
    expectEqual("the vectors after a refusal", member.msixVectors, before);
  }
  const refusal = member.provisionVectors?.(msix.min);
  expectEqual(`what ${msix.min} vectors come to`, refusal, undefined);
  expectEqual("the vectors", member.msixVectors, msix.min);
}

const range = (length: number) => Array.from({ length }, (_, i) => i);
const toggled = (features: FeatureSet, bit: number) =>
  features.has(bit) ? features.without(bit) : features.with(bit);
