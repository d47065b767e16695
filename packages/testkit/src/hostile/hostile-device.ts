/**
 * A device that breaks the rules, against the driver halves: bring-up, queues, the entropy driver
 * and the admin client. In each session every promise settles, fails with an error of the project
 * if it fails, and all DMA memory comes back.
 */
import {
  ADMIN_RESPONSE_HEADER,
  type AdminClient,
  AdminCommandError,
  type AdminExecuteOptions,
  bringUp,
  createGuestMemory,
  DmaArena,
  type DriverDevice,
  effectiveStatus,
  FEATURE,
  isVirtioError,
  LIST_QUERY,
  LIST_USE,
  openAdminClient,
  PLATFORM_GROUP,
  qualifierName,
  RING_FEATURES,
  SELF_GROUP,
  STATUS,
  splitAreaSizes,
  statusName,
} from "@virtio-admin/core";
import { ENTROPY_DEVICE_ID, EntropyDriver } from "@virtio-admin/devices";
import type { Connection, TransportFixture } from "../fixture.ts";
import { Random } from "../random.ts";
import {
  LIAR_CONFIG_BYTES,
  LIAR_QUEUE_SIZE,
  LIES,
  LiarDevice,
  LiarRing,
  type Lie,
  type LyingRing,
} from "./liar.ts";
import { ManualTimer } from "./manual-timer.ts";
import { LiarPackedRing } from "./packed-liar.ts";
import { flush, macrotask, settlesAtOnce } from "./pause.ts";
import { describe, Tally } from "./tally.ts";
import type { HostileOptions, HostilePeer, RingFormat } from "./types.ts";

const MEMORY_BASE = 0x2000_0000;
const MEMORY_BYTES = 0x1_0000;
/** How many actions a session has at most. */
const SESSION_ACTIONS = 96;
/** How many commands a session has under way at most. */
const MOST_COMMANDS = 24;
/** How many lies of one session count as steps. */
const LIES_COUNTED = 20;
const RESPONSE = ADMIN_RESPONSE_HEADER.size;
/** Sessions between turns of the event loop. */
const TURN_EVERY = 64;
/** How many turns promises get to settle once a session has ended. */
const SETTLE_TURNS = 400;
const GROUPS: readonly number[] = [SELF_GROUP.id, PLATFORM_GROUP.id];

/** Makes a hostile device and the drivers that meet it. */
export function hostileDevice(options: HostileOptions): HostilePeer {
  return new HostileDevice(options);
}

class HostileDevice implements HostilePeer {
  readonly side = "device" as const;
  readonly #tally: Tally;
  readonly #random: Random;
  readonly #fixture: TransportFixture;
  readonly #rings: RingFormat;
  readonly #bytes = new Uint8Array(MEMORY_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  #sessions = 0;
  #end = 0;

  constructor({ fixture, seed, rings = "split" }: HostileOptions) {
    this.#fixture = fixture;
    this.#rings = rings;
    this.#tally = new Tally(seed);
    this.#random = new Random(seed);
  }

  get steps(): number {
    return this.#tally.steps;
  }

  get counts(): ReadonlyMap<string, number> {
    return this.#tally.counts;
  }

  get violations(): readonly string[] {
    return this.#tally.violations;
  }

