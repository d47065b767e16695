/** What a server serves: a PCI function, be it virtio over PCI or other registers in BARs. */
import type { PciInterruptSink, PciWindow, VectorMasking } from "@virtio-admin/transport-pci";

/**
 * A PCI function; every `PciDevice` is one, and whoever has other registers in a BAR may write one.
 * Offsets and lengths are in bytes, numbers in memory little-endian. A server calls it within
 * {@link barLength} and the length of configuration space only, and hangs up when it throws.
 *
 * Writes of BARs may be posted: QEMU lets its processor go on before the function has heard of them.
 * Registers whose driver relies on more, as the one of MMIO that acknowledges interrupts, need a client
 * that waits (QEMU's `x-no-posted-writes`).
 */
export interface VfioUserFunction {
  /** What of its shape a server has to know. */
  readonly placement: {
    /** The length of its configuration space. */
    readonly configSize: number;
    /** What of its header has to be known. */
    readonly identity: {
      /** Its interrupt pin: 0 for none. */
      readonly interruptPin: number;
    };
    /** Where in its BARs some things are. */
    readonly windows: {
      /** Where what is written changes nothing that can be read: notifications of queues. */
      readonly notify: PciWindow;
    };
  };
  /** How many MSI-X vectors it has; `undefined` for a function without MSI-X. */
  readonly msixVectors: number | undefined;
  /** Who holds back masked vectors; `vmm` for a function with MSI-X. */
  readonly vectorMasking: VectorMasking | undefined;
  /** True while its INTx line is asserted. */
  readonly interruptLine: boolean;
  /** Where its interrupts go: the server sets it for the time of a connection. */
  interruptSink: PciInterruptSink | undefined;
  /** The length of a BAR, 0 to 5; 0 when there is none. */
  barLength(bar: number): number;
  /** Reads any run of configuration space. */
  configReadBytes(offset: number, target: Uint8Array): void;
  /** Writes any run of configuration space; what cannot be written stays. */
  configWriteBytes(offset: number, source: Uint8Array): void;
  /** Reads any run of a BAR. */
  barReadBytes(bar: number, offset: number, target: Uint8Array): void;
  /** Writes any run of a BAR. */
  barWriteBytes(bar: number, offset: number, source: Uint8Array): void;
  /** Resets the function. */
  reset(): void;
  /**
   * Serves queues without a notification, for a server that looks (`VfioUserServerInit.pollTime`); true
   * when there was something. What has no such thing is not polled.
   */
  poll?(): boolean;
  /** Asks for notifications again, after {@link poll}. */
  endPolling?(): void;
}
