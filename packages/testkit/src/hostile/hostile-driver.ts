/**
 * A driver that breaks the rules: crafted rings, commands and register accesses against a real
 * device behind a transport. After every step it checks that the device found what it had to find,
 * asks for a reset exactly when it has a reason to, and wrote nowhere else than it was told.
 */
import {
  bringUp,
  FEATURE,
  FeatureSet,
  openAdminClient,
  SELF_GROUP,
  STATUS,
} from "@virtio-admin/core";
import { EntropyDriver } from "@virtio-admin/devices";
import type { Random } from "../random.ts";
import { BUSY_HANDLERS, CommandSteps } from "./command-steps.ts";
import { PACKED_ATTACKS } from "./packed-attacks.ts";
import { macrotask } from "./pause.ts";
import type { Attack } from "./playground.ts";
import { PREY_ADMIN_QUEUES, PREY_QUEUE, SMALL_QUEUE } from "./prey.ts";
import { Quarry, RUNNING, SETTLED } from "./quarry.ts";
import { type RingAttacks, SPLIT_ATTACKS } from "./ring-attacks.ts";
import { describe } from "./tally.ts";
import type { HostileOptions, HostilePeer } from "./types.ts";

/** How often a legal driver has its turn, in steps. */
const HONEST_EVERY = 800;
/** How often the large queue's budget is exceeded: it takes milliseconds. */
const COSTLY_EVERY = 950;
const OVERWRITE_EVERY = 500;
/** How often the device is left with more running handlers than it puts up with. */
const OVERLOAD_EVERY = 6000;
const TURN_EVERY = 4096;
const ENTROPY_BYTES = 32;

/** Makes a hostile driver and the device that it attacks. */
export function hostileDriver(options: HostileOptions): HostilePeer {
  return new HostileDriver(options);
}

class HostileDriver implements HostilePeer {
  readonly side = "driver" as const;
  readonly #quarry: Quarry;
  readonly #commands: CommandSteps;
  readonly #attacks: RingAttacks;
  /** Free bytes of the arena after the first honest turn. */
  #freeBytes: number | undefined;

  constructor(options: HostileOptions) {
    this.#quarry = new Quarry(options);
    this.#commands = new CommandSteps(this.#quarry);
    this.#attacks = options.rings === "packed" ? PACKED_ATTACKS : SPLIT_ATTACKS;
  }

  get steps(): number {
    return this.#quarry.tally.steps;
  }

  get counts(): ReadonlyMap<string, number> {
    const counts = new Map(this.#quarry.tally.counts);
    for (const [name, times] of this.#quarry.connection.refused ?? [])
      counts.set(`bus: ${name}`, times);
    return counts;
  }

  get violations(): readonly string[] {
    return this.#quarry.tally.violations;
  }

  async run(steps: number): Promise<void> {
    const tally = this.#quarry.tally;
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
    this.#quarry.family.letAllGo();
    await macrotask();
    try {
      await this.#honestTurn();
      this.#quarry.connection.close();
    } catch (error) {
      this.#quarry.tally.violate(`thrown at the end: ${describe(error)}`);
    }
  }

  /** One step; a promise where it has to wait. */
  #step(): Promise<void> | undefined {
    const { steps } = this.#quarry.tally;
    const random = this.#quarry.random;
    if (steps % HONEST_EVERY === 0) return this.#honestTurn();
    if (steps % OVERWRITE_EVERY === 7) return this.#overwrite();
    if (steps % OVERLOAD_EVERY === 11) return this.#commands.overload();
    if (steps % COSTLY_EVERY === 3) return this.#attackHoard(true);
    const device = this.#quarry.device;
    if (device.status !== RUNNING || !device.queueEnabled(PREY_QUEUE.entropy)) {
      // Some drivers do not wait until the device runs.
      const isEarly = random.oneIn(16);
      const revived = this.#quarry.revive(!isEarly);
      return revived === undefined
        ? this.#afterRevival(isEarly)
        : revived.then(() => this.#afterRevival(isEarly));
    }
    return this.#act(random);
  }

  #afterRevival(isEarly: boolean): undefined {
    if (!isEarly) return;
    const context = this.#quarry.context();
    this.#quarry.freshRing(PREY_QUEUE.entropy);
    const attack = this.#quarry.random.oneIn(2)
      ? this.#attacks.breakRing(context, PREY_QUEUE.entropy)
      : this.#attacks.oddBuffer(context, PREY_QUEUE.entropy);
    const { resets } = this.#quarry.device;
    this.#quarry.ground.settle();
    this.#quarry.device.writeStatus(RUNNING);
    this.#judge(PREY_QUEUE.entropy, attack, resets);
  }

  #act(random: Random): Promise<void> | undefined {
    const kind = random.below(100);
    if (kind < 40) return this.#attackRing();
    if (kind < 65) return this.#commands.command();
    if (kind < 80) return this.#poke();
    if (kind < 86) return this.#commands.later();
    if (kind < 88) return this.#attackHoard(false);
    if (kind < 91) return this.#refusedStatus();
    if (kind < 94) return this.#badQueue();
    if (kind < 97) return this.#refusedFeatures();
    return this.#stray();
  }

