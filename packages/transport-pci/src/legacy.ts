/**
 * The legacy registers of one function: what each of them does when a legacy driver, or the owner on
 * its behalf, reads or writes it. There is no I/O BAR here: a virtual function has none, so that its
 * owner's legacy access commands are the only way to them.
 *
 * An access may be of a part of a register. Reading a part reads those bytes; writing one leaves the
 * others as they read. The selected queue is this interface's own; vectors and ISR status are those
 * of the function.
 */
import type {
  ConfigField,
  Field,
  LegacyFacingDevice,
  LegacyMember,
  LegacyNotifyPlace,
  LegacyRegisters,
  TransportFacingDevice,
} from "@virtio-admin/core";
import type { EventVectors } from "./common-config.ts";
import {
  LEGACY_QUEUE_ALIGNMENT,
  type LegacyField,
  VIRTIO_PCI_LEGACY_LAYOUT,
  VIRTIO_PCI_LEGACY_MSIX_LAYOUT,
} from "./legacy-layout.ts";

/** What a register does; which direction a driver may use is the layout's to say. */
interface Behaviour {
  readonly read: () => number;
  readonly write?: (value: number) => void;
}

/** What the legacy registers need to know besides the device. */
export interface LegacyConfigInit {
  /** The device behind the registers. */
  readonly device: TransportFacingDevice;
  /** Its legacy interface. */
  readonly legacy: LegacyFacingDevice;
  /** True while MSI-X Enable is set: there are two more registers then. */
  readonly msixEnabled: () => boolean;
  /** The vectors of events. */
  readonly vectors: EventVectors;
  /** Reads ISR status, which resets it. */
  readonly readIsrStatus: () => number;
  /** A notification of a queue. */
  readonly notify: (queue: number) => void;
  /** Where the function is notified in BARs, now. */
  readonly places: () => readonly LegacyNotifyPlace[];
}

const WIDEST = 4;

/** The legacy registers of one function, as its owner reaches them. */
export class LegacyConfig implements LegacyMember {
  /** The common configuration, 20 bytes, or 24 while MSI-X is enabled. */
  readonly common: LegacyRegisters;
  /** The device-specific configuration. */
  readonly config: LegacyRegisters;

  readonly #init: LegacyConfigInit;
  readonly #behaviours: Readonly<Record<LegacyField, Behaviour>>;
  /** Scratch for one register. */
  readonly #bytes = new Uint8Array(WIDEST);
  readonly #view = new DataView(this.#bytes.buffer);
  #queueSelect = 0;

  /** Makes the registers; nothing of the device is touched. */
  constructor(init: LegacyConfigInit) {
    const { device, legacy } = init;
    this.#init = init;
    this.#behaviours = this.#makeBehaviours();
    this.common = {
      field: (offset) => this.#fieldAt(offset),
      read: (offset, target) => this.#read(offset, target),
      write: (offset, source) => this.#write(offset, source),
    };
    this.config = {
      field: (offset) => legacy.configField(offset),
      read: (offset, target) => device.readConfig(offset, target),
      write: (offset, source) => legacy.writeConfig(offset, source.slice()),
    };
  }

  /** See {@link LegacyMember.notifyPlaces}. */
  get notifyPlaces(): readonly LegacyNotifyPlace[] {
    return this.#init.places();
  }

  /** The selected queue. */
  get queueSelect(): number {
    return this.#queueSelect;
  }

  set queueSelect(queue: number) {
    this.#queueSelect = queue;
  }

  /** Puts the selected queue back to its reset value. */
  reset(): void {
    this.#queueSelect = 0;
  }

  #fieldAt(offset: number): Field | undefined {
    const { fields } = this.#init.msixEnabled()
      ? VIRTIO_PCI_LEGACY_MSIX_LAYOUT
      : VIRTIO_PCI_LEGACY_LAYOUT;
    return Object.values<Field>(fields).find((field) => holds(field, offset));
  }

  #read(offset: number, target: Uint8Array): void {
    const field = this.#fieldAt(offset);
    if (field === undefined) return;
    this.#view.setUint32(0, this.#behaviourOf(field).read(), true);
    const from = offset - field.offset;
    target.set(this.#bytes.subarray(from, from + target.length));
  }

  #write(offset: number, source: Uint8Array): void {
    const field = this.#fieldAt(offset);
    if (field === undefined || field.access === "R") return;
    const { read, write } = this.#behaviourOf(field);
    this.#view.setUint32(0, source.length < field.width ? read() : 0, true);
    this.#bytes.set(source, offset - field.offset);
    write?.(this.#view.getUint32(0, true));
  }

  #behaviourOf({ name }: Field): Behaviour {
    return this.#behaviours[name as LegacyField];
  }

  #makeBehaviours(): Readonly<Record<LegacyField, Behaviour>> {
    const { device, legacy, vectors, readIsrStatus, notify } = this.#init;
    return {
      device_features: { read: () => legacy.offeredFeatures },
      driver_features: {
        read: () => legacy.driverFeatures,
        write: (value) => legacy.writeDriverFeatures(value),
      },
      queue_address: {
        read: () => legacy.queueAddress(this.#queueSelect) / LEGACY_QUEUE_ALIGNMENT,
        write: (value) =>
          legacy.setQueueAddress(
            this.#queueSelect,
            value * LEGACY_QUEUE_ALIGNMENT,
            LEGACY_QUEUE_ALIGNMENT,
          ),
      },
      queue_size: { read: () => device.queueSize(this.#queueSelect) },
      queue_select: {
        read: () => this.#queueSelect,
        write: (value) => {
          this.#queueSelect = value;
        },
      },
      queue_notify: { read: () => 0, write: notify },
      device_status: {
        read: () => device.status,
        write: (value) => legacy.writeStatus(value),
      },
      isr_status: { read: readIsrStatus },
      config_msix_vector: {
        read: () => vectors.configVector,
        write: (value) => vectors.setConfigVector(value),
      },
      queue_msix_vector: {
        read: () => vectors.queueVector(this.#queueSelect),
        write: (value) => vectors.setQueueVector(this.#queueSelect, value),
      },
    };
  }
}

function holds({ offset: start, width }: ConfigField, offset: number): boolean {
  return offset >= start && offset < start + width;
}
