/**
 * Finds the virtio structures of a function by walking its capability list (section "Virtio
 * Device Configuration Layout Detection").
 *
 * The list is the device's word: it may loop, leave the configuration space, or describe what
 * cannot be. What is not usable is passed over, with the reason, and the first usable structure
 * of each kind is taken.
 */
import type { BarState } from "./bars.ts";
import type { PciBus } from "./bus.ts";
import {
  MSIX_CAPABILITY_LAYOUT,
  PCI_CAPABILITY,
  PCI_HEADER_LAYOUT,
  PROPOSAL_V5_PCI_CAP_MISC,
  PROPOSAL_V5_PCI_MISC_CFG_LAYOUT,
  VIRTIO_PCI_CAP,
  VIRTIO_PCI_CAP_LAYOUT,
  VIRTIO_PCI_NOTIFY_CAP_LAYOUT,
} from "./layout.ts";
import { msixTableBytes } from "./msix.ts";
import { COMMON_BYTES_MIN, type MsixPlacement, type PciWindow } from "./placement.ts";

const HEADER = PCI_HEADER_LAYOUT.fields;
const CAP = VIRTIO_PCI_CAP_LAYOUT.fields;
const MSIX = MSIX_CAPABILITY_LAYOUT.fields;
const MULTIPLIER = VIRTIO_PCI_NOTIFY_CAP_LAYOUT.fields.notify_off_multiplier;
const CONFIG_END = 0x100;
const LIST_BASE = PCI_HEADER_LAYOUT.size;
const POINTER_MASK = 0xfc;
/** More capabilities than fit without overlap are a loop. */
const LIST_LIMIT = (CONFIG_END - LIST_BASE) / 4;
const WORD = 0x100000000;
const STRUCTURE_KINDS = {
  [VIRTIO_PCI_CAP.common]: { name: "common", bytes: COMMON_BYTES_MIN, alignment: 4 },
  [VIRTIO_PCI_CAP.notify]: { name: "notify", bytes: 2, alignment: 2 },
  [VIRTIO_PCI_CAP.isr]: { name: "isr", bytes: 1, alignment: 1 },
  [VIRTIO_PCI_CAP.device]: { name: "device", bytes: 1, alignment: 4 },
  [PROPOSAL_V5_PCI_CAP_MISC]: {
    name: "miscellaneous",
    bytes: PROPOSAL_V5_PCI_MISC_CFG_LAYOUT.size,
    alignment: 2,
  },
} as const;

/** The structures that a driver looks for; `miscellaneous` is one of the dialect proposal-v5 alone. */
export type StructureName = "common" | "notify" | "isr" | "device" | "miscellaneous";

/** A capability that was passed over. */
export interface PassedOver {
  /** Where it is in configuration space. */
  readonly at: number;
  /** Why. */
  readonly why: string;
}

/** Where MSI-X is, and its capability. */
export interface DiscoveredMsix extends MsixPlacement {
  /** Where the capability is in configuration space. */
  readonly at: number;
}

/** What a walk over the capability list found. */
export interface Discovery {
  /** The first usable structure of each kind. */
  readonly structures: Partial<Record<StructureName, PciWindow>>;
  /** `notify_off_multiplier` of the notification structure. */
  readonly notifyOffMultiplier: number;
  /** MSI-X and where its capability is, when the function has it and its BARs are usable. */
  readonly msix: DiscoveredMsix | undefined;
  /** True when there is any virtio capability: a device without is a legacy one. */
  readonly modern: boolean;
  /** True when there is a PCI Express capability, and so an extended configuration space. */
  readonly express: boolean;
  /** What was passed over, for error messages. */
  readonly passedOver: readonly PassedOver[];
}

/**
 * Walks the capability list; only structures in BARs with an address are usable.
 *
 * @param knowsProposal false passes over the structure of the dialect proposal-v5, whose type is
 * reserved in virtio 1.4
 */
export async function discover(
  bus: PciBus,
  bars: readonly (BarState | undefined)[],
  knowsProposal = false,
): Promise<Discovery> {
  const walk = new Walk(bus, bars, knowsProposal);
  await walk.run();
  return walk;
}

class Walk implements Discovery {
  readonly structures: Partial<Record<StructureName, PciWindow>> = {};
  readonly passedOver: PassedOver[] = [];
  notifyOffMultiplier = 0;
  msix: DiscoveredMsix | undefined;
  modern = false;
  express = false;

  readonly #bus: PciBus;
  readonly #bars: readonly (BarState | undefined)[];
  readonly #knowsProposal: boolean;

  constructor(bus: PciBus, bars: readonly (BarState | undefined)[], knowsProposal: boolean) {
    this.#bus = bus;
    this.#bars = bars;
    this.#knowsProposal = knowsProposal;
  }

