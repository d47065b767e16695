/**
 * The parts that the device core has: what is in them, and what a list of parts that comes from
 * anywhere asks of the device.
 */
import { accessors } from "../layout/index.ts";
import type { DeviceQueue } from "../virtqueue/types.ts";
import { FEATURE, type FeatureSet, featureName } from "./features.ts";
import {
  COMMON_PARTS,
  type CommonPartName,
  DEVICE_TYPE_PARTS,
  NO_QUEUE_VECTOR,
  VIRTIO_DEV_PART_VQ_CFG,
} from "./part-layout.ts";
import {
  commonPart,
  commonPartName,
  type DevicePart,
  decodeFeatures,
  describePart,
  encodeFeatures,
  isOptionalPart,
  type PartsHook,
  partKey,
  partRank,
  refuseParts,
  selectorOf,
  viewOf,
} from "./parts.ts";
import { QUEUE_AREAS, type QueueSlot } from "./queue-slot.ts";
import { checkSavedStatus } from "./saved-checks.ts";
import { prepareSlot, type RingInit, type SlotState } from "./saved-queue.ts";
import type { StateChange } from "./saved-state.ts";
import { STATUS } from "./status.ts";

const VQ_CFG = accessors(VIRTIO_DEV_PART_VQ_CFG);
const AREA_FIELDS = {
  descriptorArea: VQ_CFG.queue_desc,
  driverArea: VQ_CFG.queue_driver,
  deviceArea: VQ_CFG.queue_device,
} as const;

/**
 * Features that make a driver rely on what no part can tell: where a packed ring goes on (its wrap
 * counters stand nowhere in memory), and what was settled through administration virtqueues.
 */
const WITHOUT_PARTS: readonly number[] = [FEATURE.VIRTIO_F_RING_PACKED, FEATURE.VIRTIO_F_ADMIN_VQ];

/** Throws while the driver uses a feature whose state no part can tell. */
export function checkTellable(features: FeatureSet, path: string): void {
  const gap = WITHOUT_PARTS.find((bit) => features.has(bit));
  if (gap === undefined) return;
  throw refuseParts(path, `no part tells the state that ${featureName(gap)} brings`, {
    hint: "the member cannot be moved while its driver uses the feature",
  });
}

/** The values that the common parts of the device core have. */
export interface CommonState {
  readonly offered: FeatureSet;
  readonly driverFeatures: FeatureSet;
  readonly status: number;
  /** The queues that there are. */
  readonly slots: readonly QueueSlot[];
  /** The MSI-X vector of a queue, where the transport has such a thing. */
  readonly vectorOf: (queue: number) => number | undefined;
}

/** The common parts of the device core, in order. */
export function commonParts(state: CommonState): DevicePart[] {
  const { offered, driverFeatures, status, slots, vectorOf } = state;
  return [
    commonPart("DEV_FEATURES", encodeFeatures(offered)),
    commonPart("DRV_FEATURES", encodeFeatures(driverFeatures)),
    commonPart("DEVICE_STATUS", Uint8Array.of(status)),
    ...slots.map((slot) =>
      commonPart("VQ_CFG", encodeQueue(slot, vectorOf(slot.index)), slot.index),
    ),
  ];
}

/** A device that is stopped, as far as parts are set on it. */
export interface PartsTarget {
  readonly offered: FeatureSet;
  readonly driverFeatures: FeatureSet;
  readonly status: number;
  /** The queues that there are, by index. */
  readonly slots: readonly QueueSlot[];
  readonly transport: PartsHook | undefined;
  readonly deviceType: PartsHook;
  /** The features in force with this status; throws when they cannot be accepted. */
  readonly accept: (features: FeatureSet, status: number) => FeatureSet;
  /** Makes a queue, or throws; touches no memory. */
  readonly makeQueue: (index: number, ring: RingInit, features: FeatureSet) => DeviceQueue;
}

/** What is to be put in place. */
export interface PreparedParts {
  readonly driverFeatures: FeatureSet;
  /** The features in force. */
  readonly features: FeatureSet;
  readonly status: number;
  /** All the rest. */
  readonly changes: readonly StateChange[];
}

