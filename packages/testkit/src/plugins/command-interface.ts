/**
 * Rules of command interfaces: whatever carries a command, its answer is that of the executor. The
 * administration virtqueues of a transport are checked as what is beside them is.
 */
import {
  AdminExecutor,
  type MaybePromise,
  PLATFORM_GROUP,
  PlatformGroup,
  SelfGroup,
} from "@virtio-admin/core";
import {
  encodeCommand,
  expectAnswer,
  type HandCommand,
  LIST,
  le64,
  opcodeList,
  WIRE,
} from "../compliance/admin-bench.ts";
import { DeviceBench } from "../compliance/device-bench.ts";
import { expectEqual, expectSoon, settle, turn } from "../compliance/expect.ts";
import { ComplianceFailure } from "../compliance/failure.ts";
import { PROBE_COMMANDS, ProbeFamily } from "../compliance/probe-family.ts";
import { PROBE_QUEUE_SIZES } from "../compliance/probe-model.ts";
import type { TransportFixture } from "../fixture.ts";
import { answerOf } from "./commands.ts";
import {
  type PluginCase,
  type PluginCheckOptions,
  type PluginReport,
  pluginCase,
  runPluginCases,
} from "./run.ts";

/** A command interface in front of an executor, from its driver's side. */
export interface CarrierUnderTest {
  /**
   * Has one command carried out. Called again before the first is answered: what carries one at a
   * time keeps the others back.
   *
   * @param request the device-readable part; any length
   * @param writable the length of the device-writable part
   * @returns the bytes that were written; rejects, or never settles, when a reset came in between
   */
  carry(request: Uint8Array, writable: number): Promise<Uint8Array>;
  /** Resets the owner's device, its executor with it; commands can be carried afterwards. */
  reset(): unknown;
  /** Lets go of everything. */
  close?(): unknown;
}

/** A command interface as it is checked. */
export interface CommandInterfaceFixture {
  /** What to call it in the report. */
  readonly name: string;
  /** Puts the interface in front of an executor. Called for every case. */
  connect(executor: AdminExecutor): MaybePromise<CarrierUnderTest>;
}

const { echo, store, load, wait, odd } = PROBE_COMMANDS;
const MEMBER = 7;
const ROOM = 64;
const HEADER_BYTES = 24;
const FIRST_ADMIN_QUEUE = PROBE_QUEUE_SIZES.length;

/** An executor with all commands of the kit in use, and another of which every answer is known. */
class CarrierBench {
  readonly carrier: CarrierUnderTest;
  readonly family: ProbeFamily;
  readonly #twin = makeExecutor(new ProbeFamily());

  private constructor(carrier: CarrierUnderTest, family: ProbeFamily) {
    this.carrier = carrier;
    this.family = family;
  }

  static async open(fixture: CommandInterfaceFixture): Promise<CarrierBench> {
    const family = new ProbeFamily();
    const executor = makeExecutor(family);
    const bench = new CarrierBench(await fixture.connect(executor), family);
    for (const group of [0, PLATFORM_GROUP.id]) {
      const data = opcodeList(executor.supported(group));
      await bench.expectTwin("LIST_USE", encodeCommand({ opcode: LIST.use, group, data }), ROOM);
    }
    return bench;
  }

  carry(command: HandCommand, room = ROOM): Promise<Uint8Array> {
    return this.carrier.carry(encodeCommand(command), room);
  }

  /** The answer is what the executor answers to whom calls it. */
  async expectTwin(what: string, request: Uint8Array, writable: number): Promise<void> {
    const expected = new Uint8Array(writable);
    const written = await this.#twin.execute(request, expected);
    const answer = await this.carrier.carry(request.slice(), writable);
    expectEqual(`the answer to ${what}`, answer, expected.subarray(0, written));
  }
}

const carrierCase = (
  id: string,
  title: string,
  clauses: readonly string[],
  run: (bench: CarrierBench) => Promise<void>,
): PluginCase<CommandInterfaceFixture> =>
  pluginCase(id, title, clauses, async (fixture) => {
    const bench = await CarrierBench.open(fixture);
    try {
      await run(bench);
    } finally {
      await bench.carrier.close?.();
    }
  });

