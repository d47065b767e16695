/**
 * The driver's side of indicators: the block in DMA memory that the device sets bits in, and what
 * an interrupt finds there. Serving an interrupt allocates nothing.
 */
import type { DmaAllocator, DmaBlock, InterruptListener } from "@virtio-admin/core";
import type { CcwInterrupt } from "./device.ts";
import {
  type AdapterIndicators,
  CLASSIC_INDICATOR_LENGTH,
  CONFIGURATION_BIT,
  clearSummary,
  takeAdapter,
  takeClassic,
} from "./indicators.ts";

/** The interruption subclass that adapter interrupts are asked for on. */
const ADAPTER_SUBCLASS = 3;
/** Where things lie in the block: the summary byte stands alone in its word. */
const SUMMARY_OFFSET = 0;
const CONFIGURATION_OFFSET = 8;
const QUEUES_OFFSET = 16;

/** Which queue indicators a device was told of. */
export type QueueIndicators = "none" | "classic" | "adapter";

/** The indicators of one device. */
export class DriverIndicators {
  /** Which queue indicators the device has accepted. */
  queueIndicators: QueueIndicators = "none";

  readonly #dma: DmaAllocator;
  readonly #queues: readonly number[];
  readonly #block: DmaBlock;
  readonly #adapter: AdapterIndicators;

  /**
   * Provides indicators for the queues of these indexes.
   *
   * @throws VirtioError `MEMORY_EXHAUSTED`
   */
  constructor(dma: DmaAllocator, queues: readonly number[]) {
    const highest = queues.reduce((most, index) => Math.max(most, index), -1);
    const areaLength = Math.max(Math.ceil((highest + 1) / 8), CLASSIC_INDICATOR_LENGTH);
    this.#dma = dma;
    this.#queues = [...queues];
    this.#block = dma.allocate(QUEUES_OFFSET + areaLength, CLASSIC_INDICATOR_LENGTH);
    this.#adapter = {
      summary: this.#block.address + SUMMARY_OFFSET,
      area: this.#block.address + QUEUES_OFFSET,
      firstBit: 0,
      subclass: ADAPTER_SUBCLASS,
    };
  }

  /** What SET_IND_ADAPTER tells the device. */
  get adapter(): AdapterIndicators {
    return this.#adapter;
  }

  /** What SET_IND tells the device: the same bytes, as 64 bits. */
  get classic(): number {
    return this.#adapter.area;
  }

  /** What SET_CONF_IND tells the device. */
  get configuration(): number {
    return this.#block.address + CONFIGURATION_OFFSET;
  }

  /** Looks at the indicators that an interrupt of this device may be about. */
  serve(interrupt: CcwInterrupt, listener: InterruptListener): void {
    const memory = this.#dma.memory;
    const at = this.#adapter;
    if (interrupt.kind === "adapter") {
      if (this.queueIndicators !== "adapter" || interrupt.subclass !== at.subclass) return;
      // Cleared first: what the device signals from here on raises another interrupt.
      clearSummary(memory, at);
      for (const queue of this.#queues) {
        if (takeAdapter(memory, at, queue)) listener.usedBuffers(queue);
      }
      return;
    }
    if (takeClassic(memory, this.configuration, CONFIGURATION_BIT)) listener.configurationChange();
    if (this.queueIndicators !== "classic") return;
    for (const queue of this.#queues) {
      if (takeClassic(memory, this.classic, queue)) listener.usedBuffers(queue);
    }
  }

  /** Gives the memory back; only once the device cannot set bits any more. */
  free(): void {
    this.#block.free();
  }
}
