/** The driver half's walk over the extended capabilities. */
import type { PciBus } from "./bus.ts";
import {
  PCI_EXTENDED_BASE,
  PCI_EXTENDED_END,
  PCI_EXTENDED_HEADER_LAYOUT,
} from "./express-layout.ts";

const { bits } = PCI_EXTENDED_HEADER_LAYOUT.fields.header;
const SMALLEST = 8;
/** More capabilities than fit without overlap are a loop. */
const LIST_LIMIT = (PCI_EXTENDED_END - PCI_EXTENDED_BASE) / SMALLEST;
const DWORD = 4;
const ALL_ONES = 0xffffffff;

/**
 * Finds the first extended capability with this id that has room for `length` bytes; `undefined`
 * where there is none, or the list makes no sense. Only for functions with a PCI Express
 * capability: others may have no extended configuration space.
 */
export async function findExtendedCapability(
  bus: PciBus,
  id: number,
  length: number,
): Promise<number | undefined> {
  let at: number = PCI_EXTENDED_BASE;
  for (let i = 0; i < LIST_LIMIT; i++) {
    const header = (await bus.configRead(at, DWORD)) >>> 0;
    if (header === 0 || header === ALL_ONES) return undefined;
    const found = (header & bits.capability_id.mask) >>> bits.capability_id.at;
    if (found === id && at + length <= PCI_EXTENDED_END) return at;
    at = (header >>> bits.next.at) & -DWORD;
    if (at < PCI_EXTENDED_BASE) return undefined;
  }
  return undefined;
}
