import {
  AdminExecutor,
  AdminQueues,
  createGuestMemory,
  DmaArena,
  SelfGroup,
  type TransportPlugin,
  VirtioDevice,
} from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import { ccwTransport } from "@virtio-admin/transport-ccw";
import { mmioTransport } from "@virtio-admin/transport-mmio";
import { pciTransport } from "@virtio-admin/transport-pci";
import { GUEST_BASE, GUEST_BYTES, type RoundTrip, roundTrip, VendorFamily } from "./round-trip.js";

/** A round trip of administration commands over each transport, with plain classes. */
export async function roundTrips(): Promise<RoundTrip[]> {
  const results: RoundTrip[] = [];
  const transports: TransportPlugin[] = [pciTransport(), mmioTransport(), ccwTransport()];
  for (const transport of transports) {
    const family = new VendorFamily();
    const memory = createGuestMemory([{ base: GUEST_BASE, bytes: new Uint8Array(GUEST_BYTES) }]);
    const dma = new DmaArena(memory, GUEST_BASE, GUEST_BYTES);
    const executor = new AdminExecutor({ groups: [new SelfGroup()], families: [family] });
    const admin = new AdminQueues({ executor });
    const device = new VirtioDevice({ model: createEntropy(), memory, admin });
    const pair = transport.loopback(device, { dma });
    results.push(await roundTrip(pair, executor, family, dma));
  }
  return results;
}
