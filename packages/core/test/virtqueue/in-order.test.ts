/** Buffers that are used in the order in which they were made available (VIRTIO_F_IN_ORDER). */
import { describe, expect, it } from "vitest";
import { type Chain, createDeviceQueue } from "../../src/virtqueue/index.ts";
import { AVAIL, BUFFER, hex, NEXT, put, USED, WRITE } from "./packed-rig.ts";
import { makeRig, type Rig, type RigOptions } from "./rig.ts";

const SPLIT = { size: 8, inOrder: true } as const;
const PACKED = { size: 8, inOrder: true, packed: true } as const;
const BOTH: readonly [string, RigOptions][] = [
  ["split", SPLIT],
  ["packed", PACKED],
];

/** Buffers of these writable lengths, available at once; each has one descriptor. */
function offer(rig: Rig, lengths: readonly number[]): number[] {
  const ids = lengths.map((length) => rig.driver.add([BUFFER], [length], 1, 0));
  rig.driver.publish();
  return ids;
}

function popAll({ device }: Rig): Chain[] {
  const chains: Chain[] = [];
  for (let chain = device.pop(); chain !== undefined; chain = device.pop()) chains.push(chain);
  return chains;
}

function reapAll({ driver }: Rig): [id: number, length: number][] {
  const reaped: [number, number][] = [];
  for (let id = driver.reap(); id >= 0; id = driver.reap()) reaped.push([id, driver.usedLength]);
  return reaped;
}

describe.each(BOTH)("the device half of a %s ring in order", (_, options) => {
  it("[reserved-features-device-5+] uses buffers in the order they were available, whichever is done first", () => {
    const rig = makeRig(options);
    const ids = offer(rig, [9, 9, 9, 9]);
    const chains = popAll(rig);
    for (const [at, reaped, held] of [
      [2, [], 4],
      [1, [], 4],
      [0, [0, 1, 2], 1],
      [3, [3], 0],
    ] as const) {
      rig.device.push(chains[at] as Chain, at);
      rig.device.publish();
      expect(rig.device.outstanding).toBe(held);
      expect(reapAll(rig)).toEqual(reaped.map((i) => [ids[i], i]));
    }
    expect([rig.driver.free, rig.driver.defect, rig.device.defect]).toEqual([
      8,
      undefined,
      undefined,
    ]);
  });

  it("notifies of nothing while what is done waits for an earlier buffer", () => {
    const rig = makeRig(options);
    offer(rig, [4, 4]);
    const [first, second] = popAll(rig) as [Chain, Chain];
    rig.device.push(second, 4);
    expect(rig.device.publish()).toBe(false);
    rig.device.push(first, 4);
    expect(rig.device.publish()).toBe(true);
  });

  it("refuses to push a buffer twice, also while it waits", () => {
    const rig = makeRig(options);
    offer(rig, [4, 4]);
    const [, second] = popAll(rig) as [Chain, Chain];
    rig.device.push(second, 4);
    expect(() => rig.device.push(second, 4)).toThrow(/does not hold/);
  });

  it("does not tell of what waits once it is stopped", () => {
    const rig = makeRig(options);
    offer(rig, [4, 4]);
    const [first, second] = popAll(rig) as [Chain, Chain];
    rig.device.push(second, 4);
    rig.device.stop();
    rig.device.push(first, 4);
    expect([rig.device.publish(), rig.driver.reap()]).toEqual([false, -1]);
  });

  it("has a batch take a buffer that is not written in full as its last", () => {
    const rig = makeRig(options);
    const ids = offer(rig, [4, 4, 4, 4]);
    for (const [i, chain] of popAll(rig).entries()) rig.device.push(chain, i === 1 ? 3 : 4);
    rig.device.publish();
    expect(reapAll(rig)).toEqual(ids.map((id, i) => [id, i === 1 ? 3 : 4]));
  });

  it("goes on with what a half before it wrote and did not publish", () => {
    const rig = makeRig(options);
    const ids = offer(rig, [4, 4, 4, 4]);
    const chains = popAll(rig);
    for (const chain of chains) rig.device.push(chain, 4);
    const { index, publishedIndex } = rig.device;
    rig.device.stop();
    const next = createDeviceQueue({ ...rig.init, startIndex: index, publishedIndex });
    // What is pushed now is no part of the batch that was left behind.
    ids.push(...offer(rig, [4, 4]));
    for (let chain = next.pop(); chain !== undefined; chain = next.pop()) next.push(chain, 2);
    expect(next.publish()).toBe(true);
    expect(reapAll(rig)).toEqual(ids.map((id, i) => [id, i < 4 ? 4 : 2]));
    expect(rig.driver.free).toBe(8);
  });

  it("asks for and is asked for notifications as ever, batches or not", () => {
    const rig = makeRig({ ...options, eventIdx: true });
    for (let round = 0; round < 40; round++) {
      expect(rig.driver.reap()).toBe(-1);
      offer(rig, [4, 4, 4]);
      for (const chain of popAll(rig)) rig.device.push(chain, 4);
      expect(rig.device.publish()).toBe(true);
      expect(rig.driver.reap()).toBeGreaterThanOrEqual(0);
      expect(rig.driver.enableNotifications()).toBe(true);
      expect(reapAll(rig)).toHaveLength(2);
      expect(rig.driver.enableNotifications()).toBe(false);
    }
  });
});

