/** The device that a hostile driver attacks, the way to it, and how it is brought back. */
import {
  AdminExecutor,
  AdminQueues,
  type DriverTransport,
  FEATURE,
  type FeatureSet,
  isVirtioError,
  PlatformGroup,
  type QueueDefect,
  type QueueDoorbell,
  SelfGroup,
  STATUS,
} from "@virtio-admin/core";
import type { Connection } from "../fixture.ts";
import { Random } from "../random.ts";
import { ObservedDevice, watchedAdmin, watchedModel } from "./observed-device.ts";
import { Playground } from "./playground.ts";
import {
  hoardingEntropy,
  PREY_ADMIN_QUEUES,
  PREY_MEMBERS,
  PREY_QUEUE,
  PreyFamily,
  SMALL_QUEUE,
} from "./prey.ts";
import type { AttackContext } from "./ring-attacks.ts";
import { describe, Tally } from "./tally.ts";
import type { HostileOptions } from "./types.ts";
import type { HostileRing } from "./zone.ts";

/** The status with FEATURES_OK and all before it. */
export const SETTLED = STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.FEATURES_OK;
/** The status of a device that runs. */
export const RUNNING = SETTLED | STATUS.DRIVER_OK;
/** The queues that most attacks go to. */
export const SMALL_QUEUES: readonly number[] = [
  PREY_QUEUE.entropy,
  ...Array.from({ length: PREY_ADMIN_QUEUES }, (_, i) => PREY_QUEUE.admin + i),
];
/** How often a queue is set up through the transport's driver half rather than beside it. */
const THROUGH_TRANSPORT = 48;
const OPTIONAL: readonly number[] = [
  FEATURE.VIRTIO_F_INDIRECT_DESC,
  FEATURE.VIRTIO_F_EVENT_IDX,
  FEATURE.VIRTIO_F_RING_RESET,
  FEATURE.VIRTIO_F_IN_ORDER,
  FEATURE.VIRTIO_F_NOTIFICATION_DATA,
];

/** One device under attack. */
export class Quarry {
  /** What was found. */
  readonly tally: Tally;
  /** Where chance comes from. */
  readonly random: Random;
  /** The memory. */
  readonly ground: Playground;
  /** The commands. */
  readonly family: PreyFamily = new PreyFamily();
  /** The device. */
  readonly device: ObservedDevice;
  /** The bus. */
  readonly connection: Connection;
  /** The driver half of the transport. */
  readonly driver: DriverTransport;
  /** A poke may have changed the transport's own state. */
  isBusDirty = true;
  readonly #doorbells: (QueueDoorbell | undefined)[] = [];
  #revivals = 0;

  /** Makes the device, and connects it. */
  constructor({ fixture, seed, rings = "split" }: HostileOptions) {
    this.ground = new Playground(rings);
    const tally = new Tally(seed);
    const random = new Random(seed);
    this.tally = tally;
    this.random = random;
    const executor = new AdminExecutor({
      groups: [new SelfGroup(), new PlatformGroup(PREY_MEMBERS)],
      families: [this.family],
      onFault: (error) => tally.violate(`a handler failed: ${describe(error)}`),
    });
    const admin = new AdminQueues({ executor, count: PREY_ADMIN_QUEUES, maxSize: SMALL_QUEUE });
    const note = (defect: QueueDefect): void => this.device.note(defect);
    this.device = new ObservedDevice(
      {
        model: watchedModel(hoardingEntropy(random), note),
        memory: this.ground.memory,
        features: [...OPTIONAL, ...(rings === "packed" ? [FEATURE.VIRTIO_F_RING_PACKED] : [])],
        admin: watchedAdmin(admin, PREY_QUEUE.admin, note),
      },
      tally,
    );
    this.connection = fixture.connect(this.device, { dma: this.ground.arena });
    this.driver = this.connection.driver;
  }

  /** What attacks are made with now. */
  context(): AttackContext {
    const indirect = this.device.negotiated(FEATURE.VIRTIO_F_INDIRECT_DESC);
    return { ground: this.ground, random: this.random, indirect };
  }

  /** A ring whose table, and the common one, hold nothing of earlier attacks. */
  freshRing(index: number): HostileRing {
    const ring = this.ground.ring(index);
    ring.clearTable();
    this.ground.clearTable();
    return ring;
  }

  /** An enabled small queue. */
  pickQueue(): number {
    const index = this.random.pick(SMALL_QUEUES) ?? PREY_QUEUE.entropy;
    return this.device.queueEnabled(index) ? index : PREY_QUEUE.entropy;
  }

