/** Threads that sleep and wake each other: nothing that is rung for goes unheard. */
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Bell } from "../src/index.ts";
import { type Bundle, bundle } from "./bundle.ts";

const [POLLS, CAME, DONE, END] = [4, 5, 6, 7] as const;
const WORDS = 8;

let program: Bundle;
beforeAll(async () => {
  program = await bundle("bell-worker");
});
afterAll(() => program.remove());

const polls = fc.constantFrom(0, 1, 3, 50, 2000);
/** One exchange: how often each side polls, and how many turns of the event loop come before it. */
const exchange = fc.record({ ours: polls, theirs: polls, turns: fc.nat(3), more: fc.nat(3) });

describe("a bell", () => {
  it("is heard at once when it rang since", async () => {
    const bell = new Bell(new Int32Array(new SharedArrayBuffer(4 * Bell.WORDS)));
    const seen = bell.count;
    bell.ring();
    expect(bell.rang(seen, 0)).toBe(true);
    expect(await bell.heard(seen, 0)).toBe("rung");
    expect(bell.heardBlocking(seen, 0)).toBe("rung");
    expect(bell.sleepers).toBe(0);
  });

  it("is not heard by who has seen its count", async () => {
    const bell = new Bell(new Int32Array(new SharedArrayBuffer(4 * Bell.WORDS)));
    bell.ring();
    expect(bell.rang(bell.count, 5)).toBe(false);
    expect(await bell.heard(bell.count, 5, 1)).toBe("timed-out");
    expect(bell.heardBlocking(bell.count, 5, 1)).toBe("timed-out");
    expect(bell.sleepers).toBe(0);
  });

  it("wakes everyone who sleeps on it, and counts across its wrap", async () => {
    const words = new Int32Array(new SharedArrayBuffer(4 * Bell.WORDS));
    words[0] = 0x7fffffff;
    const bell = new Bell(words);
    const waits = [0, 1, 2].map(() => bell.heard(bell.count, 0));
    expect(bell.sleepers).toBe(3);
    bell.ring();
    expect(bell.count).toBe(-0x80000000);
    expect(await Promise.all(waits)).toEqual(["rung", "rung", "rung"]);
    expect(bell.sleepers).toBe(0);
  });

  it.each([
    ["waits for its event loop", false],
    ["blocks", true],
  ])("is never missed by a thread that %s, however both sleep", async (_, blocking) => {
    const words = new Int32Array(new SharedArrayBuffer(4 * WORDS));
    const worker = new Worker(program.url, { workerData: { words, blocking } });
    const ended = new Promise((resolve, reject) => {
      worker.on("exit", resolve);
      worker.on("error", reject);
    });
    const there = new Bell(words, 0);
    const back = new Bell(words, Bell.WORDS);
    const property = fc.asyncProperty(fc.array(exchange, { maxLength: 30 }), async (exchanges) => {
      for (const { ours, theirs, turns, more } of exchanges) {
        Atomics.store(words, POLLS, theirs);
        for (let turn = 0; turn < turns; turn++) await new Promise((go) => setImmediate(go));
        for (let extra = 0; extra <= more; extra++) {
          Atomics.add(words, CAME, 1);
          there.ring();
        }
        // A ring that is missed is never made up for: the test would not end.
        for (;;) {
          const seen = back.count;
          if (Atomics.load(words, DONE) === Atomics.load(words, CAME)) break;
          await back.heard(seen, ours);
        }
      }
    });
    await fc.assert(property, { numRuns: 60 });
    Atomics.store(words, END, 1);
    there.ring();
    expect(await ended).toBe(0);
    expect([there.sleepers, back.sleepers]).toEqual([0, 0]);
  });
});
