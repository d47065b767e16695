/** The state of one device, out of it and back into it. */
import { VirtioError } from "../errors.ts";
import { FEATURE, FeatureSet } from "./features.ts";
import type { LegacyInterface } from "./legacy.ts";
import type { DeviceOperation } from "./operation.ts";
import { askForNotifications } from "./polling.ts";
import type { QueueSlot } from "./queue-slot.ts";
import { checkSavedConfig, checkSavedStatus, saveConfig } from "./saved-checks.ts";
import { prepareSlot, savedSlot, saveSlot } from "./saved-queue.ts";
import {
  type DeviceChange,
  type DeviceState,
  deferHook,
  featuresFromHex,
  inOrder,
  prepareHook,
  refuseState,
  type SavedQueue,
  type StateChange,
  saveHook,
} from "./saved-state.ts";
import { isUsed, STATUS } from "./status.ts";
import { resumeDevice, stopDevice } from "./stopping.ts";

/** See `SnapshotDevice.saveState`. */
export function saveDevice(device: DeviceOperation, path: string): DeviceState {
  const { model, port, legacy, negotiation, queues } = device;
  const isSet = device.due === "takeover" && queues.slots.some(({ queue }) => queue !== undefined);
  if (isSet) {
    throw new VirtioError("SNAPSHOT_BUSY", {
      path,
      message: "parts were set, and where their rings go on is not known yet",
      hint: "let the device go on before the snapshot, or reset it",
    });
  }
  const { config } = model;
  return {
    deviceId: model.deviceId,
    status: device.status,
    ...(legacy?.active === true ? { legacy: { inUse: legacy.inUse } } : {}),
    driverFeatures: String(negotiation.driverFeatures),
    configurationDue: device.deliveries.configurationDue,
    ...(device.mode.stopped ? { stopped: true as const } : {}),
    ...(config === undefined ? {} : { config: saveConfig(config, device.toldGeneration) }),
    queues: queues.slots.map((slot) => saveSlot(slot, device.isBroken, path)),
    ...saveHook("model", model, path),
    ...(port === undefined ? {} : { transport: port.transport }),
    ...saveHook("port", port, path),
  };
}

/** See `SnapshotDevice.preparePort`. Registers of another transport mean nothing to this one. */
export function preparePort(
  device: DeviceOperation,
  state: DeviceState,
  path: string,
): StateChange {
  checkTarget(device, state, path);
  const none: StateChange = { apply: () => undefined, undo: () => undefined };
  const { port } = device;
  if (state.transport !== port?.transport) return none;
  const before = saveDevice(device, path);
  const saved = { hook: port, value: state.port, path: `${path}.port`, device: state };
  return deferHook(saved, { value: before.port, device: before }) ?? none;
}

/** See `SnapshotDevice.prepareState`. */
export function prepareDevice(
  device: DeviceOperation,
  state: DeviceState,
  path: string,
): DeviceChange {
  checkTarget(device, state, path);
  const driverFeatures = featuresFromHex(state.driverFeatures);
  const features = savedFeatures(device, state, driverFeatures, path);
  const model = prepareHook({
    hook: device.model,
    value: state.model,
    path: `${path}.model`,
    device: state,
  });
  const changes = [
    prepareFields(device, state, driverFeatures, features, path),
    ...device.queues.slots.map((slot) => prepareQueue(device, slot, state, features, path)),
    ...(model === undefined ? [] : [model]),
  ];
  let isSettled = false;
  const settle = () => {
    if (!isSettled) settleDevice(device, state);
    isSettled = true;
  };
  const resume = () => {
    settle();
    goOn(device, state);
  };
  return { ...inOrder(changes), settle, resume };
}

function checkTarget(device: DeviceOperation, state: DeviceState, path: string): void {
  if (device.inUse) {
    throw refuseState(path, "the device that is to take the state is in use", {
      value: device.status,
      hint: "reset it first",
    });
  }
  const { model, queues } = device;
  checkSame(`${path}.deviceId`, "the device is of another type", state.deviceId, model.deviceId);
  checkSame(`${path}.queues`, "not as many queues", state.queues.length, queues.slots.length);
}

function checkSame(path: string, message: string, found: number, expected: number): void {
  if (found !== expected) {
    throw refuseState(path, `${message}: the one here has ${expected}`, { value: found });
  }
}

/** The features in force of the saved device; throws when it cannot have had them, or its status. */
function savedFeatures(
  device: DeviceOperation,
  state: DeviceState,
  driverFeatures: FeatureSet,
  path: string,
): FeatureSet {
  const legacy = legacyOf(device, state, path);
  const accepting = `${path}.driverFeatures`;
  if (legacy === undefined) {
    const { negotiation } = device;
    checkSavedStatus(state.status, `${path}.status`);
    // What is withheld now was offered when the driver accepted it.
    const offered = negotiation.offer.provisioned;
    return negotiation.acceptable(driverFeatures, state.status, accepting, offered);
  }
  const why = legacy.refusal(driverFeatures);
  if (why !== undefined) throw refuseState(accepting, why, { value: String(driverFeatures) });
  return driverFeatures;
}

