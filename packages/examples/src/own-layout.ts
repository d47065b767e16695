/**
 * A variant of the reference layout, as the author of a specification would try it: AdminQueueIndex
 * and AdminQueueNum at other offsets. A layout is data, so both halves run on the variant as they
 * are; a variant in which registers collide is refused, with findings that say where and why.
 */
import {
  AdminExecutor,
  AdminQueues,
  bringUp,
  checkLayout,
  createGuestMemory,
  DmaArena,
  layoutFromJson,
  layoutToJson,
  openAdminClient,
  SELF_GROUP,
  SelfGroup,
  VirtioDevice,
  variantOf,
} from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import { MMIO_REFERENCE_LAYOUT, mmioTransport } from "@virtio-admin/transport-mmio";

const GUEST_BASE = 0x8000_0000;
const GUEST_BYTES = 1 << 20;

/** The reference layout as JSON, with registers moved: what an author does in an editor. */
function edited(offsets: Readonly<Record<string, number>>): unknown {
  const document = layoutToJson(MMIO_REFERENCE_LAYOUT);
  const registers = document.registers.map((register) => ({
    ...register,
    offset: offsets[register.name] ?? register.offset,
  }));
  return { ...document, name: "virtio_mmio_variant", registers };
}

/** Runs the example. */
export async function ownLayout() {
  // A colliding variant: AdminQueueNum on top of QueueReset.
  const collision = edited({ AdminQueueIndex: 0x0c8, AdminQueueNum: 0x0c0 });
  const findings = checkLayout(collision);

  // A sound one; it may move what code names, but neither drop nor retype it.
  const json = edited({ AdminQueueIndex: 0x0c8, AdminQueueNum: 0x0cc });
  const layout = variantOf(MMIO_REFERENCE_LAYOUT, layoutFromJson(json));

  const memory = createGuestMemory([{ base: GUEST_BASE, bytes: new Uint8Array(GUEST_BYTES) }]);
  const admin = new AdminQueues({ executor: new AdminExecutor({ groups: [new SelfGroup()] }) });
  const device = new VirtioDevice({ model: createEntropy(), memory, admin });
  const dma = new DmaArena(memory, GUEST_BASE, GUEST_BYTES);
  const pair = mmioTransport(layout).loopback(device, { dma });
  const driver = await bringUp(pair.driver, { queues: [], adminQueues: 1 });
  const client = openAdminClient(driver);
  const opcodes = await client.listQuery(SELF_GROUP.id);
  await driver.close();
  client.close();
  pair.close();
  return {
    findings: findings.map(({ severity, path, message }) => `${severity} ${path}: ${message}`),
    adminQueues: driver.admin,
    opcodes,
  };
}

if (process.argv[1]?.endsWith("own-layout.js")) console.log(await ownLayout());
