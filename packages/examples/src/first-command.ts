/**
 * The smallest whole: an entropy device that has an administration virtqueue, and its driver, both
 * in this process and joined by the registers of virtio over MMIO. Plain classes and `new`; the
 * driver asks which commands there are, settles on them, and reads entropy.
 */
import {
  AdminExecutor,
  AdminQueues,
  bringUp,
  createGuestMemory,
  DmaArena,
  openAdminClient,
  SELF_GROUP,
  SelfGroup,
  VirtioDevice,
} from "@virtio-admin/core";
import {
  createEntropy,
  ENTROPY_DEVICE_ID,
  ENTROPY_REQUESTQ,
  EntropyDriver,
} from "@virtio-admin/devices";
import { loopbackBus, MmioDevice, MmioDriver } from "@virtio-admin/transport-mmio";

const GUEST_BASE = 0x8000_0000;
const GUEST_BYTES = 1 << 20;

/** Runs the example. */
export async function firstCommand() {
  // What both halves share: guest memory. The driver takes queues and buffers from all of it.
  const memory = createGuestMemory([{ base: GUEST_BASE, bytes: new Uint8Array(GUEST_BYTES) }]);
  const dma = new DmaArena(memory, GUEST_BASE, GUEST_BYTES);

  // The device half: a device type, the administration virtqueues of an owner, and a window.
  const executor = new AdminExecutor({ groups: [new SelfGroup()] });
  const admin = new AdminQueues({ executor });
  const device = new VirtioDevice({ model: createEntropy(), memory, admin });
  const window = new MmioDevice({ device });

  // The driver half: from reset to DRIVER_OK.
  const driver = await bringUp(new MmioDriver({ bus: loopbackBus(window), dma }), {
    deviceId: ENTROPY_DEVICE_ID,
    queues: [{ index: ENTROPY_REQUESTQ }],
    adminQueues: 1,
  });

  // LIST_QUERY and LIST_USE, then the device's own work.
  const client = openAdminClient(driver);
  const opcodes = await client.useReported(SELF_GROUP.id);
  const entropy = new EntropyDriver(driver);
  const bytes = await entropy.read(16);

  // The device is reset before the memory that it may write to is given back.
  entropy.close();
  await driver.close();
  client.close();
  return { adminQueue: driver.admin, opcodes, bytes, leaked: GUEST_BYTES - dma.freeBytes };
}

if (process.argv[1]?.endsWith("first-command.js")) console.log(await firstCommand());
