/**
 * The device parts of one function: fields of the common configuration, how queues are notified,
 * and the vectors of the queues (section "Common device parts").
 *
 * MSI-X itself, its table, pending bits and Message Control, and the rest of configuration space are
 * no parts: whoever moves a function saves them like those of any other PCI function.
 */
import {
  accessors,
  COMMON_PARTS,
  commonPart,
  type DevicePart,
  describePart,
  isOptionalPart,
  type StateChange,
  selectorOf,
  VIRTIO_DEV_PART_VQ_CFG,
  VIRTIO_DEV_PART_VQ_NOTIFY_DATA,
  VirtioError,
} from "@virtio-admin/core";
import type { CommonConfig, CommonRegisters } from "./common-config.ts";
import { type CommonField, NO_VECTOR, VIRTIO_PCI_COMMON_CFG_LAYOUT } from "./layout.ts";

const VQ_CFG = accessors(VIRTIO_DEV_PART_VQ_CFG);
const NOTIFY = accessors(VIRTIO_DEV_PART_VQ_NOTIFY_DATA);
const FIELDS = VIRTIO_PCI_COMMON_CFG_LAYOUT.fields;
const BY_OFFSET: ReadonlyMap<number, CommonField> = new Map(
  Object.values(FIELDS).map(({ name, offset }) => [offset, name as CommonField]),
);

/** The fields that a driver sets and no other part has. */
const SET_FIELDS = {
  device_feature_select: "deviceFeatureSelect",
  driver_feature_select: "driverFeatureSelect",
  config_msix_vector: "configVector",
  queue_select: "queueSelect",
} as const satisfies Partial<Record<CommonField, keyof CommonRegisters>>;

/**
 * The read-only fields that a driver relies on. They are compared; one that shows what another field
 * selects is, where that one comes along. config_generation is read-only too, and changes by itself.
 */
const COMPARED_FIELDS = {
  device_feature: "device_feature_select",
  num_queues: undefined,
  queue_notify_off: "queue_select",
  queue_notif_config_data: "queue_select",
  admin_queue_index: undefined,
  admin_queue_num: undefined,
} as const satisfies Partial<Record<CommonField, CommonField | undefined>>;

/**
 * The fields that are told, in the order of the structure. All others are windows onto what other
 * parts say, or change by themselves: those that can be written are passed over when they are set.
 */
const TOLD_FIELDS = [
  "device_feature_select",
  "driver_feature_select",
  "config_msix_vector",
  "num_queues",
  "queue_select",
] as const satisfies readonly CommonField[];

const isSet = (name: CommonField): name is keyof typeof SET_FIELDS =>
  Object.hasOwn(SET_FIELDS, name);
const isCompared = (name: CommonField): name is keyof typeof COMPARED_FIELDS =>
  Object.hasOwn(COMPARED_FIELDS, name);

/** The function whose parts they are. */
export interface FunctionPartsOwner {
  /** The common configuration. */
  readonly common: CommonConfig;
  /** How many queues the device has. */
  readonly queueCount: number;
  /** The number of MSI-X vectors now; 0 without MSI-X. */
  readonly vectors: number;
  /** The notification offset of a queue, in units of the multiplier. */
  notifyOffset(queue: number): number;
}

/** The parts that a function adds to those of its device. */
export class FunctionParts {
  readonly #owner: FunctionPartsOwner;

  /** Makes the parts; nothing is read. */
  constructor(owner: FunctionPartsOwner) {
    this.#owner = owner;
  }

