import {
  type AdminCall,
  type AdminCommand,
  type CommandFamily,
  type FamilyBinding,
  OUTCOME,
  PLATFORM_GROUP,
} from "@virtio-admin/core";
import { type CommandFamilyFixture, checkCommandFamily } from "@virtio-admin/testkit";
import { describe, expect, it } from "vitest";
import { foundBy } from "./broken.ts";

const ADD = 0x0200;
const GET = 0x0201;

const command = (opcode: number, name: string, bytes: number): AdminCommand => ({
  opcode,
  name,
  groups: [PLATFORM_GROUP.id],
  usesMember: true,
  data: { min: bytes, max: 2 * bytes },
  result: { min: 4, max: 4 },
  clauses: [],
  doc: "Counts.",
  cite: "the counter's manual",
});

/** Counts for each member; refuses to count by nothing. */
class Counters implements CommandFamily {
  name = "counters";
  readonly doc = "Counts.";
  readonly private = true;
  commands: readonly AdminCommand[] = [command(ADD, "ADD", 4), command(GET, "GET", 0)];

  bind(): FamilyBinding {
    return this.bindTo(new Map());
  }

  bindTo(counts: Map<number, number>): FamilyBinding {
    const answer = ({ memberId, result }: AdminCall) => {
      result.setUint32(0, counts.get(memberId) ?? 0, true);
      return OUTCOME.OK;
    };
    return {
      handlers: {
        [ADD]: (call: AdminCall) => {
          const amount = call.data.getUint32(0, true);
          if (amount === 0) return OUTCOME.INVALID_FIELD;
          counts.set(call.memberId, ((counts.get(call.memberId) ?? 0) + amount) >>> 0);
          return answer(call);
        },
        [GET]: answer,
      },
      reset: () => counts.clear(),
      save: () => [...counts],
      restore: (value) => {
        const saved = new Map(value as [number, number][]);
        return () => {
          counts.clear();
          for (const [member, count] of saved) counts.set(member, count);
        };
      },
    };
  }
}

const examples = [
  { opcode: ADD, group: PLATFORM_GROUP.id, member: 1, data: Uint8Array.of(5, 0, 0, 0) },
  { opcode: GET, group: PLATFORM_GROUP.id, member: 1 },
];

const fixture = (make: () => CommandFamily, more: object = {}): CommandFamilyFixture => ({
  name: "counters",
  make,
  examples,
  ...more,
});
const declared = (change: Partial<AdminCommand>) =>
  fixture(() => {
    const family = new Counters();
    const [add, get] = family.commands as [AdminCommand, AdminCommand];
    family.commands = [{ ...add, ...change }, get];
    return family;
  });
/** The family with another binding. */
const bound = (change: (sound: FamilyBinding) => Partial<FamilyBinding>, more: object = {}) =>
  fixture(() => {
    const family = new Counters();
    const bind = family.bind.bind(family);
    family.bind = () => {
      const sound = bind();
      return { ...sound, ...change(sound) };
    };
    return family;
  }, more);
const adding = (add: (call: AdminCall, sound: FamilyBinding) => number) =>
  bound((sound) => ({
    handlers: { ...sound.handlers, [ADD]: (call: AdminCall) => add(call, sound) },
  }));
const soundly = (call: AdminCall, { handlers }: FamilyBinding) => handlers[ADD]?.(call) as number;

