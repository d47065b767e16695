/**
 * The driver half's interrupts: MSI-X with a vector for the configuration and one for each queue
 * where there are enough, else shared vectors, else INTx and ISR status.
 */
import { type InterruptListener, VirtioError } from "@virtio-admin/core";
import type { PciBus, PciInterrupt } from "./bus.ts";
import type { Discovery } from "./discovery.ts";
import {
  MSIX_CAPABILITY_LAYOUT,
  MSIX_ENTRY_LAYOUT,
  PCI_HEADER_LAYOUT,
  VIRTIO_PCI_ISR_LAYOUT,
} from "./layout.ts";

/** Which interrupts a driver half uses: MSI-X where it can by default. */
export type InterruptChoice = "auto" | "msix" | "intx";

const HEADER = PCI_HEADER_LAYOUT.fields;
const INTERRUPT_DISABLE = HEADER.command.bits.interrupt_disable.mask;
const CONTROL = MSIX_CAPABILITY_LAYOUT.fields.message_control;
const ENABLE = CONTROL.bits.msix_enable.mask;
const FUNCTION_MASK = CONTROL.bits.function_mask.mask;
const ENTRY = MSIX_ENTRY_LAYOUT.fields;
const ISR = VIRTIO_PCI_ISR_LAYOUT.fields.isr_status;
const WORD = 0x100000000;
/** The vector of configuration changes; queues share it when there is no other. */
const CONFIG_VECTOR = 0;
/** How many interrupts one interrupt may bring about before the device is given up. */
const ROUNDS = 4096;

/** The interrupts of one function, seen from its driver. */
export class DriverInterrupts {
  readonly #bus: PciBus;
  readonly #found: Discovery;
  readonly #listener: InterruptListener;
  /** How many MSI-X vectors are in use; 0 with INTx. */
  #vectors = 0;
  #configMapped = false;
  /** The vector of each queue since the last device reset. */
  readonly #vectorOf = new Map<number, number>();
  /** The queues that are enabled, by vector. */
  #queuesOf: number[][] = [];
  /** Interrupts that came while one was served. */
  readonly #waiting = new Set<PciInterrupt>();
  #serving = false;
  #readingIsr = false;
  #readIsrAgain = false;

  /** Nothing is touched before {@link start}. */
  constructor(bus: PciBus, found: Discovery, listener: InterruptListener) {
    this.#bus = bus;
    this.#found = found;
    this.#listener = listener;
  }

  /** True while MSI-X is in use. */
  get usesMsix(): boolean {
    return this.#vectors > 0;
  }

  /** True once the configuration event is mapped, or need not be. */
  get configMapped(): boolean {
    return this.#configMapped || !this.usesMsix;
  }

  /**
   * Chooses between MSI-X and INTx, and switches it on.
   *
   * @throws VirtioError `TRANSPORT_UNSUPPORTED` when the device has neither, or not the one asked for.
   */
  async start(choice: InterruptChoice, vectorLimit: number): Promise<void> {
    this.#bus.onInterrupt((interrupt) => this.#serve(interrupt));
    const { msix } = this.#found;
    if (choice !== "intx" && msix !== undefined && vectorLimit > 0) {
      await this.#startMsix(Math.min(msix.vectors, vectorLimit));
    } else if (choice === "msix") {
      throw unsupported("the device has no usable MSI-X table", "pci.msix");
    } else {
      await this.startIntx();
    }
  }

  /** Falls back on INTx. @throws VirtioError `TRANSPORT_UNSUPPORTED` without an interrupt pin. */
  async startIntx(): Promise<void> {
    await this.#switchMsixOff();
    this.#vectors = 0;
    const pin = await this.#bus.configRead(HEADER.interrupt_pin.offset, HEADER.interrupt_pin.width);
    if (pin === 0) throw unsupported("the device has no interrupt pin", "pci.interrupt_pin");
    await this.#setInterruptDisable(false);
  }

  /** Switches all interrupts off. */
  async stop(): Promise<void> {
    this.#bus.onInterrupt(undefined);
    this.#waiting.clear();
    await this.#switchMsixOff();
    await this.#setInterruptDisable(true);
  }

  /** Forgets the mappings: a device reset undoes them. */
  forgetMappings(): void {
    this.#configMapped = false;
    this.#vectorOf.clear();
    this.#queuesOf = [];
  }

  /** The vectors to try for configuration changes, best first. */
  get configCandidates(): readonly number[] {
    return [CONFIG_VECTOR];
  }

  /** Notes that configuration changes are mapped. */
  configIsMapped(): void {
    this.#configMapped = true;
  }

  /** The vectors to try for a queue, best first: its own, then the one that all can share. */
  queueCandidates(queue: number): readonly number[] {
    const others = this.#vectors - 1;
    if (others === 0) return [CONFIG_VECTOR];
    const own = this.#vectorOf.get(queue) ?? 1 + (this.#vectorOf.size % others);
    return own === CONFIG_VECTOR ? [own] : [own, CONFIG_VECTOR];
  }

