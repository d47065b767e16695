/**
 * Rules of command families: what the executor, a reset and a snapshot rely on. A family is given
 * commands from a seed, legal ones and nonsense, and its answers are held against each other.
 */
import {
  ADMIN_QUALIFIER,
  ADMIN_STATUS,
  type AdminCommand,
  AdminExecutor,
  CLAUSES,
  type CommandFamily,
  type DeviceGroup,
  type FamilyBinding,
  isManagedGroup,
  PlatformGroup,
  SelfGroup,
} from "@virtio-admin/core";
import {
  expectAnswer,
  type HandCommand,
  LIST,
  opcodeList,
  WIRE,
} from "../compliance/admin-bench.ts";
import { expectEqual, expectInteger, expectText, expectTrue } from "../compliance/expect.ts";
import { ComplianceFailure } from "../compliance/failure.ts";
import { Random } from "../random.ts";
import { type DirectAnswer, send, useSupported } from "./commands.ts";
import {
  type PluginCase,
  type PluginCheckOptions,
  type PluginReport,
  pluginCase,
  runPluginCases,
  skip,
} from "./run.ts";

/** A command family as it is checked. */
export interface CommandFamilyFixture {
  /** What to call it in the report. */
  readonly name: string;
  /** Makes the family. Called for every case. */
  make(): CommandFamily;
  /** Makes the groups of an owner; a Self group and a platform group of members 1 and 2 unless given. */
  groups?(): readonly DeviceGroup[];
  /** Commands that succeed one after the other, on an owner that was just made. */
  readonly examples?: readonly HandCommand[];
  /**
   * Why the same commands may be answered otherwise after a reset, or by another owner of the same
   * kind: what they read or change belongs to the members, or to the world. Absent: they may not.
   */
  readonly varies?: string;
}

const SEED = 0x5eed;
const COMMANDS = 200;
const LIST_TRIES = 32;
/** Group members are looked for among these identifiers, and those that can be provisioned. */
const LIKELY_IDS = 64;
const OPCODE_LIMIT = 0x7fff;
const LONGEST_PART = 2 ** 24;

const STATUSES = new Set<number>(Object.values(ADMIN_STATUS).map(({ value }) => value));
const QUALIFIERS = new Set<number>(Object.values(ADMIN_QUALIFIER).map(({ value }) => value));
const CLAUSE_IDS = new Set(CLAUSES.map(({ id }) => id));

/** One owner with the family. */
class FamilyBench {
  readonly family: CommandFamily;
  readonly groups: readonly DeviceGroup[];
  readonly executor: AdminExecutor;
  /** What the executor was told that the family must not do. */
  readonly faults: unknown[] = [];
  readonly #examples: readonly HandCommand[];
  #binding: FamilyBinding | undefined;

  constructor(fixture: CommandFamilyFixture, family: CommandFamily = fixture.make()) {
    this.family = family;
    this.groups = fixture.groups?.() ?? [new SelfGroup(), new PlatformGroup([1, 2])];
    this.#examples = fixture.examples ?? [];
    const { name, doc, commands } = family;
    this.executor = new AdminExecutor({
      groups: this.groups,
      families: [
        {
          name,
          doc,
          private: family.private,
          commands,
          bind: (owner) => {
            this.#binding = family.bind(owner);
            return this.#binding;
          },
        },
      ],
      onFault: (error) => this.faults.push(error),
    });
  }

  get binding(): FamilyBinding {
    return this.#binding as FamilyBinding;
  }

  /** Makes every supported command legal in every group that exists. */
  async begin(): Promise<this> {
    for (const { type, exists } of this.groups) {
      if (exists) await useSupported(this.executor, type.id);
    }
    return this;
  }

