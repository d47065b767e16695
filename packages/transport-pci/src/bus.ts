/**
 * The port that the driver half talks through: configuration space and BARs of one function, and
 * its interrupts. BARs are named by their numbers: where they are mapped is the bus's affair.
 */
import type { MaybePromise } from "@virtio-admin/core";
import type { PciDevice } from "./device.ts";

/** What an MSI-X table entry is to hold so that its vector reaches the driver. */
export interface MsixMessage {
  /** Where the function writes. */
  readonly address: number;
  /** What it writes, 32 bits. */
  readonly data: number;
}

/** One interrupt: an MSI-X vector, or `"intx"` when the INTx line is asserted. */
export type PciInterrupt = number | "intx";

/** Access to one PCI function. Sizes are 1, 2 or 4 bytes, values little-endian numbers. */
export interface PciBus {
  /** Reads configuration space. */
  configRead(offset: number, size: number): MaybePromise<number>;
  /** Writes configuration space. */
  configWrite(offset: number, size: number, value: number): MaybePromise<void>;
  /** Reads a BAR, 0 to 5. */
  barRead(bar: number, offset: number, size: number): MaybePromise<number>;
  /** Writes a BAR, 0 to 5. */
  barWrite(bar: number, offset: number, size: number, value: number): MaybePromise<void>;
  /**
   * What the table entry of a vector is to hold. Absent on a bus that keeps the table away from
   * the driver and maps vectors itself: then the driver does not touch the table.
   */
  message?(vector: number): MsixMessage;
  /**
   * Names who is called for every MSI-X message, and whenever the INTx line rises; `undefined`
   * for nobody. Called at once when the line is asserted already. The handler does not throw.
   */
  onInterrupt(handler: ((interrupt: PciInterrupt) => void) | undefined): void;
}

/** Where messages go that a {@link loopbackBus} takes: the address x86 uses for its first CPU. */
export const LOOPBACK_MESSAGE_ADDRESS = 0xfee00000;

/** A bus that calls a device half of this process directly, and takes over its interrupts. */
export function loopbackBus(device: PciDevice): PciBus {
  return {
    configRead: (offset, size) => device.configRead(offset, size),
    configWrite: (offset, size, value) => device.configWrite(offset, size, value),
    barRead: (bar, offset, size) => device.barRead(bar, offset, size),
    barWrite: (bar, offset, size, value) => device.barWrite(bar, offset, size, value),
    message: (vector) => ({ address: LOOPBACK_MESSAGE_ADDRESS, data: vector }),
    onInterrupt: (handler) => {
      device.interruptSink =
        handler === undefined
          ? undefined
          : {
              msix: (_vector, address, data) => {
                if (address === LOOPBACK_MESSAGE_ADDRESS) handler(data);
              },
              intx: (asserted) => {
                if (asserted) handler("intx");
              },
            };
      if (device.interruptLine) handler?.("intx");
    },
  };
}
