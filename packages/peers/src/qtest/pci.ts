/** A PCI function of a machine under qtest, as the bus of our driver half. */
import { type DmaAllocator, type DmaBlock, VirtioError } from "@virtio-admin/core";
import {
  assignBars,
  type BarState,
  type MsixMessage,
  type PciBus,
  type PciInterrupt,
} from "@virtio-admin/transport-pci";
import type { AccessSize, QtestClient } from "./client.ts";

/** Where a function is, and what it is given. */
export interface QtestFunctionInit {
  /** The machine, a PC. */
  readonly client: QtestClient;
  /** The slot on the first bus; it is function 0. */
  readonly slot: number;
  /** Where its BARs may go, from here on. */
  readonly barBase: number;
  /** RAM of the machine: MSI-X messages are written there. */
  readonly dma: DmaAllocator;
}

const CONFIG_ADDRESS = 0xcf8;
const CONFIG_DATA = 0xcfc;
const CONFIG_ENABLE = 0x80000000;
const CONFIG_END = 0x100;
const SLOT_SHIFT = 11;
const VECTORS = 64;
const MESSAGE = 1;
/** How often messages are looked for, in milliseconds. */
const LOOK_EVERY = 1;

/**
 * One function. Configuration space is reached through the host bridge's two ports. Its BARs are
 * mapped when it is opened, and must not be moved afterwards.
 *
 * MSI-X messages are writes like any others: they go to RAM, one word for each vector, and are
 * taken out of it here.
 */
export class QtestPciBus implements PciBus {
  /** How many messages came, by vector. */
  readonly messages: readonly number[];
  readonly #client: QtestClient;
  readonly #slot: number;
  readonly #block: DmaBlock;
  readonly #words: Int32Array;
  readonly #counts: number[];
  readonly #high = new Set<number>();
  #bars: readonly (BarState | undefined)[] = [];
  #handler: ((interrupt: PciInterrupt) => void) | undefined;
  #looking: NodeJS.Timeout | undefined;

  private constructor({ client, slot, dma }: QtestFunctionInit) {
    this.#client = client;
    this.#slot = slot;
    this.#counts = new Array<number>(VECTORS).fill(0);
    this.messages = this.#counts;
    this.#block = dma.allocate(4 * VECTORS, 4);
    const { region, address } = this.#block;
    const at = region.bytes.byteOffset + (address - region.base);
    this.#words = new Int32Array(region.bytes.buffer, at, VECTORS);
    client.onLine = (line, high) => {
      if (!high) this.#high.delete(line);
      else {
        this.#high.add(line);
        this.#handler?.("intx");
      }
    };
  }

  /** Gives the function's BARs addresses. @throws VirtioError `TRANSPORT` */
  static async open(init: QtestFunctionInit): Promise<QtestPciBus> {
    const bus = new QtestPciBus(init);
    bus.#bars = await assignBars(bus, init.barBase);
    return bus;
  }

  /** True while the interrupt line is high. */
  get asserted(): boolean {
    return this.#high.size > 0;
  }

  /** See `PciBus.configRead`; the ports do not reach beyond 256 bytes, which read as all ones. */
  async configRead(offset: number, size: number): Promise<number> {
    if (offset >= CONFIG_END) return 2 ** (8 * size) - 1;
    // Both go out before anything else does.
    const [, value] = await Promise.all([
      this.#select(offset),
      this.#client.portRead(CONFIG_DATA + (offset & 3), size as AccessSize),
    ]);
    return value;
  }

  /** See `PciBus.configWrite`. */
  async configWrite(offset: number, size: number, value: number): Promise<void> {
    if (offset >= CONFIG_END) return;
    await Promise.all([
      this.#select(offset),
      this.#client.portWrite(CONFIG_DATA + (offset & 3), size as AccessSize, value >>> 0),
    ]);
  }

  /** See `PciBus.barRead`. */
  barRead(bar: number, offset: number, size: number): Promise<number> {
    return this.#client.read(this.#place(bar) + offset, size as AccessSize);
  }

  /** See `PciBus.barWrite`. */
  barWrite(bar: number, offset: number, size: number, value: number): Promise<void> {
    return this.#client.write(this.#place(bar) + offset, size as AccessSize, value >>> 0);
  }

  /** See `PciBus.message`. */
  message(vector: number): MsixMessage {
    return { address: this.#block.address + 4 * (vector % VECTORS), data: MESSAGE };
  }

  /** See `PciBus.onInterrupt`. */
  onInterrupt(handler: ((interrupt: PciInterrupt) => void) | undefined): void {
    this.#handler = handler;
    clearInterval(this.#looking);
    this.#looking = handler && setInterval(() => this.#look(), LOOK_EVERY);
    // A driver that fails may never let go of its bus: that must not keep this process.
    this.#looking?.unref();
    if (this.#high.size > 0) handler?.("intx");
  }

  /** Takes out what was written, each word before its handler looks at the queues. */
  #look(): void {
    for (let vector = 0; vector < VECTORS; vector++) {
      if (Atomics.exchange(this.#words, vector, 0) === 0) continue;
      this.#counts[vector] = (this.#counts[vector] ?? 0) + 1;
      this.#handler?.(vector);
    }
  }

  #select(offset: number): Promise<void> {
    const at = CONFIG_ENABLE + (this.#slot << SLOT_SHIFT) + (offset & ~3);
    return this.#client.portWrite(CONFIG_ADDRESS, 4, at);
  }

  #place(bar: number): number {
    const state = this.#bars[bar];
    if (state !== undefined && state.kind !== "io" && state.address !== 0) return state.address;
    throw new VirtioError("TRANSPORT", {
      message: "no memory BAR with an address",
      path: `qtest.bar${bar}`,
      value: bar,
    });
  }
}
