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

/** A device over a whole transport, with that many administration virtqueues, and their client. */
export async function clientOver(
  plugin: TransportPlugin,
  executor: AdminExecutor,
  count: number,
): Promise<AdminClient> {
  const memory = createGuestMemory([{ base: GUEST_BASE, bytes: new Uint8Array(GUEST_BYTES) }]);
  const admin = new AdminQueues({ executor, count, maxSize: RING_SIZE });
  const device = new VirtioDevice({ model: createEntropy(), memory, admin });
  const dma = new DmaArena(memory, GUEST_BASE, GUEST_BYTES);
  const pair = plugin.loopback(device, { dma });
  const driver = await bringUp(pair.driver, {
    queues: [{ index: 0 }],
    adminQueues: { count, required: true, size: RING_SIZE },
  });
  return new AdminClient(driver.adminQueues, dma);
}

/** The path `transport-NAME`. */
export async function transportPath(plugin: TransportPlugin): Promise<Subject> {
  const client = await clientOver(plugin, new AdminExecutor({ groups: [new SelfGroup()] }), 1);
  return {
    path: `transport-${plugin.description.name}`,
    slice: (outstanding, rounds) => promiseSlice(client, outstanding, rounds),
  };
}
