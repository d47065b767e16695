/** A real device behind the transport's two halves, and a driver that does what a case says. */
import {
  AdminExecutor,
  AdminQueues,
  type CommandFamily,
  createGuestMemory,
  type DeviceGroup,
  type DialectName,
  DmaArena,
  type DriverTransport,
  FEATURE,
  type FeatureSet,
  type GuestMemory,
  LEGACY_ACCESS_FAMILY,
  PlatformGroup,
  type QueueDoorbell,
  SelfGroup,
  SR_IOV_GROUP,
  STATUS,
  VirtioDevice,
  type VirtioDeviceInit,
} from "@virtio-admin/core";
import type { Connection, LegacyOwner, MemoryRun, TransportFixture } from "../fixture.ts";
import { type DriverHand, LocalDriverHand } from "./driver-hand.ts";
import { type Arrived, expectEqual, expectSoon, settle } from "./expect.ts";
import type { HandPackedRing } from "./hand-packed-ring.ts";
import type { HandBuffer, HandRing, UsedEntry } from "./hand-ring.ts";
import { ProbeFamily } from "./probe-family.ts";
import { ProbeModel } from "./probe-model.ts";

const LOW: MemoryRun = { base: 0x4000_0000, length: 0x20_0000 };
/** A second run of memory, whose addresses take more than 32 bits. */
const HIGH: MemoryRun = { base: 0x12_3400_0000, length: 0x1_0000 };

/** The largest size of the bench's administration virtqueues. */
export const ADMIN_QUEUE_SIZE = 16;
/** The members of the bench's platform group; one takes more than 32 bits. */
export const PLATFORM_MEMBERS: readonly number[] = [1, 7, 2 ** 32 + 5];

/**
 * The members of the bench's group of type 1, which it has in the dialect proposal-v5 instead of the
 * platform group, where the transport has that type.
 */
export const PROPOSAL_MEMBERS: readonly number[] = [1, 2];

/** What a case wants of its device. */
export interface DeviceBenchOptions {
  /** The dialect of its administration commands; virtio-1.4 unless given. */
  readonly dialect?: DialectName;
  /** How many administration virtqueues there are; 0 for a device without; 1 unless given. */
  readonly adminQueues?: number;
  /** The device-independent features; those of the device core unless given. */
  readonly features?: readonly number[];
  /** Command families beside the kit's own; none unless given. */
  readonly families?: readonly CommandFamily[];
  /** Groups beside the Self and the platform group; none unless given. */
  readonly groups?: readonly DeviceGroup[];
  /** Makes it the owner of these members besides, with the legacy access commands. */
  readonly legacy?: LegacyOwner;
  /** What carries administration commands out; made of the above unless given. */
  readonly executor?: AdminExecutor;
}

/** A group of type 1 as commands see it. */
const FUNCTIONS: DeviceGroup = {
  type: SR_IOV_GROUP,
  exists: true,
  memberCount: PROPOSAL_MEMBERS.length,
  hasMember: (id) => PROPOSAL_MEMBERS.includes(id),
};

/** What the driver half was told by interrupts. */
export interface Heard {
  /** The queues it was told of used buffers in; `undefined` for any. */
  readonly used: (number | undefined)[];
  /** How often it was told of a configuration change. */
  configuration: number;
  /** What went wrong on the bus. */
  readonly failures: unknown[];
}

/** A ring that buffers are exchanged over, of either format. */
export interface BenchRing {
  /** Makes a buffer of these readable parts and writable parts of these lengths available. */
  add(readable: readonly Uint8Array[], writable: readonly number[]): HandBuffer;
  /** What was used since the last call. */
  takeUsed(): UsedEntry[];
}

/** One queue that a case has enabled. */
export interface BenchQueue<R extends BenchRing = HandRing> {
  /** Its index. */
  readonly index: number;
  /** Its ring. */
  readonly ring: R;
  /** What notifies the device of it. */
  readonly doorbell: QueueDoorbell;
}

/** The device side of a case. */
export class DeviceBench {
  /** The memory for rings and buffers; what is left of it where the driver half lives elsewhere. */
  readonly dma: DmaArena;
  /** More of it, at addresses that take more than 32 bits. */
  readonly highDma: DmaArena;
  /** The device type. */
  readonly model: ProbeModel = new ProbeModel();
  /** The command family, beside the list commands. */
  readonly family: ProbeFamily = new ProbeFamily();
  /** The platform group of the device, beside its Self group. */
  readonly group: PlatformGroup = new PlatformGroup(PLATFORM_MEMBERS);
  /** The device core. */
  readonly device: VirtioDevice;
  /** The driver half. */
  readonly driver: DriverTransport;
  /** What interrupts told. */
  readonly heard: Heard = { used: [], configuration: 0, failures: [] };
  readonly #connection: Connection;
  readonly #hand: DriverHand;

