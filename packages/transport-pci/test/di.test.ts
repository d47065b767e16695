/** The transport as a registration in a container of its own. */
import { bringUp, createGuestMemory, DmaArena } from "@virtio-admin/core";
import {
  connectOwner,
  container,
  DEVICE_MODEL,
  DMA,
  GUEST_MEMORY,
  registerCore,
  resolveTransport,
} from "@virtio-admin/core/di";
import { createEntropy } from "@virtio-admin/devices";
import { registerPci } from "@virtio-admin/transport-pci/di";
import { describe, expect, it } from "vitest";
import { MEMORY_BASE, MEMORY_LENGTH } from "./rig.ts";

describe("registerPci", () => {
  it("puts the transport into the container it is given, made once", async () => {
    const child = container.createChildContainer();
    registerCore(child);
    registerPci(child, { interrupts: "intx" });
    expect(resolveTransport(child, "pci")).toBe(resolveTransport(child, "pci"));
    const memory = createGuestMemory([{ base: MEMORY_BASE, bytes: new Uint8Array(MEMORY_LENGTH) }]);
    child.register(DEVICE_MODEL, { useValue: createEntropy() });
    child.register(GUEST_MEMORY, { useValue: memory });
    child.register(DMA, { useValue: new DmaArena(memory, MEMORY_BASE, MEMORY_LENGTH) });
    const device = await bringUp(connectOwner(child, "pci").driver, {
      queues: [{ index: 0 }],
      adminQueues: 1,
    });
    expect(device.transport).toBe("pci");
    await device.close();
  });
});
