/** The buses over a machine that speaks qtest, with our own device halves behind its registers. */
import {
  bringUp,
  createGuestMemory,
  DmaArena,
  type GuestMemory,
  VirtioDevice,
} from "@virtio-admin/core";
import { createEntropy, EntropyDriver } from "@virtio-admin/devices";
import { MmioDevice, MmioDriver } from "@virtio-admin/transport-mmio";
import { type InterruptChoice, PciDevice, PciDriver } from "@virtio-admin/transport-pci";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MICROVM } from "../src/qtest/boards.ts";
import { QtestClient } from "../src/qtest/client.ts";
import { QtestMmioBus } from "../src/qtest/mmio.ts";
import { QtestPciBus } from "../src/qtest/pci.ts";
import { QtestPeer } from "./qtest-peer.ts";

const RAM_BASE = 0x10_0000;
const RAM_BYTES = 0x10_0000;
const SLOT = 5;
const BAR_BASE = 0xe0000000;
const LINE = 19;

let peer: QtestPeer;
let client: QtestClient;
let memory: GuestMemory;
let dma: DmaArena;
let device: VirtioDevice;

beforeEach(async () => {
  peer = await QtestPeer.start();
  client = new QtestClient(peer.socket);
  memory = createGuestMemory([{ base: RAM_BASE, bytes: new Uint8Array(RAM_BYTES) }]);
  dma = new DmaArena(memory, RAM_BASE, RAM_BYTES);
  let next = 0;
  const source = (target: Uint8Array): void => {
    for (let i = 0; i < target.length; i++) target[i] = next++;
  };
  device = new VirtioDevice({ model: createEntropy({ source }), memory });
});

afterEach(async () => {
  await client.close();
  await peer.stop();
});

describe("a function of a PC", () => {
  /** A host bridge with the function in its slot, and the function's BARs in memory. */
  function plugIn(): PciDevice {
    const pci = new PciDevice({ device });
    let selected = 0;
    const isOurs = () => Math.floor((selected % 0x80000000) / 0x800) === SLOT;
    const at = (port: number) => (selected & 0xfc) + (port - 0xcfc);
    peer.ports = {
      read: (port, size) =>
        port >= 0xcfc && isOurs() ? pci.configRead(at(port), size) : 2 ** (8 * size) - 1,
      write: (port, size, value) => {
        if (port === 0xcf8) selected = value;
        else if (isOurs()) pci.configWrite(at(port), size, value);
      },
    };
    const find = (address: number): [number, number] => {
      const bars = [0, 1, 2, 3, 4, 5].map((bar) => ({ bar, base: pci.barAddress(bar) }));
      const below = bars.filter(({ base }) => base !== 0 && base <= address);
      const nearest = below.sort((one, other) => other.base - one.base)[0];
      if (nearest === undefined) throw new Error(`nothing is at 0x${address.toString(16)}`);
      return [nearest.bar, address - nearest.base];
    };
    peer.memory = {
      read: (address, size) => pci.barRead(...find(address), size),
      write: (address, size, value) => pci.barWrite(...find(address), size, value),
    };
    pci.interruptSink = {
      msix: (_vector, address, data) => {
        const region = memory.find(address, 4);
        region?.view.setUint32(address - region.base, data, true);
      },
      intx: (high) => peer.line(LINE, high),
    };
    return pci;
  }

  it.each<InterruptChoice>(["msix", "intx"])("is driven, interrupts: %s", async (interrupts) => {
    plugIn();
    const bus = await QtestPciBus.open({ client, slot: SLOT, barBase: BAR_BASE, dma });
    const up = await bringUp(new PciDriver({ bus, dma, interrupts }), { queues: [{ index: 0 }] });
    const entropy = new EntropyDriver(up, { bufferSize: 8 });
    const bytes = await entropy.read(20);
    expect([...bytes]).toEqual(Array.from({ length: 20 }, (_, i) => i));
    const count = bus.messages.reduce((sum, each) => sum + each, 0);
    expect(count).toBe(interrupts === "msix" ? 3 : 0);
    entropy.close();
    await up.close();
  });

  it("has no configuration space beyond what the ports reach", async () => {
    plugIn();
    const bus = await QtestPciBus.open({ client, slot: SLOT, barBase: BAR_BASE, dma });
    const before = peer.commands.length;
    expect(await bus.configRead(0x100, 4)).toBe(0xffffffff);
    expect(await bus.configRead(0xfff, 1)).toBe(0xff);
    await bus.configWrite(0x100, 4, 1);
    expect(peer.commands.length).toBe(before);
    expect(await bus.configRead(0, 2)).toBe(0x1af4);
    expect(await bus.configRead(2, 2)).toBe(0x1044);
  });

  it("selects and accesses without anything between, however many accesses are under way", async () => {
    plugIn();
    const bus = await QtestPciBus.open({ client, slot: SLOT, barBase: BAR_BASE, dma });
    const offsets = [0, 2, 8, 0x2c, 0x34, 0x10, 6];
    const one = await Promise.all(offsets.map((offset) => bus.configRead(offset, 1)));
    const other: number[] = [];
    for (const offset of offsets) other.push(await bus.configRead(offset, 1));
    expect(one).toEqual(other);
  });

  it("has no BAR where none is mapped", async () => {
    plugIn();
    const bus = await QtestPciBus.open({ client, slot: SLOT, barBase: BAR_BASE, dma });
    expect(() => bus.barRead(5, 0, 1)).toThrow("no memory BAR with an address");
    expect(() => bus.barWrite(9, 0, 1, 0)).toThrow("no memory BAR with an address");
  });

  it("tells of a line that is high already, and of none that fell", async () => {
    plugIn();
    const bus = await QtestPciBus.open({ client, slot: SLOT, barBase: BAR_BASE, dma });
    const told: unknown[] = [];
    peer.line(LINE, true);
    await client.read(BAR_BASE, 1);
    bus.onInterrupt((interrupt) => told.push(interrupt));
    expect(told).toEqual(["intx"]);
    peer.line(LINE, false);
    await client.read(BAR_BASE, 1);
    bus.onInterrupt((interrupt) => told.push(interrupt));
    expect(told).toEqual(["intx"]);
    bus.onInterrupt(undefined);
  });
});

