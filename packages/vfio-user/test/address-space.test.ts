/**
 * Memory that is taken back and given again, cut in other ways: QEMU does that whenever the layout
 * of a guest's addresses changes, and queues that were enabled before lie in it afterwards too.
 */
import { closeSync } from "node:fs";
import {
  createDeviceQueue,
  createDriverQueue,
  createGuestMemory,
  splitAreaSizes,
} from "@virtio-admin/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DmaMemory } from "../src/dma-memory.ts";
import { Mapping } from "../src/mapping.ts";
import { loadNative, type Native } from "../src/native.ts";
import { sharedMappings, unsupported } from "./rig.ts";

const GIBIBYTE = 2 ** 30;
const LENGTH = 0x1_0000;
const PAGE = 0x1000;
const BASE = 0x10_0000;

describe.skipIf(unsupported !== undefined)(`mapped memory ${unsupported ?? ""}`, () => {
  let native: Native;
  let fd: number;
  let file: Mapping;
  let bytes: Uint8Array;
  let memory: DmaMemory;

  beforeEach(async () => {
    native = await loadNative();
    fd = native.memory(LENGTH);
    const mapping = Mapping.make(native, fd, 0, LENGTH);
    if (typeof mapping === "number") throw new Error(`errno ${mapping}`);
    file = mapping;
    bytes = file.piece(0);
    memory = new DmaMemory();
  });

  afterEach(() => {
    memory.clear();
    file.end();
    closeSync(fd);
    expect(sharedMappings()).toEqual([]);
  });

  const give = (base: number, length: number, offset: number) =>
    memory.add({ base, length, readable: true, writable: true }, { native, fd, offset });

  it("is seen again by whoever viewed it before, in whatever parts it comes back", () => {
    expect(give(BASE, LENGTH, 0)).toBe(0);
    const view = memory.find(BASE, LENGTH)?.bytes as Uint8Array;
    view[PAGE] = 1;
    expect(bytes[PAGE]).toBe(1);
    expect(memory.remove(BASE, LENGTH)).toBe(0);
    expect(view[PAGE]).toBe(0);
    expect(memory.find(BASE, 1)).toBeUndefined();
    expect(give(BASE, 4 * PAGE, 0)).toBe(0);
    expect(give(BASE + 8 * PAGE, 8 * PAGE, 8 * PAGE)).toBe(0);
    bytes[9 * PAGE] = 2;
    expect([view[PAGE], view[9 * PAGE]]).toEqual([1, 2]);
    // What did not come back stays away.
    view[5 * PAGE] = 3;
    expect(bytes[5 * PAGE]).toBe(0);
  });

  it("can come back from another place of the file", () => {
    expect(give(BASE, PAGE, 0)).toBe(0);
    const view = memory.find(BASE, PAGE)?.bytes as Uint8Array;
    expect(memory.remove(BASE, PAGE)).toBe(0);
    expect(give(BASE, PAGE, 3 * PAGE)).toBe(0);
    bytes[3 * PAGE + 5] = 7;
    expect(view[5]).toBe(7);
  });

  it("holds a queue that was enabled before it was given again", () => {
    expect(give(BASE, LENGTH, 0)).toBe(0);
    const areas = splitAreaSizes(8);
    const init = {
      size: 8,
      eventIdx: false,
      indirect: false,
      descriptorArea: BASE,
      driverArea: BASE + areas.descriptorArea.length,
      deviceArea: BASE + PAGE,
    };
    const device = createDeviceQueue({ ...init, memory });
    const guest = createGuestMemory([{ base: BASE, bytes }]);
    const driver = createDriverQueue({ ...init, memory: guest });
    expect(memory.remove(BASE, LENGTH)).toBe(0);
    for (const at of [0, PAGE, 2 * PAGE]) expect(give(BASE + at, PAGE, at)).toBe(0);
    driver.add([BASE + 2 * PAGE], [16], 1, 0);
    driver.publish();
    const chain = device.pop();
    if (chain === undefined) throw new Error("the queue does not see its buffer");
    device.push(chain, device.write(chain, 0, new Uint8Array([1, 2, 3])));
    device.publish();
    expect(driver.reap()).toBeGreaterThanOrEqual(0);
    expect([...bytes.subarray(2 * PAGE, 2 * PAGE + 3)]).toEqual([1, 2, 3]);
  });

  it("may cross a gibibyte: views do not, copies do", () => {
    const base = 5 * GIBIBYTE - PAGE;
    expect(give(base, 3 * PAGE, PAGE)).toBe(0);
    expect(memory.find(base, PAGE)?.length).toBe(PAGE);
    expect(memory.find(base + PAGE, 2 * PAGE)?.base).toBe(5 * GIBIBYTE);
    expect(memory.find(base + PAGE - 1, 2)).toBeUndefined();
    expect(memory.contains(base, 3 * PAGE)).toBe(true);
    expect(memory.write(base + PAGE - 2, new Uint8Array([1, 2, 3, 4]))).toBe(true);
    expect([...bytes.subarray(2 * PAGE - 2, 2 * PAGE + 2)]).toEqual([1, 2, 3, 4]);
    const copy = new Uint8Array(4);
    expect(memory.read(base + PAGE - 2, copy)).toBe(true);
    expect([...copy]).toEqual([1, 2, 3, 4]);
  });

  it("is left alone by a range that cannot be mapped", () => {
    expect(give(BASE, PAGE, 0)).toBe(0);
    const view = memory.find(BASE, PAGE)?.bytes as Uint8Array;
    view[0] = 1;
    // A file of pages has no page at an odd offset.
    expect(give(5 * GIBIBYTE - PAGE, 2 * PAGE, 1)).toBeGreaterThan(0);
    expect(give(BASE, PAGE, 0)).toBe(17);
    expect(memory.rangeCount).toBe(1);
    expect(bytes[0]).toBe(view[0]);
  });

  it("keeps addresses for a bounded number of views without memory", () => {
    const views = Array.from({ length: 258 }, (_, i) => {
      expect(give(i * GIBIBYTE, PAGE, 0)).toBe(0);
      const view = memory.find(i * GIBIBYTE, PAGE)?.bytes as Uint8Array;
      expect(memory.remove(i * GIBIBYTE, PAGE)).toBe(0);
      return view;
    });
    expect(give(0, PAGE, 0)).toBe(0);
    expect(give(257 * GIBIBYTE, PAGE, 0)).toBe(0);
    bytes[1] = 9;
    expect([views[0]?.[1], views[257]?.[1]]).toEqual([0, 9]);
  });
});