  /** Commands from a seed: each of the family's, to all kinds of members, with all kinds of data. */
  script(seed: number, count = COMMANDS): HandCommand[] {
    const random = new Random(seed);
    const targets = this.groups.flatMap((group) =>
      this.family.commands
        .filter(({ opcode }) => this.executor.supported(group.type.id).includes(opcode))
        .map((command) => ({ command, group: group.type.id, members: membersOf(group) })),
    );
    if (targets.length === 0) {
      throw new ComplianceFailure("the commands that some group supports", "one or more", 0);
    }
    return Array.from({ length: count }, () => {
      const example = random.oneIn(3) ? random.pick(this.#examples) : undefined;
      if (example !== undefined) return example;
      const { command, group, members } = random.pick(targets as [(typeof targets)[number]]);
      const known = random.oneIn(8) ? undefined : random.pick(members);
      return {
        opcode: command.opcode,
        group,
        member: known ?? random.below(2 ** 16),
        data: dataFor(command, random),
        room: random.oneIn(4) ? random.below(32) : 8 * Math.ceil(command.result.max / 8),
      };
    });
  }

  /** What the commands are answered. */
  async play(script: readonly HandCommand[]): Promise<DirectAnswer[]> {
    const answers: DirectAnswer[] = [];
    for (const command of script) answers.push(await send(this.executor, command));
    return answers;
  }

  /** What the family saves, as JSON. */
  state(): string | undefined {
    return JSON.stringify(this.binding.save?.());
  }
}

/** The cases, in the order in which they are run. */
export const COMMAND_FAMILY_CASES: readonly PluginCase<CommandFamilyFixture>[] = [
  pluginCase("family-declares", "Its commands are declared as commands can be.", [], (fixture) => {
    const { family } = new FamilyBench(fixture);
    expectText("the name", family.name);
    expectText("what the commands are for", family.doc);
    expectTrue("there are commands", family.commands.length > 0);
    const names = family.commands.map(({ name }) => name);
    expectEqual("how many names there are", new Set(names).size, names.length);
    for (const command of family.commands) checkDeclaration(command);
  }),
  pluginCase(
    "family-examples",
    "The commands that are to succeed do.",
    ["admin-cmd-device-5"],
    async (fixture) => {
      const { examples = [] } = fixture;
      if (examples.length === 0) skip("the fixture has no examples");
      const bench = await new FamilyBench(fixture).begin();
      for (const [i, answer] of (await bench.play(examples)).entries()) {
        expectAnswer(`example ${i}`, answer, WIRE.ok, 0);
      }
    },
  ),
  pluginCase(
    "family-any-data",
    "Whatever a command brings is answered, and nothing is thrown.",
    [],
    async (fixture) => {
      const bench = await new FamilyBench(fixture).begin();
      const script = bench.script(SEED);
      for (const [i, { status, qualifier }] of (await bench.play(script)).entries()) {
        if (bench.faults.length > 0) break;
        // An answer that does not fit its buffer is cut off.
        const what = `opcode ${script[i]?.opcode}`;
        expectTrue(`the status ${status} of ${what} is one`, STATUSES.has(status));
        expectTrue(`the qualifier ${qualifier} of ${what} is one`, QUALIFIERS.has(qualifier));
      }
      const [fault] = bench.faults;
      if (fault !== undefined) {
        throw new ComplianceFailure("what a handler threw", "nothing", fault, fault);
      }
    },
  ),
  pluginCase(
    "family-lists",
    "What it offers stays offered, and a list is accepted again after a reset.",
    ["admin-cmd-device-18", "admin-cmd-device-19", "admin-cmd-device-21", "admin-cmd-device-22"],
    async (fixture) => {
      const bench = await new FamilyBench(fixture).begin();
      const lists = listsOf(bench);
      const verdicts = async () => {
        const answers = [];
        for (const list of lists) answers.push((await send(bench.executor, list)).status);
        return answers;
      };
      const offered = () => bench.groups.map(({ type }) => bench.executor.supported(type.id));
      const first = await verdicts();
      const before = offered();
      await bench.begin();
      await bench.play(bench.script(SEED));
      bench.executor.reset();
      expectEqual("what is offered after a reset", offered(), before);
      expectEqual("which lists are accepted after a reset", await verdicts(), first);
    },
  ),
  pluginCase(
    "family-refusals",
    "A command that fails leaves what the family saves as it was.",
    ["admin-cmd-device-7", "admin-cmd-device-8", "admin-cmd-device-10"],
    async (fixture) => {
      const bench = await new FamilyBench(fixture).begin();
      if (bench.binding.save === undefined) skip("it saves nothing");
      for (const command of bench.script(SEED)) {
        const before = bench.state();
        const { status } = await send(bench.executor, command);
        if (status === WIRE.ok) continue;
        expectEqual(`the state after a failed ${command.opcode}`, bench.state(), before);
      }
    },
  ),
  pluginCase(
    "family-reset",
    "After a reset of the device the family is as it was at first.",
    ["admin-life-device-2"],
    async (fixture) => {
      const bench = await new FamilyBench(fixture).begin();
      const initial = bench.state();
      const script = bench.script(SEED);
      const first = await bench.play(script);
      bench.executor.reset();
      expectEqual("what it saves", bench.state(), initial);
      if (fixture.varies !== undefined) skip(fixture.varies);
      await bench.begin();
      expectSameAnswers("after a reset", await bench.play(script), first, script);
    },
  ),
  pluginCase(
    "family-owners",
    "What one owner's driver does is no other's business.",
    [],
    async (fixture) => {
      if (fixture.varies !== undefined) skip(fixture.varies);
      const family = fixture.make();
      const one = await new FamilyBench(fixture, family).begin();
      const other = await new FamilyBench(fixture, family).begin();
      expectTrue("each owner has a binding of its own", one.binding !== other.binding);
      const script = one.script(SEED);
      const first = await one.play(script);
      expectSameAnswers("of another owner", await other.play(script), first, script);
    },
  ),
  pluginCase(
    "family-state",
    "State that commands have set is in a snapshot: a restored owner answers as the first would.",
    [],
    async (fixture) => {
      const source = await new FamilyBench(fixture).begin();
      const { save, restore } = source.binding;
      expectEqual("save and restore go together", typeof save, typeof restore);
      await source.play(source.script(SEED));
      const saved = JSON.stringify(source.executor.saveState());
      const target = new FamilyBench(fixture);
      const initial = target.state();
      const change = target.executor.prepareState(JSON.parse(saved));
      change.apply();
      expectEqual("what it saves", target.state(), source.state());
      change.undo();
      expectEqual("what it saves once that is undone", target.state(), initial);
      target.executor.prepareState(JSON.parse(saved)).apply();
      if (fixture.varies !== undefined) skip(fixture.varies);
      const script = source.script(SEED + 1);
      const answers = await target.play(script);
      expectSameAnswers("once restored", answers, await source.play(script), script);
    },
  ),
];

/** Checks a command family against the rules that all of them keep. */
export function checkCommandFamily(
  fixture: CommandFamilyFixture,
  options?: PluginCheckOptions,
): Promise<PluginReport> {
  return runPluginCases("command family", COMMAND_FAMILY_CASES, fixture, options);
}

function checkDeclaration(command: AdminCommand): void {
  const { name, opcode, groups, data, result, clauses } = command;
  expectText("the name of a command", name);
  expectInteger(`the opcode of ${name}`, opcode, 0, OPCODE_LIMIT);
  expectText(`what ${name} does`, command.doc);
  expectText(`the section that defines ${name}`, command.cite);
  for (const { min, max } of [data, result]) {
    expectInteger(`the longest part of ${name}`, max, 0, LONGEST_PART);
    expectInteger(`the shortest part of ${name}`, min, 0, max);
  }
  for (const id of clauses) expectTrue(`clause ${id} is in the table`, CLAUSE_IDS.has(id));
  if (groups === "any") return;
  expectTrue(`${name} applies to some group type`, groups.length > 0);
  for (const id of groups) expectInteger(`a group type of ${name}`, id, 0, 0xffff);
}

/** The identifiers of a group's members, some of them when there are many. */
function membersOf(group: DeviceGroup): readonly number[] {
  const managed = isManagedGroup(group) ? [...group.managedMembers()].map(({ id }) => id) : [];
  const likely = Array.from({ length: LIKELY_IDS }, (_, id) => id);
  return [...new Set([...managed, ...likely])].filter((id) => group.hasMember(id));
}

/** Nothing, too little, all, too much; zeros, small numbers, noise. */
function dataFor({ data }: AdminCommand, random: Random): Uint8Array {
  const longest = Math.min(data.max, 4096);
  const lengths = [0, data.min, data.min, random.below(longest + 1), longest, longest + 7];
  const bytes = random.bytes(random.pick(lengths) ?? 0);
  const kind = random.below(4);
  if (kind === 0) return bytes.fill(0);
  if (kind === 1) return bytes;
  // Little-endian fields that are small: most of what is legal looks like that.
  return bytes.map((byte, i) => (i % 4 === 0 ? byte % 4 : random.oneIn(6) ? byte : 0));
}

/** Lists of opcodes for each group that exists: all, none, and some of what is supported. */
function listsOf({ groups, executor }: FamilyBench): HandCommand[] {
  const random = new Random(SEED);
  return groups
    .filter(({ exists }) => exists)
    .flatMap(({ type }) => {
      const supported = executor.supported(type.id);
      const some = () => supported.filter((opcode) => opcode <= LIST.use || random.oneIn(2));
      const lists = [supported, supported.slice(0, 2), ...Array.from({ length: LIST_TRIES }, some)];
      return lists.map((list) => ({ opcode: LIST.use, group: type.id, data: opcodeList(list) }));
    });
}

function expectSameAnswers(
  when: string,
  answers: readonly DirectAnswer[],
  expected: readonly DirectAnswer[],
  script: readonly HandCommand[],
): void {
  answers.forEach(({ bytes }, i) => {
    expectEqual(`the answer to opcode ${script[i]?.opcode} ${when}`, bytes, expected[i]?.bytes);
  });
}
