/**
 * From reset to DRIVER_OK, on any transport (section "Device Initialization").
 */
import {
  describeDependency,
  FEATURE_DEPENDENCIES,
  isDeviceTypeFeature,
  SUPPORTED_FEATURES,
  withoutUnmet,
} from "../device/feature-rules.ts";
import { FEATURE, FeatureSet, featureName } from "../device/features.ts";
import { QUEUE_COUNT_LIMIT, QUEUE_SIZE_LIMIT } from "../device/init.ts";
import { STATUS } from "../device/status.ts";
import { isVirtioError, VirtioError } from "../errors.ts";
import type { AdminQueuePlace, DriverTransport, QueueDoorbell } from "../transport/types.ts";
import { DriverDevice } from "./driver-device.ts";
import { Operations } from "./operations.ts";
import { type BringUpOptions, type Plan, planOf } from "./options.ts";
import { DriverQueueHandle } from "./queue-handle.ts";
import { QueueMemory } from "./queue-memory.ts";

/**
 * Brings a device up: opens the transport, resets the device, negotiates features, sets up the
 * queues and the administration virtqueues that were asked for, and sets DRIVER_OK. When it gives
 * up after it has begun to drive the device, it sets FAILED, and lets go of the transport.
 *
 * @throws VirtioError `DEVICE_UNKNOWN` when the device is not the one expected;
 * `FEATURE_MISSING`, `FEATURES_REFUSED` and `QUEUE_UNAVAILABLE` when it lacks what is needed;
 * `ADMIN_QUEUE_UNAVAILABLE` when administration virtqueues are required and there are none;
 * `DEVICE_FAILED` when it answers nonsense or fails meanwhile; `MEMORY_EXHAUSTED`; `TRANSPORT`
 * when the bus fails or an operation takes too long; `VALUE_RANGE` and `QUEUE_SIZE` for options
 * that cannot be, before anything is touched.
 */
export async function bringUp(
  transport: DriverTransport,
  options: BringUpOptions,
): Promise<DriverDevice> {
  const plan = planOf(options);
  checkWanted(plan);
  return new BringUp(transport, plan).run();
}

class BringUp {
  readonly #transport: DriverTransport;
  readonly #plan: Plan;
  readonly #operations: Operations;
  readonly #memories: QueueMemory[] = [];
  readonly #doorbells: [DriverQueueHandle, QueueDoorbell][] = [];
  #status = 0;
  /** From the write of DRIVER_OK on the device may use the queues, whatever the write came to. */
  #queuesExposed = false;

  constructor(transport: DriverTransport, plan: Plan) {
    this.#transport = transport;
    this.#plan = plan;
    this.#operations = new Operations(transport.name, plan.timeout);
  }

  async run(): Promise<DriverDevice> {
    try {
      return await this.#steps();
    } catch (error) {
      await this.#giveUp();
      throw error;
    }
  }

