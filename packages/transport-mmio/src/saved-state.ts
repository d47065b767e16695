/** What the device half adds to a snapshot of its device; `schema/port.schema.json` describes it. */
import {
  layoutFingerprint,
  type RegisterLayout,
  type StateReader,
  savedInteger,
  savedObject,
  savedSame,
} from "@virtio-admin/core";
import { MMIO_INTERRUPT } from "./layout.ts";

const U32 = 0xffff_ffff;
const EVENTS = MMIO_INTERRUPT.usedBuffer | MMIO_INTERRUPT.configurationChange;

/** The registers of a window that live in it alone, by their names. */
export interface SavedMmio {
  /** The fingerprint of the layout: a driver has its registers at fixed places. */
  readonly layout: string;
  /** The 32 feature bits that DeviceFeatures shows. */
  readonly DeviceFeaturesSel: number;
  /** The 32 feature bits that DriverFeatures writes. */
  readonly DriverFeaturesSel: number;
  /** The queue that queue registers are of. */
  readonly QueueSel: number;
  /** The events that the driver has not acknowledged. */
  readonly InterruptStatus: number;
}

/** Reads what a window with this layout can take. */
export function savedMmio(layout: RegisterLayout): StateReader<SavedMmio> {
  return savedObject<SavedMmio>({
    layout: savedSame(layoutFingerprint(layout), "the layout of the registers"),
    DeviceFeaturesSel: savedInteger(0, U32),
    DriverFeaturesSel: savedInteger(0, U32),
    QueueSel: savedInteger(0, U32),
    InterruptStatus: savedInteger(0, EVENTS),
  });
}
