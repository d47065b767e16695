/** Our driver reads entropy from QEMU's device: the bytes of a file. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { bringUp, type DriverDevice, FEATURE, isVirtioError } from "@virtio-admin/core";
import { ENTROPY_DEVICE_ID, EntropyDriver } from "@virtio-admin/devices";
import { SeededStream } from "@virtio-admin/fixtures";
import { ATTACHMENTS } from "../attachment/index.ts";
import type { Attached, Attachment } from "../attachment/types.ts";
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
import { type Bench, type Cell, expect } from "./types.ts";

const FILE_BYTES = 0x4_0000;
const READ_BYTES = 1000;
const READS = 8;
const { VIRTIO_F_EVENT_IDX, VIRTIO_F_RING_RESET, VIRTIO_F_RING_PACKED } = FEATURE;
/** Rings of both kinds, by the features that make them. */
const RINGS: readonly (readonly number[])[] = [
  [VIRTIO_F_EVENT_IDX, VIRTIO_F_RING_RESET],
  [VIRTIO_F_EVENT_IDX, VIRTIO_F_RING_RESET, VIRTIO_F_RING_PACKED],
  [],
];

/** One for each place that a device can be attached to. */
export const QEMU_ENTROPY: readonly Cell[] = ATTACHMENTS.map((attachment) => ({
  name: `qemu-${attachment.name}-entropy`,
  needs: `QEMU for ${attachment.processor}`,
  checks: `our driver reads from QEMU's entropy device on ${attachment.name} what is in its file`,
  covers: coverageOf(attachment),
  run: (bench) => run(bench, attachment),
}));

function coverageOf(attachment: Attachment): Coverage[] {
  return oursOnQemu(attachment.transport, "entropy", [
    ...(["bring-up", "reads", "EVENT_IDX", "packed", "no-admin-queue error"] as const),
    ...coveredOf(attachment),
  ]);
}

async function run(bench: Bench, attachment: Attachment): Promise<readonly string[]> {
  const folder = privateFolder();
  try {
    const filename = join(folder.path, "entropy");
    const bytes = Buffer.alloc(FILE_BYTES);
    new SeededStream(attachment.name).source(bytes);
    writeFileSync(filename, bytes);
    const source = { "qom-type": "rng-random", id: "source", filename };
    const devices = [
      ...["-object", JSON.stringify(source)],
      ...["-device", attachment.device("virtio-rng", { rng: "source", packed: true })],
    ];
    return await withMachine(bench, attachment, devices, async (machine) => {
      let at = 0;
      const readOn = async (device: DriverDevice): Promise<void> => {
        const entropy = new EntropyDriver(device);
        for (let i = 0; i < READS; i++) {
          const read = Buffer.from(await entropy.read(READ_BYTES));
          const found = attachment.losesBytes ? bytes.indexOf(read, at) : at;
          const given = bytes.subarray(found, found + READ_BYTES);
          expect(read.equals(given), `bytes ${at} and up are not those of the file`);
          at = found + READ_BYTES;
        }
        entropy.close();
      };
      for (const plan of attachment.interrupts) {
        const attached = await machine.attach(plan);
        await expectNoAdminQueue(attached);
        at += await readByTheText(attached);
        for (const all of RINGS) {
          const ring = all.filter((bit) => !attachment.lacks.includes(bit));
          const device = await bringUp(attached.driver, {
            deviceId: ENTROPY_DEVICE_ID,
            ringFeatures: ring,
            requiredFeatures: ring,
            queues: [{ index: 0 }],
            unflaggedLengths: ring.includes(VIRTIO_F_RING_PACKED),
          });
          await readOn(device);
          await expectQuiet(device, attached);
          if (attachment.resetsQueues && device.features.has(VIRTIO_F_RING_RESET)) {
            await device.resetQueue(0);
            await readOn(device);
            await expectQuiet(device, attached);
          }
          await device.close();
        }
        expectIndicators(attached, plan);
      }
      return [`${at} bytes`, `${RINGS.length} kinds of rings`];
    });
  } finally {
    folder.remove();
  }
}

/**
 * Reads through a packed ring as the text has it: without VIRTQ_DESC_F_WRITE, which QEMU does not
 * set, nothing was written, and the driver says so. Answers how many bytes are gone.
 */
async function readByTheText({ driver }: Attached): Promise<number> {
  const device = await bringUp(driver, {
    requiredFeatures: [VIRTIO_F_RING_PACKED],
    queues: [{ index: 0 }],
  });
  const entropy = new EntropyDriver(device);
  const error = await failureOf(entropy.read(READ_BYTES));
  entropy.close();
  await device.close();
  // A QEMU to come may set the flag.
  if (error !== undefined) {
    expect(isVirtioError(error, "DEVICE_FAILED"), `a length without the flag: ${error}`);
  }
  return READ_BYTES;
}
