/** What the device half adds to a snapshot of its device; `schema/port.schema.json` describes it. */
import {
  addressFromHex,
  refuseState,
  type StateReader,
  savedAddress,
  savedAscending,
  savedBoolean,
  savedInteger,
  savedList,
  savedObject,
  savedSame,
} from "@virtio-admin/core";
import type { CommonRegisters } from "./common-config.ts";
import { BAR_COUNT, NO_VECTOR, VIRTIO_PCI_ISR_LAYOUT } from "./layout.ts";
import type { SavedRegisters } from "./writable-registers.ts";

const U8 = 0xff;
const U16 = 0xffff;
const U32 = 0xffff_ffff;
const ISR = VIRTIO_PCI_ISR_LAYOUT.fields.isr_status.bits;
/** Messages are dwords. */
const MESSAGE_ALIGNMENT = 4;
const ISR_BITS = ISR.queue_interrupt.mask | ISR.device_configuration_interrupt.mask;

/** The selectors and vectors of the common configuration. */
export interface SavedCommon {
  /** The 32 feature bits that device_feature shows. */
  readonly device_feature_select: number;
  /** The 32 feature bits that driver_feature shows and writes. */
  readonly driver_feature_select: number;
  /** The vector of configuration changes; 0xffff for none. */
  readonly config_msix_vector: number;
  /** The queue that queue registers are of. */
  readonly queue_select: number;
  /** The vector of every queue up to the last that has one; 0xffff for none. */
  readonly queue_msix_vector: readonly number[];
}

/** One entry of an MSI-X table. */
export interface SavedMsixEntry {
  /** Its vector. */
  readonly vector: number;
  /** Where its message goes, of 64 bits, a multiple of 4. */
  readonly address: string;
  /** What its message is. */
  readonly data: number;
  /** True while it is masked. */
  readonly masked: boolean;
}

/** An MSI-X table; what stands in Message Control is in the configuration registers. */
export interface SavedMsix {
  /** The entries that are not as after a reset, by their vectors in ascending order. */
  readonly table: readonly SavedMsixEntry[];
  /** The vectors whose messages wait, in ascending order. */
  readonly pending: readonly number[];
}

/** What config_generation reads, and since when. */
export interface SavedGeneration {
  /** What it reads. */
  readonly config_generation: number;
  /** The device's own count when it was raised last. */
  readonly of: number;
}

/** The SR-IOV registers that a driver writes. */
export interface SavedSriov {
  /** True once VIRTIO_F_SR_IOV was negotiated. */
  readonly negotiated: boolean;
  /** SR-IOV Control: VF Enable, VF MSE, ARI Capable Hierarchy. */
  readonly control: number;
  /** NumVFs. */
  readonly num_vfs: number;
  /** System Page Size. */
  readonly system_page_size: number;
  /** The address bits of VF BAR 0 to 5. */
  readonly vf_bar: readonly number[];
}

/** The registers of one function that live in it alone; those as after a reset are left out. */
export interface SavedPci {
  /** The fingerprint of what the driver found and cannot change: ids, BARs, capabilities, MSI-X. */
  readonly layout: string;
  /** The registers of configuration space below the extended capabilities. */
  readonly config?: SavedRegisters;
  /** The selectors and vectors of the common configuration. */
  readonly common?: SavedCommon;
  /** Present where there is a device-specific configuration. */
  readonly generation?: SavedGeneration;
  /** ISR status. */
  readonly isr_status?: number;
  /** The MSI-X table. */
  readonly msix?: SavedMsix;
  /** The queue that is selected in the legacy interface. */
  readonly legacy_queue_select?: number;
  /** The queues that were notified while the function was no bus master, the first one first. */
  readonly waiting?: readonly number[];
  /** Present on a physical function. */
  readonly sriov?: SavedSriov;
}

/** What a function can take. */
export interface PciTarget {
  /** The fingerprint of the function. */
  readonly layout: string;
  /** How many MSI-X vectors it has; 0 without MSI-X. */
  readonly vectors: number;
  /** How many queues its device has, administration virtqueues included. */
  readonly queues: number;
  /** True when there is a device-specific configuration. */
  readonly hasConfig: boolean;
  /** True when it has a legacy interface. */
  readonly hasLegacy: boolean;
  /** True for a physical function. */
  readonly isPhysical: boolean;
}

