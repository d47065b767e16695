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

/**
 * The fields that are parts of their own. All others are windows onto what other parts say, or
 * change by themselves: they are not read, and passed over when they are set.
 */
const FIELD_PARTS = {
  device_feature_select: "deviceFeatureSelect",
  driver_feature_select: "driverFeatureSelect",
  config_msix_vector: "configVector",
  num_queues: "invariant",
  queue_select: "queueSelect",
} as const satisfies Partial<Record<CommonField, keyof CommonRegisters | "invariant">>;

/** A number of queues of 0x10000 does not fit its field. */
const LARGEST_LE16 = 0xffff;

type FieldPart = keyof typeof FIELD_PARTS;

const isFieldPart = (name: CommonField): name is FieldPart => Object.hasOwn(FIELD_PARTS, name);

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
    const { queueCount } = this.#owner;
    const registers = this.#owner.common.registers;
    const fields = (Object.keys(FIELD_PARTS) as FieldPart[]).map((name) => {
      const { offset, width } = FIELDS[name];
      return commonPart(
        "PCI_COMMON_CFG",
        littleEndian(this.#valueOf(name, registers), width),
        offset,
      );
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
    return { apply: put(after), undo: put(before) };
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
    if (!isFieldPart(name)) return;
    const value = numberOf(part.value);
    const register = FIELD_PARTS[name];
    if (register === "invariant") {
      const here = this.#valueOf(name, registers);
      if (value !== here) throw refuse(part, `${name} is ${here} here`, value);
    } else {
      registers[register] = register === "configVector" ? this.#mapped(part, value) : value;
    }
  }

  #valueOf(name: FieldPart, registers: CommonRegisters): number {
    const register = FIELD_PARTS[name];
    if (register !== "invariant") return registers[register];
    return Math.min(this.#owner.queueCount, LARGEST_LE16);
  }

  /** A driver that was given a vector relies on it: one that is not there cannot be left out. */
  #mapped(part: DevicePart, vector: number): number {
    const vectors = this.#owner.vectors;
    if (vector < vectors || vector === NO_VECTOR) return vector;
    throw refuse(part, `the function here has ${vectors} MSI-X vectors`, vector);
  }

  #notifyOf(queue: number): Uint8Array {
    const view = new DataView(new ArrayBuffer(VIRTIO_DEV_PART_VQ_NOTIFY_DATA.size));
    NOTIFY.queue_notify_off.set(view, 0, this.#owner.notifyOffset(queue));
    return new Uint8Array(view.buffer);
  }

  /** The driver knows where it notifies, and will not ask again. */
  #compareNotify(part: DevicePart): void {
    const here = this.#owner.notifyOffset(selectorOf(part));
    const there = NOTIFY.queue_notify_off.get(viewOf(part.value), 0);
    if (there !== here) throw refuse(part, `queue_notify_off is ${here} here`, there);
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
