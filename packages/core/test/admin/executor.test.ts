import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  AdminExecutor,
  type CommandFamily,
  decodeOpcodeList,
  encodeOpcodeList,
  LIST_QUERY,
  LIST_USE,
  OUTCOME,
  TOLERANT,
} from "../../src/admin/index.ts";
import { type DeviceGroup, SelfGroup, SR_IOV_GROUP } from "../../src/group/index.ts";
import type { TraceEvent } from "../../src/trace/index.ts";
import { AdminRig, answerOf, GROUPS, OP, request, settle } from "./rig.ts";

function run(
  executor: AdminExecutor,
  ...[opcode, group, member, data]: Parameters<typeof request>
): readonly [number, number] {
  const response = new Uint8Array(8);
  executor.execute(request(opcode, group, member, data), response);
  return answerOf(response);
}

const OK = [0, 0];
const INVALID_OPCODE = [22, 2];
const INVALID_FIELD = [22, 3];
const INVALID_GROUP = [22, 4];
const INVALID_MEMBER = [22, 5];

describe("order of the checks", () => {
  const rig = new AdminRig();
  rig.useAll(GROUPS.self, GROUPS.platform);
  it.each([
    ["[admin-cmd-device-2-] group before opcode and member", 0x7777, 0x42, 99, INVALID_GROUP],
    ["[admin-cmd-device-3-] opcode before member", 0x7777, GROUPS.platform, 99, INVALID_OPCODE],
    ["opcodes of the other structure", 0x8020, GROUPS.self, 0, INVALID_OPCODE],
    ["not for this group type", OP.SELF_ONLY, GROUPS.platform, 3, INVALID_OPCODE],
    ["[admin-cmd-device-4-] member", OP.MEMBER, GROUPS.platform, 99, INVALID_MEMBER],
    ["a member id above 2^53-1", OP.MEMBER, GROUPS.platform, 2n ** 63n, INVALID_MEMBER],
    ["[admin-format-4-] a member that is not used", OP.ECHO, GROUPS.platform, 99, OK],
    ["[admin-format-10-] LIST_QUERY", LIST_QUERY.opcode, GROUPS.platform, 99, OK],
    ["[admin-cmd-device-5+] success", OP.MEMBER, GROUPS.platform, 7, OK],
    ["[platform-group-device-4] a platform member", OP.MEMBER, GROUPS.platform, 4, INVALID_MEMBER],
  ] as const)("%s", (_, opcode, group, member, expected) => {
    expect(run(rig.executor, opcode, group, member)).toEqual(expected);
  });

  it("[platform-group-device-6] refuses group type 0xff00 where there is no such group", () => {
    const executor = new AdminExecutor({ groups: [new SelfGroup()] });
    expect(run(executor, LIST_QUERY.opcode, GROUPS.platform, 0)).toEqual(INVALID_GROUP);
  });
});

