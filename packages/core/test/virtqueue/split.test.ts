import { describe, expect, it } from "vitest";
import { VIRTQ_AVAIL, VIRTQ_DESC, VIRTQ_USED, VIRTQ_USED_ELEM } from "../../src/virtqueue/index.ts";
import { makeRig, RIG_BASE } from "./rig.ts";

const hex = (view: DataView, offset: number, length: number) =>
  Buffer.from(view.buffer, view.byteOffset + offset, length).toString("hex");

describe("one buffer there and back", () => {
  for (const eventIdx of [false, true]) {
    for (const atomic of [false, true]) {
      it(`carries bytes both ways (event idx ${eventIdx}, atomic ${atomic})`, () => {
        const { driver, device, memory, arena } = makeRig({ eventIdx, atomic });
        const request = arena.allocate(24, 8);
        const result = arena.allocate(16, 8);
        memory.write(
          request.address,
          Uint8Array.from({ length: 24 }, (_, i) => i),
        );

        const id = driver.add([request.address, result.address], [24, 16], 2, 1);
        expect(device.pop()).toBeUndefined();
        expect(driver.publish()).toBe(true);
        expect(driver.free).toBe(6);

        const chain = device.pop();
        if (chain === undefined) throw new Error("nothing popped");
        expect(chain).toMatchObject({
          head: id,
          count: 2,
          readableCount: 1,
          readableLength: 24,
          writableLength: 16,
        });
        const got = new Uint8Array(30);
        expect(device.read(chain, 0, got)).toBe(24);
        expect([...got.subarray(0, 24)]).toEqual(Array.from({ length: 24 }, (_, i) => i));
        expect(device.write(chain, 4, Uint8Array.of(7, 8, 9))).toBe(3);
        device.push(chain, 16);
        expect(driver.reap()).toBe(-1);
        expect(device.publish()).toBe(true);

        expect(driver.reap()).toBe(id);
        expect(driver.usedLength).toBe(16);
        expect([...result.region.bytes.subarray(result.address - RIG_BASE).subarray(0, 8)]).toEqual(
          [0, 0, 0, 0, 7, 8, 9, 0],
        );
        expect(driver.free).toBe(8);
        expect([driver.reap(), driver.defect, device.defect]).toEqual([-1, undefined, undefined]);
      });
    }
  }
});

describe("a buffer that the device keeps while others come and go", () => {
  // One entry fewer than the ring, one ring, and just before and after its index comes round again.
  for (const others of [7, 8, 0xfffe, 0xffff, 0x10000]) {
    it(`is taken back after ${others} of them`, () => {
      const { driver, device, arena } = makeRig({ size: 8, eventIdx: true });
      const at = arena.allocate(32, 8).address;
      const kept = driver.add([at], [8], 1, 0);
      driver.publish();
      const chain = device.pop();
      if (chain === undefined) throw new Error("nothing popped");
      for (let i = 0; i < others; i++) {
        const id = driver.add([at + 8], [8], 1, 0);
        driver.publish();
        const other = device.pop();
        if (other === undefined) throw new Error(`nothing popped in round ${i}`);
        device.push(other, 8);
        device.publish();
        if (driver.reap() !== id) throw new Error(`not reaped in round ${i}: ${driver.defect}`);
      }
      device.push(chain, 5);
      device.publish();
      // A buffer that is not published must not be confused with it.
      driver.add([at + 16], [8], 1, 0);
      expect([driver.reap(), driver.usedLength, driver.defect]).toEqual([kept, 5, undefined]);
    });
  }
});

describe("the bytes of the rings", () => {
  it("writes descriptors, available and used entries as the text lays them out", () => {
    const { driver, device, table, avail, used } = makeRig({ size: 4, eventIdx: true });
    driver.add([RIG_BASE + 0x8000, RIG_BASE + 0x9000], [0x18, 0x10], 2, 1);
    driver.publish();
    expect(hex(table, 0, 32)).toBe(
      // addr, len, flags, next
      "00800000010000001800000001000100" + "00900000010000001000000002000000",
    );
    expect(hex(avail, 0, 14)).toBe("0000" + "0100" + "0000000000000000" + "0000");
    const chain = device.pop();
    if (chain === undefined) throw new Error("nothing popped");
    device.pop();
    device.push(chain, 5);
    device.publish();
    expect(hex(used, 0, 4 + 32 + 2)).toBe(
      ["0000", "0100", "0000000005000000", "00".repeat(24), "0100"].join(""),
    );
  });
});

describe("the declared layouts", () => {
  it("have the sizes of the text's structures", () => {
    expect([VIRTQ_DESC, VIRTQ_AVAIL, VIRTQ_USED, VIRTQ_USED_ELEM].map(({ size }) => size)).toEqual([
      16, 4, 4, 8,
    ]);
    for (const layout of [VIRTQ_DESC, VIRTQ_AVAIL, VIRTQ_USED, VIRTQ_USED_ELEM]) {
      expect(layout.packed).toBe(false);
    }
  });

  it("let flags and next be reached by one access of 32 bits", () => {
    const { flags, next } = VIRTQ_DESC.fields;
    expect([flags.offset % 4, next.offset - flags.offset]).toEqual([0, 2]);
  });
});
