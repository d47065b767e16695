/**
 * The device status field: its bits and which writes of the driver are legal, as data (sections
 * "Device Status Field" and "Device Initialization").
 */

/** The device status bits by their names in the specification. */
export const STATUS = {
  /** The driver has found the device and knows it for a virtio device. */
  ACKNOWLEDGE: 0x01,
  /** The driver knows how to drive it. */
  DRIVER: 0x02,
  /** The driver is set up: the device may use buffers and send notifications. */
  DRIVER_OK: 0x04,
  /** The driver has accepted its features; set only when the device agrees. */
  FEATURES_OK: 0x08,
  /** The device is suspended; never set here. */
  SUSPEND: 0x10,
  /** The device cannot go on without a reset; set by the device. */
  DEVICE_NEEDS_RESET: 0x40,
  /** The driver has given up. */
  FAILED: 0x80,
} as const;

/** What must hold before the driver may set one status bit. */
export interface StatusRule {
  /** The bit. */
  readonly bit: number;
  /** Bits that are set already, or with the same write. */
  readonly with: number;
  /** Bits that the driver has seen set: they stood before the write. */
  readonly after: number;
}

/**
 * The order in which a driver sets status bits. FEATURES_OK has to stand before DRIVER_OK is
 * written, because the driver reads it back to learn whether the device took the features.
 */
export const STATUS_RULES: readonly StatusRule[] = [
  { bit: STATUS.ACKNOWLEDGE, with: 0, after: 0 },
  { bit: STATUS.DRIVER, with: STATUS.ACKNOWLEDGE, after: 0 },
  { bit: STATUS.FEATURES_OK, with: STATUS.ACKNOWLEDGE | STATUS.DRIVER, after: 0 },
  { bit: STATUS.DRIVER_OK, with: 0, after: STATUS.FEATURES_OK },
  { bit: STATUS.FAILED, with: 0, after: 0 },
];

/**
 * The bits that a driver's write is judged by. The others are not its to change and are passed
 * over: DEVICE_NEEDS_RESET is the device's, and may rise between a driver's read and its write;
 * SUSPEND is ignored while VIRTIO_F_SUSPEND is not negotiated; the rest are reserved.
 */
export const DRIVER_STATUS_BITS: number = STATUS_RULES.reduce((bits, { bit }) => bits | bit, 0);

/** The write was 0: it resets the device. */
export interface StatusReset {
  /** Tells the verdicts apart. */
  readonly kind: "reset";
}

/** The write breaks a rule, and changes nothing. */
export interface StatusRefusal {
  /** Tells the verdicts apart. */
  readonly kind: "refused";
  /** The rule, in words. */
  readonly why: string;
}

/** The write sets bits, or repeats what stands. */
export interface StatusChange {
  /** Tells the verdicts apart. */
  readonly kind: "set";
  /** The bits that it sets anew; 0 when none. */
  readonly bits: number;
}

/** What a status write comes to. */
export type StatusVerdict = StatusReset | StatusRefusal | StatusChange;

/**
 * Judges a write of `value` over `current`: a reset, a refusal, or the driver's bits that it sets
 * anew (0 when it repeats what stands).
 */
export function judgeStatusWrite(current: number, value: number): StatusVerdict {
  if (value === 0) return { kind: "reset" };
  const wanted = value & DRIVER_STATUS_BITS;
  const cleared = current & DRIVER_STATUS_BITS & ~wanted;
  if (cleared !== 0) return { kind: "refused", why: `clears ${statusNames(cleared)}` };
  const added = wanted & ~current;
  if ((current & STATUS.FAILED) !== 0 && added !== 0) {
    return { kind: "refused", why: `sets ${statusNames(added)} after FAILED` };
  }
  for (const rule of STATUS_RULES) {
    if ((added & rule.bit) === 0) continue;
    const missing = (rule.with & ~(current | wanted)) | (rule.after & ~current);
    if (missing !== 0) {
      return {
        kind: "refused",
        why: `sets ${statusNames(rule.bit)} before ${statusNames(missing)}`,
      };
    }
  }
  return { kind: "set", bits: added };
}

/** True for a device that its driver has begun to use, with DRIVER_OK or as a legacy driver. */
export function isUsed({
  status,
  legacy,
}: {
  readonly status: number;
  readonly legacy?: { readonly inUse: boolean } | undefined;
}): boolean {
  return (status & STATUS.DRIVER_OK) !== 0 || legacy?.inUse === true;
}

/** The bits of a status byte by name: `ACKNOWLEDGE | DRIVER`; `0` for none. */
export function statusNames(status: number): string {
  const names: string[] = [];
  let rest = status;
  for (const [name, bit] of Object.entries(STATUS)) {
    if ((status & bit) !== 0) names.push(name);
    rest &= ~bit;
  }
  if (rest !== 0) names.push(`0x${(rest >>> 0).toString(16)}`);
  return names.length === 0 ? "0" : names.join(" | ");
}
