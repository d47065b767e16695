/**
 * What one access to a register costs over each transport: the device status, read by the driver
 * half through its bus. CCW has no registers; its READ_STATUS is a channel program.
 */
import {
  AdminExecutor,
  AdminQueues,
  createGuestMemory,
  DmaArena,
  type DriverTransport,
  SelfGroup,
  type TransportPlugin,
  VirtioDevice,
} from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import { CCW_TRANSPORT } from "@virtio-admin/transport-ccw";
import { MMIO_TRANSPORT } from "@virtio-admin/transport-mmio";
import { PCI_TRANSPORT } from "@virtio-admin/transport-pci";
import { quantile } from "./pairs.ts";
import { nanoseconds } from "./subject.ts";

/** What an access costs. */
export interface RegisterAccess {
  /** The transport. */
  readonly transport: string;
  /** Nanoseconds for one: the median over the slices. */
  readonly ns: number;
}

const BASE = 0x10000;
const BYTES = 1 << 20;
const SLICES = 21;
const ACCESSES = 2000;
const WARM_UP = 5;

/** Measures every transport. */
export async function measureRegisterAccess(
  slices: number = SLICES,
  accesses: number = ACCESSES,
): Promise<readonly RegisterAccess[]> {
  const found: RegisterAccess[] = [];
  for (const plugin of [PCI_TRANSPORT, MMIO_TRANSPORT, CCW_TRANSPORT]) {
    const driver = await opened(plugin);
    const times: number[] = [];
    for (let i = -WARM_UP; i < slices; i++) {
      const from = nanoseconds();
      for (let access = 0; access < accesses; access++) await driver.readStatus();
      const time = (nanoseconds() - from) / accesses;
      if (i >= 0) times.push(time);
    }
    found.push({ transport: plugin.description.name, ns: quantile(times, 0.5) });
  }
  return found;
}

async function opened(plugin: TransportPlugin): Promise<DriverTransport> {
  const memory = createGuestMemory([{ base: BASE, bytes: new Uint8Array(BYTES) }]);
  const admin = new AdminQueues({ executor: new AdminExecutor({ groups: [new SelfGroup()] }) });
  const device = new VirtioDevice({ model: createEntropy(), memory, admin });
  const { driver } = plugin.loopback(device, { dma: new DmaArena(memory, BASE, BYTES) });
  await driver.open();
  await driver.reset();
  return driver;
}
