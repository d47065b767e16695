/**
 * A platform group, put together by containers instead of `new`: an owner, and two members that are
 * whole devices under drivers of their own. All three transports are registered; which of them the
 * devices are on is a name, such as a command line or a configuration file has. What was made is let
 * go of in reverse, whatever happens in between.
 */
import {
  bringUp,
  createGuestMemory,
  DmaArena,
  type DriverTransport,
  FEATURE,
  FeatureSet,
  MANAGEMENT_FAMILY,
  ManagementClient,
  openAdminClient,
  PLATFORM_GROUP,
} from "@virtio-admin/core";
import {
  ADMIN_SETTINGS,
  COMMAND_FAMILY,
  composeHost,
  createScope,
  DEVICE_MODEL,
  DMA,
  GUEST_MEMORY,
  registerCore,
  registerPlatformGroup,
  type Scope,
} from "@virtio-admin/core/di";
import { createEntropy, ENTROPY_REQUESTQ, EntropyDriver } from "@virtio-admin/devices";
import { registerCcw } from "@virtio-admin/transport-ccw/di";
import { registerMmio } from "@virtio-admin/transport-mmio/di";
import { registerPci } from "@virtio-admin/transport-pci/di";

// Below 2 GiB: channel programs reach no further.
const GUEST_BASE = 0x10_0000;
const GUEST_BYTES = 1 << 20;
const MEMBERS = [1, 2];
const EVENT_IDX = FeatureSet.of(FEATURE.VIRTIO_F_EVENT_IDX);

/** What every device here is made of: owner and members have memory of their own. */
function registerEntropy(scope: Scope): void {
  scope.provide(DEVICE_MODEL, () => createEntropy());
  scope.provide(GUEST_MEMORY, () =>
    createGuestMemory([{ base: GUEST_BASE, bytes: new Uint8Array(GUEST_BYTES) }]),
  );
  scope.provide(DMA, (own) => new DmaArena(own.resolve(GUEST_MEMORY), GUEST_BASE, GUEST_BYTES));
}

/** Runs the example on the transport of that name: `pci`, `mmio` or `ccw`. */
export async function injected(transport: string) {
  const application = createScope();
  registerPci(application.container);
  registerMmio(application.container);
  registerCcw(application.container);
  try {
    return await runGroup(application, transport);
  } finally {
    // Where the language has it: await using application = createScope();
    await application.dispose();
  }
}

async function runGroup(application: Scope, transport: string) {
  const host = await composeHost(application, {
    owner: {
      transport,
      register: (scope) => {
        registerEntropy(scope);
        registerCore(scope.container);
        registerPlatformGroup(scope.container);
        scope.container.registerInstance(COMMAND_FAMILY, MANAGEMENT_FAMILY);
        scope.container.registerInstance(ADMIN_SETTINGS, { count: 2 });
      },
    },
    members: MEMBERS.map((id) => ({ id, transport, register: registerEntropy })),
  });

  const driver = await bringUp(host.driver, { queues: [], adminQueues: "all" });
  host.scope.own(driver, () => driver.close());
  const client = openAdminClient(driver);
  host.scope.own(client, async () => {
    // The device may write to the client's memory until it is reset.
    await driver.close();
    client.close();
  });
  const management = new ManagementClient(client);
  const opcodes = await management.use(PLATFORM_GROUP.id);

  // The owner takes a feature from member 2; each member's own driver finds what is left to it.
  await management.setFeatures(PLATFORM_GROUP.id, 2, EVENT_IDX, FeatureSet.EMPTY);
  const members = [];
  for (const { id, driver } of host.members.values()) members.push({ id, ...(await look(driver)) });

  // The device halves are the containers': what they know can be asked there.
  const usedByDevice = host.owner.executor.used(PLATFORM_GROUP.id);
  return { transport: driver.transport, adminQueues: driver.admin, opcodes, usedByDevice, members };
}

/** What a member's own driver finds. */
async function look(transport: DriverTransport) {
  const driver = await bringUp(transport, { queues: [{ index: ENTROPY_REQUESTQ }] });
  const entropy = new EntropyDriver(driver);
  const bytes = await entropy.read(16);
  entropy.close();
  await driver.close();
  return { eventIndexes: driver.features.has(FEATURE.VIRTIO_F_EVENT_IDX), bytes };
}

if (process.argv[1]?.endsWith("injected.js"))
  console.log(await injected(process.argv[2] ?? "mmio"));