describe("a window of a machine without PCI", () => {
  const { base, stride, count } = MICROVM.windows;

  function plugIn(slot: number): void {
    const mmio = new MmioDevice({ device, onInterrupt: (high) => peer.line(LINE, high) });
    const window = base + slot * stride;
    peer.memory = {
      read: (address, size) => {
        if (address >= window && address < window + stride)
          return mmio.read(address - window, size);
        // A window without a device has its magic value all the same.
        return (address - base) % stride === 0 ? 0x74726976 : 0;
      },
      write: (address, size, value) => mmio.write(address - window, size, value),
    };
  }

  it.each([0, 3, count - 1])("is found at place %i and driven", async (slot) => {
    plugIn(slot);
    const bus = await QtestMmioBus.find(client, MICROVM);
    expect(bus.base).toBe(base + slot * stride);
    const up = await bringUp(new MmioDriver({ bus, dma }), { queues: [{ index: 0 }] });
    const entropy = new EntropyDriver(up, { bufferSize: 8 });
    const bytes = await entropy.read(20);
    expect([...bytes]).toEqual(Array.from({ length: 20 }, (_, i) => i));
    entropy.close();
    await up.close();
  });

  it("is not found where no window has a device", async () => {
    plugIn(count);
    await expect(QtestMmioBus.find(client, MICROVM)).rejects.toMatchObject({
      code: "DEVICE_UNKNOWN",
    });
  });

  it("tells of a line that is high already, and of none that fell", async () => {
    plugIn(0);
    const bus = await QtestMmioBus.find(client, MICROVM);
    let told = 0;
    const handler = () => void told++;
    peer.line(LINE, true);
    await client.read(base, 4);
    bus.onInterrupt(handler);
    expect(told).toBe(1);
    peer.line(LINE, false);
    await client.read(base, 4);
    bus.onInterrupt(handler);
    expect(told).toBe(1);
    peer.line(LINE, true);
    await client.read(base, 4);
    expect(told).toBe(2);
  });
});
