/**
 * The common configuration structure: what each of its fields does when the driver reads or writes
 * it (section "Common configuration structure layout").
 *
 * A driver must access a field in its own width, a 64-bit one as two dwords. What another access
 * does is left open by the text; here it reads 0 and is ignored.
 */
import type { QueueArea, TransportFacingDevice } from "@virtio-admin/core";
import { type CommonField, NO_VECTOR, VIRTIO_PCI_COMMON_CFG_LAYOUT } from "./layout.ts";

/** What a field does; which direction a driver may use is the layout's to say. */
interface Behaviour {
  readonly read: (common: CommonConfig) => number;
  readonly write?: (common: CommonConfig, value: number) => void;
}

interface Register {
  readonly name: string;
  readonly width: number;
  readonly read: Behaviour["read"];
  readonly write: Behaviour["write"] | undefined;
  /** The feature without which the field does not exist. */
  readonly feature: number | undefined;
}

/** The registers that a driver sets here and that live nowhere else. */
export interface CommonRegisters {
  /** device_feature_select. */
  readonly deviceFeatureSelect: number;
  /** driver_feature_select. */
  readonly driverFeatureSelect: number;
  /** config_msix_vector. */
  readonly configVector: number;
  /** queue_select. */
  readonly queueSelect: number;
  /** queue_msix_vector of every queue; shorter than their number, absent ones are unmapped. */
  readonly queueVectors: readonly number[];
}

/** The function whose common configuration it is. */
export interface CommonConfigOwner {
  /** The device behind the registers. */
  readonly device: TransportFacingDevice;
  /** The number of MSI-X vectors now; 0 without MSI-X. */
  readonly vectors: number;
  /** config_generation as the driver sees it. */
  readonly generation: number;
  /**
   * False where another structure has the place of the administration virtqueue (the dialect
   * proposal-v5): admin_queue_index and admin_queue_num read 0, which is none.
   */
  readonly tellsAdminPlace: boolean;
  /** The notification offset of a queue, in units of the multiplier. */
  notifyOffset(queue: number): number;
  /** Called when the driver wrote device_status. */
  statusWritten(): void;
}

/** The MSI-X vectors of a function's events. */
export interface EventVectors {
  /** The vector of configuration change notifications, or NO_VECTOR. */
  readonly configVector: number;
  /** Maps configuration change notifications; NO_VECTOR, or a vector that there is not, unmaps them. */
  setConfigVector(vector: number): void;
  /** The vector of a queue, or NO_VECTOR. */
  queueVector(queue: number): number;
  /** Maps a queue; NO_VECTOR, or a vector that there is not, unmaps it. Ignored for no queue. */
  setQueueVector(queue: number, vector: number): void;
}

const DWORD = 4;
/** Counts of 0x10000 do not fit their fields. */
const LARGEST_LE16 = 0xffff;
const AREAS = {
  queue_desc: "descriptorArea",
  queue_driver: "driverArea",
  queue_device: "deviceArea",
} as const satisfies Partial<Record<CommonField, QueueArea>>;

type AreaField = keyof typeof AREAS;

/** The registers of the common configuration structure of one function. */
export class CommonConfig implements EventVectors {
  readonly #owner: CommonConfigOwner;
  /** The vector of queue `i`; shorter than the number of queues, absent ones are unmapped. */
  #queueVectors: number[] = [];
  #configVector = NO_VECTOR;
  #deviceFeatureSelect = 0;
  #driverFeatureSelect = 0;
  #queueSelect = 0;

  /** Makes the registers; nothing of the device is touched. */
  constructor(owner: CommonConfigOwner) {
    this.#owner = owner;
  }

