/** One promise a command over a whole transport: registers, notification and interrupt included. */
import {
  AdminClient,
  AdminExecutor,
  AdminQueues,
  bringUp,
  createGuestMemory,
  DmaArena,
  SelfGroup,
  type TransportPlugin,
  VirtioDevice,
} from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import { promiseSlice } from "./admin-paths.ts";
import { RING_SIZE, type Subject } from "./subject.ts";

const GUEST_BYTES = 4 << 20;
const GUEST_BASE = 0x10000;

/** The path `transport-NAME`. */
export async function transportPath(plugin: TransportPlugin): Promise<Subject> {
  const memory = createGuestMemory([{ base: GUEST_BASE, bytes: new Uint8Array(GUEST_BYTES) }]);
  const executor = new AdminExecutor({ groups: [new SelfGroup()] });
  const admin = new AdminQueues({ executor, maxSize: RING_SIZE });
  const device = new VirtioDevice({ model: createEntropy(), memory, admin });
  const dma = new DmaArena(memory, GUEST_BASE, GUEST_BYTES);
  const pair = plugin.loopback(device, { dma });
  const driver = await bringUp(pair.driver, {
    queues: [{ index: 0 }],
    adminQueues: { count: 1, required: true, size: RING_SIZE },
  });
  const client = new AdminClient(driver.adminQueues, dma);
  return {
    path: `transport-${plugin.description.name}`,
    slice: (outstanding, rounds) => promiseSlice(client, outstanding, rounds),
  };
}