  /** Notes that a queue is mapped to `vector`; interrupts for it are delivered from now on. */
  queueIsMapped(queue: number, vector: number): void {
    this.queueIsStopped(queue);
    this.#vectorOf.set(queue, vector);
    const queues = this.#queuesOf[vector] ?? [];
    queues.push(queue);
    this.#queuesOf[vector] = queues;
  }

  /** Notes that a queue was reset; its vector stays reserved for it. */
  queueIsStopped(queue: number): void {
    const queues = this.#queuesOf[this.#vectorOf.get(queue) ?? -1];
    const at = queues?.indexOf(queue) ?? -1;
    if (at >= 0) queues?.splice(at, 1);
  }

  async #startMsix(vectors: number): Promise<void> {
    const { msix } = this.#found;
    if (msix === undefined) return;
    const at = msix.at + CONTROL.offset;
    const control = await this.#bus.configRead(at, CONTROL.width);
    // Enabled but masked as a whole: no message goes out before the table is written.
    await this.#bus.configWrite(at, CONTROL.width, control | ENABLE | FUNCTION_MASK);
    if (this.#bus.message !== undefined) {
      for (let vector = 0; vector < vectors; vector++) {
        const message = this.#bus.message(vector);
        const { bar } = msix.table;
        const entry = msix.table.offset + vector * MSIX_ENTRY_LAYOUT.size;
        const address = entry + ENTRY.message_address.offset;
        await this.#bus.barWrite(bar, address, 4, message.address % WORD);
        await this.#bus.barWrite(bar, address + 4, 4, Math.floor(message.address / WORD));
        await this.#bus.barWrite(bar, entry + ENTRY.message_data.offset, 4, message.data);
        await this.#bus.barWrite(bar, entry + ENTRY.vector_control.offset, 4, 0);
      }
    }
    await this.#setInterruptDisable(true);
    this.#vectors = vectors;
    await this.#bus.configWrite(at, CONTROL.width, (control | ENABLE) & ~FUNCTION_MASK);
  }

  async #switchMsixOff(): Promise<void> {
    const { msix } = this.#found;
    if (msix === undefined) return;
    const at = msix.at + CONTROL.offset;
    const control = await this.#bus.configRead(at, CONTROL.width);
    await this.#bus.configWrite(at, CONTROL.width, control & ~(ENABLE | FUNCTION_MASK));
  }

  async #setInterruptDisable(disable: boolean): Promise<void> {
    const { offset, width } = HEADER.command;
    const command = await this.#bus.configRead(offset, width);
    const wanted = disable ? command | INTERRUPT_DISABLE : command & ~INTERRUPT_DISABLE;
    await this.#bus.configWrite(offset, width, wanted);
  }

  /** Interrupts inside an interrupt wait for its end, so that handlers never nest. */
  #serve(interrupt: PciInterrupt): void {
    if (typeof interrupt === "number" && !(interrupt >= 0 && interrupt < this.#vectors)) return;
    this.#waiting.add(interrupt);
    if (this.#serving) return;
    this.#serving = true;
    try {
      let rounds = 0;
      for (const next of this.#waiting) {
        this.#waiting.delete(next);
        if (rounds++ === ROUNDS) throw endlessInterrupt();
        if (next === "intx") this.#readIsr();
        else this.#dispatchVector(next);
      }
    } catch (error) {
      this.#waiting.clear();
      this.#listener.failed(error);
    } finally {
      this.#serving = false;
    }
  }

  #dispatchVector(vector: number): void {
    for (const queue of [...(this.#queuesOf[vector] ?? [])]) this.#listener.usedBuffers(queue);
    if (vector === CONFIG_VECTOR && this.#configMapped) this.#listener.configurationChange();
  }

  #readIsr(): void {
    const { isr } = this.#found.structures;
    if (isr === undefined || this.usesMsix) return;
    if (this.#readingIsr) {
      this.#readIsrAgain = true;
      return;
    }
    const status = this.#bus.barRead(isr.bar, isr.offset + ISR.offset, ISR.width);
    if (typeof status === "number") {
      this.#dispatchIsr(status);
      return;
    }
    this.#readingIsr = true;
    const done = (): void => {
      this.#readingIsr = false;
      if (!this.#readIsrAgain) return;
      this.#readIsrAgain = false;
      this.#serve("intx");
    };
    status.then(
      (value) => {
        this.#dispatchIsr(value);
        done();
      },
      (error) => {
        this.#readingIsr = false;
        this.#listener.failed(error);
      },
    );
  }

  #dispatchIsr(status: number): void {
    if ((status & ISR.bits.queue_interrupt.mask) !== 0) this.#listener.usedBuffers(undefined);
    if ((status & ISR.bits.device_configuration_interrupt.mask) !== 0) {
      this.#listener.configurationChange();
    }
  }
}

function unsupported(message: string, path: string): VirtioError {
  return new VirtioError("TRANSPORT_UNSUPPORTED", {
    message,
    path,
    hint: "let the driver choose its interrupts, or poll",
  });
}

function endlessInterrupt(): VirtioError {
  return new VirtioError("DEVICE_FAILED", {
    message: "one interrupt leads to the next without end",
    path: "pci.interrupt",
    value: ROUNDS,
    hint: "reset the device",
  });
}
