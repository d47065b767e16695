/** Batches: many commands, synchronously or with one promise, and in order with all the others. */
import { describe, expect, it } from "vitest";
import { AdminClient, LIST_USE, SELF_GROUP } from "../../src/index.ts";
import { AdminRig, OP, TestTimer } from "./rig.ts";

const self = SELF_GROUP.id;
const code = (wanted: string) => expect.objectContaining({ code: wanted });

async function ready(options: { readonly slots?: number; readonly count?: number } = {}) {
  const { count = 1, ...rest } = options;
  const rig = new AdminRig({ count });
  const timer = new TestTimer();
  const client = new AdminClient(rig.ports, rig.arena, { timer, ...rest });
  await client.listUse(self, await client.listQuery(self));
  return { rig, client, timer };
}

function tag(value: number): Uint8Array {
  const data = new Uint8Array(8);
  new DataView(data.buffer).setUint32(0, value, true);
  return data;
}

describe("a batch", () => {
  it("is answered when it has run, and is used again", async () => {
    const { client } = await ready();
    const batch = client.batch();
    for (const round of [1, 2, 3]) {
      for (let i = 0; i < 5; i++) {
        expect(batch.add(OP.ECHO, self, 0, 8, tag(100 * round + i))).toBe(i);
      }
      expect([batch.size, batch.pending, client.outstanding]).toEqual([5, 5, 5]);
      expect(batch.run()).toBe(0);
      for (let i = 0; i < 5; i++) {
        expect(batch.outcome(i)).toBe(0);
        expect([batch.usedLength(i), batch.resultLength(i)]).toEqual([16, 8]);
        expect(batch.view(i).getUint32(batch.resultAt(i), true)).toBe(100 * round + i);
      }
      batch.clear();
      expect([batch.size, batch.pending, client.outstanding]).toEqual([0, 0, 0]);
    }
  });

  it("has the commands of others beside it, and settles with one promise", async () => {
    const { client } = await ready();
    const batch = client.batch();
    batch.add(OP.ECHO, self, 0, 8, tag(1));
    const alone = client.execute({ opcode: OP.ECHO, group: self, data: tag(2), resultLength: 8 });
    batch.add(OP.ECHO, self, 0, 8, tag(3));
    await batch.send();
    expect(batch.view(1).getUint32(batch.resultAt(1), true)).toBe(3);
    expect((await alone).result).toEqual(tag(2));
    await batch.send();
    batch.clear();
    await batch.send();
  });

  it("finds no room where no slot is free, and has it again when it is cleared", async () => {
    const { client } = await ready({ slots: 3 });
    const batch = client.batch();
    for (let i = 0; i < 3; i++) expect(batch.add(OP.ECHO, self, 0, 8)).toBe(i);
    expect(batch.add(OP.ECHO, self, 0, 8)).toBe(-1);
    expect(batch.run()).toBe(0);
    expect(batch.add(OP.ECHO, self, 0, 8)).toBe(-1);
    batch.clear();
    expect(batch.add(OP.ECHO, self, 0, 8)).toBe(0);
  });

  it("refuses what cannot be sent, and has not changed then", async () => {
    const { client } = await ready();
    const batch = client.batch();
    batch.add(OP.ECHO, self, 0, 8, tag(7));
    const refused: [Parameters<typeof batch.add>, string][] = [
      [[0x10000, self, 0], "ADMIN_COMMAND"],
      [[OP.ECHO, -1, 0], "ADMIN_COMMAND"],
      [[OP.ECHO, self, 2 ** 53], "ADMIN_COMMAND"],
      [[OP.ECHO, self, 0.5], "ADMIN_COMMAND"],
      [[OP.ECHO, self, 0, -1], "ADMIN_COMMAND"],
      [[OP.ECHO, self, 0, 2 ** 25], "ADMIN_COMMAND"],
      [[LIST_USE.opcode, self, 0], "ADMIN_COMMAND"],
      [[0x6fff, self, 0], "ADMIN_LIST"],
    ];
    for (const [command, why] of refused) {
      expect(() => batch.add(...command), String(command)).toThrow(code(why));
    }
    expect(batch.size).toBe(1);
    expect(() => batch.outcome(1)).toThrow(code("VALUE_RANGE"));
    expect(() => batch.clear()).toThrow(code("DRIVER_STATE"));
    expect(batch.run()).toBe(0);
    expect(() => client.batch(1)).toThrow(code("ADMIN_QUEUE_UNAVAILABLE"));
  });

  it("looks at the lists anew after LIST_USE", async () => {
    const { client } = await ready();
    const batch = client.batch();
    batch.add(OP.ECHO, self, 0, 8);
    batch.run();
    batch.clear();
    await client.listUse(self, [0, 1]);
    expect(() => batch.add(OP.ECHO, self, 0, 8)).toThrow(code("ADMIN_LIST"));
  });

  it("overtakes no command that is repeated, and no LIST_USE", async () => {
    const { client, rig, timer } = await ready();
    const batch = client.batch();
    rig.family.again = 1;
    const again = client.execute({ opcode: OP.AGAIN, group: self, resultLength: 8 });
    await Promise.resolve();
    await Promise.resolve();
    expect(batch.add(OP.ECHO, self, 0, 8)).toBe(-1);
    timer.advance(1);
    await again;
    expect(batch.add(OP.ECHO, self, 0, 8)).toBe(0);
    expect(batch.run()).toBe(0);
    batch.clear();
    const use = client.listUse(self, client.usedOpcodes(self));
    expect(batch.add(OP.ECHO, self, 0, 8)).toBe(-1);
    await use;
    expect(batch.add(OP.ECHO, self, 0, 8)).toBe(0);
  });

  it("ends with its client, whoever waits for it", async () => {
    const { client, rig } = await ready();
    const batch = client.batch();
    rig.port.notify = () => undefined;
    batch.add(OP.ECHO, self, 0, 8);
    const sent = batch.send();
    await expect(batch.send()).rejects.toEqual(code("DRIVER_STATE"));
    client.fail(new Error("the bus is gone"));
    await expect(sent).rejects.toEqual(code("ADMIN_RESET"));
    expect(() => batch.poll()).toThrow(code("ADMIN_RESET"));
    expect(() => batch.add(OP.ECHO, self, 0, 8)).toThrow(code("ADMIN_RESET"));
    await expect(batch.send()).rejects.toEqual(code("ADMIN_RESET"));
  });

  it("keeps to the queue of a member that has commands under way", async () => {
    const { client } = await ready({ count: 2 });
    const [first, second] = [client.batch(0), client.batch(1)];
    expect(first.add(OP.ECHO, self, 5, 8)).toBe(0);
    expect(second.add(OP.ECHO, self, 5, 8)).toBe(-1);
    expect(second.add(OP.ECHO, self, 2 ** 40 + 5, 8)).toBe(0);
    expect([first.run(), second.run()]).toEqual([0, 0]);
    expect(second.add(OP.ECHO, self, 5, 8)).toBe(1);
    expect(second.run()).toBe(0);
  });
});
