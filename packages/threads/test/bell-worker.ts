/** Answers each ring with one of its own, polling as often as it is told to before it sleeps. */
import { parentPort, workerData } from "node:worker_threads";
import { Bell } from "../src/index.ts";

const { words, blocking } = workerData as { words: Int32Array; blocking: boolean };
const there = new Bell(words, 0);
const back = new Bell(words, Bell.WORDS);
/** How often to poll, how much work came, how much was done, and whether to end. */
const [POLLS, CAME, DONE, END] = [4, 5, 6, 7] as const;

parentPort?.on("message", () => undefined);
for (;;) {
  const seen = there.count;
  const came = Atomics.load(words, CAME);
  if (came !== Atomics.load(words, DONE)) {
    Atomics.store(words, DONE, came);
    back.ring();
  }
  if (Atomics.load(words, END) !== 0) break;
  const polls = Atomics.load(words, POLLS);
  if (blocking) there.heardBlocking(seen, polls);
  else await there.heard(seen, polls);
}
parentPort?.close();