describe("lists", () => {
  it("[admin-cmd-device-14+-] [admin-cmd-device-17-] has only the list commands after a reset", () => {
    const { executor } = new AdminRig();
    expect(run(executor, OP.ECHO, GROUPS.self, 0)).toEqual(INVALID_OPCODE);
    expect(run(executor, LIST_QUERY.opcode, GROUPS.self, 0)).toEqual(OK);
    expect(executor.used(GROUPS.self)).toEqual([0, 1]);
  });

  it("[admin-format-7+] [admin-format-8+] reports every supported opcode and the list commands", () => {
    const { executor } = new AdminRig();
    const response = new Uint8Array(128).fill(0xee);
    const used = executor.execute(request(LIST_QUERY.opcode, GROUPS.self, 0), response);
    expect(used).toBe(8 + 5 * 8);
    expect(decodeOpcodeList(response.subarray(8, 48))).toEqual([
      0,
      1,
      ...Object.values(OP).sort((a, b) => a - b),
    ]);
    expect(executor.supported(GROUPS.platform)).not.toContain(OP.SELF_ONLY);
  });

  it("[admin-cmd-device-8-] [admin-cmd-device-11-] refuses a list that is not supported, keeping the old", () => {
    const rig = new AdminRig();
    rig.useAll(GROUPS.self);
    const before = rig.executor.used(GROUPS.self);
    for (const opcodes of [[0, 1, 0x19], [OP.ECHO, 0xffff], [0x101]]) {
      const data = encodeOpcodeList(opcodes);
      expect(run(rig.executor, LIST_USE.opcode, GROUPS.self, 0, data)).toEqual(INVALID_FIELD);
      expect(rig.executor.used(GROUPS.self)).toEqual(before);
    }
  });

  it("[admin-cmd-device-8-] saves nothing of a list that it refused", () => {
    const { executor } = new AdminRig();
    const before = executor.saveState();
    const data = encodeOpcodeList([0, 1, 0x19]);
    expect(run(executor, LIST_USE.opcode, GROUPS.self, 0, data)).toEqual(INVALID_FIELD);
    expect(executor.saveState()).toEqual(before);
  });

  it("[admin-cmd-driver-8+] lets the driver lock itself out, until the reset", () => {
    const { executor } = new AdminRig();
    const data = encodeOpcodeList([OP.ECHO]);
    expect(run(executor, LIST_USE.opcode, GROUPS.self, 0, data)).toEqual(OK);
    expect(run(executor, LIST_QUERY.opcode, GROUPS.self, 0)).toEqual(INVALID_OPCODE);
    expect(run(executor, LIST_USE.opcode, GROUPS.self, 0, data)).toEqual(INVALID_OPCODE);
    expect(run(executor, OP.ECHO, GROUPS.self, 0)).toEqual(OK);
    executor.reset();
    expect(executor.used(GROUPS.self)).toEqual([0, 1]);
    expect(run(executor, LIST_USE.opcode, GROUPS.self, 0, data)).toEqual(OK);
  });

  it("[admin-cmd-device-11-] refuses a list that a family's dependencies rule out", () => {
    const family: CommandFamily = {
      ...new AdminRig().family,
      bind: () => ({
        handlers: Object.fromEntries(Object.values(OP).map((opcode) => [opcode, () => OUTCOME.OK])),
        refuseList: (_, uses) => (uses(OP.ECHO) && !uses(OP.ADD) ? "ECHO needs ADD" : undefined),
      }),
    };
    const executor = new AdminExecutor({ groups: [new SelfGroup()], families: [family] });
    const use = (opcodes: number[]) =>
      run(executor, LIST_USE.opcode, GROUPS.self, 0, encodeOpcodeList(opcodes));
    expect(use([0, 1, OP.ECHO])).toEqual(INVALID_FIELD);
    expect(executor.used(GROUPS.self)).toEqual([0, 1]);
    expect(use([0, 1, OP.ECHO, OP.ADD])).toEqual(OK);
  });

  it("[admin-cmd-device-18+-] [admin-cmd-device-20+] only ever grows what is supported", () => {
    let offered = false;
    const rig = new AdminRig();
    const family: CommandFamily = {
      ...rig.family,
      bind: () => ({
        ...rig.family.bind(),
        supports: ({ opcode }) => opcode !== OP.ADD || offered,
      }),
    };
    const executor = new AdminExecutor({ groups: [new SelfGroup()], families: [family] });
    expect(executor.supported(0)).not.toContain(OP.ADD);
    offered = true;
    expect(executor.supported(0)).toContain(OP.ADD);
    offered = false;
    executor.reset();
    expect(executor.supported(0)).toContain(OP.ADD);
  });

  it("[admin-cmd-device-12+] [admin-cmd-device-15+] [admin-cmd-device-16+] keeps a list for each group, as a model does", () => {
    const opcodes = [0, 1, ...Object.values(OP), 0x30];
    const group = fc.constantFrom(GROUPS.self, GROUPS.platform);
    const step = fc.oneof(
      fc.record({
        kind: fc.constant("use" as const),
        group,
        list: fc.oneof(
          { weight: 3, arbitrary: fc.constant([0, 1]) },
          { weight: 1, arbitrary: fc.constant<number[]>([]) },
        ),
        extra: fc.subarray(opcodes),
      }),
      fc.record({ kind: fc.constant("send" as const), group, opcode: fc.constantFrom(...opcodes) }),
      fc.record({ kind: fc.constant("reset" as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const { executor } = new AdminRig();
        const model = new Map<number, Set<number>>();
        const used = (type: number) => model.get(type) ?? new Set([0, 1]);
        const supported = (type: number, opcode: number) =>
          opcode !== 0x30 && (opcode !== OP.SELF_ONLY || type === GROUPS.self);
        for (const each of steps) {
          if (each.kind === "reset") {
            executor.reset();
            model.clear();
          } else if (each.kind === "use") {
            const wanted = [...new Set([...each.list, ...each.extra])];
            const legal = used(each.group).has(LIST_USE.opcode);
            const good = wanted.every((opcode) => supported(each.group, opcode));
            const data = encodeOpcodeList(wanted);
            expect(run(executor, LIST_USE.opcode, each.group, 0, data)).toEqual(
              !legal ? INVALID_OPCODE : good ? OK : INVALID_FIELD,
            );
            if (legal && good) model.set(each.group, new Set(wanted));
          } else if (!([OP.WAIT, OP.THROW, 1] as number[]).includes(each.opcode)) {
            const [status, qualifier] = run(executor, each.opcode, each.group, 0);
            const legal = used(each.group).has(each.opcode);
            expect(status === 22 && qualifier === 2).toBe(!legal);
          }
          for (const type of [GROUPS.self, GROUPS.platform]) {
            expect(executor.used(type)).toEqual([...used(type)].sort((a, b) => a - b));
          }
        }
      }),
    );
  });
});

describe("groups that do not exist", () => {
  const absent: DeviceGroup & { exists: boolean } = {
    type: SR_IOV_GROUP,
    exists: false,
    memberCount: 0,
    hasMember: () => false,
  };

  it("[admin-cmd-device-23-] fails every command while the group does not exist", () => {
    const group = { ...absent };
    const executor = new AdminExecutor({ groups: [group] });
    expect(run(executor, LIST_QUERY.opcode, 1, 0)).toEqual(INVALID_GROUP);
    group.exists = true;
    expect(run(executor, LIST_QUERY.opcode, 1, 0)).toEqual(OK);
  });

  it("answers the list commands of the SR-IOV type under tolerance T1, and says so", () => {
    const events: TraceEvent[] = [];
    const rig = new AdminRig();
    for (const groups of [[], [{ ...absent }]]) {
      const executor = new AdminExecutor({
        groups,
        families: [rig.family],
        tolerances: { T1: true },
        trace: { emit: (event) => events.push(event) },
      });
      expect(run(executor, LIST_QUERY.opcode, 1, 0)).toEqual(OK);
      const data = encodeOpcodeList([0, 1, OP.ECHO]);
      expect(run(executor, LIST_USE.opcode, 1, 0, data)).toEqual(OK);
      expect(run(executor, OP.ECHO, 1, 0)).toEqual(INVALID_GROUP);
      expect(run(executor, LIST_QUERY.opcode, 2, 0)).toEqual(INVALID_GROUP);
    }
    expect(events.map((event) => "tolerance" in event && event.tolerance)).toEqual([
      "T1",
      "T1",
      false,
      false,
      "T1",
      "T1",
      false,
      false,
    ]);
  });

  it("lets the capability commands pass in the Self group under tolerance T2, until LIST_USE", () => {
    const [echo] = new AdminRig().family.commands;
    const family: CommandFamily = {
      name: "capabilities",
      doc: "",
      private: false,
      commands: [{ ...echo!, groups: [GROUPS.self] }],
      bind: () => ({ handlers: { [OP.ECHO]: () => OUTCOME.OK } }),
    };
    const options = { groups: [new SelfGroup()], families: [family] };
    const strict = new AdminExecutor(options);
    expect(run(strict, OP.ECHO, GROUPS.self, 0)).toEqual(INVALID_OPCODE);
    const executor = new AdminExecutor({ ...options, tolerances: TOLERANT });
    expect(executor.supported(1)).toEqual([0, 1, OP.ECHO]);
    expect(run(executor, OP.ECHO, GROUPS.self, 0)).toEqual(OK);
    expect(run(executor, OP.ECHO, GROUPS.srIov, 0)).toEqual(INVALID_GROUP);
    const data = encodeOpcodeList([0, 1]);
    expect(run(executor, LIST_USE.opcode, GROUPS.self, 0, data)).toEqual(OK);
    expect(run(executor, OP.ECHO, GROUPS.self, 0)).toEqual(INVALID_OPCODE);
    executor.reset();
    expect(run(executor, OP.ECHO, GROUPS.self, 0)).toEqual(OK);
  });
});

describe("outcomes", () => {
  it("[admin-cmd-device-7-] EINVAL changes nothing, other failures neither", () => {
    const rig = new AdminRig();
    rig.useAll(GROUPS.self);
    const add = (amount: number) =>
      run(rig.executor, OP.ADD, GROUPS.self, 0, new Uint8Array([amount & 255, amount >> 8]));
    expect(add(100)).toEqual(OK);
    expect(add(101)).toEqual(INVALID_FIELD);
    expect(rig.family.total).toBe(100);
    for (let i = 0; i < 9; i++) add(100);
    expect(add(1)).toEqual([28, 6]);
    expect(rig.family.total).toBe(1000);
  });

  it("[admin-cmd-device-6-] reports a handler that throws as EIO, with none of its result", async () => {
    const rig = new AdminRig();
    rig.useAll(GROUPS.self);
    const response = new Uint8Array(24).fill(0xee);
    expect(rig.executor.execute(request(OP.THROW, 0, 0), response)).toBe(16);
    expect(answerOf(response)).toEqual([5, 1]);
    expect([...response.subarray(8)]).toEqual([...Array(8).fill(0), ...Array(8).fill(0xee)]);
    const later = rig.executor.execute(request(OP.WAIT, 0, 0), response);
    rig.family.waiting[0]!.fail(new Error("lost"));
    expect(await later).toBe(16);
    expect(answerOf(response)).toEqual([5, 1]);
    expect(rig.faults.map(String)).toEqual(["Error: broken handler", "Error: lost"]);
  });

  it.each([1.5, -1, Number.NaN, 2 ** 32, 0x70000])(
    "[admin-format-3-] reports a handler that returns %s as failed",
    (result) => {
      const [echo] = new AdminRig().family.commands;
      const executor = new AdminExecutor({
        groups: [new SelfGroup()],
        families: [
          {
            name: "x",
            doc: "",
            private: true,
            commands: [echo!],
            bind: () => ({ handlers: { [OP.ECHO]: () => result } }),
          },
        ],
      });
      run(executor, LIST_USE.opcode, 0, 0, encodeOpcodeList([OP.ECHO]));
      expect(run(executor, OP.ECHO, 0, 0)).toEqual([5, 1]);
    },
  );

  it("cancels what waits when the device is reset, and answers nothing then", async () => {
    const rig = new AdminRig();
    rig.useAll(GROUPS.self);
    const response = new Uint8Array(16).fill(0xee);
    const later = rig.executor.execute(request(OP.WAIT, 0, 0), response);
    let heard = 0;
    const { call, answer } = rig.family.waiting[0]!;
    call.onCancel(() => heard++);
    rig.executor.reset();
    expect([call.cancelled, heard]).toEqual([true, 1]);
    answer(OUTCOME.OK);
    expect(await later).toBe(0);
    expect([...response]).toEqual(Array(16).fill(0xee));
  });

  it("asks to try again once too many cancelled handlers still run, until they end", async () => {
    const rig = new AdminRig();
    for (let i = 0; i < 256; i++) {
      rig.useAll(GROUPS.self);
      rig.executor.execute(request(OP.WAIT, 0, 0), new Uint8Array(8));
      rig.executor.reset();
    }
    expect(run(rig.executor, LIST_QUERY.opcode, 0, 0)).toEqual([11, 7]);
    for (const { answer } of rig.family.waiting) answer(OUTCOME.OK);
    await settle();
    expect(run(rig.executor, LIST_QUERY.opcode, 0, 0)).toEqual(OK);
  });
});

describe("declarations", () => {
  const { family } = new AdminRig();
  const groups = [new SelfGroup()];
  it("[group-1-] refuses two groups of one type", () => {
    expect(() => new AdminExecutor({ groups: [...groups, new SelfGroup()] })).toThrow(
      expect.objectContaining({ code: "GROUP_INVALID" }),
    );
  });

  const [echo] = family.commands;
  const one = (changes: object): CommandFamily => ({
    name: "one",
    doc: "",
    private: true,
    commands: [{ ...echo!, ...changes }],
    bind: () => ({ handlers: { [OP.ECHO]: () => OUTCOME.OK } }),
  });
  it.each<[string, readonly CommandFamily[]]>([
    ["one name twice", [family, family]],
    ["an opcode twice", [family, one({})]],
    ["an opcode of the list commands", [one({ opcode: 1 })]],
    ["an opcode that is too large", [one({ opcode: 0x8000 })]],
    ["no handler", [one({ opcode: 0x21 })]],
    ["a length range upside down", [one({ data: { min: 2, max: 1 } })]],
  ])("refuses %s", (_, families) => {
    expect(() => new AdminExecutor({ groups, families })).toThrow(
      expect.objectContaining({ code: "FAMILY_INVALID" }),
    );
  });
});