  /** Notifies the device of a queue, through the bus if that is open. */
  notify(index: number): void {
    const device = this.device;
    const { notifications } = device;
    // Whatever it says of where the next buffer will stand, as far as it says anything.
    this.#doorbells[index]?.ring(this.random.below(0x10000));
    // A poke may have moved or closed the way through the bus.
    if (device.notifications === notifications) device.notify(index);
  }

  /** An operation of the driver half, which may only fail with an error of the project's. */
  async attempt(name: string, operation: () => Promise<unknown>): Promise<boolean> {
    try {
      await operation();
      return true;
    } catch (error) {
      if (isVirtioError(error)) this.tally.count(`operation: ${name} ${error.code}`);
      else this.tally.violate(`${name} threw: ${describe(error)}`);
      return false;
    }
  }

  /** Brings the device back if it has stopped. */
  async reviveUnlessRunning(): Promise<void> {
    const device = this.device;
    if (device.status === RUNNING && device.queueEnabled(PREY_QUEUE.entropy)) return;
    await this.revive(true);
  }

  /** Resets the device and sets queues up again; a promise when that goes through the transport. */
  revive(isStarted: boolean): Promise<void> | undefined {
    if (this.#revivals++ % THROUGH_TRANSPORT === 0) return this.reviveThrough(isStarted);
    this.device.reset();
    this.reviveBeside(SMALL_QUEUES, isStarted);
    return;
  }

  /** A random choice of what is offered. */
  features(): FeatureSet {
    const left = OPTIONAL.filter(() => this.random.oneIn(3));
    return this.device.offeredFeatures.without(...left);
  }

  /** Goes from reset to FEATURES_OK, beside the bus. */
  begin(features: FeatureSet): void {
    const device = this.device;
    device.writeStatus(STATUS.ACKNOWLEDGE);
    device.writeStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER);
    for (let word = 0; word < 4; word++) device.writeDriverFeatures(word, features.word(word));
    device.writeStatus(SETTLED);
  }

  /** Goes from reset to DRIVER_OK beside the bus, with these queues, and these features at least. */
  reviveBeside(
    indexes: readonly number[],
    isStarted: boolean,
    needed: readonly number[] = [],
  ): void {
    const device = this.device;
    this.begin(this.features().with(...needed));
    for (const index of indexes) {
      if (device.queueSizeMax(index) === 0) continue;
      const ring = this.ground.ring(index);
      ring.restart();
      device.setQueueSize(index, ring.size);
      for (const area of ["descriptorArea", "driverArea", "deviceArea"] as const) {
        const address = ring.areas[area];
        device.setQueueAddress(index, area, 0, address >>> 0);
        device.setQueueAddress(index, area, 1, Math.floor(address / 2 ** 32));
      }
      if (!device.enableQueue(index)) this.tally.violate(`queue ${index} was not enabled`);
    }
    this.ground.settle();
    if (isStarted) device.writeStatus(RUNNING);
  }

  /** Goes from anywhere to DRIVER_OK through the driver half of the transport. */
  async reviveThrough(isStarted: boolean): Promise<void> {
    const driver = this.driver;
    if (this.isBusDirty) {
      await driver.open();
      await driver.listen({
        usedBuffers: (queue) => this.#interrupted(queue),
        configurationChange: () => this.tally.count("interrupt: configuration"),
        failed: (error) => {
          if (!isVirtioError(error)) this.tally.violate(`interrupt: ${describe(error)}`);
        },
      });
      this.isBusDirty = false;
    }
    await driver.reset();
    await driver.writeStatus(STATUS.ACKNOWLEDGE);
    await driver.writeStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER);
    await driver.writeFeatures(this.features().intersect(driver.allowedFeatures));
    await driver.writeStatus(SETTLED);
    for (const index of SMALL_QUEUES) {
      if ((await driver.queueSizeMax(index)) === 0) continue;
      const ring = this.ground.ring(index);
      ring.restart();
      this.#doorbells[index] = await driver.enableQueue(index, ring.size, ring.areas);
    }
    await driver.queuesReady?.(SMALL_QUEUES);
    this.ground.settle();
    if (isStarted) await driver.writeStatus(RUNNING);
  }

  /** What a driver does in its interrupt, down to a reset, must find no one half-way. */
  #interrupted(queue: number | undefined): void {
    this.tally.count("interrupt: used buffers");
    const random = this.random;
    if (!random.oneIn(64)) return;
    this.tally.count("interrupt: answered with mischief");
    if (random.oneIn(2)) this.device.reset();
    else this.device.notify(queue ?? 0);
  }
}