/**
 * Checks a list of parts that comes from anywhere, and changes nothing.
 *
 * @throws VirtioError `DEVICE_PARTS` or `SNAPSHOT`
 */
export function prepareCommonParts(
  parts: readonly DevicePart[],
  target: PartsTarget,
): PreparedParts {
  const { slots, transport, deviceType } = target;
  const plan = planParts(parts, {
    offered: target.offered,
    hasQueue: (index) => index < slots.length,
    transportHasParts: transport?.prepareParts !== undefined,
    deviceTypeHasParts: deviceType.prepareParts !== undefined,
  });
  const driverFeatures = plan.driverFeatures ?? target.driverFeatures;
  const status = plan.status ?? target.status;
  checkSavedStatus(status, "status");
  const features = target.accept(driverFeatures, status);
  checkTellable(features, "driverFeatures");
  const queues = slots.flatMap((slot) => {
    const planned = plan.queues.get(slot.index);
    const isEnabled = (planned?.state ?? { ring: slot.queue }).ring !== undefined;
    if (isEnabled && (status & STATUS.FEATURES_OK) === 0) {
      throw refuseParts("queues", "a queue is enabled without FEATURES_OK", { value: slot.index });
    }
    return planned === undefined ? [] : [prepareQueue(slot, planned, features, target)];
  });
  const ofTransport = transport?.prepareParts?.(plan.ofTransport, features);
  const ofDeviceType = deviceType.prepareParts?.(plan.ofDeviceType, features);
  const others = [ofTransport, ofDeviceType].filter((change) => change !== undefined);
  return { driverFeatures, features, status, changes: [...queues, ...others] };
}

function prepareQueue(
  slot: QueueSlot,
  { state, path }: QueuePlan,
  features: FeatureSet,
  { makeQueue }: PartsTarget,
): StateChange {
  // Rings that parts describe are split: see WITHOUT_PARTS.
  if (!slot.takes(state.size, false)) {
    const message = `the size of the queue is a power of two up to ${slot.maxSize}`;
    throw refuseParts(`${path}.value.queue_size`, message, { value: state.size });
  }
  return prepareSlot(slot, state, path, (ring) => {
    const queue = makeQueue(slot.index, ring, features);
    queue.hold();
    return queue;
  });
}

/** What one queue is to become, and where its part stands. */
interface QueuePlan {
  readonly state: SlotState;
  readonly path: string;
}

/** What a list of parts asks for. What it does not name is absent, and stays. */
interface PartsPlan {
  readonly driverFeatures: FeatureSet | undefined;
  readonly status: number | undefined;
  /** Queues by their indexes. */
  readonly queues: ReadonlyMap<number, QueuePlan>;
  /** What the transport's device half is to check: its own parts, and VQ_CFG. */
  readonly ofTransport: readonly DevicePart[];
  /** What the device type is to check. */
  readonly ofDeviceType: readonly DevicePart[];
}

/** What the device has, as far as a list of parts is judged by it. */
interface PartsContext {
  readonly offered: FeatureSet;
  /** True for the index of a queue that there is. */
  readonly hasQueue: (index: number) => boolean;
  /** The transport has parts of its own. */
  readonly transportHasParts: boolean;
  /** The device type has parts of its own. */
  readonly deviceTypeHasParts: boolean;
}

/**
 * Reads a list of parts: their order, that each is there once, their lengths, and the features that
 * are compared.
 *
 * @throws VirtioError `DEVICE_PARTS`
 */