/** The legacy interface that the saved device was driven through, if it was. */
function legacyOf(
  device: DeviceOperation,
  { legacy, status }: DeviceState,
  path: string,
): LegacyInterface | undefined {
  if (legacy === undefined) return undefined;
  const own = device.legacy;
  if (own === undefined) {
    throw refuseState(`${path}.legacy`, "the device here has no legacy interface", {
      hint: "make the target transitional, as the source was",
    });
  }
  const why = own.statusRefusal(status, legacy.inUse);
  if (why !== undefined) throw refuseState(`${path}.status`, why, { value: status });
  return own;
}

function prepareQueue(
  { queues }: DeviceOperation,
  slot: QueueSlot,
  state: DeviceState,
  features: FeatureSet,
  path: string,
): StateChange {
  const { index } = slot;
  const where = `${path}.queues[${index}]`;
  const saved = state.queues[index] as SavedQueue;
  if (saved.ring !== undefined) {
    const ready = state.legacy?.inUse ?? (state.status & STATUS.FEATURES_OK) !== 0;
    if (!ready) throw refuseState(where, "a queue is enabled without FEATURES_OK");
    if (index >= queues.adminBase && !features.has(FEATURE.VIRTIO_F_ADMIN_VQ)) {
      throw refuseState(where, "the queue is enabled without VIRTIO_F_ADMIN_VQ");
    }
  }
  return prepareSlot(slot, savedSlot(saved), where, (ring) => queues.make(index, ring, features));
}

function prepareFields(
  device: DeviceOperation,
  state: DeviceState,
  driverFeatures: FeatureSet,
  features: FeatureSet,
  path: string,
): StateChange {
  const { negotiation, legacy } = device;
  const { config } = device.model;
  const bytes = checkSavedConfig(config, state.config, `${path}.config`);
  const generation = state.config?.generation ?? 0;
  const told = state.config?.toldGeneration ?? 0;
  const before = {
    driverFeatures: negotiation.driverFeatures,
    generation: config?.generation ?? 0,
    told: device.toldGeneration,
    bytes: new Uint8Array(bytes.length),
    due: device.due,
  };
  config?.read(0, before.bytes);
  return {
    apply: () => {
      device.setStatus(state.status);
      if (state.legacy !== undefined) legacy?.restore(state.legacy.inUse);
      device.toResume = state;
      device.due = "nothing";
      negotiation.set(driverFeatures, features);
      device.toldGeneration = told;
      config?.restore(bytes, generation);
    },
    undo: () => {
      device.setStatus(0);
      legacy?.reset();
      device.toResume = undefined;
      device.due = before.due;
      negotiation.set(before.driverFeatures, FeatureSet.EMPTY);
      device.toldGeneration = before.told;
      config?.restore(before.bytes, before.generation);
    },
  };
}

/** What was available may never be notified of again, and what was due is due still. */
function settleDevice(device: DeviceOperation, state: DeviceState): void {
  // Whoever is told of another device may have this one reset.
  if (device.toResume === state) {
    device.trace?.emit({ op: "status", status: device.status });
    if (state.stopped === true) settleStopped(device, state);
    else resumeDevice(device);
  }
  device.attempt("transport", () => device.port?.restored?.(), device.traceFault);
}

/** Its owner has not let the device go on yet: everything waits for that. */
function settleStopped(device: DeviceOperation, state: DeviceState): void {
  if (device.mode.active) void stopDevice(device);
  device.queues.hold();
  if (!isUsed(state)) return;
  device.due = "start";
  if (state.configurationDue) device.tellConfiguration();
  for (const slot of device.queues.slots) {
    if (state.queues[slot.index]?.ring?.interrupt === true) device.deliveries.interrupt(slot);
  }
}

function goOn(device: DeviceOperation, state: DeviceState): void {
  // Whoever was told since, or another device that went on before, may have this one reset.
  if (device.toResume !== state) return;
  const { configurationDue } = state;
  const { queues, deliveries } = device;
  device.toResume = undefined;
  if (state.stopped === true || !isUsed(state)) return;
  if (device.isBroken) {
    queues.stop();
    if (configurationDue) device.tellConfiguration();
    return;
  }
  device.running = true;
  deliveries.after(() => {
    if (configurationDue) device.tellConfiguration();
    for (const slot of queues.slots) {
      if (slot.queue === undefined) continue;
      const wanted = slot.queue.publish();
      const wasDue = state.queues[slot.index]?.ring?.interrupt === true;
      if (wanted || wasDue) deliveries.interrupt(slot);
    }
    askForNotifications(device);
    device.startConsumers();
    device.visitAll();
  });
}