  async run(): Promise<void> {
    const status = await this.#bus.configRead(HEADER.status.offset, HEADER.status.width);
    if ((status & HEADER.status.bits.capabilities_list.mask) === 0) return;
    const pointer = HEADER.capabilities_pointer;
    let at = (await this.#bus.configRead(pointer.offset, pointer.width)) & POINTER_MASK;
    const visited = new Set<number>();
    while (at !== 0) {
      if (at < LIST_BASE) return this.#passOver(at, "the list leads into the header");
      if (visited.has(at) || visited.size === LIST_LIMIT) {
        return this.#passOver(at, "the list loops");
      }
      visited.add(at);
      const id = await this.#u8(at + CAP.cap_vndr.offset);
      const next = await this.#u8(at + CAP.cap_next.offset);
      if (id === PCI_CAPABILITY.vendor) await this.#vendor(at);
      else if (id === PCI_CAPABILITY.msix) await this.#msixCapability(at);
      else if (id === PCI_CAPABILITY.express) this.express = true;
      at = next & POINTER_MASK;
    }
  }

  async #vendor(at: number): Promise<void> {
    if (at + VIRTIO_PCI_CAP_LAYOUT.size > CONFIG_END) {
      return this.#passOver(at, "it does not end inside configuration space");
    }
    const length = await this.#u8(at + CAP.cap_len.offset);
    const type = await this.#u8(at + CAP.cfg_type.offset);
    const isProposal = this.#knowsProposal && type === PROPOSAL_V5_PCI_CAP_MISC;
    if (!isProposal && !isKnownType(type)) {
      return this.#passOver(at, `cfg_type ${type} is reserved`);
    }
    if (!isProposal) this.modern = true;
    if (!isStructureType(type)) return;
    const { name, bytes, alignment } = STRUCTURE_KINDS[type];
    const wanted =
      type === VIRTIO_PCI_CAP.notify
        ? VIRTIO_PCI_NOTIFY_CAP_LAYOUT.size
        : VIRTIO_PCI_CAP_LAYOUT.size;
    if (length < wanted) return this.#passOver(at, `cap_len ${length} is less than ${wanted}`);
    if (at + wanted > CONFIG_END) {
      return this.#passOver(at, "it does not end inside configuration space");
    }
    const window = {
      bar: await this.#u8(at + CAP.bar.offset),
      offset: await this.#u32(at + CAP.offset.offset),
      length: await this.#u32(at + CAP.length.offset),
    };
    const problem = this.#problem(window, bytes, alignment);
    if (problem !== undefined) return this.#passOver(at, `${name}: ${problem}`);
    if (this.structures[name] !== undefined) return;
    if (type === VIRTIO_PCI_CAP.notify) {
      this.notifyOffMultiplier = await this.#u32(at + MULTIPLIER.offset);
    }
    this.structures[name] = window;
  }

  async #msixCapability(at: number): Promise<void> {
    if (this.msix !== undefined) return;
    if (at + MSIX_CAPABILITY_LAYOUT.size > CONFIG_END) {
      return this.#passOver(at, "it does not end inside configuration space");
    }
    const control = await this.#bus.configRead(at + MSIX.message_control.offset, 2);
    const vectors = (control & MSIX.message_control.bits.table_size.mask) + 1;
    const table = place(await this.#u32(at + MSIX.table.offset));
    const pba = place(await this.#u32(at + MSIX.pba.offset));
    const bytes = msixTableBytes(vectors);
    const problem = this.#problem({ ...table, length: bytes }, bytes, 8);
    if (problem !== undefined) return this.#passOver(at, `MSI-X table: ${problem}`);
    this.msix = { at, vectors, table, pba };
  }

  /** Why a structure cannot be used, or `undefined`. */
  #problem(
    { bar, offset, length }: PciWindow,
    bytes: number,
    alignment: number,
  ): string | undefined {
    if (bar >= this.#bars.length) return `bar ${bar} is reserved`;
    const state = this.#bars[bar];
    if (state === undefined) return `bar ${bar} is no BAR`;
    if (state.address === 0) return `bar ${bar} has no address`;
    if (offset % alignment !== 0) return `offset ${offset} is not a multiple of ${alignment}`;
    if (length < bytes) return `length ${length} is less than ${bytes}`;
    if (offset + length > WORD) return "it ends beyond 4 GiB";
    return undefined;
  }

  #passOver(at: number, why: string): void {
    this.passedOver.push({ at, why });
  }

  async #u8(at: number): Promise<number> {
    return (await this.#bus.configRead(at, 1)) & 0xff;
  }

  async #u32(at: number): Promise<number> {
    return (await this.#bus.configRead(at, 4)) >>> 0;
  }
}

/** The BAR in the low three bits, the offset in the others. */
function place(word: number): { bar: number; offset: number } {
  const { bir } = MSIX.table.bits;
  return { bar: word & bir.mask, offset: (word & ~bir.mask) >>> 0 };
}

function isKnownType(type: number): boolean {
  return Object.values<number>(VIRTIO_PCI_CAP).includes(type);
}

function isStructureType(type: number): type is keyof typeof STRUCTURE_KINDS {
  return type in STRUCTURE_KINDS;
}
