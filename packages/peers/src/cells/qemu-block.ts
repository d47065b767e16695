/** Our driver on QEMU's block device: what it reads and writes is what is in the file behind. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bringUp, type DriverDevice, FEATURE, isVirtioError } from "@virtio-admin/core";
import {
  BLOCK_DEVICE_ID,
  BLOCK_DRIVER_FEATURES,
  BLOCK_FEATURE,
  BlockDriver,
  SECTOR_SIZE,
} from "@virtio-admin/devices";
import { SeededStream } from "@virtio-admin/fixtures";
import { ATTACHMENTS } from "../attachment/index.ts";
import type { Attached, Attachment, Machine } from "../attachment/types.ts";
import { privateFolder } from "../cleanup.ts";
import type { Coverage } from "./coverage.ts";
import { oursOnQemu } from "./covered.ts";
import {
  coveredOf,
  expectIndicators,
  expectNoAdminQueue,
  expectQuiet,
  failureOf,
  withMachine,
} from "./qemu.ts";
import { type Bench, type Cell, expect, until } from "./types.ts";

const SECTORS = 0x2000;
const QUEUES = 3;
const WRITES = 96;
const WRITE_SECTORS = 40;
const GROWTH = 100;
const GROW_TIME = 30_000;
const NODE = "disk";
const SERIAL = "made-for-a-test";
const { VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX, VIRTIO_F_RING_RESET, VIRTIO_F_RING_PACKED } =
  FEATURE;
/** Rings in all their kinds, by the features that make them. */
const RINGS: readonly (readonly number[])[] = [
  [VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX, VIRTIO_F_RING_RESET],
  [VIRTIO_F_INDIRECT_DESC],
  [VIRTIO_F_EVENT_IDX],
  [VIRTIO_F_RING_PACKED, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX, VIRTIO_F_RING_RESET],
  [VIRTIO_F_RING_PACKED],
  [],
];

/** One for each place that a device can be attached to. */
export const QEMU_BLOCK: readonly Cell[] = ATTACHMENTS.map((attachment) => ({
  name: `qemu-${attachment.name}-block`,
  needs: `QEMU for ${attachment.processor}`,
  checks: `our driver reads and writes through QEMU's block device on ${attachment.name} what is in its file`,
  covers: coverageOf(attachment),
  run: (bench) => run(bench, attachment),
}));

function coverageOf(attachment: Attachment): Coverage[] {
  return oursOnQemu(attachment.transport, "block", [
    ...(["bring-up", "reads", "writes", "indirect", "EVENT_IDX", "packed"] as const),
    ...(["several queues", "configuration change", "no-admin-queue error"] as const),
    ...coveredOf(attachment),
  ]);
}

/** The disk as it is to be, and the file that QEMU has it in. */
interface Disk {
  bytes: Uint8Array;
  readonly path: string;
  readonly changes: SeededStream;
}

async function run(bench: Bench, attachment: Attachment): Promise<readonly string[]> {
  const folder = privateFolder();
  try {
    const disk: Disk = {
      bytes: new Uint8Array(SECTORS * SECTOR_SIZE),
      path: join(folder.path, "disk"),
      changes: new SeededStream(attachment.name),
    };
    disk.changes.source(disk.bytes);
    writeFileSync(disk.path, disk.bytes);
    const drive = { driver: "file", "node-name": NODE, filename: disk.path };
    const properties = { drive: NODE, serial: SERIAL, "num-queues": QUEUES, packed: true };
    const devices = [
      ...["-blockdev", JSON.stringify(drive)],
      ...["-device", attachment.device("virtio-blk", properties)],
    ];
    return await withMachine(bench, attachment, devices, async (machine) => {
      const notes = new Set<string>();
      for (const plan of attachment.interrupts) {
        const attached = await machine.attach(plan);
        await expectNoAdminQueue(attached);
        for (const all of RINGS) {
          const ring = all.filter((bit) => !attachment.lacks.includes(bit));
          const device = await bringUp(attached.driver, {
            deviceId: BLOCK_DEVICE_ID,
            features: BLOCK_DRIVER_FEATURES,
            requiredFeatures: [BLOCK_FEATURE.VIRTIO_BLK_F_MQ, BLOCK_FEATURE.VIRTIO_BLK_F_FLUSH],
            ringFeatures: ring,
            unflaggedLengths: ring.includes(VIRTIO_F_RING_PACKED),
            queues: Array.from({ length: QUEUES }, (_, index) => ({ index })),
          });
          await exercise(device, ring, disk, attachment);
          await expectQuiet(device, attached);
          if (all === RINGS.at(-1)) await grow(device, machine, disk);
          if (!attachment.resetsQueues && device.features.has(VIRTIO_F_RING_RESET)) {
            await expectResetOrReason(device);
          }
          await device.close();
          notes.add(`features ${device.features}`);
        }
        const { choice, vectorLimit = QUEUES + 1 } = plan;
        if (choice === "msix") expectMessages(attached, vectorLimit);
        expectIndicators(attached, plan);
        bench.progress(`${RINGS.length} kinds of rings, interrupts: ${JSON.stringify(plan)}`);
      }
      return [`${RINGS.length * attachment.interrupts.length} times ${WRITES} writes`, ...notes];
    });
  } finally {
    folder.remove();
  }
}

