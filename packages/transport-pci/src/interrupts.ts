/**
 * How one function interrupts its driver: through MSI-X while that is enabled, else through ISR
 * status and INTx (sections "Used Buffer Notifications" and "Notification of Device Configuration
 * Changes").
 */
import type { PciConfigSpace } from "./config-space.ts";
import { NO_VECTOR, VIRTIO_PCI_ISR_LAYOUT } from "./layout.ts";
import type { MsixTable } from "./msix.ts";

const ISR = VIRTIO_PCI_ISR_LAYOUT.fields.isr_status.bits;

/** What a VMM does with the interrupts of a function. Must not throw. */
export interface PciInterruptSink {
  /** The function sends the message of a vector: a dword written to an address. */
  msix(vector: number, address: number, data: number): void;
  /** The INTx line is asserted or deasserted. */
  intx(asserted: boolean): void;
}

/** The interrupts of one function. */
export class FunctionInterrupts {
  /** Where interrupts go. */
  sink: PciInterruptSink | undefined;

  readonly #config: PciConfigSpace;
  readonly #msix: MsixTable | undefined;
  readonly #hasLine: boolean;
  #isrStatus = 0;
  #line = false;

  /** `hasLine` is false for a function without an interrupt pin. */
  constructor(config: PciConfigSpace, msix: MsixTable | undefined, hasLine: boolean) {
    this.#config = config;
    this.#msix = msix;
    this.#hasLine = hasLine;
  }

  /** True while INTx is asserted. */
  get line(): boolean {
    return this.#line;
  }

  /** ISR status. What is set shows once {@link update} is called. */
  get isrStatus(): number {
    return this.#isrStatus;
  }

  set isrStatus(status: number) {
    this.#isrStatus = status;
  }

  /** A used buffer notification of a queue that is mapped to `vector`. */
  usedBuffers(vector: number): void {
    if (this.#msix?.enabled === true) {
      if (vector !== NO_VECTOR) this.#msix.raise(vector);
      return;
    }
    this.#isrStatus |= ISR.queue_interrupt.mask;
    this.update();
  }

  /** A configuration change notification; the ISR bit is set with MSI-X as well. */
  configurationChange(vector: number): void {
    this.#isrStatus |= ISR.device_configuration_interrupt.mask;
    if (this.#msix?.enabled === true) {
      if (vector !== NO_VECTOR) this.#msix.raise(vector);
      return;
    }
    this.update();
  }

  /** Reads ISR status, which clears it and deasserts INTx. */
  readIsrStatus(): number {
    const status = this.#isrStatus;
    this.#isrStatus = 0;
    this.update();
    return status;
  }

  /** Forgets what the device wanted to say. */
  reset(): void {
    this.#isrStatus = 0;
    this.#msix?.clearPending();
    this.update();
  }

  /** Puts Interrupt Status and the line in step with ISR status, MSI-X and Interrupt Disable. */
  update(): void {
    const pending = this.#isrStatus !== 0 && this.#msix?.enabled !== true;
    this.#config.setInterruptStatus(pending);
    const line = pending && this.#hasLine && !this.#config.interruptDisable;
    if (line === this.#line) return;
    this.#line = line;
    this.sink?.intx(line);
  }
}
