import { createGuestMemory, DmaArena } from "@virtio-admin/core";
import {
  COMMAND_FAMILY,
  connectOwner,
  container,
  DEVICE_MODEL,
  type DependencyContainer,
  DMA,
  GUEST_MEMORY,
  registerCore,
  resolveOwner,
} from "@virtio-admin/core/di";
import { createEntropy } from "@virtio-admin/devices";
import { registerCcw } from "@virtio-admin/transport-ccw/di";
import { registerMmio } from "@virtio-admin/transport-mmio/di";
import { registerPci } from "@virtio-admin/transport-pci/di";
import { GUEST_BASE, GUEST_BYTES, type RoundTrip, roundTrip, VendorFamily } from "./round-trip.js";

/** A round trip of administration commands over each transport, put together by a container. */
export async function roundTrips(): Promise<RoundTrip[]> {
  const results: RoundTrip[] = [];
  for (const transport of ["pci", "mmio", "ccw"]) {
    const application: DependencyContainer = container.createChildContainer();
    registerCore(application);
    registerPci(application);
    registerMmio(application);
    registerCcw(application);
    const family = new VendorFamily();
    const memory = createGuestMemory([{ base: GUEST_BASE, bytes: new Uint8Array(GUEST_BYTES) }]);
    const dma = new DmaArena(memory, GUEST_BASE, GUEST_BYTES);
    application.registerInstance(GUEST_MEMORY, memory);
    application.registerInstance(DMA, dma);
    application.registerInstance(DEVICE_MODEL, createEntropy());
    application.registerInstance(COMMAND_FAMILY, family);
    const pair = connectOwner(application, transport);
    results.push(await roundTrip(pair, resolveOwner(application).executor, family, dma));
    await application.dispose();
  }
  return results;
}
