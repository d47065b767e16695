/**
 * A device in a worker, its driver in the main thread, over one SharedArrayBuffer. The worker's
 * program is `two-threads-device.ts`: it makes the device and serves it. The driver here does what it
 * would do in one thread; what is new is that its device can come to an end by itself.
 */
import { bringUp, DmaArena, openAdminClient, SELF_GROUP } from "@virtio-admin/core";
import { ENTROPY_DEVICE_ID, ENTROPY_REQUESTQ, EntropyDriver } from "@virtio-admin/devices";
import { DeviceThread } from "@virtio-admin/threads";
import { MmioDriver } from "@virtio-admin/transport-mmio";

const GUEST_BASE = 0x8000_0000;
const GUEST_BYTES = 1 << 20;
const COMMANDS = 100;

/** Runs the example; the worker's program is beside this one unless it is given. */
export async function twoThreads(
  device: URL = new URL("./two-threads-device.js", import.meta.url),
) {
  const thread = await DeviceThread.start(device, {
    memoryBytes: GUEST_BYTES,
    memoryBase: GUEST_BASE,
  });
  const dma = new DmaArena(thread.memory, GUEST_BASE, GUEST_BYTES);
  const driver = await bringUp(new MmioDriver({ bus: thread.bus, dma }), {
    deviceId: ENTROPY_DEVICE_ID,
    queues: [{ index: ENTROPY_REQUESTQ }],
    adminQueues: 1,
  });
  const client = openAdminClient(driver);
  const opcodes = await client.useReported(SELF_GROUP.id);

  // A promise for each command, or one for a whole batch.
  const entropy = new EntropyDriver(driver);
  const bytes = await entropy.read(16);
  const batch = client.batch();
  for (let i = 0; i < COMMANDS; i++) batch.add(opcodes[0] ?? 0, SELF_GROUP.id, 0, 8);
  await batch.send();
  let succeeded = 0;
  for (let i = 0; i < COMMANDS; i++) if (batch.outcome(i) === 0) succeeded++;
  batch.clear();

  // The thread ends under a command: the command fails, and says why.
  const lost = client.execute({ opcode: opcodes[0] ?? 0, group: SELF_GROUP.id, resultLength: 8 });
  const failed = lost.then(
    () => "answered before the end",
    (error: Error) => error.message,
  );
  await thread.kill();
  const outcome = await failed;

  // The device is gone with its thread, and cannot be reset any more, nor can it write anywhere: the
  // memory is free to be given back.
  entropy.close();
  client.close();
  await thread.close();
  return { opcodes, bytes, succeeded, outcome, ended: thread.ended?.code };
}

if (process.argv[1]?.endsWith("two-threads.js")) console.log(await twoThreads());
