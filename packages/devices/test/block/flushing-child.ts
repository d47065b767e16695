/** Writes one sector after another, flushes each, and says so; killed by the test that runs it. */
import { BlockDriver } from "@virtio-admin/devices";
import { openFileStorage } from "@virtio-admin/devices/file";
import { pattern, setUp } from "./rig.ts";

const storage = await openFileStorage(process.argv[2] ?? "");
const rig = await setUp({ init: { storage } });
const driver = await BlockDriver.open(rig.device);
for (let round = 1; ; round = (round % 63) + 1) {
  await driver.write(round, pattern(1, round));
  await driver.flush();
  process.stdout.write(`${round}\n`);
}
