/** The device half of proposal-v5: what is legal when, whom commands address, and what is checked. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  AdminExecutor,
  AdminMailbox,
  AdminQueues,
  type CommandFamily,
  encodeOpcodeList,
  MANAGEMENT_FAMILY,
  OUTCOME,
  TOLERANT,
} from "../../src/admin/index.ts";
import {
  type DeviceGroup,
  freeVectors,
  isManagedGroup,
  PlatformGroup,
  SelfGroup,
  SR_IOV_GROUP,
} from "../../src/group/index.ts";
import { withOwner } from "../../src/group/with-owner.ts";
import { describeEvent, type TraceEvent } from "../../src/trace/index.ts";
import { count } from "./management-rig.ts";
import {
  bitmap,
  INVALID,
  MEMBER,
  OK,
  OwnedGroup,
  ProposalRig,
  SELF,
  savedBy,
  UNSUPPORTED,
  V5,
  v5Request,
} from "./proposal-v5-rig.ts";
import { hex, OP, request, settle, TestFamily } from "./rig.ts";

const ALL = [0, 1, 2, 3, 4, 5, 6];

/** A rig with the tests' own commands beside management, all accepted. */
function ownRig(): { readonly rig: ProposalRig; readonly own: TestFamily } {
  const own = new TestFamily();
  const commands = own.commands.map((one) =>
    one.name === "SELF_ONLY" ? one : { ...one, groups: [0, 1] },
  );
  const family: CommandFamily = {
    name: "own",
    doc: own.doc,
    private: true,
    commands,
    bind: () => own.bind(),
  };
  const rig = new ProposalRig({ families: [MANAGEMENT_FAMILY, family] });
  const data = encodeOpcodeList(rig.executor.supported(0));
  expect(rig.v5(V5.ACCEPT, SELF, 0, data).outcome).toEqual(OK);
  return { rig, own };
}

describe("an executor of proposal-v5", () => {
  it("[proposal-v5-device-1] speaks the dialect it was made with, and no other", () => {
    const rig = new ProposalRig();
    expect(rig.executor.dialect).toBe("proposal-v5");
    expect(rig.admin.dialect).toBe("proposal-v5");
    expect(rig.device.adminDialect).toBe("proposal-v5");
    expect(new AdminExecutor({ groups: [new SelfGroup()] }).dialect).toBe("virtio-1.4");
    // LIST_USE of virtio-1.4: what it has as a member id is the first word of a bitmap here.
    const before = rig.state();
    const listUse = request(1, SELF, 0, bitmap(...ALL));
    expect(rig.raw(listUse).outcome).toEqual(INVALID);
    expect(rig.raw(request(0x0101, SR_IOV_GROUP.id, 2)).outcome).toEqual(UNSUPPORTED);
    expect(rig.state()).toEqual(before);
  });

  it("[proposal-v5-device-1] refuses a dialect that there is not", () => {
    const dialect = "virtio-0.9" as "virtio-1.4";
    expect(() => new AdminExecutor({ groups: [], dialect })).toThrow(
      expect.objectContaining({ code: "VALUE_RANGE", path: "dialect", value: dialect }),
    );
    expect(() => new AdminExecutor({ groups: [], dialect: "constructor" as "virtio-1.4" })).toThrow(
      expect.objectContaining({ code: "VALUE_RANGE" }),
    );
  });

  it("refuses groups that it cannot address", () => {
    const make = (groups: readonly DeviceGroup[]) =>
      new AdminExecutor({ dialect: "proposal-v5", groups });
    expect(() => make([new SelfGroup(), new PlatformGroup([1])])).toThrow(
      expect.objectContaining({ code: "GROUP_INVALID", value: 0xff00 }),
    );
    expect(() => make([new OwnedGroup(), new OwnedGroup()])).toThrow(
      expect.objectContaining({ code: "GROUP_INVALID" }),
    );
    expect(make([]).supported(SELF)).toEqual([0, 1]);
  });

  it("refuses families that have a number of its own", () => {
    const family = (opcode: number): CommandFamily => {
      const [command] = new TestFamily().commands;
      return {
        name: "legacy-access",
        doc: "One of virtio-1.4.",
        private: false,
        commands: [{ ...command!, opcode }],
        bind: () => ({ handlers: { [opcode]: () => OUTCOME.OK } }),
      };
    };
    for (const opcode of ALL) {
      const families = [family(opcode)];
      expect(() => new AdminExecutor({ dialect: "proposal-v5", groups: [], families })).toThrow(
        expect.objectContaining({ code: "FAMILY_INVALID", value: opcode }),
      );
    }
    const init = { dialect: "proposal-v5", groups: [], families: [family(7)] } as const;
    expect(new AdminExecutor(init).supported(SELF)).toEqual([0, 1, 7]);
  });

  it("has one administration virtqueue, as no place tells of more", () => {
    const { executor } = new ProposalRig();
    expect(new AdminQueues({ executor }).queueCount).toBe(1);
    expect(() => new AdminQueues({ executor, count: 2 })).toThrow(
      expect.objectContaining({ code: "DEVICE_MODEL", path: "admin.count", value: 2 }),
    );
  });

  it("has no tolerances: they are for drivers of virtio-1.4", () => {
    const { executor } = new ProposalRig({
      groups: [new SelfGroup()],
      tolerances: TOLERANT,
    });
    expect(executor.tolerances).toEqual({});
    const response = new Uint8Array(8);
    executor.execute(v5Request(V5.IDENTIFY, MEMBER), response);
    expect([...response.subarray(0, 2)]).toEqual(INVALID);
  });
});

