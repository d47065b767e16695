// Plain classes and `new`, without a build and without types. Nothing here is Node's, so that the
// browser bundle is made of it too.
import {
  AdminExecutor,
  AdminQueues,
  bringUp,
  createGuestMemory,
  DmaArena,
  OUTCOME,
  openAdminClient,
  SELF_GROUP,
  SelfGroup,
  VirtioDevice,
} from "@virtio-admin/core";
import { createEntropy, ENTROPY_REQUESTQ, EntropyDriver } from "@virtio-admin/devices";
import { CCW_TRANSPORT } from "@virtio-admin/transport-ccw";
import { MMIO_TRANSPORT } from "@virtio-admin/transport-mmio";
import { PCI_TRANSPORT } from "@virtio-admin/transport-pci";

const GUEST_BASE = 0x10_0000;
const GUEST_BYTES = 1 << 20;
const VENDOR_OPCODE = 0x0180;

/** A family of one command without data, so that LIST_USE has something to add. */
function vendorFamily(onCommand) {
  return {
    name: "vendor",
    doc: "Counts.",
    private: true,
    commands: [
      {
        opcode: VENDOR_OPCODE,
        name: "VENDOR_COUNT",
        groups: [SELF_GROUP.id],
        usesMember: false,
        data: { min: 0, max: 0 },
        result: { min: 0, max: 0 },
        clauses: [],
        doc: "Counts one.",
        cite: "the consumer",
      },
    ],
    bind: () => ({
      handlers: {
        [VENDOR_OPCODE]: () => {
          onCommand();
          return OUTCOME.OK;
        },
      },
    }),
  };
}

async function roundTrip(plugin) {
  let vendorCommands = 0;
  const families = [
    vendorFamily(() => {
      vendorCommands += 1;
    }),
  ];
  const memory = createGuestMemory([{ base: GUEST_BASE, bytes: new Uint8Array(GUEST_BYTES) }]);
  const dma = new DmaArena(memory, GUEST_BASE, GUEST_BYTES);
  const executor = new AdminExecutor({ groups: [new SelfGroup()], families });
  const admin = new AdminQueues({ executor });
  const device = new VirtioDevice({ model: createEntropy(), memory, admin });
  const pair = plugin.loopback(device, { dma });
  const driver = await bringUp(pair.driver, {
    queues: [{ index: ENTROPY_REQUESTQ }],
    adminQueues: 1,
  });

  const client = openAdminClient(driver);
  const usedBefore = executor.used(SELF_GROUP.id);
  const opcodes = await client.listQuery(SELF_GROUP.id);
  await client.listUse(SELF_GROUP.id, opcodes);
  await client.execute({ group: SELF_GROUP.id, opcode: VENDOR_OPCODE });
  const usedAfter = executor.used(SELF_GROUP.id);
  const entropy = new EntropyDriver(driver);
  const { length: entropyBytes } = await entropy.read(16);

  entropy.close();
  await driver.close();
  client.close();
  pair.close();
  return {
    transport: driver.transport,
    adminQueueIndex: driver.admin?.index,
    adminQueueCount: driver.admin?.count,
    opcodes,
    usedBefore,
    usedAfter,
    vendorCommands,
    entropyBytes,
    leakedBytes: GUEST_BYTES - dma.freeBytes,
  };
}

/** A round trip of administration commands over each transport. */
export async function roundTrips() {
  const results = [];
  for (const plugin of [PCI_TRANSPORT, MMIO_TRANSPORT, CCW_TRANSPORT])
    results.push(await roundTrip(plugin));
  return results;
}