/** The cases, in the order in which they are run. */
export const COMMAND_INTERFACE_CASES: readonly PluginCase<CommandInterfaceFixture>[] = [
  carrierCase("interface-answers", "Every answer is the executor's.", [], async (bench) => {
    const group = PLATFORM_GROUP.id;
    const commands: readonly HandCommand[] = [
      { opcode: LIST.query },
      { opcode: LIST.query, group },
      { opcode: LIST.query, group: 0x1234 },
      { opcode: 0x7777 },
      { opcode: 0xffff, group },
      { opcode: echo.opcode, group, member: MEMBER, data: le64(5) },
      { opcode: echo.opcode, group, member: 2n ** 32n + BigInt(MEMBER) },
      { opcode: echo.opcode, group, member: MEMBER, data: new Uint8Array(100).fill(0xa5) },
      { opcode: odd.opcode },
      { opcode: store.opcode, data: le64(0x1122_3344_5566) },
      { opcode: load.opcode },
    ];
    for (const command of commands) {
      await bench.expectTwin(`opcode ${command.opcode}`, encodeCommand(command), ROOM);
    }
  }),
  carrierCase(
    "interface-lengths",
    "Too little counts as zeros, too much is not looked at; an answer is cut off where room ends.",
    ["admin-vq-device-1", "admin-vq-device-2"],
    async (bench) => {
      const data = Uint8Array.from({ length: 40 }, (_, i) => i + 1);
      const command = { opcode: echo.opcode, group: PLATFORM_GROUP.id, member: MEMBER, data };
      const whole = encodeCommand(command);
      for (const readable of [1, 3, 17, HEADER_BYTES, HEADER_BYTES + 3, HEADER_BYTES + 32, 64]) {
        for (const writable of [2, 4, 8, 13, 16, 40, ROOM]) {
          const what = `${readable} bytes, with room for ${writable}`;
          await bench.expectTwin(what, whole.subarray(0, readable), writable);
        }
      }
    },
  ),
  carrierCase(
    "interface-waits",
    "A command that has to wait is answered when it is done, and not before.",
    [],
    async (bench) => {
      let answered = false;
      const answer = bench.carry({ opcode: wait.opcode, data: le64(9) });
      const ended = answer.then(() => {
        answered = true;
      });
      await expectSoon("the command waits", () => bench.family.waiting === 1);
      await settle();
      expectEqual("whether it is answered", answered, false);
      bench.family.letGo();
      await ended;
      expectAnswer("the command", answerOf(await answer), WIRE.ok, 0);
      expectEqual("its result", (await answer).subarray(8), le64(9));
    },
  ),
  carrierCase(
    "interface-order",
    "Commands that are given before the first is answered are carried out in their order.",
    [],
    async (bench) => {
      const answers = [
        bench.carry({ opcode: wait.opcode, data: le64(1) }),
        ...[2, 3].map((value) => bench.carry({ opcode: store.opcode, data: le64(value) })),
        bench.carry({ opcode: load.opcode }),
      ];
      await expectSoon("the first command waits", () => bench.family.waiting === 1);
      await settle();
      expectEqual("the commands that ran", bench.family.ran.length, 0);
      bench.family.letGo();
      const all = await Promise.all(answers);
      for (const answer of all) expectAnswer("a command", answerOf(answer), WIRE.ok, 0);
      expectEqual("the commands that ran", bench.family.ran, ["wait", "store", "store", "load"]);
      expectEqual("the value at the end", all.at(-1)?.subarray(8), le64(3));
    },
  ),
  carrierCase(
    "interface-reset",
    "A reset ends what is under way, and the lists; the interface carries commands afterwards.",
    ["admin-life-device-2", "admin-life-device-3"],
    async (bench) => {
      const { family, carrier } = bench;
      let answer: Uint8Array | undefined;
      void bench.carry({ opcode: wait.opcode, data: le64(5) }).then(
        (bytes) => {
          answer = bytes;
        },
        () => undefined,
      );
      await expectSoon("the command waits", () => family.waiting === 1);
      await carrier.reset();
      family.letGo();
      await settle();
      if (answer !== undefined && answer.length > 0) {
        throw new ComplianceFailure("the command from before", "no answer", answer);
      }
      expectEqual("the commands that ran", family.ran.length, 0);
      const late = answerOf(await bench.carry({ opcode: load.opcode }));
      expectAnswer("a command that is not in use", late, WIRE.einval, WIRE.invalidOpcode);
      const query = answerOf(await bench.carry({ opcode: LIST.query }));
      expectAnswer("LIST_QUERY", query, WIRE.ok, 0);
    },
  ),
];

/** Checks a command interface against the rules that all of them keep. */
export function checkCommandInterface(
  fixture: CommandInterfaceFixture,
  options?: PluginCheckOptions,
): Promise<PluginReport> {
  return runPluginCases("command interface", COMMAND_INTERFACE_CASES, fixture, options);
}

/** The administration virtqueues of a device on a transport, as a command interface. */
export function adminQueueInterface(fixture: TransportFixture): CommandInterfaceFixture {
  return {
    name: `admin queue on ${fixture.plugin.description.name}`,
    connect: async (executor) => {
      const bench = new DeviceBench(fixture, { executor });
      await bench.open();
      let life = 0;
      let queue = await bench.runWith(FIRST_ADMIN_QUEUE);
      let answers = new Map<number, number>();
      return {
        carry: async (request, writable) => {
          const [of, ring, used] = [life, queue.ring, answers];
          const buffer = ring.add([request], [writable]);
          queue.doorbell.ring();
          while (!used.has(buffer.head)) {
            if (of !== life) throw new ComplianceFailure("the command", "an answer", "a reset");
            await turn();
            for (const { id, length } of ring.takeUsed()) used.set(id, length);
          }
          const length = used.get(buffer.head);
          used.delete(buffer.head);
          return buffer.written().subarray(0, length);
        },
        reset: async () => {
          await bench.driver.reset();
          life++;
          answers = new Map();
          queue = await bench.runWith(FIRST_ADMIN_QUEUE);
        },
        close: () => {
          life++;
          bench.close();
        },
      };
    },
  };
}

function makeExecutor(family: ProbeFamily): AdminExecutor {
  return new AdminExecutor({
    groups: [new SelfGroup(), new PlatformGroup([1, MEMBER])],
    families: [family],
  });
}
