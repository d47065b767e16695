/**
 * The owner of `first-command.ts`, put together by a container instead of `new`, with a platform
 * group beside Self. All three transports are registered; which of them the device is on is a name,
 * such as a command line or a configuration file has.
 */
import {
  bringUp,
  createGuestMemory,
  DmaArena,
  openAdminClient,
  PLATFORM_GROUP,
  PlatformGroup,
} from "@virtio-admin/core";
import {
  ADMIN_SETTINGS,
  connectOwner,
  container,
  DEVICE_MODEL,
  DMA,
  GROUP_TYPE,
  GUEST_MEMORY,
  registerCore,
  resolveOwner,
} from "@virtio-admin/core/di";
import { createEntropy, ENTROPY_REQUESTQ, EntropyDriver } from "@virtio-admin/devices";
import { registerCcw } from "@virtio-admin/transport-ccw/di";
import { registerMmio } from "@virtio-admin/transport-mmio/di";
import { registerPci } from "@virtio-admin/transport-pci/di";

// Below 2 GiB: channel programs reach no further.
const GUEST_BASE = 0x10_0000;
const GUEST_BYTES = 1 << 20;

/** Runs the example on the transport of that name: `pci`, `mmio` or `ccw`. */
export async function injected(transport: string) {
  const application = container.createChildContainer();
  registerCore(application);
  registerPci(application);
  registerMmio(application);
  registerCcw(application);

  const memory = createGuestMemory([{ base: GUEST_BASE, bytes: new Uint8Array(GUEST_BYTES) }]);
  application.registerInstance(GUEST_MEMORY, memory);
  application.registerInstance(DMA, new DmaArena(memory, GUEST_BASE, GUEST_BYTES));
  application.registerInstance(DEVICE_MODEL, createEntropy());
  application.registerInstance(GROUP_TYPE, new PlatformGroup([1, 2]));
  application.registerInstance(ADMIN_SETTINGS, { count: 2 });

  const pair = connectOwner(application, transport);
  const driver = await bringUp(pair.driver, {
    queues: [{ index: ENTROPY_REQUESTQ }],
    adminQueues: "all",
  });
  const client = openAdminClient(driver);
  const opcodes = await client.useReported(PLATFORM_GROUP.id);
  const entropy = new EntropyDriver(driver);
  const bytes = await entropy.read(16);

  // The device half is the container's: what it knows can be asked there.
  const { executor } = resolveOwner(application);
  const usedByDevice = executor.used(PLATFORM_GROUP.id);

  entropy.close();
  await driver.close();
  client.close();
  pair.close();
  await application.dispose();
  return { transport: driver.transport, adminQueues: driver.admin, opcodes, usedByDevice, bytes };
}

if (process.argv[1]?.endsWith("injected.js"))
  console.log(await injected(process.argv[2] ?? "mmio"));
