/** The port that the driver half talks through: what a guest's I/O instructions do. */
import type { MaybePromise } from "@virtio-admin/core";
import type { ChannelEnding } from "./channel-layout.ts";
import type { CcwDevice, CcwInterrupt } from "./device.ts";

/** One subchannel, and the hypercall that notifies the device behind it. */
export interface CcwBus {
  /** The subchannel identification word. */
  readonly subchannelId: number;
  /** Whether the machine has adapter interrupts. */
  readonly adapterInterrupts: boolean;
  /** Enables or disables the subchannel (MODIFY SUBCHANNEL). */
  modifySubchannel(enabled: boolean): MaybePromise<void>;
  /**
   * Starts the channel program of an operation request block (START SUBCHANNEL) and waits for its
   * end. Programs are started one at a time.
   */
  startSubchannel(orb: Uint8Array): MaybePromise<ChannelEnding>;
  /**
   * DIAGNOSE 0x500 with `subcode` in GPR 1, `subchannelId` in GPR 2, `data` in GPR 3 and `cookie`
   * in GPR 4. Returns GPR 2: the host cookie, or a negative number when it was refused.
   */
  diagnose500(
    subcode: number,
    subchannelId: number,
    data: number,
    cookie: number,
  ): MaybePromise<number>;
  /** Where interrupts of the subchannel and adapter interrupts go; `undefined` for nobody. */
  onInterrupt(listener: ((interrupt: CcwInterrupt) => void) | undefined): void;
}

/** What a loopback bus can be told. */
export interface CcwLoopbackOptions {
  /** Whether there are adapter interrupts; true by default. */
  readonly adapterInterrupts?: boolean;
}

/** A bus that calls a device half of this process directly. */
export function loopbackBus(device: CcwDevice, options: CcwLoopbackOptions = {}): CcwBus {
  return {
    subchannelId: device.subchannelId,
    adapterInterrupts: options.adapterInterrupts ?? true,
    modifySubchannel: (enabled) => device.modifySubchannel(enabled),
    startSubchannel: (orb) => device.startSubchannel(orb),
    diagnose500: (subcode, subchannelId, data, cookie) =>
      device.diagnose500(subcode, subchannelId, data, cookie),
    onInterrupt: (listener) => {
      if (listener === undefined) {
        device.onInterrupt = undefined;
        return;
      }
      device.onInterrupt = (interrupt) => {
        device.acceptInterrupt();
        listener(interrupt);
      };
      if (!device.interruptPending) return;
      device.acceptInterrupt();
      listener({ kind: "subchannel", subchannelId: device.subchannelId });
    },
  };
}
