/**
 * The port that the driver half talks through: one window of registers and one interrupt line.
 */
import type { MaybePromise } from "@virtio-admin/core";
import type { MmioDevice } from "./device.ts";

/** Access to the window of one virtio-mmio device. */
export interface MmioBus {
  /** Reads `size` bytes (1, 2 or 4) at `offset` as a little-endian number. */
  read(offset: number, size: number): MaybePromise<number>;
  /** Writes `size` bytes (1, 2 or 4) at `offset`, little-endian. */
  write(offset: number, size: number, value: number): MaybePromise<void>;
  /**
   * Names who is called when the interrupt line rises, and again while it stays high and a
   * handler has returned; `undefined` for nobody. Called at once when the line is high already.
   */
  onInterrupt(handler: (() => void) | undefined): void;
}

/** A bus that calls a device half of this process directly. */
export function loopbackBus(device: MmioDevice): MmioBus {
  return {
    read: (offset, size) => device.read(offset, size),
    write: (offset, size, value) => device.write(offset, size, value),
    onInterrupt: (handler) => {
      device.onInterrupt = handler === undefined ? undefined : (high) => high && handler();
      if (device.interruptLine) handler?.();
    },
  };
}
