/** The steps of a hostile driver that are administration commands. */
import { SELF_GROUP } from "@virtio-admin/core";
import {
  countAnswer,
  type SentCommand,
  sendCommand,
  sendFullList,
  sendLater,
} from "./command-attacks.ts";
import { flush } from "./pause.ts";
import { PREY_ADMIN_QUEUES, PREY_QUEUE } from "./prey.ts";
import type { Quarry } from "./quarry.ts";

/** With so many handlers of cancelled commands running, the device asks to try again. */
export const BUSY_HANDLERS = 256;

/** Commands to one device. */
export class CommandSteps {
  readonly #quarry: Quarry;

  /** Takes its steps on this device. */
  constructor(quarry: Quarry) {
    this.#quarry = quarry;
  }

  /** One command, and its answer. */
  command(): undefined {
    const device = this.#quarry.device;
    const index = PREY_QUEUE.admin + this.#quarry.random.below(PREY_ADMIN_QUEUES);
    if (!device.queueEnabled(index)) {
      device.reset();
      return;
    }
    const context = this.#quarry.context();
    const ring = this.#quarry.freshRing(index);
    const isList = this.#quarry.random.oneIn(4);
    const sent = isList ? sendFullList(context, ring) : sendCommand(context, ring);
    const { resets } = device;
    this.#quarry.ground.settle();
    this.#quarry.notify(index);
    this.#judgeCommand(index, sent, resets);
  }

  #judgeCommand(index: number, sent: SentCommand, resets: number): void {
    const { resets: now, broken } = this.#quarry.device;
    const trespass = this.#quarry.ground.trespass(index);
    if (trespass >= 0)
      this.#quarry.tally.violate(`a command: written at 0x${trespass.toString(16)}`);
    if (now !== resets) return;
    const ring = this.#quarry.ground.ring(index);
    const id = ring.take();
    if (id !== sent.head || ring.usedLength > sent.writable || broken) {
      this.#quarry.tally.violate(
        `a command was not answered: used ${id}, ${ring.usedLength} bytes`,
      );
      return;
    }
    countAnswer(this.#quarry.tally, this.#quarry.ground, sent, ring.usedLength);
  }

  /** Commands behind one that waits; then it is let go, or the device is reset over it. */
  async later(): Promise<void> {
    const device = this.#quarry.device;
    const random = this.#quarry.random;
    const index = PREY_QUEUE.admin;
    if (!device.queueEnabled(index)) {
      device.reset();
      return;
    }
    const context = this.#quarry.context();
    const ring = this.#quarry.freshRing(index);
    const { resets } = device;
    const list = sendFullList(context, ring, SELF_GROUP.id);
    this.#quarry.ground.settle();
    this.#quarry.notify(index);
    if (device.resets !== resets) return;
    this.#judgeCommand(index, list, resets);
    const before = this.#quarry.family.waiting;
    const later = sendLater(context, ring, 0);
    this.#quarry.ground.settle();
    this.#quarry.notify(index);
    if (device.resets !== resets) return;
    if (this.#quarry.family.waiting === before) {
      // Too many handlers of cancelled commands are still running.
      this.#judgeCommand(index, later, resets);
      return;
    }
    if (random.oneIn(2)) await this.#cancel(index);
    else await this.#answerLater(index, later, resets);
  }

  /** Leaves the device with handlers of cancelled commands until it asks to try again. */
  async overload(): Promise<void> {
    this.#quarry.isBusDirty = true;
    await this.#quarry.reviveThrough(true);
    const device = this.#quarry.device;
    const index = PREY_QUEUE.admin;
    while (this.#quarry.family.waiting < BUSY_HANDLERS) {
      const context = this.#quarry.context();
      const ring = this.#quarry.freshRing(index);
      const before = this.#quarry.family.waiting;
      sendFullList(context, ring, SELF_GROUP.id);
      sendLater(context, ring, 1);
      device.notify(index);
      if (this.#quarry.family.waiting === before) {
        this.#quarry.tally.violate("a command that waits was not carried out");
        return;
      }
      device.reset();
      this.#quarry.reviveBeside([index], true);
    }
    device.reset();
  }

  /** Resets the device or the queue over a command that waits: no answer may come. */
  async #cancel(index: number): Promise<void> {
    const device = this.#quarry.device;
    const ring = this.#quarry.ground.ring(index);
    const { used } = ring;
    if (this.#quarry.random.oneIn(2)) device.reset();
    else device.resetQueue(index);
    this.#quarry.tally.count("command: cancelled by a reset");
    if (this.#quarry.random.oneIn(64)) this.#quarry.family.letLastGo();
    await flush();
    if (ring.used !== used) this.#quarry.tally.violate("a cancelled command was answered");
    device.reset();
  }

  async #answerLater(index: number, later: SentCommand, resets: number): Promise<void> {
    this.#quarry.family.letLastGo();
    await flush();
    this.#quarry.ground.settle();
    if (this.#quarry.device.resets !== resets) return;
    const id = this.#quarry.ground.ring(index).take();
    if (id === later.head) this.#quarry.tally.count("command: answered later");
    else this.#quarry.tally.violate(`a command that waited was not answered: ${id}`);
  }
}