  /** Reads `size` bytes at `offset`. */
  read(offset: number, size: number): number {
    const register = CommonConfig.#registers[offset];
    if (register === undefined || register.width !== size || !this.#exists(register)) return 0;
    return register.read(this) >>> 0;
  }

  /** Writes `size` bytes at `offset`. */
  write(offset: number, size: number, value: number): void {
    const register = CommonConfig.#registers[offset];
    if (register === undefined || register.width !== size || !this.#exists(register)) return;
    register.write?.(this, value >>> 0);
  }

  /** The name of the field at `offset`, for traces. */
  static nameAt(offset: number): string | undefined {
    return CommonConfig.#registers[offset]?.name;
  }

  /** What the driver has set; may be set as a whole, with vectors that there are. */
  get registers(): CommonRegisters {
    return {
      deviceFeatureSelect: this.#deviceFeatureSelect,
      driverFeatureSelect: this.#driverFeatureSelect,
      configVector: this.#configVector,
      queueSelect: this.#queueSelect,
      queueVectors: [...this.#queueVectors],
    };
  }

  set registers(registers: CommonRegisters) {
    this.#deviceFeatureSelect = registers.deviceFeatureSelect;
    this.#driverFeatureSelect = registers.driverFeatureSelect;
    this.#configVector = registers.configVector;
    this.#queueSelect = registers.queueSelect;
    this.#queueVectors = Array.from(registers.queueVectors, (vector) => vector ?? NO_VECTOR);
  }

  /** The vector of configuration change notifications, or NO_VECTOR. */
  get configVector(): number {
    return this.#configVector;
  }

  /** See {@link EventVectors.setConfigVector}. */
  setConfigVector(vector: number): void {
    this.#configVector = this.#mapped(vector);
  }

  /** The vector of a queue, or NO_VECTOR. */
  queueVector(queue: number): number {
    return this.#queueVectors[queue] ?? NO_VECTOR;
  }

  /** See {@link EventVectors.setQueueVector}. */
  setQueueVector(queue: number, vector: number): void {
    if (this.#device.queueSizeMax(queue) === 0) return;
    for (let i = this.#queueVectors.length; i < queue; i++) this.#queueVectors.push(NO_VECTOR);
    this.#queueVectors[queue] = this.#mapped(vector);
  }

  /** Unmaps every event: the vectors that there are have changed. */
  unmapVectors(): void {
    this.#queueVectors = [];
    this.#configVector = NO_VECTOR;
  }

  /** Puts selectors and vectors back to their reset values. */
  reset(): void {
    this.unmapVectors();
    this.#deviceFeatureSelect = 0;
    this.#driverFeatureSelect = 0;
    this.#queueSelect = 0;
  }

  #exists(register: Register): boolean {
    return register.feature === undefined || this.#device.negotiated(register.feature);
  }

  /** A vector that the table has, or NO_VECTOR: how a failed mapping is reported. */
  #mapped(vector: number): number {
    return vector < this.#owner.vectors ? vector : NO_VECTOR;
  }

  #resetQueue(): void {
    const queue = this.#queueSelect;
    this.#device.resetQueue(queue);
    if (queue < this.#queueVectors.length) this.#queueVectors[queue] = NO_VECTOR;
  }

  get #device(): TransportFacingDevice {
    return this.#owner.device;
  }

  static readonly #behaviours: Readonly<Record<Exclude<CommonField, AreaField>, Behaviour>> = {
    device_feature_select: {
      read: (common) => common.#deviceFeatureSelect,
      write: (common, value) => {
        common.#deviceFeatureSelect = value;
      },
    },
    device_feature: {
      read: (common) => common.#device.offeredFeatures.word(common.#deviceFeatureSelect),
    },
    driver_feature_select: {
      read: (common) => common.#driverFeatureSelect,
      write: (common, value) => {
        common.#driverFeatureSelect = value;
      },
    },
    driver_feature: {
      read: (common) => common.#device.driverFeatures.word(common.#driverFeatureSelect),
      write: (common, value) =>
        common.#device.writeDriverFeatures(common.#driverFeatureSelect, value),
    },
    config_msix_vector: {
      read: (common) => common.#configVector,
      write: (common, value) => common.setConfigVector(value),
    },
    num_queues: { read: (common) => Math.min(common.#device.queueCount, LARGEST_LE16) },
    device_status: {
      read: (common) => common.#device.status,
      write: (common, value) => {
        common.#device.writeStatus(value);
        common.#owner.statusWritten();
      },
    },
    config_generation: { read: (common) => common.#owner.generation },
    queue_select: {
      read: (common) => common.#queueSelect,
      write: (common, value) => {
        common.#queueSelect = value;
      },
    },
    queue_size: {
      read: (common) => common.#device.queueSize(common.#queueSelect),
      write: (common, value) => common.#device.setQueueSize(common.#queueSelect, value),
    },
    queue_msix_vector: {
      read: (common) => common.queueVector(common.#queueSelect),
      write: (common, value) => common.setQueueVector(common.#queueSelect, value),
    },
    queue_enable: {
      read: (common) => (common.#device.queueEnabled(common.#queueSelect) ? 1 : 0),
      // The driver never writes 0: a queue is stopped through queue_reset.
      write: (common, value) => {
        if (value === 1) common.#device.enableQueue(common.#queueSelect);
      },
    },
    queue_notify_off: {
      read: (common) =>
        common.#device.queueSizeMax(common.#queueSelect) === 0
          ? 0
          : common.#owner.notifyOffset(common.#queueSelect),
    },
    queue_notif_config_data: { read: (common) => common.#queueSelect },
    queue_reset: {
      // The reset is over when the write returns, so the field never reads 1.
      read: () => 0,
      write: (common, value) => {
        if (value === 1) common.#resetQueue();
      },
    },
    admin_queue_index: {
      read: (common) => (common.#owner.tellsAdminPlace ? common.#device.adminQueueIndex : 0),
    },
    admin_queue_num: {
      read: (common) =>
        common.#owner.tellsAdminPlace ? Math.min(common.#device.adminQueueNum, LARGEST_LE16) : 0,
    },
  };

  /** By byte offset; halves of 64-bit fields have a register each. */
  static readonly #registers: readonly (Register | undefined)[] = CommonConfig.#makeRegisters();

  static #makeRegisters(): (Register | undefined)[] {
    const registers: (Register | undefined)[] = [];
    for (const field of Object.values(VIRTIO_PCI_COMMON_CFG_LAYOUT.fields)) {
      const { name, offset, width } = field;
      if (name in AREAS) {
        registers[offset] = CommonConfig.#areaRegister(name as AreaField, 0);
        registers[offset + DWORD] = CommonConfig.#areaRegister(name as AreaField, 1);
        continue;
      }
      const { read, write } = CommonConfig.#behaviours[name as Exclude<CommonField, AreaField>];
      registers[offset] = {
        name,
        width,
        read,
        write: field.access === "R" ? undefined : write,
        feature: field.gate?.feature,
      };
    }
    return registers;
  }

  static #areaRegister(name: AreaField, half: 0 | 1): Register {
    const area = AREAS[name];
    return {
      name: half === 0 ? `${name}.low` : `${name}.high`,
      width: DWORD,
      read: (common) => common.#device.queueAddress(common.#queueSelect, area, half),
      write: (common, value) =>
        common.#device.setQueueAddress(common.#queueSelect, area, half, value),
      feature: undefined,
    };
  }
}