async function exercise(
  device: DriverDevice,
  ring: readonly number[],
  disk: Disk,
  { resetsQueues }: Attachment,
): Promise<void> {
  for (const bit of new Set(RINGS.flat())) {
    expect(device.features.has(bit) === ring.includes(bit), `feature ${bit} is not as was asked`);
  }
  const block = await BlockDriver.open(device);
  expect(block.capacity === disk.bytes.length / SECTOR_SIZE, `the capacity is ${block.capacity}`);
  expect(block.queueCount === QUEUES, `${block.queueCount} queues`);
  const id = await block.id();
  expect(id === SERIAL, `the id is "${id}"`);
  await compare(block, disk);
  await change(block, disk);
  await compare(block, disk);
  block.close();
  if (!device.features.has(VIRTIO_F_RING_RESET)) {
    const error = await failureOf(device.resetQueue(0));
    expect(isVirtioError(error, "TRANSPORT_UNSUPPORTED"), `a reset without the feature: ${error}`);
    expect(device.state === "live", `the device is ${device.state} after a refusal`);
    return;
  }
  if (!resetsQueues) return;
  for (let index = 0; index < QUEUES; index++) await device.resetQueue(index);
  const again = await BlockDriver.open(device);
  await change(again, disk);
  await compare(again, disk);
  again.close();
}

/** A device that does not do what it promised is given up in finite time, with a word on why. */
async function expectResetOrReason(device: DriverDevice): Promise<void> {
  const error = await failureOf(device.resetQueue(0));
  // A QEMU to come may keep the promise.
  if (error === undefined) return;
  expect(isVirtioError(error, "DEVICE_FAILED"), `a queue that cannot be reset: ${error}`);
  expect(error.path === "mmio.QueueReady", `what never reads 0 is ${error.path}`);
}

/** Writes here and there, several writes under way at a time, and makes all of it stable. */
async function change(block: BlockDriver, { bytes, changes }: Disk): Promise<void> {
  // Writes that are under way together are of different sectors: their order is nobody's.
  const stride = Math.floor(SECTORS / WRITES);
  const writes = Array.from({ length: WRITES }, (_, i) => {
    const length = (1 + (i % WRITE_SECTORS)) * SECTOR_SIZE;
    const data = new Uint8Array(length);
    changes.source(data);
    bytes.set(data, i * stride * SECTOR_SIZE);
    return block.write(i * stride, data);
  });
  await Promise.all(writes);
  await block.flush();
}

/** Compares the disk as it is to be with what is read through the device, and with the file. */
async function compare(block: BlockDriver, { bytes, path }: Disk): Promise<void> {
  const read = Buffer.from(await block.read(0, block.capacity));
  expect(read.equals(bytes), "what is read is not what was written");
  expect(readFileSync(path).equals(bytes), "the file is not what was written");
}

/** Grows the disk behind a device that is live, and waits until its driver knows. */
async function grow(device: DriverDevice, { monitor }: Machine, disk: Disk): Promise<void> {
  const block = await BlockDriver.open(device);
  const grown = new Uint8Array(disk.bytes.length + GROWTH * SECTOR_SIZE);
  grown.set(disk.bytes);
  await monitor.execute("block_resize", { "node-name": NODE, size: grown.length });
  const capacity = grown.length / SECTOR_SIZE;
  await until(() => block.capacity === capacity, "the capacity follows the disk", GROW_TIME);
  disk.bytes = grown;
  await compare(block, disk);
  block.close();
}

/** As many vectors as there are to be are in use: the first has what the configuration tells. */
function expectMessages({ messages }: Attached, vectors: number): void {
  const used = messages.filter((count) => count > 0).length;
  expect(used === vectors, `messages of ${used} vectors came, and ${vectors} are in use`);
}
