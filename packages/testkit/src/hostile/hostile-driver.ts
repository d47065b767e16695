/**
 * A driver that breaks the rules: crafted rings, commands and register accesses against a real
 * device behind a transport. After every step it checks that the device found what it had to find,
 * asks for a reset exactly when it has a reason to, and wrote nowhere else than it was told.
 */
import {
  AdminExecutor,
  AdminQueues,
  bringUp,
  type DriverTransport,
  FEATURE,
  FeatureSet,
  isVirtioError,
  openAdminClient,
  PlatformGroup,
  type QueueDefect,
  type QueueDoorbell,
  SELF_GROUP,
  SelfGroup,
  STATUS,
} from "@virtio-admin/core";
import { EntropyDriver } from "@virtio-admin/devices";
import type { Connection } from "../fixture.ts";
import { Random } from "../random.ts";
import {
  countAnswer,
  type SentCommand,
  sendCommand,
  sendFullList,
  sendLater,
} from "./command-attacks.ts";
import { ObservedDevice, watchedAdmin, watchedModel } from "./observed-device.ts";
import { flush, macrotask } from "./pause.ts";
import { type Attack, Playground } from "./playground.ts";
import {
  hoardingEntropy,
  PREY_ADMIN_QUEUES,
  PREY_MEMBERS,
  PREY_QUEUE,
  PreyFamily,
  SMALL_QUEUE,
} from "./prey.ts";
import {
  type AttackContext,
  breakHoard,
  breakRing,
  mendHoard,
  noise,
  oddBuffer,
  overwrite,
} from "./ring-attacks.ts";
import { describe, Tally } from "./tally.ts";
import type { HostileOptions, HostilePeer } from "./types.ts";
import type { RawRing } from "./zone.ts";

const SETTLED = STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.FEATURES_OK;
const RUNNING = SETTLED | STATUS.DRIVER_OK;
/** How often a legal driver has its turn, in steps. */
const HONEST_EVERY = 800;
/** How often the large queue's budget is exceeded: it takes milliseconds. */
const COSTLY_EVERY = 950;
const OVERWRITE_EVERY = 500;
/** How often the device is left with more running handlers than it puts up with. */
const OVERLOAD_EVERY = 6000;
/** How often a queue is set up through the transport's driver half rather than beside it. */
const THROUGH_TRANSPORT = 48;
/** With so many handlers of cancelled commands running, the device asks to try again. */
const BUSY_HANDLERS = 256;
const TURN_EVERY = 4096;
const OPTIONAL: readonly number[] = [
  FEATURE.VIRTIO_F_INDIRECT_DESC,
  FEATURE.VIRTIO_F_EVENT_IDX,
  FEATURE.VIRTIO_F_RING_RESET,
];
const SMALL_QUEUES: readonly number[] = [
  PREY_QUEUE.entropy,
  ...Array.from({ length: PREY_ADMIN_QUEUES }, (_, i) => PREY_QUEUE.admin + i),
];
const ENTROPY_BYTES = 32;

/** Makes a hostile driver and the device that it attacks. */
export function hostileDriver(options: HostileOptions): HostilePeer {
  return new HostileDriver(options);
}

class HostileDriver implements HostilePeer {
  readonly side = "driver" as const;
  readonly #tally: Tally;
  readonly #random: Random;
  readonly #ground = new Playground();
  readonly #family = new PreyFamily();
  readonly #device: ObservedDevice;
  readonly #connection: Connection;
  readonly #driver: DriverTransport;
  readonly #doorbells: (QueueDoorbell | undefined)[] = [];
  /** A poke may have changed the transport's own state. */
  #isBusDirty = true;
  #revivals = 0;
  /** Free bytes of the arena after the first honest turn. */
  #freeBytes: number | undefined;

