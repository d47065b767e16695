/** One device over real memory, its port noted, and queues made without the driver half. */

import {
  FEATURE,
  FeatureSet,
  MemorySink,
  STATUS,
  splitAreaSizes,
  VirtioDevice,
  type VirtioDeviceInit,
} from "@virtio-admin/core";
import { expect } from "vitest";
import { MEMORY_BASE, makeMemory } from "../direct-transport.ts";
import { FillModel } from "./models.ts";

const { ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK } = STATUS;
const { VIRTIO_F_VERSION_1 } = FEATURE;

/** What the transport was told, in order. */
export function makePort(
  reservedFeatures: readonly number[] = [],
  ownFeatures: readonly number[] = [],
) {
  const calls: string[] = [];
  return {
    calls,
    transport: "test",
    reservedFeatures,
    ownFeatures,
    onUsed: undefined as (() => void) | undefined,
    usedBuffers(queue: number) {
      calls.push(`used ${queue}`);
      this.onUsed?.();
    },
    configurationChange() {
      calls.push("config");
    },
    deviceReset() {
      calls.push("reset");
    },
  };
}

export interface Options extends Partial<Omit<VirtioDeviceInit, "memory">> {
  readonly reserved?: readonly number[];
  readonly own?: readonly number[];
}

export function makeDevice(options: Options = {}) {
  const { reserved, own, ...init } = options;
  const { memory, dma } = makeMemory(0x4000);
  const model = new FillModel();
  const trace = new MemorySink();
  const device = new VirtioDevice({ model, memory, trace, ...init });
  const port = makePort(reserved, own);
  device.connect(port);
  return { device, model, memory, dma, port, trace };
}

export type Rig = ReturnType<typeof makeDevice>;

export function negotiate(device: VirtioDevice, ...bits: number[]): number {
  const features = FeatureSet.of(...bits);
  for (let word = 0; word < 4; word++) device.writeDriverFeatures(word, features.word(word));
  device.writeStatus(ACKNOWLEDGE | DRIVER);
  device.writeStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK);
  return device.status;
}

/** Places and enables a queue; `buffers` writable buffers of 4 bytes are available in it. */
export function enable({ device, dma, memory }: Rig, index: number, buffers = 0, size = 8) {
  const areas = splitAreaSizes(size);
  const place = {
    descriptorArea: dma.allocate(areas.descriptorArea.length, 16).address,
    driverArea: dma.allocate(areas.driverArea.length, 2).address,
    deviceArea: dma.allocate(areas.deviceArea.length, 4).address,
  };
  const target = dma.allocate(4 * size, 4).address;
  const table = memory.find(place.descriptorArea, 1)!;
  const view = new DataView(table.bytes.buffer);
  const at = (address: number) => address - MEMORY_BASE;
  for (let i = 0; i < buffers; i++) {
    view.setUint32(at(place.descriptorArea) + 16 * i, target + 4 * i, true);
    view.setUint32(at(place.descriptorArea) + 16 * i + 8, 4, true);
    view.setUint16(at(place.descriptorArea) + 16 * i + 12, 2, true);
    view.setUint16(at(place.driverArea) + 4 + 2 * i, i, true);
  }
  view.setUint16(at(place.driverArea) + 2, buffers, true);
  device.setQueueSize(index, size);
  for (const area of ["descriptorArea", "driverArea", "deviceArea"] as const) {
    device.setQueueAddress(index, area, 0, place[area]);
    device.setQueueAddress(index, area, 1, 0);
  }
  return {
    place,
    target,
    enabled: device.enableQueue(index),
    usedIdx: () => view.getUint16(at(place.deviceArea) + 2, true),
    setAvailIdx: (idx: number) => view.setUint16(at(place.driverArea) + 2, idx, true),
    setRing: (entry: number, head: number) =>
      view.setUint16(at(place.driverArea) + 4 + 2 * entry, head, true),
  };
}

export function goLive(rig: Rig, ...bits: number[]): void {
  expect(negotiate(rig.device, VIRTIO_F_VERSION_1, ...bits) & FEATURES_OK).toBe(FEATURES_OK);
}
export const setDriverOk = ({ device }: Rig) => device.writeStatus(device.status | DRIVER_OK);
