/**
 * The ring alone between two threads: the device's half in a worker, in memory that both reach. Both
 * poll; the device sleeps when it has polled in vain for a while, and says so with the flag of its
 * ring that asks for notifications.
 */
import { Worker } from "node:worker_threads";
import { createDriverQueue, createGuestMemory, type DriverQueue } from "@virtio-admin/core";
import { Bell } from "@virtio-admin/threads";
import { ringPlace, submit } from "./raw-split.ts";
import { MEMORY_BYTES, nanoseconds, RING_SIZE, type Subject } from "./subject.ts";

/** What the worker is started with. */
export interface TwoThreadsInit {
  readonly guest: SharedArrayBuffer;
  /** A bell, and after it 1 once the worker is to end. */
  readonly words: Int32Array;
}

/** Where {@link TwoThreadsInit.words} says that the worker is to end. */
export const END_AT: number = Bell.WORDS;

/** Guest memory in shared bytes, and where the ring lies in it. */
export function sharedRing(guest: SharedArrayBuffer) {
  const bytes = new Uint8Array(guest);
  const memory = createGuestMemory([{ base: 0, bytes, concurrent: true }]);
  return { size: RING_SIZE, memory, eventIdx: false, indirect: false, ...ringPlace(RING_SIZE) };
}

/** The path `two-threads`. Close it: its thread spins for a while after each slice, then sleeps. */
export async function twoThreads(): Promise<Subject> {
  const guest = new SharedArrayBuffer(MEMORY_BYTES);
  const words = new Int32Array(new SharedArrayBuffer(4 * (Bell.WORDS + 1)));
  const driver = createDriverQueue(sharedRing(guest));
  const init: TwoThreadsInit = { guest, words };
  const worker = new Worker(new URL("./two-threads-worker.js", import.meta.url), {
    workerData: init,
  });
  await new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  const bell = new Bell(words);
  return {
    path: "two-threads",
    format: "two-threads",
    slice(outstanding, rounds) {
      const from = nanoseconds();
      roundTrips(driver, bell, outstanding, rounds);
      return (nanoseconds() - from) / (rounds * outstanding);
    },
    async close() {
      Atomics.store(words, END_AT, 1);
      bell.ring();
      await worker.terminate();
    },
  };
}

function roundTrips(driver: DriverQueue, bell: Bell, outstanding: number, rounds: number): void {
  for (let round = 0; round < rounds; round++) {
    if (submit(driver, outstanding)) bell.ring();
    for (let back = 0; back < outstanding; ) if (driver.reap() >= 0) back++;
    if (driver.defect !== undefined) throw new Error(driver.defect);
  }
}
