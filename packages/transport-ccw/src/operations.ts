/**
 * What each virtio channel command does to the device. Every one of them is all or nothing: where
 * it answers `undefined` (command reject), nothing has changed.
 */
import {
  createDeviceQueue,
  DRIVER_STATUS_BITS,
  FEATURE,
  judgeStatusWrite,
  type QueueAddresses,
  type QueueArea,
  STATUS,
  type TransportFacingDevice,
} from "@virtio-admin/core";
import type { BoundLayout } from "./binding.ts";
import type { ChannelOperation } from "./channel.ts";
import type { DeviceIndicators } from "./indicators.ts";
import { CLASSIC_INDICATOR_BITS } from "./layout.ts";

/** What the operations work on. */
export interface OperationContext {
  /** The virtio device. */
  readonly device: TransportFacingDevice;
  /** The layout that the driver speaks. */
  readonly bound: BoundLayout;
  /** Where the driver wants its indicators. */
  readonly indicators: DeviceIndicators;
  /** See `CcwDeviceInit.tolerateShortConfig`. */
  readonly tolerateShortConfig: boolean;
  /** Selects a revision; false when it cannot be. */
  selectRevision(revision: number): boolean;
}

/** Makes the operation of a command, at the time it is executed. */
export type OperationFactory = () => ChannelOperation;

const WORD = 2 ** 32;
const NOTHING = new Uint8Array(0);

