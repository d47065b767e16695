/** Our drivers on QEMU's devices: what their cells share. */
import { bringUp, type DriverDevice, FEATURE, isVirtioError } from "@virtio-admin/core";
import type { Attached, Attachment } from "../qtest/attachment.ts";
import { type QtestMachine, startMachine } from "../qtest/machine.ts";
import { type Bench, expect, until } from "./types.ts";

/** How long an acknowledgement may be on its way, in milliseconds. */
const QUIET_TIME = 10_000;

/** Starts a machine with a device, gives it to `use`, and sees to it that it is gone afterwards. */
export async function withMachine<Result>(
  { environment, progress }: Bench,
  { board }: Attachment,
  devices: readonly string[],
  use: (machine: QtestMachine) => Promise<Result>,
): Promise<Result> {
  const program = await environment.qemu(board.processor);
  const machine = await startMachine(program, board, devices);
  try {
    progress(`QEMU ${program.version} for ${board.processor} waits`);
    return await use(machine);
  } finally {
    await machine.close();
  }
}

/** Checks that a driver that needs an administration virtqueue is told what is missing, and where. */
export async function expectNoAdminQueue({ driver }: Attached): Promise<void> {
  const error = await failureOf(bringUp(driver, { queues: [{ index: 0 }], adminQueues: 1 }));
  expect(isVirtioError(error, "ADMIN_QUEUE_UNAVAILABLE"), `without the feature: ${error}`);
  for (const part of [driver.name, "VIRTIO_F_ADMIN_VQ", `bit ${FEATURE.VIRTIO_F_ADMIN_VQ}`]) {
    expect(error.message.includes(part), `"${error.message}" does not say ${part}`);
  }
}

/** Checks that every interrupt was acknowledged, where nothing is under way. */
export async function expectQuiet(device: DriverDevice, { bus }: Attached): Promise<void> {
  await until(() => !bus.asserted, "the interrupt line falls", QUIET_TIME);
  expect(device.failure === undefined, `the device has failed: ${device.failure}`);
}

/** What a promise rejects with; `undefined` when it does not. */
export function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
}