  async #steps(): Promise<DriverDevice> {
    const transport = this.#transport;
    const operations = this.#operations;
    const identity = await operations.run("opening", () => transport.open());
    const { deviceId } = this.#plan;
    if (identity.deviceId === 0 || (deviceId !== undefined && identity.deviceId !== deviceId)) {
      throw new VirtioError("DEVICE_UNKNOWN", {
        message: `the device is not of the type that is driven${deviceId === undefined ? "" : `, ${deviceId}`}`,
        path: `${transport.name}.device_id`,
        value: identity.deviceId,
      });
    }
    const device = new DriverDevice({ transport, operations, identity });
    await operations.run("listening", () => transport.listen(device.listener));
    await operations.run("resetting the device", () => transport.reset());
    await this.#setStatus(STATUS.ACKNOWLEDGE);
    await this.#setStatus(STATUS.DRIVER);
    const features = await this.#negotiate();
    const admin = await this.#findAdminQueues(features);
    const queues: DriverQueueHandle[] = [];
    for (const { index, size } of this.#plan.queues) {
      queues.push(await this.#enableQueue(index, size, features, device));
    }
    const adminQueues: DriverQueueHandle[] = [];
    const { count, size } = this.#plan.admin;
    const adminCount =
      admin === undefined ? 0 : count === "all" ? admin.count : Math.min(count, admin.count);
    for (let i = 0; i < adminCount; i++) {
      adminQueues.push(await this.#enableQueue((admin?.index ?? 0) + i, size, features, device));
    }
    device.settle({ features, queues, admin, adminQueues });
    const indexes = this.#doorbells.map(([handle]) => handle.index);
    await operations.run("arranging interrupts", async () => transport.queuesReady?.(indexes));
    if (device.failure !== undefined) throw device.failure;
    this.#queuesExposed = true;
    await this.#setStatus(STATUS.DRIVER_OK);
    // Live before the status is read back: an interrupt may come at once.
    device.goLive();
    for (const [handle, doorbell] of this.#doorbells) handle.open(doorbell);
    await this.#checkLive();
    if (device.failure !== undefined) throw device.failure;
    return device;
  }

  /** Settles the features: what is wanted, offered, allowed on the transport, and consistent. */
  async #negotiate(): Promise<FeatureSet> {
    const { plan, transport } = { plan: this.#plan, transport: this.#transport };
    const offered = await this.#operations.run("reading the features", () =>
      transport.readFeatures(),
    );
    const wanted = FeatureSet.of(
      FEATURE.VIRTIO_F_VERSION_1,
      ...plan.features,
      ...(plan.admin.count === 0 ? [] : [FEATURE.VIRTIO_F_ADMIN_VQ]),
    );
    const dependencies = [...FEATURE_DEPENDENCIES, ...plan.featureDependencies];
    const features = withoutUnmet(
      wanted.intersect(offered).intersect(transport.allowedFeatures),
      dependencies,
    );
    for (const bit of [FEATURE.VIRTIO_F_VERSION_1, ...plan.requiredFeatures]) {
      if (features.has(bit)) continue;
      const unmet = dependencies.find(
        (each) => each.feature === bit && !features.has(each.requires),
      );
      const why = !offered.has(bit)
        ? "the device does not offer it"
        : !transport.allowedFeatures.has(bit)
          ? `${transport.name} does not allow it`
          : unmet === undefined
            ? "it is not accepted"
            : describeDependency(unmet);
      throw new VirtioError("FEATURE_MISSING", {
        message: `${featureName(bit)} is needed: ${why}`,
        path: "features",
        value: offered.toString(),
      });
    }
    await this.#operations.run("writing the features", () => transport.writeFeatures(features));
    await this.#setStatus(STATUS.FEATURES_OK);
    const status = await this.#readStatus();
    if ((status & STATUS.FEATURES_OK) === 0) {
      // What the device did not take must not be written again with the next bit.
      this.#status &= ~STATUS.FEATURES_OK;
      throw new VirtioError("FEATURES_REFUSED", {
        message: "the device left FEATURES_OK clear",
        path: "features",
        value: features.toString(),
      });
    }
    return features;
  }

  async #findAdminQueues(features: FeatureSet): Promise<AdminQueuePlace | undefined> {
    const { count, required } = this.#plan.admin;
    if (count === 0) return undefined;
    const negotiated = features.has(FEATURE.VIRTIO_F_ADMIN_VQ);
    if (!negotiated && !required) return undefined;
    let place: AdminQueuePlace;
    try {
      // Without the feature the transport reads nothing; it says what is missing.
      place = await this.#operations.run("finding the administration virtqueues", () =>
        this.#transport.adminQueues(features),
      );
    } catch (error) {
      if (!required && isVirtioError(error, "ADMIN_QUEUE_UNAVAILABLE")) return undefined;
      throw error;
    }
    if (!negotiated || place.count === 0) {
      if (!required) return undefined;
      throw new VirtioError("ADMIN_QUEUE_UNAVAILABLE", {
        message: negotiated
          ? `the device on ${this.#transport.name} has no administration virtqueue`
          : `VIRTIO_F_ADMIN_VQ is not negotiated on ${this.#transport.name}`,
        path: "admin_queue_num",
        value: place.count,
        hint: "pass adminQueues with required: false to go on without",
      });
    }
    const highest = this.#plan.queues.reduce((top, { index }) => Math.max(top, index), -1);
    const fits =
      Number.isInteger(place.index) &&
      Number.isInteger(place.count) &&
      place.index > highest &&
      place.count > 0 &&
      place.count <= QUEUE_COUNT_LIMIT - place.index;
    if (fits) return place;
    throw new VirtioError("DEVICE_FAILED", {
      message: `the administration virtqueues (${place.source}) lie above queue ${highest} and below 65536`,
      path: "admin_queue_index, admin_queue_num",
      value: `${place.index}, ${place.count}`,
    });
  }

  async #enableQueue(
    index: number,
    size: number,
    features: FeatureSet,
    device: DriverDevice,
  ): Promise<DriverQueueHandle> {
    const most = await this.#operations.run(`reading the size of queue ${index}`, () =>
      this.#transport.queueSizeMax(index),
    );
    if (!(most >= 1)) {
      throw new VirtioError("QUEUE_UNAVAILABLE", {
        message: "the device has no such virtqueue",
        path: "queue",
        value: index,
      });
    }
    const largest = Math.min(most, QUEUE_SIZE_LIMIT);
    // The maximum need not be a power of two; the size of a split virtqueue is one.
    const limit = features.has(FEATURE.VIRTIO_F_RING_PACKED)
      ? largest
      : 2 ** Math.floor(Math.log2(largest));
    const memory = new QueueMemory(
      this.#transport.dma,
      Math.min(size, limit),
      features,
      this.#plan.unflaggedLengths,
    );
    this.#memories.push(memory);
    const handle = new DriverQueueHandle(index, memory, device);
    const doorbell = await this.#operations.run(`enabling queue ${index}`, () =>
      this.#transport.enableQueue(index, memory.size, memory.areas),
    );
    this.#doorbells.push([handle, doorbell]);
    return handle;
  }

  async #checkLive(): Promise<void> {
    const status = await this.#readStatus();
    const live =
      (status & STATUS.DRIVER_OK) !== 0 &&
      (status & (STATUS.DEVICE_NEEDS_RESET | STATUS.FAILED)) === 0;
    if (live) return;
    throw new VirtioError("DEVICE_FAILED", {
      message: "the device did not go live at DRIVER_OK",
      path: "device_status",
      value: status,
    });
  }

  #readStatus(): Promise<number> {
    return this.#operations.run("reading the status", () => this.#transport.readStatus());
  }

  async #setStatus(bit: number): Promise<void> {
    const status = this.#status | bit;
    await this.#operations.run("writing the status", () => this.#transport.writeStatus(status));
    this.#status = status;
  }

  async #giveUp(): Promise<void> {
    for (const [handle] of this.#doorbells) handle.fence();
    if (this.#status !== 0) {
      const status = this.#status | STATUS.FAILED;
      await this.#operations.attempt("setting FAILED", () => this.#transport.writeStatus(status));
    }
    // Memory that the device may use stays its own: nobody waits for its reset any more.
    if (!this.#queuesExposed) for (const memory of this.#memories) memory.free();
    await this.#operations.attempt("closing", () => this.#transport.close());
  }
}

/** A driver accepts no feature that it cannot know: neither device type's nor one of this project's. */
function checkWanted(plan: Plan): void {
  for (const bit of plan.features) {
    if (isDeviceTypeFeature(bit) || SUPPORTED_FEATURES.has(bit)) continue;
    throw new VirtioError("VALUE_RANGE", {
      message: `${featureName(bit)} is reserved, or not served by this driver`,
      path: "features",
      value: bit,
    });
  }
}