  constructor({ fixture, seed }: HostileOptions) {
    const tally = new Tally(seed);
    const random = new Random(seed);
    this.#tally = tally;
    this.#random = random;
    const executor = new AdminExecutor({
      groups: [new SelfGroup(), new PlatformGroup(PREY_MEMBERS)],
      families: [this.#family],
      onFault: (error) => tally.violate(`a handler failed: ${describe(error)}`),
    });
    const admin = new AdminQueues({ executor, count: PREY_ADMIN_QUEUES, maxSize: SMALL_QUEUE });
    const note = (defect: QueueDefect): void => this.#device.note(defect);
    this.#device = new ObservedDevice(
      {
        model: watchedModel(hoardingEntropy(random), note),
        memory: this.#ground.memory,
        admin: watchedAdmin(admin, PREY_QUEUE.admin, note),
      },
      tally,
    );
    this.#connection = fixture.connect(this.#device, { dma: this.#ground.arena });
    this.#driver = this.#connection.driver;
  }

  get steps(): number {
    return this.#tally.steps;
  }

  get counts(): ReadonlyMap<string, number> {
    const counts = new Map(this.#tally.counts);
    for (const [name, times] of this.#connection.refused ?? []) counts.set(`bus: ${name}`, times);
    return counts;
  }

  get violations(): readonly string[] {
    return this.#tally.violations;
  }

  async run(steps: number): Promise<void> {
    const tally = this.#tally;
    const end = tally.steps + steps;
    while (tally.steps < end) {
      tally.steps++;
      try {
        const pending = this.#step();
        if (pending !== undefined) await pending;
        this.#checkStatus();
      } catch (error) {
        tally.violate(`thrown: ${describe(error)}`);
      }
      if (tally.steps % TURN_EVERY === 0) await macrotask();
    }
  }

  async close(): Promise<void> {
    this.#family.letAllGo();
    await macrotask();
    try {
      await this.#honestTurn();
      this.#connection.close();
    } catch (error) {
      this.#tally.violate(`thrown at the end: ${describe(error)}`);
    }
  }

  /** One step; a promise where it has to wait. */
  #step(): Promise<void> | undefined {
    const { steps } = this.#tally;
    const random = this.#random;
    if (steps % HONEST_EVERY === 0) return this.#honestTurn();
    if (steps % OVERWRITE_EVERY === 7) return this.#overwrite();
    if (steps % OVERLOAD_EVERY === 11) return this.#overload();
    if (steps % COSTLY_EVERY === 3) return this.#attackHoard(true);
    const device = this.#device;
    if (device.status !== RUNNING || !device.queueEnabled(PREY_QUEUE.entropy)) {
      // Some drivers do not wait until the device runs.
      const isEarly = random.oneIn(16);
      const revived = this.#revive(!isEarly);
      return revived === undefined
        ? this.#afterRevival(isEarly)
        : revived.then(() => this.#afterRevival(isEarly));
    }
    return this.#act(random);
  }

  #afterRevival(isEarly: boolean): undefined {
    if (!isEarly) return;
    const context = this.#context();
    const ring = this.#freshRing(PREY_QUEUE.entropy);
    const attack = this.#random.oneIn(2) ? breakRing(context, ring) : oddBuffer(context, ring);
    const { resets } = this.#device;
    this.#ground.settle();
    this.#device.writeStatus(RUNNING);
    this.#judge(PREY_QUEUE.entropy, attack, resets);
  }

  #act(random: Random): Promise<void> | undefined {
    const kind = random.below(100);
    if (kind < 40) return this.#attackRing();
    if (kind < 65) return this.#command();
    if (kind < 80) return this.#poke();
    if (kind < 86) return this.#later();
    if (kind < 88) return this.#attackHoard(false);
    if (kind < 91) return this.#refusedStatus();
    if (kind < 94) return this.#badQueue();
    if (kind < 97) return this.#refusedFeatures();
    return this.#stray();
  }

  // Rings

  #context(): AttackContext {
    const indirect = this.#device.negotiated(FEATURE.VIRTIO_F_INDIRECT_DESC);
    return { ground: this.#ground, random: this.#random, indirect };
  }

