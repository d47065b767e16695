/** The driver half's view of the base address registers: reading, sizing and assigning them. */
import { VirtioError } from "@virtio-admin/core";
import type { PciBus } from "./bus.ts";
import { BAR_COUNT, PCI_BAR_LAYOUT, PCI_HEADER_LAYOUT } from "./layout.ts";

const HEADER = PCI_HEADER_LAYOUT.fields;
const COMMAND = HEADER.command.bits;
const BITS = PCI_BAR_LAYOUT.fields.bar.bits;
const WORD = 0x100000000;
const DECODE = COMMAND.io_space.mask | COMMAND.memory_space.mask;
const ALL_ONES = 0xffffffff;
const IO_ADDRESS_MASK = 0xfffffffc;

/** One base address register, as the driver found it. */
export interface BarState {
  /** The register's number, of a 64-bit BAR the lower one's. */
  readonly index: number;
  /** Memory of 32 or 64 bits, or I/O. */
  readonly kind: "memory32" | "memory64" | "io";
  /** Its address, above 2^53 rounded; 0 while it is not assigned. */
  readonly address: number;
}

/**
 * Reads the base address registers. The upper half of a 64-bit BAR has no state of its own, nor
 * has a 64-bit BAR in the last register, which there is no room for.
 */
export async function readBars(bus: PciBus): Promise<(BarState | undefined)[]> {
  const bars: (BarState | undefined)[] = new Array(BAR_COUNT).fill(undefined);
  for (let index = 0; index < BAR_COUNT; index++) {
    const low = await bus.configRead(barAt(index), 4);
    if ((low & BITS.io.mask) !== 0) {
      bars[index] = { index, kind: "io", address: (low & IO_ADDRESS_MASK) >>> 0 };
      continue;
    }
    const address = (low & BITS.address.mask) >>> 0;
    if ((low & BITS.wide.mask) === 0) {
      bars[index] = { index, kind: "memory32", address };
    } else if (index + 1 < BAR_COUNT) {
      const high = await bus.configRead(barAt(index + 1), 4);
      bars[index] = { index, kind: "memory64", address: high * WORD + address };
      index++;
    }
  }
  return bars;
}

/**
 * Sizes the memory BARs that have no address, and gives them addresses from `base` on, each
 * aligned to its length. BARs that have one keep it.
 *
 * @throws VirtioError `TRANSPORT` when they do not fit below 4 GiB.
 */
export async function assignBars(bus: PciBus, base: number): Promise<(BarState | undefined)[]> {
  const bars = await readBars(bus);
  const command = await bus.configRead(HEADER.command.offset, HEADER.command.width);
  // While a BAR reads as its size it must not answer anything.
  await bus.configWrite(HEADER.command.offset, HEADER.command.width, command & ~DECODE);
  let next = base;
  for (const bar of bars) {
    if (bar === undefined || bar.kind === "io" || bar.address !== 0) continue;
    const at = barAt(bar.index);
    const flags = await bus.configRead(at, 4);
    await bus.configWrite(at, 4, ALL_ONES);
    const sized = ((await bus.configRead(at, 4)) & BITS.address.mask) >>> 0;
    await bus.configWrite(at, 4, flags);
    if (sized === 0) continue;
    const length = WORD - sized;
    const address = Math.ceil(next / length) * length;
    if (address + length > WORD) {
      throw new VirtioError("TRANSPORT", {
        message: "there is no room below 4 GiB for the BARs of the device",
        path: `pci.bar${bar.index}`,
        value: length,
        hint: "choose a lower base address",
      });
    }
    await bus.configWrite(at, 4, address);
    if (bar.kind === "memory64") await bus.configWrite(barAt(bar.index + 1), 4, 0);
    next = address + length;
  }
  await bus.configWrite(HEADER.command.offset, HEADER.command.width, command);
  return readBars(bus);
}

function barAt(index: number): number {
  return HEADER.bar.offset + index * HEADER.bar.width;
}
