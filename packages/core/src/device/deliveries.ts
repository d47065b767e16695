/**
 * What a device has to deliver: notifications to the consumers of its queues, and interrupts to its
 * driver, one at a time. A consumer is never called inside a consumer, and the driver is interrupted
 * only after the consumer has returned: whatever the driver does in its interrupt, down to a reset,
 * finds no one half-way.
 *
 * Hot path: nothing is allocated for a notification or an interrupt.
 */
import { defer } from "../clock.ts";
import type { QueueSlot } from "./queue-slot.ts";

/**
 * How many times consumers are called in one go before the rest waits for the event loop: a driver
 * that makes buffers available as fast as they are used holds up nothing else.
 */
const SERVE_LIMIT = 256;

/** Where deliveries go. */
export interface Recipients {
  /** Calls the consumer of a queue. Must not throw. */
  consume(slot: QueueSlot): void;
  /** Interrupts the driver for a queue. */
  interrupt(slot: QueueSlot): void;
  /** Interrupts the driver for the configuration. */
  interruptConfiguration(): void;
  /** The driver could not be interrupted. */
  failed(error: unknown): void;
  /** Nobody is being called any more. Must not throw. */
  quiet(): void;
}

/** The deliveries of one device. */
export class Deliveries {
  readonly #to: Recipients;
  // Made when they are needed first: most devices of a large group have no driver.
  #notified: QueueSlot[] | undefined = undefined;
  #interrupting: QueueSlot[] | undefined = undefined;
  #configuration = false;
  #serving = false;
  #deferred = false;
  #held = false;

  constructor(to: Recipients) {
    this.#to = to;
  }

  /** True while the driver is still to be interrupted for the configuration. */
  get configurationDue(): boolean {
    return this.#configuration;
  }

  /** True when the driver knows all that it is to be interrupted for, and nobody is being called. */
  get areQuiet(): boolean {
    return !this.#serving && !this.#configuration && isEmpty(this.#interrupting);
  }

  /** Nothing is delivered until {@link release}; what comes up waits. */
  hold(): void {
    this.#held = true;
  }

  /** Ends {@link hold}: delivers what came up. */
  release(): void {
    this.#held = false;
    this.#serve();
  }

  /** The consumer of this queue is to be called. */
  notify(slot: QueueSlot): void {
    if (slot.notified) return;
    slot.notified = true;
    this.#notified ??= [];
    this.#notified.push(slot);
    this.#serve();
  }

  /** The driver is to be interrupted for this queue. */
  interrupt(slot: QueueSlot): void {
    if (slot.interrupting) return;
    slot.interrupting = true;
    this.#interrupting ??= [];
    this.#interrupting.push(slot);
    this.#serve();
  }

  /** The driver is to be interrupted for the configuration. */
  interruptConfiguration(): void {
    this.#configuration = true;
    this.#serve();
  }

  /** Runs `action`, and delivers only afterwards what comes up in it. `action` must not throw. */
  after(action: () => void): void {
    const wasServing = this.#serving;
    this.#serving = true;
    action();
    this.#serving = wasServing;
    this.#serve();
  }

  /** Drops what is pending for this queue. */
  forget(slot: QueueSlot): void {
    if (slot.notified) this.#notified?.splice(this.#notified.indexOf(slot), 1);
    if (slot.interrupting) this.#interrupting?.splice(this.#interrupting.indexOf(slot), 1);
    slot.notified = false;
    slot.interrupting = false;
  }

  /** Drops all that is pending. */
  forgetAll(): void {
    for (const slot of this.#notified ?? []) slot.notified = false;
    for (const slot of this.#interrupting ?? []) slot.interrupting = false;
    this.#notified = undefined;
    this.#interrupting = undefined;
    this.#configuration = false;
  }

  #serve(): void {
    if (this.#serving || this.#deferred || this.#held) return;
    this.#serving = true;
    try {
      this.#deliver();
    } catch (error) {
      this.#serving = false;
      this.#to.failed(error);
    } finally {
      this.#serving = false;
    }
    this.#to.quiet();
  }

  #deliver(): void {
    let calls = 0;
    for (;;) {
      if (this.#configuration) {
        this.#configuration = false;
        this.#to.interruptConfiguration();
        continue;
      }
      const interrupting = this.#interrupting?.shift();
      if (interrupting !== undefined) {
        interrupting.interrupting = false;
        this.#to.interrupt(interrupting);
        continue;
      }
      if (calls++ === SERVE_LIMIT && !isEmpty(this.#notified)) {
        this.#serveLater();
        return;
      }
      const notified = this.#notified?.shift();
      if (notified === undefined) return;
      notified.notified = false;
      this.#to.consume(notified);
    }
  }

  #serveLater(): void {
    this.#deferred = true;
    defer(() => {
      this.#deferred = false;
      this.#serve();
    });
  }
}

function isEmpty(pending: readonly QueueSlot[] | undefined): boolean {
  return pending === undefined || pending.length === 0;
}