  /** The parts now, in order. */
  read(): readonly DevicePart[] {
    const { queueCount, common } = this.#owner;
    const fields = TOLD_FIELDS.map((name) => {
      const { offset, width } = FIELDS[name];
      const value = littleEndian(common.read(offset, width), width);
      return commonPart("PCI_COMMON_CFG", value, offset);
    });
    const queues = Array.from({ length: queueCount }, (_, queue) =>
      commonPart("VQ_NOTIFY_CFG", this.#notifyOf(queue), queue),
    );
    return [...fields, ...queues];
  }

  /**
   * Checks parts and changes nothing; what is read-only is compared and not set.
   *
   * @throws VirtioError `DEVICE_PARTS`
   */
  prepare(parts: readonly DevicePart[]): StateChange {
    const before = this.#owner.common.registers;
    const after = { ...before, queueVectors: [...before.queueVectors] };
    for (const part of parts) {
      switch (part.type) {
        case COMMON_PARTS.PCI_COMMON_CFG.type:
          this.#takeField(part, after);
          break;
        case COMMON_PARTS.VQ_CFG.type: {
          const vector = VQ_CFG.vector.get(viewOf(part.value), 0);
          after.queueVectors[selectorOf(part)] = this.#mapped(part, vector);
          break;
        }
        case COMMON_PARTS.VQ_NOTIFY_CFG.type:
          this.#compareNotify(part);
      }
    }
    const { common } = this.#owner;
    const put = (registers: CommonRegisters) => () => {
      common.registers = registers;
    };
    const change = { apply: put(after), undo: put(before) };
    this.#compareFields(parts, change);
    return change;
  }

  /** Compares what is read-only with what the function shows once the selectors are set. */
  #compareFields(parts: readonly DevicePart[], change: StateChange): void {
    const fields = new Map<CommonField, DevicePart>();
    for (const part of parts) {
      const name = BY_OFFSET.get(selectorOf(part));
      const isField = part.type === COMMON_PARTS.PCI_COMMON_CFG.type;
      if (isField && name !== undefined) fields.set(name, part);
    }
    change.apply();
    try {
      for (const [name, part] of fields) {
        if (!isCompared(name)) continue;
        const selector = COMPARED_FIELDS[name];
        if (selector !== undefined && !fields.has(selector)) continue;
        const here = this.#owner.common.read(FIELDS[name].offset, FIELDS[name].width);
        const there = numberOf(part.value);
        if (there !== here) throw refuse(part, `${name} is ${here} here`, there);
      }
    } finally {
      change.undo();
    }
  }

  #takeField(
    part: DevicePart,
    registers: { -readonly [K in keyof CommonRegisters]: CommonRegisters[K] },
  ): void {
    const name = BY_OFFSET.get(selectorOf(part));
    if (name === undefined) {
      if (isOptionalPart(part)) return;
      throw refuse(part, "there is no such field", selectorOf(part));
    }
    const { width } = FIELDS[name];
    if (part.value.length !== width) {
      throw refuse(part, `${name} has ${width} bytes`, part.value.length);
    }
    if (!isSet(name)) return;
    const value = numberOf(part.value);
    const register = SET_FIELDS[name];
    registers[register] = register === "configVector" ? this.#mapped(part, value) : value;
  }

  /** A driver that was given a vector relies on it: one that is not there cannot be left out. */
  #mapped(part: DevicePart, vector: number): number {
    const vectors = this.#owner.vectors;
    if (vector < vectors || vector === NO_VECTOR) return vector;
    throw refuse(part, `the function here has ${vectors} MSI-X vectors`, vector);
  }

  /** VIRTIO_F_NOTIF_CONFIG_DATA is never offered: without it queue_notif_config_data is 0. */
  #notifyOf(queue: number): Uint8Array {
    const view = new DataView(new ArrayBuffer(VIRTIO_DEV_PART_VQ_NOTIFY_DATA.size));
    NOTIFY.queue_notify_off.set(view, 0, this.#owner.notifyOffset(queue));
    return new Uint8Array(view.buffer);
  }

  /** The driver knows where and with what it notifies, and will not ask again. */
  #compareNotify(part: DevicePart): void {
    const [here, there] = [viewOf(this.#notifyOf(selectorOf(part))), viewOf(part.value)];
    for (const name of ["queue_notify_off", "queue_notif_config_data"] as const) {
      const value = NOTIFY[name].get(there, 0);
      const ours = NOTIFY[name].get(here, 0);
      if (value !== ours) throw refuse(part, `${name} is ${ours} here`, value);
    }
  }
}

function littleEndian(value: number, width: number): Uint8Array {
  return Uint8Array.from({ length: width }, (_, i) => (value >>> (8 * i)) & 0xff);
}

function numberOf(value: Uint8Array): number {
  return value.reduceRight((number, byte) => number * 0x100 + byte, 0);
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

function refuse(part: DevicePart, message: string, value: number): VirtioError {
  return new VirtioError("DEVICE_PARTS", { path: describePart(part), message, value });
}