describe("one used entry for a batch", () => {
  it("stands in a split ring where that of its first buffer would, with the head of the last", () => {
    const rig = makeRig(SPLIT);
    offer(rig, [4, 4, 4]);
    for (const chain of popAll(rig)) rig.device.push(chain, 4);
    rig.device.publish();
    // idx 3; entry 0: id 2, len 4; entries 1 and 2 were never written.
    expect(hex(rig.used, 0, 28)).toBe(
      ["00000300", "0200000004000000", "0000000000000000", "0000000000000000"].join(""),
    );
    offer(rig, [4, 4]);
    for (const chain of popAll(rig)) rig.device.push(chain, 4);
    rig.device.publish();
    expect(hex(rig.used, 2, 2)).toBe("0500");
    expect(hex(rig.used, 28, 16)).toBe("04000000040000000000000000000000");
  });

  it("overwrites in a packed ring the first descriptor of its first buffer, with the id of the last", () => {
    const rig = makeRig(PACKED);
    rig.driver.add([BUFFER, BUFFER], [4, 4], 2, 1);
    offer(rig, [4, 4]);
    const before = hex(rig.table, 16, 48);
    for (const chain of popAll(rig)) rig.device.push(chain, 4);
    rig.device.publish();
    expect(hex(rig.table, 8, 8)).toBe("0400000002008280");
    expect(hex(rig.table, 16, 48)).toBe(before);
    expect([rig.device.index, rig.device.publishedIndex]).toEqual([0x8004, 0x8004]);
  });
});