  /** Makes the device and connects it. */
  constructor(fixture: TransportFixture, options: DeviceBenchOptions = {}) {
    const memory = memoryOf(fixture, [LOW, HIGH]);
    const arena = ({ base, length }: MemoryRun) => {
      const taken = fixture.memory === undefined ? 0 : length / 2;
      return new DmaArena(memory, base + taken, length - taken);
    };
    this.dma = arena(LOW);
    this.highDma = arena(HIGH);
    const count = options.adminQueues ?? 1;
    const { legacy } = options;
    const executor = options.executor ?? this.#makeExecutor(fixture, options);
    const init: VirtioDeviceInit = {
      model: this.model,
      memory,
      ...(options.features === undefined ? {} : { features: options.features }),
      ...(count === 0
        ? {}
        : { admin: new AdminQueues({ executor, count, maxSize: ADMIN_QUEUE_SIZE }) }),
    };
    this.device = new VirtioDevice(init);
    this.#connection = (legacy ?? fixture).connect(this.device, { dma: this.dma });
    this.driver = this.#connection.driver;
    this.#hand =
      this.#connection.hand ??
      new LocalDriverHand(memory, [
        [LOW.base, this.dma],
        [HIGH.base, this.highDma],
      ]);
  }

  #makeExecutor(fixture: TransportFixture, options: DeviceBenchOptions): AdminExecutor {
    const { dialect = "virtio-1.4", families = [], groups = [], legacy } = options;
    const hasFunctions = fixture.plugin.description.groupTypes.includes(SR_IOV_GROUP.name);
    const own = dialect === "virtio-1.4" ? [this.group] : hasFunctions ? [FUNCTIONS] : [];
    const legacyGroups = legacy === undefined ? [] : [legacy.group];
    const legacyFamilies = legacy === undefined ? [] : [LEGACY_ACCESS_FAMILY];
    return new AdminExecutor({
      dialect,
      groups: [new SelfGroup(), ...own, ...groups, ...legacyGroups],
      families: [this.family, ...families, ...legacyFamilies],
    });
  }

  /** Finds the device and listens to its interrupts. */
  async open(): Promise<void> {
    await this.driver.open();
    await this.listen();
  }

  /** Listens to interrupts, in the place of whoever did. */
  async listen(): Promise<void> {
    const { heard } = this;
    await this.driver.listen({
      usedBuffers: (queue) => heard.used.push(queue),
      configurationChange: () => {
        heard.configuration++;
      },
      failed: (error) => heard.failures.push(error),
    });
  }

  /** Waits until `condition` holds, within a bound; `what` says what is waited for. */
  expectSoon(what: string, condition: () => boolean): Promise<void> {
    return expectSoon(what, condition, this.#arrived);
  }

  /** Gives whatever is under way the time to happen, so that its absence can be seen. */
  settle(): Promise<void> {
    return settle(this.#arrived);
  }

  get #arrived(): Arrived | undefined {
    return this.#connection.arrived?.bind(this.#connection);
  }

  /** Forgets what interrupts told, those included that are still on their way. */
  async forget(): Promise<void> {
    if (this.#arrived !== undefined) await this.#arrived();
    this.heard.used.length = 0;
    this.heard.configuration = 0;
  }

  /** True when an interrupt told of used buffers in this queue, or in any. */
  toldOf(index: number): boolean {
    return this.heard.used.some((queue) => queue === undefined || queue === index);
  }

  /** Resets the device and goes as far as DRIVER. */
  async begin(): Promise<void> {
    await this.driver.reset();
    await this.driver.writeStatus(STATUS.ACKNOWLEDGE);
    await this.driver.writeStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER);
  }

  /**
   * Goes as far as FEATURES_OK with all offered features but those `without`, and no event
   * indexes: notifications are then as plain as flags.
   *
   * @returns the features in force.
   */
  async negotiate(without: readonly number[] = [FEATURE.VIRTIO_F_EVENT_IDX]): Promise<FeatureSet> {
    await this.begin();
    const offered = await this.driver.readFeatures();
    const features = offered
      .without(...without)
      .intersect(this.driver.allowedFeatures)
      .without(FEATURE.VIRTIO_F_NOTIFICATION_DATA);
    await this.accept(features);
    return features;
  }

  /** Writes these features and FEATURES_OK, which has to stick. */
  async accept(features: FeatureSet): Promise<void> {
    await this.driver.writeFeatures(features);
    expectEqual("the status after FEATURES_OK", await this.tryFeaturesOk(), FEATURES_OK_STATUS);
  }

  /** Writes FEATURES_OK; returns the status that reads back. */
  async tryFeaturesOk(): Promise<number> {
    await this.driver.writeStatus(FEATURES_OK_STATUS);
    return this.driver.readStatus();
  }

  /** Lays out an empty split ring. */
  ring(size: number): HandRing {
    return this.#hand.ring(size, LOW.base);
  }

  /** Lays out an empty split ring whose addresses, and those of its buffers, take more than 32 bits. */
  highRing(size: number): HandRing {
    return this.#hand.ring(size, HIGH.base);
  }

  /** Writes bytes to guest memory, as the driver. */
  write(address: number, bytes: Uint8Array): void {
    this.#hand.write(address, bytes);
  }

  /** Bytes of guest memory, as the driver sees them. */
  read(address: number, length: number): Uint8Array {
    return this.#hand.read(address, length);
  }

  /** Lays out and enables a queue. */
  async queue(index: number, size?: number): Promise<BenchQueue> {
    const ring = this.ring(size ?? (await this.driver.queueSizeMax(index)));
    const doorbell = await this.driver.enableQueue(index, ring.size, ring.areas);
    return { index, ring, doorbell };
  }

  /** Lays out and enables a packed queue. */
  async packedQueue(index: number, size?: number): Promise<BenchQueue<HandPackedRing>> {
    const entries = size ?? (await this.driver.queueSizeMax(index));
    const ring = this.#hand.packedRing(entries, LOW.base);
    const doorbell = await this.driver.enableQueue(index, ring.size, ring.areas);
    return { index, ring, doorbell };
  }

  /** Sets DRIVER_OK for a device whose queues these are. */
  async run(...queues: readonly BenchQueue<BenchRing>[]): Promise<void> {
    await this.driver.queuesReady?.(queues.map(({ index }) => index));
    await this.driver.writeStatus(RUNNING_STATUS);
    expectEqual("the status after DRIVER_OK", await this.driver.readStatus(), RUNNING_STATUS);
  }

  /** Brings the device up with this one queue. */
  async runWith(index: number, size?: number): Promise<BenchQueue> {
    await this.negotiate();
    const queue = await this.queue(index, size);
    await this.run(queue);
    return queue;
  }

  /** Notifies the device and waits until it has used `count` buffers. */
  async exchange(queue: BenchQueue<BenchRing>, count = 1): Promise<UsedEntry[]> {
    queue.doorbell.ring();
    return this.collect(queue, count);
  }

  /** Waits until the device has used `count` buffers. */
  async collect(queue: BenchQueue<BenchRing>, count = 1): Promise<UsedEntry[]> {
    const entries: UsedEntry[] = [];
    await this.expectSoon(`used buffers in queue ${queue.index}`, () => {
      entries.push(...queue.ring.takeUsed());
      return entries.length >= count;
    });
    return entries;
  }

  /** A copy of all memory below 4 GiB: what {@link highRing} takes is elsewhere. */
  snapshot(): Uint8Array {
    return this.#hand.read(LOW.base, LOW.length);
  }

  /** Sends one buffer through a queue of the probe and checks that it is answered. */
  async echo(queue: BenchQueue<BenchRing>, text = "ping"): Promise<HandBuffer> {
    const bytes = new TextEncoder().encode(text);
    const buffer = queue.ring.add([bytes], [bytes.length]);
    const [used] = await this.exchange(queue);
    expectEqual("the used id", used?.id, buffer.head);
    expectEqual("the used length", used?.length, bytes.length);
    expectEqual("the answer", buffer.written(), bytes);
    return buffer;
  }

  /** Takes everything apart. */
  close(): void {
    this.#connection.close();
  }
}

/** Guest memory of these runs that both halves of a fixture reach. */
export function memoryOf(fixture: TransportFixture, runs: readonly MemoryRun[]): GuestMemory {
  if (fixture.memory !== undefined) return fixture.memory(runs);
  return createGuestMemory(
    runs.map(({ base, length }) => ({ base, bytes: new Uint8Array(length) })),
  );
}

/** The status with FEATURES_OK and all before it. */
export const FEATURES_OK_STATUS: number = STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.FEATURES_OK;
/** The status of a device that runs. */
export const RUNNING_STATUS: number = FEATURES_OK_STATUS | STATUS.DRIVER_OK;
