/** A function that says when it is called. */
import type { PciInterruptSink } from "@virtio-admin/transport-pci";
import type { VfioUserFunction } from "@virtio-admin/vfio-user";

/** Who is told. */
export interface FunctionListener {
  /** Configuration space or a BAR is about to be accessed: one message of a client. */
  readonly accessed: () => void;
  /** Something was written. */
  readonly written: () => void;
}

/** Passes everything on to another function. */
export class CountedFunction implements VfioUserFunction {
  readonly #inner: VfioUserFunction;
  readonly #listener: FunctionListener;

  constructor(inner: VfioUserFunction, listener: FunctionListener) {
    this.#inner = inner;
    this.#listener = listener;
  }

  get placement(): VfioUserFunction["placement"] {
    return this.#inner.placement;
  }

  get msixVectors(): number | undefined {
    return this.#inner.msixVectors;
  }

  get vectorMasking(): VfioUserFunction["vectorMasking"] {
    return this.#inner.vectorMasking;
  }

  get interruptLine(): boolean {
    return this.#inner.interruptLine;
  }

  get interruptSink(): PciInterruptSink | undefined {
    return this.#inner.interruptSink;
  }

  set interruptSink(sink: PciInterruptSink | undefined) {
    this.#inner.interruptSink = sink;
  }

  barLength(bar: number): number {
    return this.#inner.barLength(bar);
  }

  configReadBytes(offset: number, target: Uint8Array): void {
    this.#listener.accessed();
    this.#inner.configReadBytes(offset, target);
  }

  configWriteBytes(offset: number, source: Uint8Array): void {
    this.#listener.accessed();
    this.#inner.configWriteBytes(offset, source);
    this.#listener.written();
  }

  barReadBytes(bar: number, offset: number, target: Uint8Array): void {
    this.#listener.accessed();
    this.#inner.barReadBytes(bar, offset, target);
  }

  barWriteBytes(bar: number, offset: number, source: Uint8Array): void {
    this.#listener.accessed();
    this.#inner.barWriteBytes(bar, offset, source);
    this.#listener.written();
  }

  reset(): void {
    this.#inner.reset();
  }

  poll(): boolean {
    return this.#inner.poll?.() === true;
  }

  endPolling(): void {
    this.#inner.endPolling?.();
  }
}