  // Rings

  #attackRing(): undefined {
    const random = this.#quarry.random;
    const index = this.#quarry.pickQueue();
    const context = this.#quarry.context();
    this.#quarry.freshRing(index);
    const kind = random.below(10);
    const isEntropy = index === PREY_QUEUE.entropy;
    const attack =
      kind === 0
        ? this.#attacks.noise(context, index)
        : kind < 5 && isEntropy
          ? this.#attacks.oddBuffer(context, index)
          : this.#attacks.breakRing(context, index);
    this.#strike(index, attack);
    // Nobody can tell where the device stands in a ring of noise.
    if (kind === 0) this.#quarry.device.reset();
  }

  /** Notifies, and checks what came of it. */
  #strike(index: number, attack: Attack): void {
    const { resets } = this.#quarry.device;
    this.#quarry.ground.settle();
    this.#quarry.notify(index);
    this.#judge(index, attack, resets);
  }

  #judge(index: number, attack: Attack, resets: number): void {
    const device = this.#quarry.device;
    const ring = this.#quarry.ground.ring(index);
    const trespass = this.#quarry.ground.trespass(index, attack.expected !== "nothing");
    if (trespass >= 0) {
      this.#quarry.tally.violate(`queue ${index}: written at 0x${trespass.toString(16)}`);
    }
    if (device.resets !== resets || attack.expected === undefined) return;
    if (attack.expected === "nothing") {
      if (!device.broken) this.#quarry.tally.count(attack.counts ?? "queue: nothing to use");
      else this.#quarry.tally.violate(`queue ${index}: broken by a descriptor of another turn`);
      return;
    }
    if (attack.expected !== "none") {
      if (!device.broken)
        this.#quarry.tally.violate(`queue ${index}: ${attack.expected} was not found`);
      return;
    }
    const id = ring.take();
    if (id === attack.head && ring.usedLength === attack.room && !device.broken) {
      this.#quarry.tally.count("queue: odd buffer used");
      if (attack.counts !== undefined) this.#quarry.tally.count(attack.counts);
      return;
    }
    const found = `${id}, ${ring.usedLength} bytes`;
    this.#quarry.tally.violate(
      `queue ${index}: a legal buffer was not used as it should be: ${found}`,
    );
  }

  async #overwrite(): Promise<void> {
    await this.#quarry.reviveUnlessRunning();
    const index = this.#quarry.pickQueue();
    this.#quarry.freshRing(index);
    this.#attacks.overwrite(this.#quarry.context(), index);
    this.#quarry.notify(index);
    // What the rings say now may go on for long; the device puts it off by timers.
    await macrotask();
    this.#quarry.device.reset();
    await macrotask();
    this.#quarry.ground.settle();
    this.#quarry.tally.count("queue: rings overwritten");
  }

  #attackHoard(isCostly: boolean): undefined {
    // The large queue is set up for this alone.
    this.#quarry.device.reset();
    const needed = isCostly ? [FEATURE.VIRTIO_F_INDIRECT_DESC] : [];
    this.#quarry.reviveBeside([PREY_QUEUE.hoard], true, needed);
    const attack = this.#attacks.breakHoard(this.#quarry.context(), isCostly, () =>
      this.#quarry.device.notify(PREY_QUEUE.hoard),
    );
    this.#quarry.ground.hoard.settle();
    this.#strike(PREY_QUEUE.hoard, attack);
    this.#attacks.mendHoard(this.#quarry.ground);
    this.#quarry.device.reset();
  }

  // Commands

  // The bus

  #poke(): undefined {
    const { refused } = this.#quarry.connection;
    const before = total(refused);
    const { changes } = this.#quarry.device;
    this.#quarry.ground.settle();
    this.#quarry.connection.poke(this.#quarry.random);
    this.#quarry.isBusDirty = true;
    this.#quarry.tally.count("bus: poked");
    if (total(refused) > before && this.#quarry.device.changes !== changes) {
      this.#quarry.tally.violate("an access that was refused reached the device");
    }
    const trespass = this.#quarry.ground.zone.changed();
    if (trespass >= 0) this.#quarry.tally.violate(`a poke: written at 0x${trespass.toString(16)}`);
  }

  async #refusedStatus(): Promise<void> {
    const { status } = this.#quarry.device;
    const value = this.#quarry.random.below(0xff) + 1;
    await this.#quarry.attempt("writeStatus", () => this.#quarry.driver.writeStatus(value));
    const lost = status & ~this.#quarry.device.status & RUNNING;
    if (lost !== 0) this.#quarry.tally.violate(`writing status ${value} cleared ${lost}`);
  }

  /** Addresses that no queue can have, or a queue that there is none of. */
  async #badQueue(): Promise<void> {
    const random = this.#quarry.random;
    const device = this.#quarry.device;
    device.reset();
    this.#quarry.begin(this.#quarry.features());
    const { areas } = this.#quarry.ground.ring(PREY_QUEUE.entropy);
    const off = random.pick([1, 2 ** 40, 2 ** 52 + 1]);
    const bad = {
      descriptorArea: areas.descriptorArea + off,
      driverArea: areas.driverArea + (random.oneIn(2) ? off : 0),
      deviceArea: areas.deviceArea + (random.oneIn(2) ? off : 0),
    };
    const index = random.oneIn(4) ? random.below(0x10000) : PREY_QUEUE.entropy;
    const size = random.oneIn(2) ? SMALL_QUEUE : random.below(0x10000);
    await this.#quarry.attempt("enableQueue", () =>
      this.#quarry.driver.enableQueue(index, size, bad),
    );
    if (device.queueEnabled(PREY_QUEUE.entropy))
      this.#quarry.tally.violate("a bad queue was enabled");
    device.reset();
  }

  /** Features that are not offered, or none at all. */
  async #refusedFeatures(): Promise<void> {
    const random = this.#quarry.random;
    const device = this.#quarry.device;
    device.reset();
    device.writeStatus(STATUS.ACKNOWLEDGE);
    device.writeStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER);
    const words = Array.from({ length: 4 }, () => random.uint32());
    const features = random.oneIn(2)
      ? FeatureSet.fromWords(words)
      : device.offeredFeatures.without(FEATURE.VIRTIO_F_VERSION_1);
    await this.#quarry.attempt("writeFeatures", () => this.#quarry.driver.writeFeatures(features));
    await this.#quarry.attempt("writeStatus", () => this.#quarry.driver.writeStatus(SETTLED));
    if (!features.minus(device.offeredFeatures).equals(FeatureSet.EMPTY)) {
      if ((device.status & STATUS.FEATURES_OK) !== 0 && device.driverFeatures.equals(features)) {
        this.#quarry.tally.violate(`features were accepted: ${features.toString()}`);
      }
    }
    device.reset();
  }

  /** A legal operation at the wrong time. */
  async #stray(): Promise<void> {
    const random = this.#quarry.random;
    const driver = this.#quarry.driver;
    const index = random.oneIn(4) ? random.below(0x10000) : random.below(4);
    const bytes = random.bytes(1 + random.below(8));
    switch (random.below(6)) {
      case 0:
        await this.#quarry.attempt("writeConfig", () =>
          driver.writeConfig(random.below(32), bytes),
        );
        return;
      case 1:
        await this.#quarry.attempt("readConfig", () =>
          driver.readConfig(random.below(32), bytes.length),
        );
        return;
      case 2:
        await this.#quarry.attempt("resetQueue", () => driver.resetQueue(index));
        return;
      case 3:
        await this.#quarry.attempt("queueSizeMax", () => driver.queueSizeMax(index));
        return;
      case 4:
        this.#quarry.device.notify(random.oneIn(2) ? PREY_QUEUE.admin + PREY_ADMIN_QUEUES : index);
        return;
      default:
        await this.#quarry.attempt("enableQueue", () =>
          driver.enableQueue(
            index,
            SMALL_QUEUE,
            this.#quarry.ground.ring(PREY_QUEUE.entropy).areas,
          ),
        );
        this.#quarry.device.reset();
    }
  }

  // Coming back

  /** The device asks for a reset exactly when there was a reason to. */
  #checkStatus(): void {
    const { broken, status } = this.#quarry.device;
    if (broken === ((status & STATUS.DEVICE_NEEDS_RESET) !== 0)) return;
    this.#quarry.tally.violate(
      `the device ${broken ? "is" : "is not"} broken with status ${status}`,
    );
    this.#quarry.device.reset();
  }

  /** A legal driver brings the device up, reads entropy and asks for the list of commands. */
  async #honestTurn(): Promise<void> {
    if (this.#quarry.family.waiting >= BUSY_HANDLERS) this.#quarry.family.letAllGo();
    await macrotask();
    const device = await bringUp(this.#quarry.driver, {
      deviceId: this.#quarry.device.deviceId,
      queues: [{ index: PREY_QUEUE.entropy, size: SMALL_QUEUE }],
      adminQueues: { count: 1, required: true, size: SMALL_QUEUE },
    });
    const entropy = new EntropyDriver(device, { bufferSize: ENTROPY_BYTES });
    const client = openAdminClient(device);
    const bytes = await entropy.read(ENTROPY_BYTES);
    if (bytes.every((byte) => byte === 0)) this.#quarry.tally.violate("entropy is all zeros");
    await client.listQuery(SELF_GROUP.id);
    entropy.close();
    await device.close();
    client.close();
    this.#quarry.tally.count("honest: entropy read and list queried");
    this.#quarry.isBusDirty = true;
    const { freeBytes } = this.#quarry.ground.arena;
    this.#freeBytes ??= freeBytes;
    if (freeBytes !== this.#freeBytes) {
      this.#quarry.tally.violate(`${this.#freeBytes - freeBytes} bytes of DMA memory are gone`);
      this.#freeBytes = freeBytes;
    }
  }
}

function total(counts: ReadonlyMap<string, number> | undefined): number {
  let sum = 0;
  for (const times of counts?.values() ?? []) sum += times;
  return sum;
}
