/** Our drivers on QEMU's devices: what their cells share. */
import { bringUp, type DriverDevice, FEATURE, isVirtioError } from "@virtio-admin/core";
import type { Attached, Attachment, InterruptPlan, Machine } from "../attachment/types.ts";
import type { CoveredFeature } from "./covered.ts";
import { type Bench, expect, until } from "./types.ts";

/** How long an acknowledgement may be on its way, in milliseconds. */
const QUIET_TIME = 10_000;

/** Starts a machine with a device, gives it to `use`, and sees to it that it is gone afterwards. */
export async function withMachine<Result>(
  { environment, progress }: Bench,
  attachment: Attachment,
  devices: readonly string[],
  use: (machine: Machine) => Promise<Result>,
): Promise<Result> {
  const { processor } = attachment;
  const program = await environment.qemu(processor);
  const machine = await attachment.start(program, devices);
  try {
    progress(`QEMU ${program.version} for ${processor} waits`);
    return await use(machine);
  } finally {
    await machine.close();
  }
}

/** Checks that a driver that needs an administration virtqueue is told what is missing, and where. */
export async function expectNoAdminQueue({ driver }: Attached): Promise<void> {
  const error = await failureOf(bringUp(driver, { queues: [{ index: 0 }], adminQueues: 1 }));
  expect(isVirtioError(error, "ADMIN_QUEUE_UNAVAILABLE"), `without the feature: ${error}`);
  // On CCW the revision of the command comes first: below it, the bit is reserved.
  const missing =
    driver.name === "ccw"
      ? ["READ_ADMIN_VQ", "revision"]
      : ["VIRTIO_F_ADMIN_VQ", `bit ${FEATURE.VIRTIO_F_ADMIN_VQ}`];
  for (const part of [driver.name, ...missing]) {
    expect(error.message.includes(part), `"${error.message}" does not say ${part}`);
  }
}

/** What is covered by every cell of a place, by how interrupts come there. */
export function coveredOf({ transport, resetsQueues }: Attachment): CoveredFeature[] {
  const interrupts: Readonly<Record<Attachment["transport"], readonly CoveredFeature[]>> = {
    pci: ["MSI-X", "interrupt line"],
    mmio: ["interrupt line"],
    ccw: ["adapter indicators", "classic indicators"],
  };
  return [...interrupts[transport], ...(resetsQueues ? (["queue reset"] as const) : [])];
}

/** Checks that a channel device has interrupted as it was told to. */
export function expectIndicators({ interrupts }: Attached, { choice }: InterruptPlan): void {
  if (interrupts === undefined) return;
  const { adapter, subchannel } = interrupts;
  const told = `${adapter} adapter interrupts, ${subchannel} of the subchannel`;
  expect(adapter > 0 === (choice === "adapter"), `${choice} indicators, and ${told}`);
  expect(choice === "adapter" || subchannel > 0, `${choice} indicators, and ${told}`);
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