function planParts(parts: readonly DevicePart[], context: PartsContext): PartsPlan {
  let driverFeatures: FeatureSet | undefined;
  let status: number | undefined;
  const queues = new Map<number, QueuePlan>();
  const ofTransport: DevicePart[] = [];
  const ofDeviceType: DevicePart[] = [];
  const seen = new Set<string>();
  let rank = 0;
  parts.forEach((part, i) => {
    const name = commonPartName(part.type);
    const isThere = isKnown(part, name, context);
    if (!isThere && isOptionalPart(part)) return;
    const path = `parts[${i}]`;
    if (!isThere) {
      throw refuseParts(path, "the device has no such part", { value: describePart(part) });
    }
    const key = partKey(part);
    if (seen.has(key)) {
      throw refuseParts(path, "the part stands there twice", { value: describePart(part) });
    }
    seen.add(key);
    if (name === undefined) {
      ofDeviceType.push(part);
      return;
    }
    if (partRank(part.type) < rank) {
      const message = "the part stands behind one that it has to precede";
      throw refuseParts(path, message, { value: describePart(part) });
    }
    rank = partRank(part.type);
    checkLength(part, name, path);
    switch (name) {
      case "DEV_FEATURES":
        checkDeviceFeatures(part, context.offered, path);
        break;
      case "DRV_FEATURES":
        driverFeatures = decodeFeatures(part.value);
        break;
      case "DEVICE_STATUS":
        status = part.value[0];
        break;
      case "VQ_CFG":
        queues.set(selectorOf(part), { state: decodeQueue(part.value, path), path });
        ofTransport.push(part);
        break;
      case "PCI_COMMON_CFG":
      case "VQ_NOTIFY_CFG":
        ofTransport.push(part);
    }
  });
  return { driverFeatures, status, queues, ofTransport, ofDeviceType };
}

function isKnown(
  part: DevicePart,
  name: CommonPartName | undefined,
  { hasQueue, transportHasParts, deviceTypeHasParts }: PartsContext,
): boolean {
  switch (name) {
    case undefined: {
      const { first, last } = DEVICE_TYPE_PARTS;
      return deviceTypeHasParts && part.type >= first && part.type <= last;
    }
    case "PCI_COMMON_CFG":
      return transportHasParts;
    case "VQ_NOTIFY_CFG":
      return transportHasParts && hasQueue(selectorOf(part));
    case "VQ_CFG":
      return hasQueue(selectorOf(part));
    default:
      return true;
  }
}

function checkLength({ value }: DevicePart, name: CommonPartName, path: string): void {
  const size = COMMON_PARTS[name].value?.size;
  if (size === undefined || size === value.length) return;
  throw refuseParts(`${path}.length`, `${name} has ${size} bytes`, { value: value.length });
}

function checkDeviceFeatures({ value }: DevicePart, offered: FeatureSet, path: string): void {
  const wanted = decodeFeatures(value);
  if (wanted.equals(offered)) return;
  throw refuseParts(`${path}.value`, "the device offers other features", {
    value: String(wanted),
    hint: `the device here offers ${offered}`,
  });
}

function encodeQueue(slot: QueueSlot, vector: number = NO_QUEUE_VECTOR): Uint8Array {
  const view = new DataView(new ArrayBuffer(VIRTIO_DEV_PART_VQ_CFG.size));
  VQ_CFG.queue_size.set(view, 0, slot.size);
  VQ_CFG.vector.set(view, 0, vector);
  VQ_CFG.enabled.set(view, 0, slot.queue === undefined ? 0 : 1);
  for (const area of QUEUE_AREAS) {
    AREA_FIELDS[area].setLow(view, 0, slot.half(area, 0));
    AREA_FIELDS[area].setHigh(view, 0, slot.half(area, 1));
  }
  return new Uint8Array(view.buffer);
}

function decodeQueue(value: Uint8Array, path: string): SlotState {
  const view = viewOf(value);
  const enabled = VQ_CFG.enabled.get(view, 0);
  if (enabled > 1) {
    throw refuseParts(`${path}.value.enabled`, "a queue is enabled, 1, or not, 0", {
      value: enabled,
    });
  }
  const halves = QUEUE_AREAS.map((area) => {
    const field = AREA_FIELDS[area];
    return [field.getLow(view, 0), field.getHigh(view, 0)] as const;
  });
  return {
    size: VQ_CFG.queue_size.get(view, 0),
    halves,
    // Where the ring goes on is read when the device is resumed; until then its memory is not touched.
    ...(enabled === 1 ? { ring: {} } : {}),
  };
}