describe("which commands are legal", () => {
  it("[proposal-v5-device-5] is none but the two for lists, before CAPS_ACCEPT", () => {
    const rig = new ProposalRig();
    expect(rig.executor.used(SELF)).toEqual([V5.IDENTIFY, V5.ACCEPT]);
    const before = rig.state();
    for (const destination of [SELF, MEMBER, 2, 0xffff]) {
      for (const command of [2, 3, 4, 5, 6, 7, 0x100, 0x8000, 0xffff]) {
        const { outcome } = rig.v5(command, destination, 1, count(4));
        expect([command, destination, outcome]).toEqual([command, destination, UNSUPPORTED]);
      }
    }
    expect(rig.state()).toEqual(before);
    expect(rig.v5(V5.IDENTIFY, SELF)).toMatchObject({ outcome: OK, result: "7f00000000000000" });
  });

  it("[proposal-v5-device-5] is what CAPS_ACCEPT has accepted, the last one alone", () => {
    const rig = new ProposalRig();
    const legal = () =>
      [2, 3, 5].filter((command) => rig.v5(command, MEMBER, 1).outcome[0] === OK[0]);
    expect(rig.accept(V5.ATTRS, V5.COUNT_GET).outcome).toEqual(OK);
    expect(legal()).toEqual([V5.ATTRS, V5.COUNT_GET]);
    expect(rig.accept(V5.FEATURES_GET).outcome).toEqual(OK);
    expect(legal()).toEqual([V5.FEATURES_GET]);
    expect(rig.accept().outcome).toEqual(OK);
    expect(legal()).toEqual([]);
  });

  it("[proposal-v5-device-5] never leaves CAPS_IDENTIFY and CAPS_ACCEPT out", () => {
    const rig = new ProposalRig();
    for (const bits of [[V5.COUNT_GET], [], [V5.IDENTIFY], [V5.ACCEPT], ALL]) {
      expect(rig.accept(...bits).outcome).toEqual(OK);
      expect(rig.v5(V5.IDENTIFY, SELF).outcome).toEqual(OK);
      expect(rig.executor.used(SELF).slice(0, 2)).toEqual([V5.IDENTIFY, V5.ACCEPT]);
    }
  });

  it("is what it was, when CAPS_ACCEPT names what was not identified", () => {
    const rig = new ProposalRig();
    rig.accept(V5.COUNT_GET);
    const before = rig.state();
    for (const bits of [[7], [2, 3, 4, 5, 6, 7], [63]]) {
      expect(rig.accept(...bits).outcome).toEqual(INVALID);
      expect(rig.state()).toEqual(before);
    }
    const far = encodeOpcodeList([V5.COUNT_GET, 0xffff]);
    expect(rig.v5(V5.ACCEPT, SELF, 0, far).outcome).toEqual(INVALID);
    expect(rig.state()).toEqual(before);
    expect(rig.v5(V5.COUNT_GET, MEMBER, 1).outcome).toEqual(OK);
  });

  it("is nothing more after a reset of the device", () => {
    const rig = new ProposalRig();
    rig.acceptAll();
    rig.bringUp();
    expect(rig.executor.used(SELF)).toEqual([V5.IDENTIFY, V5.ACCEPT]);
    expect(rig.v5(V5.COUNT_GET, MEMBER, 1).outcome).toEqual(UNSUPPORTED);
    rig.acceptAll();
    expect(rig.v5(V5.COUNT_GET, MEMBER, 1).outcome).toEqual(OK);
  });

  it("is one list, whoever is addressed", () => {
    const { rig } = ownRig();
    expect(rig.executor.supported(MEMBER)).toEqual(rig.executor.supported(SELF));
    expect(rig.executor.used(MEMBER)).toEqual(rig.executor.used(SELF));
    expect(rig.v5(OP.SELF_ONLY, SELF).outcome).toEqual(OK);
    expect(rig.v5(OP.SELF_ONLY, MEMBER, 1).outcome).toEqual(INVALID);
    rig.accept(OP.ECHO);
    expect(rig.v5(OP.SELF_ONLY, SELF).outcome).toEqual(UNSUPPORTED);
    expect(rig.v5(OP.SELF_ONLY, MEMBER, 1).outcome).toEqual(UNSUPPORTED);
  });

  it("keeps to the needs that commands have of each other", () => {
    const [first, second] = new TestFamily().commands.slice(0, 2);
    const needy: CommandFamily = {
      name: "needy",
      doc: "One command needs the other.",
      private: true,
      commands: [first!, second!],
      bind: () => ({
        handlers: { [OP.ECHO]: () => OUTCOME.OK, [OP.MEMBER]: () => OUTCOME.OK },
        refuseList: (_, uses) => (uses(OP.ECHO) && !uses(OP.MEMBER) ? "ECHO needs it" : undefined),
      }),
    };
    const rig = new ProposalRig({ families: [needy] });
    expect(rig.accept(OP.ECHO).outcome).toEqual(INVALID);
    expect(rig.executor.used(SELF)).toEqual([0, 1]);
    expect(rig.accept(OP.ECHO, OP.MEMBER).outcome).toEqual(OK);
  });

  it("does not reach a group that a family does not serve", () => {
    const command = { ...new TestFamily().commands[0]!, groups: "any" as const };
    let ran = 0;
    const choosy: CommandFamily = {
      name: "choosy",
      doc: "For members only, of any group type.",
      private: true,
      commands: [command],
      bind: () => ({
        handlers: {
          [command.opcode]: () => {
            ran++;
            return OUTCOME.OK;
          },
        },
        supports: (_, groupType) => groupType === MEMBER,
      }),
    };
    const rig = new ProposalRig({ families: [choosy] });
    rig.accept(command.opcode);
    expect(rig.v5(command.opcode, SELF).outcome).toEqual(INVALID);
    expect(ran).toBe(0);
    expect(rig.v5(command.opcode, MEMBER, 1).outcome).toEqual(OK);
  });

  it("[proposal-v5-device-5] is what a model says, whatever is accepted and reset", () => {
    const step = fc.oneof(
      fc.record({ op: fc.constant("accept" as const), bits: fc.subarray([...ALL, 7, 40]) }),
      fc.record({
        op: fc.constant("send" as const),
        command: fc.nat({ max: 9 }),
        destination: fc.constantFrom(SELF, MEMBER, 2),
        member: fc.nat({ max: 5 }),
      }),
      fc.record({ op: fc.constant("reset" as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const rig = new ProposalRig();
        let accepted = new Set<number>([0, 1]);
        for (const one of steps) {
          if (one.op === "reset") {
            rig.bringUp();
            accepted = new Set([0, 1]);
          } else if (one.op === "accept") {
            const known = one.bits.every((bit) => bit < 7);
            expect(rig.accept(...one.bits).outcome).toEqual(known ? OK : INVALID);
            if (known) accepted = new Set([0, 1, ...one.bits]);
          } else {
            const { command, destination, member } = one;
            const { outcome } = rig.v5(command, destination, member);
            let expected = UNSUPPORTED;
            if (accepted.has(command)) {
              const right = destination === (command < 2 ? SELF : MEMBER);
              const setsNothing = command === V5.COUNT_SET;
              const known = command <= V5.ATTRS || member <= 3;
              expected = right && known && !setsNothing ? OK : INVALID;
              if (command === V5.ACCEPT && right) accepted = new Set([0, 1]);
              // A mask of nothing is refused by the owner alone.
              if (command === V5.FEATURES_SET && member === 0) expected = INVALID;
            }
            expect([command, destination, member, outcome]).toEqual([
              command,
              destination,
              member,
              expected,
            ]);
          }
          expect(rig.executor.used(SELF)).toEqual([...accepted].sort((a, b) => a - b));
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("whom a command addresses", () => {
  it("[proposal-v5-device-4] counts the owner among the members, under id 0", () => {
    const rig = new ProposalRig();
    rig.acceptAll();
    expect(rig.v5(V5.COUNT_GET, MEMBER, 0)).toMatchObject({
      outcome: OK,
      result: "0700070000000000",
    });
    expect(rig.v5(V5.COUNT_GET, MEMBER, 1)).toMatchObject({
      outcome: OK,
      result: "0400040000000000",
    });
    expect(rig.v5(V5.COUNT_GET, MEMBER, 4).outcome).toEqual(INVALID);
  });

  it("[proposal-v5-device-4] keeps the owner a member while there are no others", () => {
    const rig = new ProposalRig();
    rig.acceptAll();
    rig.group.vanish();
    expect(rig.v5(V5.COUNT_GET, MEMBER, 0).outcome).toEqual(OK);
    expect(rig.v5(V5.ATTRS, MEMBER).outcome).toEqual(OK);
    for (const id of [1, 2, 3]) expect(rig.v5(V5.COUNT_GET, MEMBER, id).outcome).toEqual(INVALID);
    rig.group.exists = true;
    expect(rig.v5(V5.COUNT_GET, MEMBER, 1).outcome).toEqual(OK);
  });

  it("[proposal-v5-device-4] in a group of any kind, and not in virtio-1.4", () => {
    const plain: DeviceGroup = {
      type: SR_IOV_GROUP,
      exists: false,
      memberCount: 2,
      hasMember: (id) => id === 1 || id === 2,
    };
    const seen = withOwner(plain, 0);
    expect([seen.exists, seen.memberCount]).toEqual([true, 1]);
    expect([0, 1, 2, 3].map((id) => seen.hasMember(id))).toEqual([true, false, false, false]);
    expect(isManagedGroup(seen)).toBe(false);
    const managed = withOwner(new OwnedGroup(), 0);
    expect([managed.exists, managed.memberCount]).toEqual([true, 4]);
    expect(isManagedGroup(managed) && [...managed.managedMembers()].length).toBe(3);
    expect(isManagedGroup(managed) && freeVectors(managed)).toBe(8);
    const executor = new AdminExecutor({
      groups: [new OwnedGroup()],
      families: [new TestFamily()],
    });
    executor.execute(request(1, 1, 0, encodeOpcodeList([0, 1, OP.MEMBER])), new Uint8Array(8));
    const response = new Uint8Array(8);
    executor.execute(request(OP.MEMBER, 1, 0), response);
    expect([response[0], response[2]]).toEqual([22, 5]);
  });

  it("[proposal-v5-device-4] also where management knows nothing of it", () => {
    const group = new OwnedGroup();
    Object.defineProperty(group, "owner", { value: undefined });
    const own = new TestFamily();
    const rig = new ProposalRig({
      groups: [new SelfGroup(), group],
      families: [MANAGEMENT_FAMILY, own],
    });
    rig.v5(V5.ACCEPT, SELF, 0, encodeOpcodeList([V5.COUNT_GET, OP.MEMBER]));
    expect(rig.v5(OP.MEMBER, MEMBER, 0).outcome).toEqual(OK);
    expect(rig.v5(V5.COUNT_GET, MEMBER, 0).outcome).toEqual(INVALID);
  });

  it("is the device itself for destination 0, whatever dst_member_id says", () => {
    const { rig } = ownRig();
    for (const member of [0, 1, 99, 2n ** 64n - 1n]) {
      expect(rig.v5(OP.MEMBER, SELF, member).outcome).toEqual(OK);
    }
    for (const member of [4, 99, 2n ** 64n - 1n]) {
      expect(rig.v5(OP.MEMBER, MEMBER, member).outcome).toEqual(INVALID);
    }
  });

  it("disregards the reserved bytes", () => {
    const rig = new ProposalRig();
    rig.acceptAll();
    const bytes = v5Request(V5.COUNT_GET, MEMBER, 1, undefined, 0xffff_ffff);
    expect(rig.raw(bytes)).toMatchObject({ outcome: OK, result: "0400040000000000" });
  });

  it("is the device itself alone where there is no group of type 1", () => {
    const rig = new ProposalRig({ groups: [new SelfGroup()] });
    expect(rig.v5(V5.IDENTIFY, SELF)).toMatchObject({ outcome: OK, result: "0300000000000000" });
    for (const member of [0, 1]) {
      expect(rig.v5(V5.IDENTIFY, MEMBER, member).outcome).toEqual(INVALID);
      expect(rig.v5(V5.ATTRS, MEMBER, member).outcome).toEqual(UNSUPPORTED);
    }
  });

  it("[management-device-11] has no commands for vectors where members have none", () => {
    const group = new OwnedGroup();
    Object.defineProperty(group, "msix", { value: undefined });
    const rig = new ProposalRig({ groups: [group] });
    expect(rig.executor.supported(SELF)).toEqual([0, 1, V5.ATTRS, V5.FEATURES_GET, 6]);
  });
});

describe("the order of the checks", () => {
  it.each([
    ["the command before the destination", 7, 9, 99, UNSUPPORTED],
    ["what is not accepted before the destination", V5.COUNT_SET, 9, 99, UNSUPPORTED],
    ["the destination before the member", V5.COUNT_GET, 9, 1, INVALID],
    ["the member", V5.COUNT_GET, MEMBER, 99, INVALID],
    ["and no member where none is used", V5.ATTRS, MEMBER, 99, OK],
  ] as const)("%s", (_, command, destination, member, expected) => {
    const rig = new ProposalRig();
    rig.accept(V5.ATTRS, V5.COUNT_GET);
    expect(rig.v5(command, destination, member).outcome).toEqual(expected);
  });
});

describe("lengths", () => {
  it("of a short command count as zero, down to nothing", () => {
    const rig = new ProposalRig();
    rig.acceptAll();
    const bytes = v5Request(V5.COUNT_GET, MEMBER, 2);
    for (let length = 1; length <= 16; length++) {
      // Cut before its destination it is for the device itself, and before its member for id 0.
      const { outcome, result } = rig.raw(bytes.subarray(0, length));
      if (length < 3) expect(outcome).toEqual(INVALID);
      else {
        const vectors = length <= 8 ? "0700" : "0400";
        expect([outcome, result.slice(0, 4)]).toEqual([OK, vectors]);
      }
    }
    expect(rig.raw(v5Request(V5.IDENTIFY, SELF).subarray(0, 1)).outcome).toEqual(OK);
    expect(rig.v5(V5.COUNT_SET, MEMBER, 1, Uint8Array.of(5)).outcome).toEqual(OK);
    expect(rig.group.first(1).msixVectors).toBe(5);
  });

  it("of a long command are not looked at", () => {
    const rig = new ProposalRig();
    rig.acceptAll();
    const data = new Uint8Array(64).fill(0xff);
    data.set([6, 0]);
    expect(rig.v5(V5.COUNT_SET, MEMBER, 1, data).outcome).toEqual(OK);
    expect(rig.group.first(1).msixVectors).toBe(6);
  });

  it("of a short answer cut it off, and used is what was written", () => {
    const rig = new ProposalRig();
    const whole = rig.v5(V5.IDENTIFY, SELF).bytes.slice(0, 16);
    for (const room of [1, 2, 7, 8, 12, 16, 40]) {
      const { bytes, used } = rig.raw(v5Request(V5.IDENTIFY, SELF), room);
      expect(used).toBe(Math.min(room, 16));
      expect(bytes.subarray(0, used)).toEqual(whole.subarray(0, used));
      expect(bytes.subarray(used).every((byte) => byte === 0xa5)).toBe(true);
    }
  });

  it("of an answer are multiples of eight, the reserved bytes zero", () => {
    const rig = new ProposalRig();
    rig.acceptAll();
    for (const [command, destination] of [
      [V5.IDENTIFY, SELF],
      [V5.ATTRS, MEMBER],
      [V5.FEATURES_GET, MEMBER],
      [99, SELF],
      [V5.COUNT_GET, SELF],
    ] as const) {
      const { bytes, used } = rig.v5(command, destination);
      expect(used % 8).toBe(0);
      expect([...bytes.subarray(2, 8)]).toEqual([0, 0, 0, 0, 0, 0]);
    }
  });
});

describe("commands that wait or fail", () => {
  it("are answered later, and in order", async () => {
    const { rig, own } = ownRig();
    const first = rig.add({
      readable: v5Request(OP.WAIT, SELF, 0, Uint8Array.of(1)),
      writableLength: 16,
    });
    const second = rig.add({ readable: v5Request(OP.ECHO, SELF), writableLength: 16 });
    rig.port.notify();
    expect(own.waiting.length).toBe(1);
    expect(rig.take(first)).toBeUndefined();
    own.waiting[0]?.answer(OUTCOME.TRY_AGAIN);
    await settle();
    expect(rig.take(first)?.bytes.subarray(0, 2)).toEqual(Uint8Array.of(1, 11));
    expect(rig.take(second)?.bytes[0]).toBe(0);
  });

  it("have an error of their own: a handler that throws, one that asks to try again", () => {
    const { rig, own } = ownRig();
    expect(rig.v5(OP.THROW, SELF).outcome).toEqual([1, 5]);
    own.again = 1;
    expect(rig.v5(OP.AGAIN, SELF).outcome).toEqual([1, 11]);
    expect(rig.v5(OP.AGAIN, SELF).outcome).toEqual(OK);
  });
});

describe("another command interface", () => {
  it("carries the dialect as well: a mailbox", () => {
    const { executor } = new ProposalRig();
    const mailbox = new AdminMailbox({ executor });
    const send = (bytes: Uint8Array) => {
      mailbox.request.fill(0);
      mailbox.request.set(bytes);
      expect(mailbox.start(bytes.length, 24)).toBe(true);
      return hex(mailbox.response.subarray(0, mailbox.written));
    };
    expect(send(v5Request(V5.IDENTIFY, SELF))).toBe("00000000000000007f00000000000000");
    expect(send(v5Request(V5.COUNT_GET, MEMBER, 0))).toBe("0200000000000000");
    expect(send(v5Request(V5.ACCEPT, SELF, 0, bitmap(V5.COUNT_GET)))).toBe("0000000000000000");
    expect(send(v5Request(V5.COUNT_GET, MEMBER, 0))).toBe("00000000000000000700070000000000");
  });
});

describe("what shows of the dialect", () => {
  it("in a trace is its label, and what was on the wire", () => {
    const rig = new ProposalRig({ traced: true });
    const events = () => rig.events.filter(({ op }) => op === "command");
    rig.v5(V5.COUNT_SET, MEMBER, 3);
    rig.acceptAll();
    rig.group.first(3).msixEnabled = true;
    rig.v5(V5.COUNT_SET, MEMBER, 3, count(5));
    const [refused, , busy] = events();
    const dialect = "proposal-v5 (reconstruction)";
    expect(refused).toMatchObject({ opcode: 4, name: "MSIX_COUNT_SET", group: 1, member: 3 });
    expect(refused).toMatchObject({ status: 2, qualifier: 0, dialect });
    expect(busy).toMatchObject({ status: 1, qualifier: 16, dialect });
    expect(describeEvent(busy as TraceEvent)).toBe(
      "command queue 1 MSIX_COUNT_SET group 0x0001 member 3: status 1 qualifier 16 in proposal-v5 (reconstruction)",
    );
  });

  it("in a snapshot is its name: no other dialect takes it", () => {
    const rig = new ProposalRig();
    rig.acceptAll();
    const state = rig.executor.saveState();
    expect(state.dialect).toBe("proposal-v5");
    expect(state.lists).toEqual([{ groupType: 0, supported: ALL, used: ALL, settled: true }]);
    const other = new AdminExecutor({ groups: [new SelfGroup()] });
    expect(() => other.prepareState(state)).toThrow(
      expect.objectContaining({ code: "SNAPSHOT", path: "admin.dialect" }),
    );
    expect(() => rig.executor.prepareState(other.saveState())).toThrow(
      expect.objectContaining({ code: "SNAPSHOT", path: "admin.dialect" }),
    );
    const target = new ProposalRig();
    const change = target.executor.prepareState(state);
    change.apply();
    expect(target.v5(V5.COUNT_GET, MEMBER, 1).outcome).toEqual(OK);
    expect(savedBy(target.executor)).toBe(JSON.stringify(state));
    change.undo();
    expect(target.executor.used(SELF)).toEqual([0, 1]);
  });

  it("no snapshot takes CAPS_IDENTIFY and CAPS_ACCEPT away", () => {
    const { executor } = new ProposalRig();
    const list = { groupType: 0, supported: ALL, settled: true };
    for (const used of [[], [0], [1, 2], [2, 3]]) {
      const state = { dialect: "proposal-v5", lists: [{ ...list, used }], families: [] };
      expect(() => executor.prepareState(state)).toThrow(
        expect.objectContaining({ code: "SNAPSHOT", path: "admin.lists[0].used" }),
      );
    }
    const twice = [
      { ...list, used: ALL },
      { ...list, groupType: 1, used: ALL },
    ];
    expect(() =>
      executor.prepareState({ dialect: "proposal-v5", lists: twice, families: [] }),
    ).toThrow(expect.objectContaining({ code: "SNAPSHOT", path: "admin.lists" }));
  });
});

describe("hostile commands", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    fc
      .record({
        command: fc.oneof(fc.nat({ max: 8 }), fc.nat({ max: 0xffff })),
        destination: fc.oneof(fc.nat({ max: 2 }), fc.nat({ max: 0xffff })),
        reserved: fc.oneof(fc.constant(0), fc.nat({ max: 0xffffffff })),
        member: fc.oneof(
          fc.bigInt({ min: 0n, max: 4n }),
          fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        ),
        data: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.nat({ max: 12 }).map(count)),
      })
      .map(({ command, destination, reserved, member, data }) =>
        v5Request(command, destination, member, data, reserved),
      ),
  );

  it("[proposal-v5-device-5] are answered, and change nothing when they are refused", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(bytes, fc.nat({ max: 40 }), fc.boolean()), { maxLength: 20 }),
        (commands) => {
          const rig = new ProposalRig();
          for (const [readable, room, acceptsFirst] of commands) {
            if (acceptsFirst) rig.acceptAll();
            if (readable.length === 0) continue;
            const before = JSON.stringify(rig.state());
            const { outcome, used, bytes: written } = rig.raw(readable, room + 8);
            expect(used).toBeLessThanOrEqual(room + 8);
            expect(outcome[0]).toBeLessThan(4);
            if (outcome[0] !== 1) expect(outcome[1]).toBe(0);
            expect([...written.subarray(2, 8)]).toEqual([0, 0, 0, 0, 0, 0]);
            if (outcome[0] !== 0) expect(JSON.stringify(rig.state())).toBe(before);
          }
          expect(rig.faults).toEqual([]);
          expect(rig.v5(V5.IDENTIFY, SELF).outcome).toEqual(OK);
        },
      ),
      { numRuns: 150 },
    );
  });
});