describe("the driver half in order", () => {
  const use = (rig: Rig, entries: readonly (readonly [number, number, number])[], idx: number) => {
    for (const [slot, id, length] of entries) {
      rig.used.setUint32(4 + 8 * slot, id, true);
      rig.used.setUint32(8 + 8 * slot, length, true);
    }
    rig.used.setUint16(2, idx, true);
  };

  it("takes a batch of a split ring for all of its buffers, those without an entry written in full", () => {
    const rig = makeRig(SPLIT);
    offer(rig, [10, 20, 30, 40]);
    use(rig, [[0, 2, 7]], 3);
    expect(reapAll(rig)).toEqual([
      [0, 10],
      [1, 20],
      [2, 7],
    ]);
    expect([rig.driver.outstanding, rig.driver.free]).toEqual([1, 7]);
    // The next entry stands where the one of buffer 3 would.
    use(rig, [[3, 3, 40]], 4);
    expect(reapAll(rig)).toEqual([[3, 40]]);
  });

  it("takes a batch of a packed ring for all of its buffers, lists among them", () => {
    const rig = makeRig(PACKED);
    rig.driver.add([BUFFER, BUFFER, BUFFER], [1, 5, 6], 3, 1);
    offer(rig, [20, 30]);
    put(rig.table, [[0, 9, AVAIL | USED | WRITE, 1]]);
    expect(reapAll(rig)).toEqual([
      [0, 11],
      [1, 9],
    ]);
    put(rig.table, [[0, 0, AVAIL | USED, 2]], 4 * 16);
    expect(reapAll(rig)).toEqual([[2, 0]]);
    expect(rig.driver.free).toBe(8);
  });

  it.each([1, 2, 3])(
    "[reserved-features-device-5-] gives up on a split ring whose entry %d is for a later buffer",
    (at) => {
      const rig = makeRig(SPLIT);
      const ids = offer(rig, [4, 4, 4, 4, 4]);
      const used = ids.slice(0, at - 1);
      use(rig, [...used.map((id, i) => [i, id, 4] as const), [at - 1, at, 4]], at);
      expect(reapAll(rig)).toEqual(used.map((id) => [id, 4]));
      expect([rig.driver.defect, rig.driver.outstanding]).toEqual(["used-order", 6 - at]);
    },
  );

  it.each(BOTH)("gives up on a %s ring that names a buffer of an earlier batch", (_, options) => {
    const rig = makeRig(options);
    offer(rig, [4, 4, 4]);
    for (const chain of popAll(rig).slice(0, 2)) rig.device.push(chain, 4);
    rig.device.publish();
    expect(reapAll(rig)).toHaveLength(2);
    if (options.packed === true) put(rig.table, [[0, 4, AVAIL | USED | WRITE, 0]], 2 * 16);
    else use(rig, [[2, 0, 4]], 3);
    expect([rig.driver.reap(), rig.driver.defect]).toEqual([-1, "used-id"]);
  });

  it.each(BOTH)(
    "believes no batch of a %s ring that reaches an unpublished buffer",
    (_, options) => {
      const rig = makeRig(options);
      offer(rig, [4, 4]);
      const id = rig.driver.add([BUFFER], [4], 1, 0);
      if (options.packed === true) put(rig.table, [[0, 4, AVAIL | USED | WRITE, id]]);
      else use(rig, [[0, id, 4]], 2);
      expect([rig.driver.reap(), rig.driver.defect]).toEqual([-1, "used-id"]);
    },
  );

  it("[split-desc-driver-3+] takes the descriptors of the table one after the other, and 0 after the last", () => {
    const rig = makeRig({ ...SPLIT, size: 4 });
    const heads: number[] = [];
    for (let round = 0; round < 9; round++) {
      const head = rig.driver.add([BUFFER, BUFFER, BUFFER], [1, 2, 3], 3, 1);
      heads.push(head);
      for (let i = 0; i < 2; i++) {
        const slot = (head + i) % 4;
        expect(rig.table.getUint16(16 * slot + 12, true) & NEXT).toBe(NEXT);
        expect(rig.table.getUint16(16 * slot + 14, true)).toBe(slot === 3 ? 0 : slot + 1);
      }
      rig.driver.publish();
      for (const chain of popAll(rig)) rig.device.push(chain, 5);
      rig.device.publish();
      expect(reapAll(rig)).toEqual([[head, 5]]);
    }
    expect(heads).toEqual([0, 3, 2, 1, 0, 3, 2, 1, 0]);
  });

  it("[split-indirect-driver-5+] fills an indirect table entry by entry", () => {
    const rig = makeRig({ ...SPLIT, indirect: true, tableEntries: 4 });
    rig.driver.add([BUFFER, BUFFER, BUFFER, BUFFER], [1, 2, 3, 4], 4, 2);
    const table = Number(rig.table.getBigUint64(0, true));
    const entries = Array.from({ length: 4 }, (_, i) => {
      const bytes = new Uint8Array(4);
      rig.memory.read(table + 16 * i + 12, bytes);
      const view = new DataView(bytes.buffer);
      return [view.getUint16(0, true) & NEXT, view.getUint16(2, true)];
    });
    expect(entries).toEqual([
      [NEXT, 1],
      [NEXT, 2],
      [NEXT, 3],
      [0, 0],
    ]);
  });
});

describe.each(BOTH)("where the next buffer stands in a %s ring", (_, options) => {
  const position = (count: number): number =>
    options.packed === true
      ? (count % 8) | (Math.floor(count / 8) % 2 === 0 ? 0x8000 : 0)
      : count & 0xffff;

  it.each([false, true])("counts what is published, and nothing else (in order %s)", (inOrder) => {
    const rig = makeRig({ ...options, inOrder });
    let published = 0;
    expect(rig.driver.index).toBe(position(0));
    for (let round = 0; round < 30; round++) {
      const count = 1 + (round % 8);
      for (let i = 0; i < count; i++) {
        rig.driver.add([BUFFER], [4], 1, 0);
        expect(rig.driver.index).toBe(position(published));
      }
      rig.driver.publish();
      published += count;
      expect(rig.driver.index).toBe(position(published));
      for (const chain of popAll(rig)) rig.device.push(chain, 4);
      rig.device.publish();
      expect(rig.device.index).toBe(rig.driver.index);
      reapAll(rig);
    }
  });
});
