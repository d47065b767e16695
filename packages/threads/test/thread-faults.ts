/** Faults between the threads, and which of those in device and driver are planted across them. */
import type { Mutation } from "../../fixtures/test/mutated.ts";

const CONTROL = "packages/threads/src/control.ts";

/** A fault and the case that finds it across threads. */
export interface ThreadFault extends Mutation {
  /** Its name, unique. */
  readonly id: string;
  /** The case that fails. */
  readonly killedBy: string;
}

/** Faults in what carries registers and interrupts from one thread to the other. */
export const THREAD_FAULTS: readonly ThreadFault[] = [
  {
    id: "notification-wakes-nobody",
    file: CONTROL,
    find: "Atomics.or(words, DOORBELLS + word, 1 << (queue & 31));\n    this.toDevice.ring();",
    replace: "Atomics.or(words, DOORBELLS + word, 1 << (queue & 31));",
    killedBy: "driver-exchange",
  },
  {
    id: "notification-of-another-queue",
    file: CONTROL,
    find: "1 << (queue & 31)",
    replace: "1 << (queue & 30)",
    killedBy: "driver-notifies-its-queue",
  },
  {
    id: "notification-of-a-high-queue-lost",
    file: CONTROL,
    find: "if (word > Atomics.load(words, HIGHEST_WORD)) Atomics.store(words, HIGHEST_WORD, word);",
    replace: "",
    killedBy: "admin-place-largest",
  },
  {
    id: "answer-stale",
    file: CONTROL,
    find: "words[ANSWER] = access(words[KIND] as number, offset, size, value);",
    replace: "access(words[KIND] as number, offset, size, value);",
    killedBy: "identity",
  },
  {
    id: "interrupt-wakes-nobody",
    file: CONTROL,
    find: "Atomics.add(this.#words, RISEN, 1);\n    this.toDriver.ring();",
    replace: "Atomics.add(this.#words, RISEN, 1);",
    killedBy: "config-change",
  },
];

/**
 * Of the faults in device and driver, those that are planted across threads too: what must not
 * happen, and does; rings of both formats; answers that lie.
 */
export const PLANTED_ACROSS: readonly string[] = [
  "mmio-device-interrupt-survives-reset",
  "mmio-device-acknowledges-nothing",
  "device-reset-keeps-queues",
  "split-device-flags",
  "split-device-event",
  "split-driver-flags",
  "split-driver-used-twice",
  "split-device-batch-at-its-end",
  "packed-disabled-events",
  "packed-driver-wrap",
  "packed-device-uses-what-is-done",
  "admin-queues-out-of-order",
  "executor-length",
  "client-list-use-not-alone",
];
