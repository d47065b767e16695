/** The parts of one device: read as it is now, and prepared to be set on it while it is stopped. */
import { isVirtioError, type VirtioError } from "../errors.ts";
import { checkTellable, commonParts, prepareCommonParts } from "./common-parts.ts";
import type { FeatureSet } from "./features.ts";
import { messageOf } from "./message-of.ts";
import type { DeviceOperation } from "./operation.ts";
import { type DevicePart, inPartOrder, refuseParts } from "./parts.ts";
import { inOrder, type StateChange } from "./saved-state.ts";

/** See `PartsDevice.readParts`. */
export function readParts(device: DeviceOperation): readonly DevicePart[] {
  return refusing(device, () => {
    checkParts(device);
    const { negotiation, status, queues, port, model } = device;
    const { offered, driverFeatures } = negotiation;
    const common = commonParts({
      offered,
      driverFeatures,
      status,
      slots: queues.present,
      vectorOf: (queue) => port?.queueVector?.(queue),
    });
    return inPartOrder([...common, ...(port?.readParts?.() ?? []), ...(model.readParts?.() ?? [])]);
  });
}

/** See `PartsDevice.prepareParts`. */
export function prepareParts(device: DeviceOperation, parts: readonly DevicePart[]): StateChange {
  return refusing(device, () => {
    if (!device.mode.stopped) {
      throw refuseParts("mode", "the device is not stopped", { hint: "stop it first" });
    }
    checkParts(device);
    const { negotiation, queues } = device;
    const { driverFeatures, features, status, changes } = prepareCommonParts(parts, {
      offered: negotiation.offered,
      driverFeatures: negotiation.driverFeatures,
      status: device.status,
      slots: queues.ofDeviceType,
      transport: device.port,
      deviceType: device.model,
      accept: (wanted, withStatus) => negotiation.acceptable(wanted, withStatus, "driverFeatures"),
      makeQueue: (index, ring, withFeatures) => queues.make(index, ring, withFeatures),
    });
    return inOrder([prepareSet(device, driverFeatures, features, status), ...changes]);
  });
}

/** What is thrown in `work` is the reason of a refusal. */
function refusing<T>(device: DeviceOperation, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const refusal = isVirtioError(cause, "DEVICE_PARTS") ? cause : refusalOf(cause);
    device.trace?.emit({ op: "parts", why: refusal.message });
    throw refusal;
  }
}

/** Parts are refused for this. */
function refusalOf(cause: unknown): VirtioError {
  const { path, value, hint } = isVirtioError(cause) ? cause : {};
  const more = { ...(hint === undefined ? {} : { hint }), value, cause };
  return refuseParts(path ?? "parts", messageOf(cause), more);
}

/** Throws while no part tells what the driver relies on, which parts could not replace either. */
function checkParts({ negotiation, legacy }: DeviceOperation): void {
  checkTellable(negotiation.inForce, "driverFeatures");
  if (legacy?.active !== true) return;
  throw refuseParts("legacy", "no part tells how a driver uses the legacy interface", {
    hint: "reset the device first",
  });
}

function prepareSet(
  device: DeviceOperation,
  driverFeatures: FeatureSet,
  features: FeatureSet,
  status: number,
): StateChange {
  const { negotiation } = device;
  const before = {
    driverFeatures: negotiation.driverFeatures,
    features: negotiation.inForce,
    status: device.status,
    due: device.due,
    running: device.running,
  };
  return {
    apply: () => {
      negotiation.set(driverFeatures, features);
      device.setStatus(status);
      device.due = "takeover";
      device.running = false;
    },
    undo: () => {
      negotiation.set(before.driverFeatures, before.features);
      device.setStatus(before.status);
      device.due = before.due;
      device.running = before.running;
    },
  };
}