  async run(steps: number): Promise<void> {
    this.#end = this.#tally.steps + steps;
    while (this.#tally.steps < this.#end) {
      if (++this.#sessions % TURN_EVERY === 0) await macrotask();
      const session = new Session(
        this.#fixture,
        this.#random,
        this.#tally,
        this.#bytes,
        this.#view,
        this.#rings,
      );
      try {
        if (await settlesAtOnce(this.#play(session))) continue;
        this.#tally.steps++;
        this.#tally.violate("an operation of the driver half never settled");
      } catch (error) {
        this.#tally.steps++;
        this.#tally.violate(`thrown: ${describe(error)}`);
      }
    }
  }

  async close(): Promise<void> {
    await macrotask();
  }

  #play(session: Session): Promise<void> {
    const kind = this.#random.below(16);
    if (kind < 3) return session.live();
    return kind < 10 ? session.lyingBringUp() : session.lyingOperations();
  }
}

/** One device and one driver, from bring-up to close. */
class Session {
  readonly #random: Random;
  readonly #tally: Tally;
  readonly #arena: DmaArena;
  readonly #device: LiarDevice;
  readonly #connection: Connection;
  readonly #view: DataView;
  readonly #timer = new ManualTimer();
  readonly #rings: LyingRing[] = [];
  readonly #format: RingFormat;
  readonly #isInOrder: boolean;
  /** Whether what the driver half reads is changed on its way, and once in how many times. */
  #bytesLieOneIn = 0;
  #pending = 0;
  /** From the attempt to set DRIVER_OK on, the device may use its queues. */
  #isExposed = false;
  /** Lies told in this session. */
  #told = 0;

  constructor(
    fixture: TransportFixture,
    random: Random,
    tally: Tally,
    bytes: Uint8Array,
    view: DataView,
    format: RingFormat,
  ) {
    this.#random = random;
    this.#format = format;
    this.#isInOrder = random.oneIn(2);
    this.#tally = tally;
    this.#view = view;
    const memory = createGuestMemory([{ base: MEMORY_BASE, bytes }]);
    this.#arena = new DmaArena(memory, MEMORY_BASE, MEMORY_BYTES);
    this.#device = new LiarDevice(memory, random, [
      ...RING_FEATURES,
      ...(format === "packed" ? [FEATURE.VIRTIO_F_RING_PACKED] : []),
      ...(this.#isInOrder ? [FEATURE.VIRTIO_F_IN_ORDER] : []),
      FEATURE.VIRTIO_F_NOTIFICATION_DATA,
    ]);
    this.#connection = fixture.connect(this.#device, {
      dma: this.#arena,
      lie: (value, bytes) => this.#answer(value, bytes),
    });
    const { driver } = this.#connection;
    const writeStatus = driver.writeStatus.bind(driver);
    driver.writeStatus = (status) => {
      if ((status & STATUS.DRIVER_OK) !== 0) this.#isExposed = true;
      return writeStatus(status);
    };
  }

  /** An honest bring-up, and then a device that plays with its queues. */
  async live(): Promise<void> {
    const { driver } = this.#connection;
    const device = await bringUp(driver, {
      deviceId: ENTROPY_DEVICE_ID,
      queues: [{ index: 0, size: LIAR_QUEUE_SIZE }],
      adminQueues: { count: "all", required: true, size: LIAR_QUEUE_SIZE },
    });
    const client = openAdminClient(device, { timer: this.#timer, maxWaiting: 8, slots: 4 });
    const entropy = new EntropyDriver(device, { bufferSize: 64 });
    for (const handle of [device.queue(0), ...device.adminQueues]) {
      const Ring = this.#format === "packed" ? LiarPackedRing : LiarRing;
      const ring = new Ring(this.#device, handle.index, MEMORY_BASE, this.#view);
      this.#rings[handle.index] = ring;
    }
    for (let i = 0; i < SESSION_ACTIONS && device.failure === undefined; i++) {
      await this.#work(device, client, entropy);
      this.#tally.steps++;
      this.#act(device);
      await flush(2);
    }
    this.#countEnd(device);
    await this.#end(device, client, entropy);
  }

  /** The driver's own part: it keeps commands and reads under way. */
  async #work(device: DriverDevice, client: AdminClient, entropy: EntropyDriver): Promise<void> {
    const random = this.#random;
    if (this.#pending >= MOST_COMMANDS) return;
    const group = random.pick(GROUPS) ?? 0;
    const options: AdminExecuteOptions = random.oneIn(4) ? { deadlineMs: 1 } : {};
    switch (random.below(7)) {
      case 0:
        this.#track("entropy", entropy.read(1 + random.below(64)));
        return;
      case 1:
        this.#track("list", client.listQuery(group, options));
        return;
      case 2:
        this.#track("list", client.listUse(group, [LIST_QUERY.opcode, LIST_USE.opcode], options));
        return;
      case 3:
        this.#track("config", device.config.read(0, LIAR_CONFIG_BYTES));
        return;
      default: {
        const opcode = random.below(4);
        const data = random.bytes(random.below(160));
        const resultLength = random.below(200);
        const request = { opcode, group, member: random.below(4), data, resultLength };
        const unchecked = { ...options, unchecked: !random.oneIn(16) };
        const reply = client.execute(request, unchecked).then(({ usedLength }) => {
          if (usedLength < RESPONSE) this.#tally.count("command: response cut short");
          else this.#tally.count("command: answered");
        });
        this.#track("command", reply);
      }
    }
  }

  /** One hostile action. */
  #act(device: DriverDevice): void {
    const random = this.#random;
    const index = random.below(3);
    const ring = this.#rings[index];
    if (ring === undefined) return;
    ring.look();
    switch (random.below(112)) {
      case 0:
        ring.use(random.oneIn(2) ? random.uint32() : random.below(LIAR_QUEUE_SIZE), 0);
        break;
      case 1:
        this.#use(ring, true);
        break;
      case 2:
        ring.jump(random);
        break;
      case 3:
        ring.scribble(random);
        break;
      case 4:
        if (random.oneIn(2)) this.#device.host.needsReset("whim");
        break;
      case 5:
      case 6:
        this.#device.host.configChanged();
        break;
      case 7:
      case 8:
        ring.ask(random);
        break;
      case 9:
        this.#resetQueue(device, index);
        return;
      case 10:
      case 11:
      case 12:
      case 13:
        this.#timer.pass(1 + random.below(4));
        return;
      case 14:
        this.#bytesLieOneIn = 2 + random.below(8);
        break;
      default:
        this.#use(ring, false);
    }
    if (!random.oneIn(4)) this.#device.port?.usedBuffers(random.oneIn(8) ? random.below(3) : index);
  }

  /** Uses a buffer, with an answer of any contents; of more bytes than it has, if told so. */
  #use(ring: LyingRing, isTooLong: boolean): void {
    const random = this.#random;
    const { outstanding } = ring;
    if (outstanding.length === 0) return;
    const number = random.below(outstanding.length);
    const pieces = ring.writable(outstanding[number] ?? 0);
    const room = pieces.reduce((sum, [, length]) => sum + length, 0);
    const isGood = random.oneIn(3);
    const isEmpty = random.oneIn(4);
    for (const [at, length] of pieces) {
      for (let i = 0; i < length; i++) {
        // Status OK and a list of everything, or anything, or one of the small errors.
        const answer = i < RESPONSE ? 0 : 0xff;
        this.#view.setUint8(at + i, isEmpty ? 0 : isGood ? answer : random.uint32() & 0xff);
      }
      if (!isGood && !isEmpty && random.oneIn(2) && length >= RESPONSE) {
        this.#view.setUint16(at, random.pick([5, 6, 11, 11, 12, 16, 17, 22, 28]), true);
        this.#view.setUint16(at + 2, random.below(9), true);
      }
    }
    const length = random.oneIn(3) ? random.below(room + 1) : room;
    // In order, a buffer that is not the next one is the last of a batch, or a lie.
    const asBatch = this.#isInOrder && !random.oneIn(3);
    ring.useNumber(number, isTooLong ? room + 1 + random.below(2 ** 31) : length, asBatch);
  }

  #resetQueue(device: DriverDevice, index: number): void {
    if (index !== 0 || device.failure !== undefined) return;
    const ring = this.#rings[index];
    this.#track(
      "resetQueue",
      device.resetQueue(index).then(() => ring?.restart()),
    );
  }

  /** What broke the device, by the driver half's own word. */
  #countEnd(device: DriverDevice): void {
    const { failure } = device;
    if (failure === undefined) return;
    this.#tally.count(`device: ${device.state}`);
    for (const { queue } of [device.queue(0), ...device.adminQueues]) {
      if (queue.defect !== undefined) this.#tally.count(`queue: ${queue.defect}`);
    }
    if (!isVirtioError(failure)) this.#tally.violate(`failed with ${describe(failure)}`);
  }

  async #end(device: DriverDevice, client: AdminClient, entropy: EntropyDriver): Promise<void> {
    const random = this.#random;
    // A reset that does not come off leaves the memory with the device.
    const isHonest = !random.oneIn(8);
    this.#bytesLieOneIn = isHonest ? 0 : 2;
    if (random.oneIn(8)) this.#timer.pass(10_000);
    const closed = await this.#outcome("close", device.close());
    entropy.close();
    client.close();
    await this.#settle();
    if (this.#timer.pending > 0) this.#tally.violate(`${this.#timer.pending} timers are left`);
    if (isHonest && !closed) this.#tally.violate("the device was honest, and was not closed");
    // The entropy driver's buffer stays where the device has it.
    this.#finish(closed ? 64 : undefined);
  }

  /** Bring-up of a device that lies about one thing. */
  async lyingBringUp(): Promise<void> {
    this.#startLying(this.#pickLie());
    let brought: DriverDevice | undefined;
    try {
      brought = await bringUp(this.#connection.driver, {
        deviceId: ENTROPY_DEVICE_ID,
        queues: [{ index: 0, size: LIAR_QUEUE_SIZE }],
        adminQueues: this.#random.oneIn(4)
          ? { count: 1, required: false, size: LIAR_QUEUE_SIZE }
          : { count: 1, required: true, size: LIAR_QUEUE_SIZE },
      });
      this.#tally.count("bring-up: in spite of it");
    } catch (error) {
      this.#countError("bring-up", error);
    }
    this.#stopLying();
    if (brought === undefined) {
      this.#finish(this.#isExposed ? undefined : 0);
      return;
    }
    const closed = await this.#outcome("close", brought.close());
    await this.#settle();
    this.#finish(closed ? 0 : undefined);
  }

  /** The operations of the driver half, one by one, with a lie before some of them. */
  async lyingOperations(): Promise<void> {
    const { driver } = this.#connection;
    const random = this.#random;
    const isSoon = random.oneIn(2);
    const lie = random.oneIn(6) ? "generation" : this.#pickLie();
    if (isSoon) this.#startLying(lie);
    const all = STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.FEATURES_OK;
    const sizes = splitAreaSizes(LIAR_QUEUE_SIZE);
    const block = this.#arena.allocate(0x1000, 0x1000);
    const areas = {
      descriptorArea: block.address,
      driverArea: block.address + sizes.descriptorArea.length,
      deviceArea: block.address + 0x800,
    };
    let features = this.#device.offeredFeatures;
    const listener = {
      usedBuffers: () => undefined,
      configurationChange: () => undefined,
      failed: (error: unknown) => this.#countError("interrupt", error),
    };
    const operations: [string, () => Promise<unknown>][] = [
      ["open", () => driver.open()],
      ["listen", () => driver.listen(listener)],
      ["reset", () => driver.reset()],
      ["writeStatus", () => driver.writeStatus(STATUS.ACKNOWLEDGE)],
      ["writeStatus", () => driver.writeStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER)],
      [
        "readFeatures",
        async () => {
          features = (await driver.readFeatures()).intersect(driver.allowedFeatures);
        },
      ],
      ["writeFeatures", () => driver.writeFeatures(features)],
      ["writeStatus", () => driver.writeStatus(all)],
      ["adminQueues", () => driver.adminQueues(features)],
      ["readConfig", () => driver.readConfig(0, LIAR_CONFIG_BYTES)],
      ["writeConfig", () => driver.writeConfig(0, random.bytes(4))],
      ["queueSizeMax", () => driver.queueSizeMax(random.below(4))],
      ["enableQueue", () => driver.enableQueue(0, LIAR_QUEUE_SIZE, areas)],
      ["resetQueue", () => driver.resetQueue(0)],
      ["queuesReady", async () => driver.queuesReady?.([0])],
      ["readStatus", () => driver.readStatus()],
      ["reset", () => driver.reset()],
    ];
    let at = 0;
    for (const [name, operation] of operations) {
      if (!isSoon && ++at === 3) this.#startLying(lie);
      if (await this.#outcome(name, operation())) continue;
      if (name === "open" || name === "listen") break;
    }
    this.#stopLying();
    await this.#outcome("reset", driver.reset());
    await this.#outcome("close", driver.close());
    await this.#settle();
    block.free();
    this.#finish(undefined);
  }

  #pickLie(): Lie {
    const random = this.#random;
    if (random.oneIn(4)) return "bytes";
    // The two that few of a driver's steps can meet are told more often than the others.
    const lie = random.oneIn(6)
      ? "admin place"
      : random.oneIn(8)
        ? "queue size"
        : (random.pick(LIES) ?? "bytes");
    // A driver half reads ten thousand times before it gives such a device up.
    return lie === "status after reset" && random.oneIn(3) ? "bytes" : lie;
  }

  #startLying(lie: Lie): void {
    this.#device.lie = lie;
    this.#bytesLieOneIn = lie === "bytes" ? 2 + this.#random.below(40) : 0;
  }

  /** Each lie is a step; of those that were polled for, only the first count. */
  #stopLying(): void {
    const { lie, told } = this.#device;
    this.#tally.steps += Math.min(LIES_COUNTED, Math.max(1, told + this.#told));
    if (lie !== undefined && told > 0) this.#tally.count(`told: ${lie}`);
    this.#device.lie = undefined;
    this.#bytesLieOneIn = 0;
  }

  /** What the driver half reads, on its way. */
  #answer(value: number, bytes: number): number {
    const random = this.#random;
    if (this.#bytesLieOneIn === 0 || !random.oneIn(this.#bytesLieOneIn)) return value;
    const range = 2 ** (8 * bytes);
    const lie = random.oneIn(2) ? random.uint32() % range : random.pick([0, 1, range - 1]);
    if (lie === value) return value;
    if (this.#told++ === 0) this.#tally.count("told: bytes");
    return lie;
  }

  // Promises

  /** A promise that nobody waits for: it must settle before the session ends. */
  #track(name: string, promise: Promise<unknown>): void {
    this.#pending++;
    promise
      .catch((error) => this.#countError(name, error))
      .finally(() => {
        this.#pending--;
      });
  }

  /** Whether an operation succeeded. */
  async #outcome(name: string, promise: Promise<unknown>): Promise<boolean> {
    try {
      await promise;
      return true;
    } catch (error) {
      this.#countError(name, error);
      return false;
    }
  }

  #countError(name: string, error: unknown): void {
    const tally = this.#tally;
    if (!isVirtioError(error)) {
      tally.violate(`${name}: ${describe(error)}`);
      return;
    }
    tally.count(`${name}: ${error.code}`);
    if (/admin.?(queue|vq)/i.test(error.path ?? "")) tally.count(`${name}: admin place`);
    if (!(error instanceof AdminCommandError)) return;
    tally.count(`command: ${effectiveStatus(error.status)}`);
    if (statusName(error.status) === undefined) tally.count("command: reserved status");
    if (qualifierName(error.qualifier) === undefined) tally.count("command: reserved qualifier");
  }

  async #settle(): Promise<void> {
    for (let i = 0; i < SETTLE_TURNS && this.#pending > 0; i++) await undefined;
    if (this.#pending > 0) this.#tally.violate(`${this.#pending} promises never settled`);
  }

  /** At most `held` bytes may still be with the device; `undefined` when nobody can tell. */
  #finish(held: number | undefined): void {
    this.#connection.close();
    const missing = MEMORY_BYTES - this.#arena.freeBytes;
    if (held !== undefined && missing !== 0 && missing !== held) {
      this.#tally.violate(`${missing} bytes of DMA memory are gone`);
    }
  }
}
