/** The plain PCI function whose BAR is a window of virtio-mmio registers. */
import { bringUp, createGuestMemory, DmaArena, VirtioDevice } from "@virtio-admin/core";
import { createEntropy, EntropyDriver } from "@virtio-admin/devices";
import { type MmioBus, MmioDriver } from "@virtio-admin/transport-mmio";
import type { PciInterruptSink } from "@virtio-admin/transport-pci";
import { beforeEach, describe, expect, it } from "vitest";
import { MmioFunction, WINDOW_BAR_BYTES } from "../src/served/mmio-function.ts";

const BASE = 0x10_0000;
const LENGTH = 0x10_0000;
const COMMAND = 4;
const BAR_0 = 16;
const INTERRUPT_LINE = 60;
const INTERRUPT_PIN = 61;
const INTX_DISABLE = 0x400;

/** Keeps what its interrupt line does. */
class Line implements PciInterruptSink {
  readonly seen: boolean[] = [];
  intx(asserted: boolean): void {
    this.seen.push(asserted);
  }
  msix(): void {
    expect.unreachable();
  }
}

let pci: MmioFunction;
let dma: DmaArena;
let line: Line;

beforeEach(() => {
  const memory = createGuestMemory([{ base: BASE, bytes: new Uint8Array(LENGTH) }]);
  dma = new DmaArena(memory, BASE, LENGTH);
  const model = createEntropy({
    source: (target) => {
      target.fill(7);
    },
  });
  pci = new MmioFunction(new VirtioDevice({ model, memory }));
  line = new Line();
  pci.interruptSink = line;
});

function config(offset: number, length: number): number {
  const bytes = new Uint8Array(length);
  pci.configReadBytes(offset, bytes);
  return bytes.reduceRight((value, byte) => value * 0x100 + byte, 0);
}

function setConfig(offset: number, length: number, value: number): void {
  pci.configWriteBytes(
    offset,
    Uint8Array.from({ length }, (_, i) => Math.floor(value / 2 ** (8 * i)) & 0xff),
  );
}

/** The window as a guest reaches it. */
function bus(): MmioBus {
  return {
    read: (offset, size) => {
      const bytes = new Uint8Array(size);
      pci.barReadBytes(0, offset, bytes);
      return bytes.reduceRight((value, byte) => value * 0x100 + byte, 0);
    },
    write: (offset, size, value) => {
      pci.barWriteBytes(
        0,
        offset,
        Uint8Array.from({ length: size }, (_, i) => (value >>> (8 * i)) & 0xff),
      );
    },
    onInterrupt: (handler) => {
      pci.interruptSink = {
        msix: () => expect.unreachable(),
        intx: (asserted) => {
          line.seen.push(asserted);
          if (asserted) handler?.();
        },
      };
    },
  };
}

describe("configuration space", () => {
  it("has a BAR of 64 KiB, which says where it was placed", () => {
    expect(pci.barLength(0)).toBe(WINDOW_BAR_BYTES);
    expect([1, 2, 3, 4, 5].map((bar) => pci.barLength(bar))).toEqual([0, 0, 0, 0, 0]);
    setConfig(BAR_0, 4, 0xffffffff);
    expect(config(BAR_0, 4)).toBe(0xffff0000);
    setConfig(BAR_0, 4, 0xfebe0000);
    expect(pci.base).toBe(0xfebe0000);
  });

  it("keeps what is read-only", () => {
    const pin = config(INTERRUPT_PIN, 1);
    const before = Array.from({ length: 256 }, (_, at) => config(at, 1));
    setConfig(0, 4, 0xffffffff);
    setConfig(8, 8, 0);
    setConfig(BAR_0 + 4, 32, 0xffffffff);
    setConfig(INTERRUPT_PIN, 195, 0xffffffff);
    expect(Array.from({ length: 256 }, (_, at) => config(at, 1))).toEqual(before);
    expect(pin).toBe(1);
    setConfig(INTERRUPT_LINE, 1, 11);
    setConfig(COMMAND, 2, 0xffff);
    expect([config(INTERRUPT_LINE, 1), config(COMMAND, 2)]).toEqual([11, 0x406]);
  });

  it("is as at first after a reset", () => {
    setConfig(BAR_0, 4, 0xfebe0000);
    setConfig(COMMAND, 2, 6);
    pci.reset();
    expect([pci.base, config(COMMAND, 2), config(INTERRUPT_PIN, 1)]).toEqual([0, 0, 1]);
  });
});

describe("the window", () => {
  it("is one that our driver half drives, with INTx for its line", async () => {
    const device = await bringUp(new MmioDriver({ bus: bus(), dma }), { queues: [{ index: 0 }] });
    const entropy = new EntropyDriver(device);
    expect(await entropy.read(9)).toEqual(new Uint8Array(9).fill(7));
    expect(line.seen.slice(0, 2)).toEqual([true, false]);
    expect(pci.interruptLine).toBe(false);
    entropy.close();
    await device.close();
  });

  it("asserts INTx while that is enabled, and tells when that changes", async () => {
    const quiet = { ...bus(), onInterrupt: () => undefined };
    const device = await bringUp(new MmioDriver({ bus: quiet, dma }), { queues: [{ index: 0 }] });
    const { queue, ...handle } = device.queue(0);
    const block = dma.allocate(8, 1);
    queue.add([block.address], [8], 1, 0);
    device.queue(0).notify();
    expect(handle).toBeDefined();
    expect([pci.interruptLine, line.seen]).toEqual([true, [true]]);
    setConfig(COMMAND, 2, INTX_DISABLE);
    setConfig(COMMAND, 2, INTX_DISABLE);
    expect([pci.interruptLine, line.seen]).toEqual([false, [true, false]]);
    setConfig(COMMAND, 2, 0);
    expect([pci.interruptLine, line.seen]).toEqual([true, [true, false, true]]);
  });

  it("answers accesses of every size anywhere, and ends at its own end", () => {
    for (let offset = 0; offset < 0x400; offset++) {
      for (const length of [1, 2, 3, 4, 8, 64]) {
        const bytes = new Uint8Array(length);
        pci.barReadBytes(0, offset, bytes);
        pci.barWriteBytes(0, offset, bytes);
      }
    }
    const bytes = new Uint8Array(8);
    pci.barReadBytes(0, WINDOW_BAR_BYTES - 8, bytes);
    expect(bytes).toEqual(new Uint8Array(8));
    pci.barReadBytes(0, 0, bytes);
    expect(Buffer.from(bytes.subarray(0, 4)).toString()).toBe("virt");
  });
});
