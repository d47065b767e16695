/** Our driver reads entropy from QEMU's device: the bytes of a file. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { bringUp } from "@virtio-admin/core";
import { ENTROPY_DEVICE_ID, EntropyDriver } from "@virtio-admin/devices";
import { privateFolder } from "../cleanup.ts";
import { ATTACHMENTS, type Attachment } from "../qtest/attachment.ts";
import { SeededStream } from "../served/entropy.ts";
import { expectNoAdminQueue, expectQuiet, withMachine } from "./qtest.ts";
import { type Bench, type Cell, expect } from "./types.ts";

const FILE_BYTES = 0x1_0000;
const READ_BYTES = 1000;
const READS = 16;

/** One for each place that a device can be attached to. */
export const QTEST_ENTROPY: readonly Cell[] = ATTACHMENTS.map((attachment) => ({
  name: `qtest-${attachment.name}-entropy`,
  needs: `QEMU for ${attachment.board.processor}`,
  checks: `our driver reads from QEMU's entropy device on ${attachment.name} what is in its file`,
  run: (bench) => run(bench, attachment),
}));

async function run(bench: Bench, attachment: Attachment): Promise<readonly string[]> {
  const folder = privateFolder();
  try {
    const filename = join(folder.path, "entropy");
    const bytes = new Uint8Array(FILE_BYTES);
    new SeededStream(attachment.name).source(bytes);
    writeFileSync(filename, bytes);
    const source = { "qom-type": "rng-random", id: "source", filename };
    const devices = [
      ...["-object", JSON.stringify(source)],
      ...["-device", attachment.device("virtio-rng", { rng: "source" })],
    ];
    return await withMachine(bench, attachment, devices, async (machine) => {
      let at = 0;
      for (const plan of attachment.interrupts) {
        const attached = await attachment.attach(machine, plan);
        await expectNoAdminQueue(attached);
        const device = await bringUp(attached.driver, {
          deviceId: ENTROPY_DEVICE_ID,
          queues: [{ index: 0 }],
        });
        const entropy = new EntropyDriver(device);
        for (let i = 0; i < READS; i++) {
          const read = Buffer.from(await entropy.read(READ_BYTES));
          const given = bytes.subarray(at, at + READ_BYTES);
          expect(read.equals(given), `bytes ${at} and up are not those of the file`);
          at += READ_BYTES;
        }
        await expectQuiet(device, attached);
        entropy.close();
        await device.close();
      }
      return [`${at} bytes`];
    });
  } finally {
    folder.remove();
  }
}