const BROKEN: readonly (readonly [string, CommandFamilyFixture, readonly string[]])[] = [
  ["a command without a word on it", declared({ doc: "" }), ["family-declares"]],
  ["a name twice", declared({ name: "GET" }), ["family-declares"]],
  ["a clause that there is not", declared({ clauses: ["no-such-1"] }), ["family-declares"]],
  ["a command for no group type", declared({ groups: [] }), ["family-declares", "family-examples"]],
  [
    "a handler that reads beyond its data",
    adding((call, sound) => {
      new Uint8Array(call.dataLength)[0] = new DataView(new ArrayBuffer(call.dataLength)).getUint8(
        0,
      );
      return soundly(call, sound);
    }),
    ["family-any-data"],
  ],
  ["no outcome", adding(() => Number.NaN), ["family-examples", "family-any-data"]],
  ["a status that there is not", adding(() => 0x7777), ["family-examples", "family-any-data"]],
  [
    "a list that is refused later",
    bound(() => {
      let uses = 0;
      return { refuseList: () => (uses++ > 40 ? "enough" : undefined) };
    }),
    ["family-lists"],
  ],
  [
    "a failure that leaves something behind",
    adding((call, sound) => {
      const amount = call.data.getUint32(0, true);
      const done = soundly(call, sound);
      return amount % 7 === 1 ? OUTCOME.TRY_AGAIN : done;
    }),
    ["family-refusals"],
  ],
  ["no reset", bound(() => ({ reset: () => undefined })), ["family-reset"]],
  [
    "no state saved",
    bound(() => ({ save: undefined as never, restore: undefined as never })),
    ["family-state"],
  ],
  [
    "a state that nothing restores",
    bound(() => ({ restore: undefined as never })),
    ["family-state"],
  ],
  [
    "a state that is put in place while it is looked at",
    bound((sound) => ({
      restore: (value, path) => {
        sound.restore?.(value, path)();
        return () => undefined;
      },
    })),
    ["family-state"],
  ],
];

describe("a command family", () => {
  it("passes when it is sound", async () => {
    const report = await checkCommandFamily(fixture(() => new Counters()));
    expect(report).toMatchObject({ point: "command family", failures: [], skipped: [] });
  });

  it.each(BROKEN)("with %s is found out", async (_, broken, cases) => {
    const found = await foundBy(checkCommandFamily(broken));
    expect(found).toEqual(expect.arrayContaining([...cases]));
  });

  it("with state that owners share is found out", async () => {
    const counts = new Map<number, number>();
    const family = new Counters();
    family.bind = () => family.bindTo(counts);
    const shared = fixture(() => {
      counts.clear();
      return family;
    });
    expect(await foundBy(checkCommandFamily(shared))).toEqual(["family-owners", "family-state"]);
  });

  it("whose answer never comes is found out", async () => {
    const stuck = bound((sound) => ({
      handlers: { ...sound.handlers, [GET]: () => new Promise<never>(() => undefined) },
    }));
    const report = await checkCommandFamily(stuck, { only: ["family-examples"], caseLimit: 50 });
    expect(report.failures[0]?.reason).toContain("none after 50 ms");
  });

  it("that no group supports is found out", async () => {
    const alone = fixture(() => new Counters(), { groups: () => [], examples: [] });
    expect(await foundBy(checkCommandFamily(alone))).toContain("family-any-data");
  });

  it("whose answers vary is not held to them, but to all else", async () => {
    let clock = 0;
    const timed = bound(
      (sound) => ({
        handlers: {
          ...sound.handlers,
          [GET]: ({ result }: AdminCall) => {
            result.setUint32(0, clock++, true);
            return OUTCOME.OK;
          },
        },
      }),
      { varies: "it tells the time" },
    );
    const report = await checkCommandFamily(timed);
    expect(report.failures).toEqual([]);
    expect(report.skipped.map(({ id, reason }) => [id, reason])).toEqual([
      ["family-reset", "it tells the time"],
      ["family-owners", "it tells the time"],
      ["family-state", "it tells the time"],
    ]);
  });

  it("is checked by the cases that are asked for, and no others", async () => {
    const only = ["family-reset"];
    expect(
      (
        await checkCommandFamily(
          fixture(() => new Counters()),
          { only },
        )
      ).passed,
    ).toBe(1);
    await expect(
      checkCommandFamily(
        fixture(() => new Counters()),
        { only: ["no-such"] },
      ),
    ).rejects.toMatchObject({ code: "COMPLIANCE" });
  });
});