  /** A ring whose table, and the common one, hold nothing of earlier attacks. */
  #freshRing(index: number): RawRing {
    const ring = this.#ground.ring(index);
    ring.clearTable();
    this.#ground.clearTable();
    return ring;
  }

  #attackRing(): undefined {
    const random = this.#random;
    const index = this.#pickQueue();
    const context = this.#context();
    const ring = this.#freshRing(index);
    const kind = random.below(10);
    const isEntropy = index === PREY_QUEUE.entropy;
    const attack =
      kind === 0
        ? noise(context, ring)
        : kind < 5 && isEntropy
          ? oddBuffer(context, ring)
          : breakRing(context, ring);
    this.#strike(index, attack);
    // Nobody can tell where the device stands in a ring of noise.
    if (kind === 0) this.#device.reset();
  }

  /** An enabled small queue. */
  #pickQueue(): number {
    const index = this.#random.pick(SMALL_QUEUES) ?? PREY_QUEUE.entropy;
    return this.#device.queueEnabled(index) ? index : PREY_QUEUE.entropy;
  }

  /** Notifies, and checks what came of it. */
  #strike(index: number, attack: Attack): void {
    const { resets } = this.#device;
    this.#ground.settle();
    this.#notify(index);
    this.#judge(index, attack, resets);
  }

  #notify(index: number): void {
    const device = this.#device;
    const { notifications } = device;
    this.#doorbells[index]?.ring();
    // A poke may have moved or closed the way through the bus.
    if (device.notifications === notifications) device.notify(index);
  }

  #judge(index: number, attack: Attack, resets: number): void {
    const device = this.#device;
    const ring = this.#ground.ring(index);
    const trespass = this.#ground.trespass(index);
    if (trespass >= 0) {
      this.#tally.violate(`queue ${index}: written at 0x${trespass.toString(16)}`);
    }
    if (device.resets !== resets || attack.expected === undefined) return;
    if (attack.expected !== "none") {
      if (!device.broken) this.#tally.violate(`queue ${index}: ${attack.expected} was not found`);
      return;
    }
    const id = ring.take();
    if (id === attack.head && ring.usedLength === attack.room && !device.broken) {
      this.#tally.count("queue: odd buffer used");
      return;
    }
    const found = `${id}, ${ring.usedLength} bytes`;
    this.#tally.violate(`queue ${index}: a legal buffer was not used as it should be: ${found}`);
  }

  async #overwrite(): Promise<void> {
    await this.#reviveUnlessRunning();
    const index = this.#pickQueue();
    overwrite(this.#context(), this.#freshRing(index));
    this.#notify(index);
    // What the rings say now may go on for long; the device puts it off by timers.
    await macrotask();
    this.#device.reset();
    await macrotask();
    this.#ground.settle();
    this.#tally.count("queue: rings overwritten");
  }

  #attackHoard(isCostly: boolean): undefined {
    // The large queue is set up for this alone.
    this.#device.reset();
    this.#reviveBeside([PREY_QUEUE.hoard], true);
    const attack = breakHoard(this.#context(), isCostly);
    this.#ground.hoard.settle();
    this.#strike(PREY_QUEUE.hoard, attack);
    mendHoard(this.#ground);
    this.#device.reset();
  }

  // Commands

  #command(): undefined {
    const device = this.#device;
    const index = PREY_QUEUE.admin + this.#random.below(PREY_ADMIN_QUEUES);
    if (!device.queueEnabled(index)) {
      device.reset();
      return;
    }
    const context = this.#context();
    const ring = this.#freshRing(index);
    const isList = this.#random.oneIn(4);
    const sent = isList ? sendFullList(context, ring) : sendCommand(context, ring);
    const { resets } = device;
    this.#ground.settle();
    this.#notify(index);
    this.#judgeCommand(index, sent, resets);
  }

  #judgeCommand(index: number, sent: SentCommand, resets: number): void {
    const { resets: now, broken } = this.#device;
    const trespass = this.#ground.trespass(index);
    if (trespass >= 0) this.#tally.violate(`a command: written at 0x${trespass.toString(16)}`);
    if (now !== resets) return;
    const ring = this.#ground.ring(index);
    const id = ring.take();
    if (id !== sent.head || ring.usedLength > sent.writable || broken) {
      this.#tally.violate(`a command was not answered: used ${id}, ${ring.usedLength} bytes`);
      return;
    }
    countAnswer(this.#tally, this.#ground, sent, ring.usedLength);
  }

  /** Commands behind one that waits; then it is let go, or the device is reset over it. */
  async #later(): Promise<void> {
    const device = this.#device;
    const random = this.#random;
    const index = PREY_QUEUE.admin;
    if (!device.queueEnabled(index)) {
      device.reset();
      return;
    }
    const context = this.#context();
    const ring = this.#freshRing(index);
    const { resets } = device;
    const list = sendFullList(context, ring, SELF_GROUP.id);
    this.#ground.settle();
    this.#notify(index);
    if (device.resets !== resets) return;
    this.#judgeCommand(index, list, resets);
    const before = this.#family.waiting;
    const later = sendLater(context, ring, 0);
    this.#ground.settle();
    this.#notify(index);
    if (device.resets !== resets) return;
    if (this.#family.waiting === before) {
      // Too many handlers of cancelled commands are still running.
      this.#judgeCommand(index, later, resets);
      return;
    }
    if (random.oneIn(2)) await this.#cancel(index);
    else await this.#answerLater(index, later, resets);
  }

  /** Leaves the device with handlers of cancelled commands until it asks to try again. */
  async #overload(): Promise<void> {
    this.#isBusDirty = true;
    await this.#reviveThrough(true);
    const device = this.#device;
    const index = PREY_QUEUE.admin;
    while (this.#family.waiting < BUSY_HANDLERS) {
      const context = this.#context();
      const ring = this.#freshRing(index);
      const before = this.#family.waiting;
      sendFullList(context, ring, SELF_GROUP.id);
      sendLater(context, ring, 1);
      device.notify(index);
      if (this.#family.waiting === before) {
        this.#tally.violate("a command that waits was not carried out");
        return;
      }
      device.reset();
      this.#reviveBeside([index], true);
    }
    device.reset();
  }

  /** Resets the device or the queue over a command that waits: no answer may come. */
  async #cancel(index: number): Promise<void> {
    const device = this.#device;
    const ring = this.#ground.ring(index);
    const { used } = ring;
    if (this.#random.oneIn(2)) device.reset();
    else device.resetQueue(index);
    this.#tally.count("command: cancelled by a reset");
    if (this.#random.oneIn(64)) this.#family.letLastGo();
    await flush();
    if (ring.used !== used) this.#tally.violate("a cancelled command was answered");
    device.reset();
  }

  async #answerLater(index: number, later: SentCommand, resets: number): Promise<void> {
    this.#family.letLastGo();
    await flush();
    this.#ground.settle();
    if (this.#device.resets !== resets) return;
    const id = this.#ground.ring(index).take();
    if (id === later.head) this.#tally.count("command: answered later");
    else this.#tally.violate(`a command that waited was not answered: ${id}`);
  }

  // The bus

  #poke(): undefined {
    const { refused } = this.#connection;
    const before = total(refused);
    const { changes } = this.#device;
    this.#ground.settle();
    this.#connection.poke(this.#random);
    this.#isBusDirty = true;
    this.#tally.count("bus: poked");
    if (total(refused) > before && this.#device.changes !== changes) {
      this.#tally.violate("an access that was refused reached the device");
    }
    const trespass = this.#ground.zone.changed();
    if (trespass >= 0) this.#tally.violate(`a poke: written at 0x${trespass.toString(16)}`);
  }

  async #refusedStatus(): Promise<void> {
    const { status } = this.#device;
    const value = this.#random.below(0xff) + 1;
    await this.#attempt("writeStatus", () => this.#driver.writeStatus(value));
    const lost = status & ~this.#device.status & RUNNING;
    if (lost !== 0) this.#tally.violate(`writing status ${value} cleared ${lost}`);
  }

  /** Addresses that no queue can have, or a queue that there is none of. */
  async #badQueue(): Promise<void> {
    const random = this.#random;
    const device = this.#device;
    device.reset();
    this.#begin(this.#features());
    const { areas } = this.#ground.ring(PREY_QUEUE.entropy);
    const off = random.pick([1, 2 ** 40, 2 ** 52 + 1]);
    const bad = {
      descriptorArea: areas.descriptorArea + off,
      driverArea: areas.driverArea + (random.oneIn(2) ? off : 0),
      deviceArea: areas.deviceArea + (random.oneIn(2) ? off : 0),
    };
    const index = random.oneIn(4) ? random.below(0x10000) : PREY_QUEUE.entropy;
    const size = random.oneIn(2) ? SMALL_QUEUE : random.below(0x10000);
    await this.#attempt("enableQueue", () => this.#driver.enableQueue(index, size, bad));
    if (device.queueEnabled(PREY_QUEUE.entropy)) this.#tally.violate("a bad queue was enabled");
    device.reset();
  }

  /** Features that are not offered, or none at all. */
  async #refusedFeatures(): Promise<void> {
    const random = this.#random;
    const device = this.#device;
    device.reset();
    device.writeStatus(STATUS.ACKNOWLEDGE);
    device.writeStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER);
    const words = Array.from({ length: 4 }, () => random.uint32());
    const features = random.oneIn(2)
      ? FeatureSet.fromWords(words)
      : device.offeredFeatures.without(FEATURE.VIRTIO_F_VERSION_1);
    await this.#attempt("writeFeatures", () => this.#driver.writeFeatures(features));
    await this.#attempt("writeStatus", () => this.#driver.writeStatus(SETTLED));
    if (!features.minus(device.offeredFeatures).equals(FeatureSet.EMPTY)) {
      if ((device.status & STATUS.FEATURES_OK) !== 0 && device.driverFeatures.equals(features)) {
        this.#tally.violate(`features were accepted: ${features.toString()}`);
      }
    }
    device.reset();
  }

  /** A legal operation at the wrong time. */
  async #stray(): Promise<void> {
    const random = this.#random;
    const driver = this.#driver;
    const index = random.oneIn(4) ? random.below(0x10000) : random.below(4);
    const bytes = random.bytes(1 + random.below(8));
    switch (random.below(6)) {
      case 0:
        await this.#attempt("writeConfig", () => driver.writeConfig(random.below(32), bytes));
        return;
      case 1:
        await this.#attempt("readConfig", () => driver.readConfig(random.below(32), bytes.length));
        return;
      case 2:
        await this.#attempt("resetQueue", () => driver.resetQueue(index));
        return;
      case 3:
        await this.#attempt("queueSizeMax", () => driver.queueSizeMax(index));
        return;
      case 4:
        this.#device.notify(random.oneIn(2) ? PREY_QUEUE.admin + PREY_ADMIN_QUEUES : index);
        return;
      default:
        await this.#attempt("enableQueue", () =>
          driver.enableQueue(index, SMALL_QUEUE, this.#ground.ring(PREY_QUEUE.entropy).areas),
        );
        this.#device.reset();
    }
  }

  /** An operation of the driver half, which may only fail with an error of the project's. */
  async #attempt(name: string, operation: () => Promise<unknown>): Promise<boolean> {
    try {
      await operation();
      return true;
    } catch (error) {
      if (isVirtioError(error)) this.#tally.count(`operation: ${name} ${error.code}`);
      else this.#tally.violate(`${name} threw: ${describe(error)}`);
      return false;
    }
  }

  // Coming back

  /** The device asks for a reset exactly when there was a reason to. */
  #checkStatus(): void {
    const { broken, status } = this.#device;
    if (broken === ((status & STATUS.DEVICE_NEEDS_RESET) !== 0)) return;
    this.#tally.violate(`the device ${broken ? "is" : "is not"} broken with status ${status}`);
    this.#device.reset();
  }

  async #reviveUnlessRunning(): Promise<void> {
    const device = this.#device;
    if (device.status === RUNNING && device.queueEnabled(PREY_QUEUE.entropy)) return;
    await this.#revive(true);
  }

  /** Resets the device and sets queues up again; a promise when that goes through the transport. */
  #revive(isStarted: boolean): Promise<void> | undefined {
    if (this.#revivals++ % THROUGH_TRANSPORT === 0) return this.#reviveThrough(isStarted);
    this.#device.reset();
    this.#reviveBeside(SMALL_QUEUES, isStarted);
    return;
  }

  #features(): FeatureSet {
    const left = OPTIONAL.filter(() => this.#random.oneIn(3));
    return this.#device.offeredFeatures.without(...left, FEATURE.VIRTIO_F_NOTIFICATION_DATA);
  }

  #begin(features: FeatureSet): void {
    const device = this.#device;
    device.writeStatus(STATUS.ACKNOWLEDGE);
    device.writeStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER);
    for (let word = 0; word < 4; word++) device.writeDriverFeatures(word, features.word(word));
    device.writeStatus(SETTLED);
  }

  #reviveBeside(indexes: readonly number[], isStarted: boolean): void {
    const device = this.#device;
    this.#begin(this.#features());
    for (const index of indexes) {
      if (device.queueSizeMax(index) === 0) continue;
      const ring = this.#ground.ring(index);
      ring.restart();
      device.setQueueSize(index, ring.size);
      for (const area of ["descriptorArea", "driverArea", "deviceArea"] as const) {
        const address = ring.areas[area];
        device.setQueueAddress(index, area, 0, address >>> 0);
        device.setQueueAddress(index, area, 1, Math.floor(address / 2 ** 32));
      }
      if (!device.enableQueue(index)) this.#tally.violate(`queue ${index} was not enabled`);
    }
    this.#ground.settle();
    if (isStarted) device.writeStatus(RUNNING);
  }

  async #reviveThrough(isStarted: boolean): Promise<void> {
    const driver = this.#driver;
    if (this.#isBusDirty) {
      await driver.open();
      await driver.listen({
        usedBuffers: (queue) => this.#interrupted(queue),
        configurationChange: () => this.#tally.count("interrupt: configuration"),
        failed: (error) => {
          if (!isVirtioError(error)) this.#tally.violate(`interrupt: ${describe(error)}`);
        },
      });
      this.#isBusDirty = false;
    }
    await driver.reset();
    await driver.writeStatus(STATUS.ACKNOWLEDGE);
    await driver.writeStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER);
    await driver.writeFeatures(this.#features().intersect(driver.allowedFeatures));
    await driver.writeStatus(SETTLED);
    for (const index of SMALL_QUEUES) {
      if ((await driver.queueSizeMax(index)) === 0) continue;
      const ring = this.#ground.ring(index);
      ring.restart();
      this.#doorbells[index] = await driver.enableQueue(index, ring.size, ring.areas);
    }
    await driver.queuesReady?.(SMALL_QUEUES);
    this.#ground.settle();
    if (isStarted) await driver.writeStatus(RUNNING);
  }

  /** What a driver does in its interrupt, down to a reset, must find no one half-way. */
  #interrupted(queue: number | undefined): void {
    this.#tally.count("interrupt: used buffers");
    const random = this.#random;
    if (!random.oneIn(64)) return;
    this.#tally.count("interrupt: answered with mischief");
    if (random.oneIn(2)) this.#device.reset();
    else this.#device.notify(queue ?? 0);
  }

  /** A legal driver brings the device up, reads entropy and asks for the list of commands. */
  async #honestTurn(): Promise<void> {
    if (this.#family.waiting >= BUSY_HANDLERS) this.#family.letAllGo();
    await macrotask();
    const device = await bringUp(this.#driver, {
      deviceId: this.#device.deviceId,
      queues: [{ index: PREY_QUEUE.entropy, size: SMALL_QUEUE }],
      adminQueues: { count: 1, required: true, size: SMALL_QUEUE },
    });
    const entropy = new EntropyDriver(device, { bufferSize: ENTROPY_BYTES });
    const client = openAdminClient(device);
    const bytes = await entropy.read(ENTROPY_BYTES);
    if (bytes.every((byte) => byte === 0)) this.#tally.violate("entropy is all zeros");
    await client.listQuery(SELF_GROUP.id);
    entropy.close();
    await device.close();
    client.close();
    this.#tally.count("honest: entropy read and list queried");
    this.#isBusDirty = true;
    const { freeBytes } = this.#ground.arena;
    this.#freeBytes ??= freeBytes;
    if (freeBytes !== this.#freeBytes) {
      this.#tally.violate(`${this.#freeBytes - freeBytes} bytes of DMA memory are gone`);
      this.#freeBytes = freeBytes;
    }
  }
}

function total(counts: ReadonlyMap<string, number> | undefined): number {
  let sum = 0;
  for (const times of counts?.values() ?? []) sum += times;
  return sum;
}
