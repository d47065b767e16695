/** What a driver asks of bring-up. */
import type { FeatureDependency } from "../device/feature-rules.ts";
import { RING_FEATURES } from "../device/feature-rules.ts";
import { FEATURE } from "../device/features.ts";
import { VirtioError } from "../errors.ts";

/** One virtqueue that a driver uses. */
export interface DriverQueueOption {
  /** Its index in the device. */
  readonly index: number;
  /**
   * How many entries it is given; {@link DEFAULT_QUEUE_SIZE} unless given. The device's maximum
   * lowers it. A power of two, but for drivers that require VIRTIO_F_RING_PACKED.
   */
  readonly size?: number;
}

/** How many administration virtqueues a driver uses, and whether it can do without. */
export interface AdminQueueOption {
  /** How many to set up; `all` for as many as there are. Fewer are set up where there are fewer. */
  readonly count: number | "all";
  /** Whether bring-up fails where there is none. */
  readonly required: boolean;
  /** The size of each, as in {@link DriverQueueOption.size}. */
  readonly size?: number;
}

/** What {@link bringUp} is told. */
export interface BringUpOptions {
  /** The device id that is expected; any unless given. */
  readonly deviceId?: number;
  /** The device-type feature bits that the driver knows and wants. */
  readonly features?: readonly number[];
  /** What those feature bits require, where they require another. */
  readonly featureDependencies?: readonly FeatureDependency[];
  /** The device-independent feature bits that it wants; {@link DRIVER_FEATURES} unless given. */
  readonly ringFeatures?: readonly number[];
  /** Feature bits that the driver cannot do without; they are wanted too. */
  readonly requiredFeatures?: readonly number[];
  /** The virtqueues to set up. */
  readonly queues: readonly DriverQueueOption[];
  /**
   * The administration virtqueues to set up; none unless given. A number above 0 and `all` mean
   * that they are required.
   */
  readonly adminQueues?: number | "all" | AdminQueueOption;
  /**
   * Believe the length of a used buffer of a packed ring whether or not the device sets
   * VIRTQ_DESC_F_WRITE beside it. False unless given: without the flag a length is reserved, and what
   * the device has written is none (section "Packed Virtqueues / Element Address and Length"). QEMU
   * never sets it, up to 11.1 at least.
   */
  readonly unflaggedLengths?: boolean;
  /** How long one operation of the transport may take, in milliseconds; 10000 unless given. */
  readonly timeout?: number;
}

/** The size of a virtqueue where the driver asks for none. */
export const DEFAULT_QUEUE_SIZE = 256;

/** The device-independent features that a driver accepts by default, where they are offered. */
export const DRIVER_FEATURES: readonly number[] = [
  ...RING_FEATURES,
  FEATURE.VIRTIO_F_RING_PACKED,
  FEATURE.VIRTIO_F_IN_ORDER,
  FEATURE.VIRTIO_F_NOTIFICATION_DATA,
  FEATURE.VIRTIO_F_NOTIF_CONFIG_DATA,
  FEATURE.VIRTIO_F_ACCESS_PLATFORM,
  FEATURE.VIRTIO_F_ORDER_PLATFORM,
];

const DEFAULT_TIMEOUT = 10_000;
const HIGHEST_QUEUE_INDEX = 0xffff;

/** {@link BringUpOptions} with every default in its place. */
export interface Plan {
  readonly deviceId: number | undefined;
  readonly features: readonly number[];
  readonly featureDependencies: readonly FeatureDependency[];
  readonly requiredFeatures: readonly number[];
  readonly queues: readonly Required<DriverQueueOption>[];
  readonly admin: Required<AdminQueueOption>;
  readonly unflaggedLengths: boolean;
  readonly timeout: number;
}

/**
 * Checks the options and puts the defaults in.
 *
 * @throws VirtioError `VALUE_RANGE` or `QUEUE_SIZE` with the path of the option at fault.
 */
export function planOf(options: BringUpOptions): Plan {
  const required = options.requiredFeatures ?? [];
  const packed = required.includes(FEATURE.VIRTIO_F_RING_PACKED);
  const queues = options.queues.map(({ index, size }, i) => {
    if (!Number.isInteger(index) || index < 0 || index > HIGHEST_QUEUE_INDEX) {
      throw invalid(`queues[${i}].index`, "a virtqueue index is 0 to 65535", index);
    }
    return { index, size: sizeOf(`queues[${i}].size`, packed, size) };
  });
  queues.forEach(({ index }, i) => {
    if (queues.findIndex((other) => other.index === index) !== i) {
      throw invalid(`queues[${i}].index`, "the virtqueue is named twice", index);
    }
  });
  const timeout = options.timeout ?? DEFAULT_TIMEOUT;
  if (!(timeout > 0)) throw invalid("timeout", "a time limit is more than 0 ms", timeout);
  return {
    deviceId: options.deviceId,
    features: [
      ...(options.features ?? []),
      ...(options.ringFeatures ?? DRIVER_FEATURES),
      ...required,
    ],
    featureDependencies: options.featureDependencies ?? [],
    requiredFeatures: required,
    queues,
    admin: adminOf(options.adminQueues ?? 0, packed),
    unflaggedLengths: options.unflaggedLengths ?? false,
    timeout,
  };
}

function adminOf(
  option: number | "all" | AdminQueueOption,
  packed: boolean,
): Required<AdminQueueOption> {
  const asked = typeof option === "object" ? option : { count: option, required: option !== 0 };
  const { count } = asked;
  if (count !== "all" && !(Number.isInteger(count) && count >= 0 && count <= HIGHEST_QUEUE_INDEX)) {
    throw invalid("adminQueues", "a number of administration virtqueues is 0 to 65535", count);
  }
  const size = sizeOf("adminQueues.size", packed, asked.size);
  return { count, required: asked.required && count !== 0, size };
}

function sizeOf(path: string, packed: boolean, size: number = DEFAULT_QUEUE_SIZE): number {
  const isSize = Number.isInteger(size) && size >= 1 && size <= 0x8000;
  if (isSize && (packed || (size & (size - 1)) === 0)) return size;
  throw new VirtioError("QUEUE_SIZE", {
    message: packed ? "a queue size is 1 to 32768" : "a queue size is a power of two up to 32768",
    path,
    value: size,
    ...(isSize ? { hint: "require VIRTIO_F_RING_PACKED for any other size" } : {}),
  });
}

function invalid(path: string, message: string, value: unknown): VirtioError {
  return new VirtioError("VALUE_RANGE", { message, path, value });
}