/** The operations by the names of their commands. */
export function makeOperations(
  context: OperationContext,
): Readonly<Record<string, OperationFactory>> {
  const { device, bound, indicators } = context;
  const { commands } = bound;

  /** A read that needs nothing from the data area. */
  const reads = (name: string, size: number, fill: (view: DataView) => void): ChannelOperation => ({
    name,
    length: size,
    input: 0,
    output: true,
    run: () => {
      const bytes = new Uint8Array(size);
      fill(new DataView(bytes.buffer));
      return bytes;
    },
  });
  /** A read whose data area says what is to be read. */
  const asks = (name: string, size: number, fill: (view: DataView) => void): ChannelOperation => ({
    name,
    length: size,
    input: size,
    output: true,
    run: (input) => {
      fill(viewOf(input));
      return input;
    },
  });
  /** A write or control command; `accept` tells whether it was carried out. */
  const takes = (
    name: string,
    size: number,
    accept: (view: DataView) => boolean,
  ): ChannelOperation => ({
    name,
    length: size,
    input: size,
    output: false,
    run: (input) => (accept(viewOf(input)) ? NOTHING : undefined),
  });

  const { SET_VIRTIO_REV, VDEV_RESET, READ_CONF, WRITE_CONF } = commands;
  const { READ_FEAT, WRITE_FEAT, READ_STATUS, WRITE_STATUS, READ_VQ_CONF, SET_VQ } = commands;
  const { SET_IND, SET_CONF_IND, SET_IND_ADAPTER } = commands;
  const operations: Record<string, OperationFactory> = {
    [SET_VIRTIO_REV.name]: () =>
      takes(SET_VIRTIO_REV.name, SET_VIRTIO_REV.payload.size, (view) => {
        // No revision so far has data.
        if (bound.setRevision.length.get(view, 0) !== 0) return false;
        return context.selectRevision(bound.setRevision.revision.get(view, 0));
      }),
    [VDEV_RESET.name]: () =>
      takes(VDEV_RESET.name, 0, () => {
        device.reset();
        return true;
      }),
    [READ_FEAT.name]: () =>
      asks(READ_FEAT.name, READ_FEAT.payload.size, (view) => {
        const word = bound.readFeat.index.get(view, 0);
        bound.readFeat.features.set(view, 0, device.offeredFeatures.word(word));
      }),
    [WRITE_FEAT.name]: () =>
      takes(WRITE_FEAT.name, WRITE_FEAT.payload.size, (view) => {
        const { index, features } = bound.writeFeat;
        device.writeDriverFeatures(index.get(view, 0), features.get(view, 0));
        return true;
      }),
    [READ_CONF.name]: () => ({
      name: READ_CONF.name,
      length: device.configLength,
      input: 0,
      output: true,
      mayBeShort: context.tolerateShortConfig,
      run: () => {
        const bytes = new Uint8Array(device.configLength);
        device.readConfig(0, bytes);
        return bytes;
      },
    }),
    [WRITE_CONF.name]: () => ({
      name: WRITE_CONF.name,
      length: device.configLength,
      input: context.tolerateShortConfig ? 0 : device.configLength,
      output: false,
      mayBeShort: context.tolerateShortConfig,
      run: (input) => {
        device.writeConfig(0, input);
        return NOTHING;
      },
    }),
    [READ_STATUS.name]: () =>
      reads(READ_STATUS.name, READ_STATUS.payload.size, (view) => {
        bound.readStatus.status.set(view, 0, device.status);
      }),
    [WRITE_STATUS.name]: () =>
      takes(WRITE_STATUS.name, WRITE_STATUS.payload.size, (view) =>
        writeStatus(device, bound.writeStatus.status.get(view, 0)),
      ),
    [READ_VQ_CONF.name]: () =>
      asks(READ_VQ_CONF.name, READ_VQ_CONF.payload.size, (view) => {
        const index = bound.readVqConf.index.get(view, 0);
        bound.readVqConf.max_queue_size.set(view, 0, device.queueSizeMax(index));
      }),
    [SET_VQ.name]: () =>
      takes(SET_VQ.name, SET_VQ.payload.size, (view) => {
        const { index, size, desc, driver, device: used } = bound.setVq;
        return setQueue(device, indicators, index.get(view, 0), size.get(view, 0), {
          descriptorArea: desc.getNumber(view, 0),
          driverArea: driver.getNumber(view, 0),
          deviceArea: used.getNumber(view, 0),
        });
      }),
    [SET_IND.name]: () =>
      takes(SET_IND.name, SET_IND.payload.size, (view) => {
        if (hasQueueAbove(device, CLASSIC_INDICATOR_BITS)) return false;
        return indicators.setClassic(bound.setInd.address.getNumber(view, 0));
      }),
    [SET_CONF_IND.name]: () =>
      takes(SET_CONF_IND.name, SET_CONF_IND.payload.size, (view) =>
        indicators.setConfiguration(bound.setConfInd.address.getNumber(view, 0)),
      ),
    [SET_IND_ADAPTER.name]: () =>
      takes(SET_IND_ADAPTER.name, SET_IND_ADAPTER.payload.size, (view) => {
        const { summary_indicator, indicator, bit_nr, isc } = bound.setIndAdapter;
        return indicators.setAdapter({
          summary: summary_indicator.getNumber(view, 0),
          area: indicator.getNumber(view, 0),
          firstBit: bit_nr.getNumber(view, 0),
          subclass: isc.get(view, 0),
        });
      }),
  };
  const { admin, adminFields } = bound;
  if (admin !== undefined && adminFields !== undefined) {
    operations[admin.name] = () =>
      reads(admin.name, admin.payload.size, (view) => {
        // Both are 0 unless the feature is negotiated.
        adminFields.admin_queue_index.set(view, 0, device.adminQueueIndex);
        adminFields.admin_queue_num.set(view, 0, device.adminQueueNum);
      });
  }
  return operations;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Writes the device status; false, and nothing changed, when the device cannot take it. */
function writeStatus(device: TransportFacingDevice, value: number): boolean {
  const verdict = judgeStatusWrite(device.status, value);
  const settles = verdict.kind === "set" && (verdict.bits & STATUS.FEATURES_OK) !== 0;
  // A bit that is neither set nor the driver's to set would be missing from the status.
  if (value !== 0 && (value & ~DRIVER_STATUS_BITS & ~device.status) !== 0) return false;
  // Whether the features are taken is known only afterwards, when other bits could not go back.
  if (settles && verdict.bits !== STATUS.FEATURES_OK) return false;
  if (!device.writeStatus(value)) return false;
  return !settles || (device.status & STATUS.FEATURES_OK) !== 0;
}

/** Sets up and enables a queue; false, and nothing changed, when that cannot be. */
function setQueue(
  device: TransportFacingDevice,
  indicators: DeviceIndicators,
  index: number,
  size: number,
  areas: QueueAddresses,
): boolean {
  const largest = device.queueSizeMax(index);
  if (largest === 0 || device.queueEnabled(index)) return false;
  const { descriptorArea, driverArea, deviceArea } = areas;
  if (size === 0) return descriptorArea === 0 && driverArea === 0 && deviceArea === 0;
  if (size > largest) return false;
  if (indicators.isClassic && index >= CLASSIC_INDICATOR_BITS) return false;
  try {
    // The device core would ask for a reset over a bad queue; here the command can be rejected.
    createDeviceQueue({
      ...areas,
      size,
      memory: device.memory,
      eventIdx: device.negotiated(FEATURE.VIRTIO_F_EVENT_IDX),
      indirect: device.negotiated(FEATURE.VIRTIO_F_INDIRECT_DESC),
      packed: device.negotiated(FEATURE.VIRTIO_F_RING_PACKED),
    });
  } catch {
    return false;
  }
  device.setQueueSize(index, size);
  setArea(device, index, "descriptorArea", descriptorArea);
  setArea(device, index, "driverArea", driverArea);
  setArea(device, index, "deviceArea", deviceArea);
  if (device.enableQueue(index)) return true;
  device.resetQueue(index);
  return false;
}

function setArea(
  device: TransportFacingDevice,
  index: number,
  area: QueueArea,
  address: number,
): void {
  device.setQueueAddress(index, area, 0, address % WORD);
  device.setQueueAddress(index, area, 1, Math.floor(address / WORD));
}

/** True when a queue with an index of `limit` or more is enabled. */
function hasQueueAbove(device: TransportFacingDevice, limit: number): boolean {
  const end = device.queueCount + device.adminQueueNum;
  for (let index = limit; index < end; index++) if (device.queueEnabled(index)) return true;
  return false;
}