/** Reads the state of a function. What configuration registers hold is theirs to check. */
export function savedPci(target: PciTarget): StateReader<SavedPci> {
  const { layout, vectors, queues, hasConfig, hasLegacy, isPhysical } = target;
  return savedObject<SavedPci>(
    {
      layout: savedSame(layout, "the function"),
      config: (value) => value as SavedRegisters,
      common: common(vectors, queues),
      generation: hasConfig ? generation : nothing,
      isr_status: savedInteger(0, ISR_BITS),
      msix: vectors > 0 ? msix(vectors) : nothing,
      legacy_queue_select: hasLegacy ? savedInteger(0, U16) : nothing,
      waiting: waiting(queues),
      sriov: isPhysical ? sriov : nothing,
    },
    [
      ...(["config", "common", "isr_status", "msix", "legacy_queue_select", "waiting"] as const),
      ...(hasConfig ? [] : (["generation"] as const)),
      ...(isPhysical ? [] : (["sriov"] as const)),
    ],
  );
}

/** The common configuration as it is saved; `undefined` when it is as after a reset. */
export function saveCommon(registers: CommonRegisters): SavedCommon | undefined {
  const { deviceFeatureSelect, driverFeatureSelect, configVector, queueSelect } = registers;
  const last = registers.queueVectors.findLastIndex((vector) => vector !== NO_VECTOR);
  const isReset = deviceFeatureSelect === 0 && driverFeatureSelect === 0 && queueSelect === 0;
  if (isReset && configVector === NO_VECTOR && last < 0) return undefined;
  return {
    device_feature_select: deviceFeatureSelect,
    driver_feature_select: driverFeatureSelect,
    config_msix_vector: configVector,
    queue_select: queueSelect,
    queue_msix_vector: registers.queueVectors.slice(0, last + 1),
  };
}

/** The registers that {@link saveCommon} saved. */
export function commonRegisters(saved: SavedCommon | undefined): CommonRegisters {
  return {
    deviceFeatureSelect: saved?.device_feature_select ?? 0,
    driverFeatureSelect: saved?.driver_feature_select ?? 0,
    configVector: saved?.config_msix_vector ?? NO_VECTOR,
    queueSelect: saved?.queue_select ?? 0,
    queueVectors: saved?.queue_msix_vector ?? [],
  };
}

const nothing: StateReader<never> = (value, path) => {
  throw refuseState(path, "the function here has no such thing", {
    value,
    hint: "build the target as the source was built",
  });
};

/** A vector of the table, or none. */
const mapping =
  (vectors: number): StateReader<number> =>
  (value, path) => {
    const vector = savedInteger(0, NO_VECTOR)(value, path);
    if (vector < vectors || vector === NO_VECTOR) return vector;
    throw refuseState(path, `the function here has ${vectors} MSI-X vectors`, { value });
  };

const common = (vectors: number, queues: number): StateReader<SavedCommon> =>
  savedObject<SavedCommon>({
    device_feature_select: savedInteger(0, U32),
    driver_feature_select: savedInteger(0, U32),
    config_msix_vector: mapping(vectors),
    queue_select: savedInteger(0, U16),
    queue_msix_vector: savedList(mapping(vectors), queues),
  });

const waiting = (queues: number): StateReader<readonly number[]> => {
  const read = savedList(savedInteger(0, queues - 1), queues);
  return (value, path) => {
    const found = read(value, path);
    const seen = new Set<number>();
    found.forEach((queue, i) => {
      if (seen.has(queue)) {
        throw refuseState(`${path}[${i}]`, "the queue stands here twice", { value: queue });
      }
      seen.add(queue);
    });
    return found;
  };
};

const messageAddress: StateReader<string> = (value, path) => {
  const address = savedAddress(value, path);
  if (addressFromHex(address)[0] % MESSAGE_ALIGNMENT === 0) return address;
  throw refuseState(path, `not a multiple of ${MESSAGE_ALIGNMENT}`, { value });
};

const msix = (vectors: number): StateReader<SavedMsix> => {
  const vector = savedInteger(0, vectors - 1);
  const entry = savedObject<SavedMsixEntry>({
    vector,
    address: messageAddress,
    data: savedInteger(0, U32),
    masked: savedBoolean,
  });
  return savedObject<SavedMsix>({
    table: savedAscending(entry, (each) => each.vector),
    pending: savedAscending(vector, (each) => each),
  });
};

const generation = savedObject<SavedGeneration>({
  config_generation: savedInteger(0, U8),
  of: savedInteger(0, U32),
});

const sriov = savedObject<SavedSriov>({
  negotiated: savedBoolean,
  control: savedInteger(0, U16),
  num_vfs: savedInteger(0, U16),
  system_page_size: savedInteger(0, U32),
  vf_bar: savedList(savedInteger(0, U32), BAR_COUNT),
});
