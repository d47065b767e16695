/**
 * The soak: a hostile driver and a hostile device on every transport, with split and with packed
 * rings, a million steps each, in a thread of its own, so that one that hangs is seen from outside.
 *
 * `npm run soak -- --steps 20000 --transport mmio --side driver --rings packed --seed 7 --json`
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { hostileClasses, TRANSPORT_FIXTURES, type TransportName } from "@virtio-admin/fixtures";
import {
  type HostilePeer,
  hostileDevice,
  hostileDriver,
  type RingFormat,
} from "@virtio-admin/testkit";

type Side = HostilePeer["side"];

/** What one thread is asked for. */
interface Task {
  readonly transport: TransportName;
  readonly side: Side;
  readonly rings: RingFormat;
  readonly steps: number;
  readonly seed: number;
  /** How many steps were taken, for the thread that watches. */
  readonly progress: SharedArrayBuffer;
}

/** What came of one run. */
interface Report extends Omit<Task, "progress"> {
  readonly seconds: number;
  /** The longest that {@link CHUNK} steps took. */
  readonly longestMs: number;
  /** The largest heap after a forced collection in the first and the last quarter, in bytes. */
  readonly heap: { readonly first: number; readonly last: number };
  readonly counts: Readonly<Record<string, number>>;
  readonly violations: readonly string[];
}

const SIDES: readonly Side[] = ["driver", "device"];
const FORMATS: readonly RingFormat[] = ["split", "packed"];
const TRANSPORTS = Object.keys(TRANSPORT_FIXTURES) as TransportName[];
const DEFAULT_STEPS = 1_000_000;
const DEFAULT_SEED = 1;
const CHUNK = 500;
const HEAP_SAMPLES = 16;
const HEAP_GROWTH_LIMIT = 5 << 20;
/** Each class is to be reached once in so many steps. */
const STEPS_PER_CLASS = 1000;
/** In fewer steps chance has the last word on how often a class is reached. */
const STEPS_THAT_COUNT = 20_000;
const PROGRESS_MS = { terminal: 500, log: 10_000 } as const;
/** A run that takes no step for so long hangs. */
const HANG_MS = 60_000;
/** How many runs there are at once, where there are processors for them. */
const MOST_THREADS = 4;
const EXIT = { violated: 1, usage: 2, noCollector: 3 } as const;

const collect = (globalThis as { gc?: () => void }).gc;

// The thread that runs

async function runTask(task: Task): Promise<Report> {
  const { transport, side, rings, steps, seed } = task;
  // Refusals are errors, by the hundred thousand: their stacks would cost more than they do.
  Error.stackTraceLimit = 4;
  const progress = new Int32Array(task.progress);
  const unhandled: string[] = [];
  process.on("unhandledRejection", (error) => unhandled.push(`unhandled rejection: ${error}`));
  const fixture = TRANSPORT_FIXTURES[transport];
  const peer =
    side === "driver"
      ? hostileDriver({ fixture, seed, rings })
      : hostileDevice({ fixture, seed, rings });
  const samples: number[] = [];
  let longestMs = 0;
  const started = performance.now();
  while (peer.steps < steps) {
    const chunkStarted = performance.now();
    await peer.run(Math.min(CHUNK, steps - peer.steps));
    longestMs = Math.max(longestMs, performance.now() - chunkStarted);
    Atomics.store(progress, 0, peer.steps);
    while (samples.length < Math.floor((HEAP_SAMPLES * peer.steps) / steps)) {
      samples.push(await heapInUse());
    }
  }
  const seconds = (performance.now() - started) / 1000;
  await peer.close();
  const quarter = HEAP_SAMPLES / 4;
  return {
    ...{ transport, side, rings, steps: peer.steps, seed, seconds, longestMs },
    heap: {
      first: Math.max(...samples.slice(0, quarter)),
      last: Math.max(...samples.slice(-quarter)),
    },
    counts: Object.fromEntries(peer.counts),
    violations: [...peer.violations, ...unhandled],
  };
}

async function heapInUse(): Promise<number> {
  // What only a timer or a finished promise keeps goes with the second collection.
  for (let i = 0; i < 2; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    collect?.();
  }
  return process.memoryUsage().heapUsed;
}

// The thread that watches

function watch(task: Task, tell: (steps: number) => void): Promise<Report> {
  const progress = new Int32Array(task.progress);
  return new Promise((resolve) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: task });
    const every = process.stderr.isTTY ? PROGRESS_MS.terminal : PROGRESS_MS.log;
    let seen = -1;
    let since = performance.now();
    const failed = (why: string): void => {
      clearInterval(timer);
      void worker.terminate();
      resolve(lost(task, Atomics.load(progress, 0), why));
    };
    const timer = setInterval(() => {
      const steps = Atomics.load(progress, 0);
      tell(steps);
      if (steps !== seen) since = performance.now();
      seen = steps;
      if (performance.now() - since > HANG_MS) failed(`no step ended within ${HANG_MS} ms`);
    }, every);
    worker.on("message", (report: Report) => {
      clearInterval(timer);
      void worker.terminate();
      resolve(report);
    });
    worker.on("error", (error) => failed(`thrown: ${error.stack ?? error}`));
  });
}

function lost({ transport, side, rings, seed }: Task, steps: number, why: string): Report {
  return {
    ...{ transport, side, rings, steps, seed, seconds: 0, longestMs: 0, counts: {} },
    heap: { first: 0, last: 0 },
    violations: [why],
  };
}

/** Everything that is wrong with a run. */
function faultsOf(report: Report): string[] {
  const { transport, side, rings, steps, counts, heap } = report;
  const faults = [...report.violations];
  const least = steps < STEPS_THAT_COUNT ? 0 : Math.floor(steps / STEPS_PER_CLASS);
  for (const name of hostileClasses(transport, side, rings)) {
    const times = counts[name] ?? 0;
    if (times < least) faults.push(`${name} was reached ${times} times, ${least} are wanted`);
  }
  if (heap.last > heap.first + HEAP_GROWTH_LIMIT) {
    faults.push(`the heap grew from ${mebibytes(heap.first)} to ${mebibytes(heap.last)}`);
  }
  return faults;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** A table for each side and format: how often each class was reached, and what each run took. */
function tables(reports: readonly Report[]): string {
  const lines: string[] = [];
  const kinds = SIDES.flatMap((side) => FORMATS.map((rings) => ({ side, rings })));
  for (const { side, rings } of kinds) {
    const runs = reports.filter((report) => report.side === side && report.rings === rings);
    if (runs.length === 0) continue;
    const required = new Set(runs.flatMap((run) => hostileClasses(run.transport, side, rings)));
    const names = new Set(runs.flatMap((run) => Object.keys(run.counts)));
    const title = `hostile ${side}, ${rings} rings`;
    lines.push("", `${title}: how often each check was reached (* required)`);
    lines.push(
      row(
        "",
        runs.map(({ transport }) => transport),
      ),
    );
    for (const name of [...required, ...[...names].filter((each) => !required.has(each)).sort()]) {
      const cells = runs.map(({ transport, counts }) => {
        const mark = hostileClasses(transport, side, rings).includes(name) ? "*" : " ";
        return `${counts[name] ?? 0}${mark}`;
      });
      lines.push(row(name, cells));
    }
    lines.push(
      row(
        "steps",
        runs.map(({ steps }) => `${steps} `),
      ),
    );
    lines.push(
      row(
        "seconds",
        runs.map(({ seconds }) => `${seconds.toFixed(1)} `),
      ),
    );
    lines.push(
      row(
        `longest ${CHUNK} steps, ms`,
        runs.map((run) => `${run.longestMs.toFixed(0)} `),
      ),
    );
    lines.push(
      row(
        "heap, first quarter",
        runs.map(({ heap }) => `${mebibytes(heap.first)} `),
      ),
    );
    lines.push(
      row(
        "heap, last quarter",
        runs.map(({ heap }) => `${mebibytes(heap.last)} `),
      ),
    );
    lines.push(
      row(
        "violations",
        runs.map((run) => `${faultsOf(run).length} `),
      ),
    );
  }
  return `${lines.join("\n")}\n`;
}

function row(name: string, cells: readonly string[]): string {
  return `${name.padEnd(46)}${cells.map((cell) => cell.padStart(12)).join("")}`;
}

interface Options {
  readonly steps: number;
  readonly seed: number;
  readonly transports: readonly TransportName[];
  readonly sides: readonly Side[];
  readonly formats: readonly RingFormat[];
  readonly json: boolean;
}

/** The options of a command line, or what is wrong with it. */
function optionsOf(argv: readonly string[]): Options | string {
  let values: Record<string, unknown>;
  try {
    ({ values } = parseArgs({
      args: [...argv],
      options: {
        steps: { type: "string" },
        seed: { type: "string" },
        transport: { type: "string" },
        side: { type: "string" },
        rings: { type: "string" },
        json: { type: "boolean" },
      },
    }));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const steps = Number(values["steps"] ?? DEFAULT_STEPS);
  const seed = Number(values["seed"] ?? DEFAULT_SEED);
  if (!Number.isInteger(steps) || steps < HEAP_SAMPLES || steps > 2 ** 31 - 1) {
    return `--steps is a number of at least ${HEAP_SAMPLES}`;
  }
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) return "--seed is 0 to 2^32-1";
  const transports = chosen(TRANSPORTS, values["transport"]);
  const sides = chosen(SIDES, values["side"]);
  const formats = chosen(FORMATS, values["rings"]);
  if (transports.length === 0) return `--transport is one of ${TRANSPORTS.join(", ")}`;
  if (sides.length === 0) return `--side is one of ${SIDES.join(", ")}`;
  if (formats.length === 0) return `--rings is one of ${FORMATS.join(", ")}`;
  return { steps, seed, transports, sides, formats, json: values["json"] === true };
}

/** The one of that name; all of them when no name is given. */
function chosen<T extends string>(all: readonly T[], name: unknown): T[] {
  return all.filter((one) => name === undefined || name === one);
}

/** All runs, as many at once as there are processors for, and in the order of the tables. */
async function runAll(options: Options): Promise<Report[]> {
  const { steps, seed, sides, formats, transports } = options;
  const runs = sides.flatMap((side) =>
    formats.flatMap((rings) => transports.map((transport) => ({ side, rings, transport }))),
  );
  const reports: Report[] = [];
  const { isTTY } = process.stderr;
  const clear = isTTY ? "\r\u001b[K" : "";
  const taken = new Map<string, number>();
  const show = (): void => {
    const under = [...taken].map(([label, at]) => `${label} ${at}`).join(", ");
    process.stderr.write(`${clear}soak: ${under} of ${steps} steps${isTTY ? "" : "\n"}`);
  };
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let at = next++; at < runs.length; at = next++) {
      const run = runs[at];
      if (run === undefined) return;
      const label = `${run.transport} ${run.side} ${run.rings}`;
      const progress = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
      const report = await watch({ ...run, steps, seed, progress }, (now) => {
        taken.set(label, now);
        show();
      });
      taken.delete(label);
      reports[at] = report;
      const ended = `${report.steps} steps in ${report.seconds.toFixed(1)} s`;
      const found = `${faultsOf(report).length} violations`;
      process.stderr.write(`${clear}soak: ${label} ended, ${ended}, ${found}\n`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(MOST_THREADS, availableParallelism()) }, lane));
  return reports;
}

async function main(): Promise<number> {
  const options = optionsOf(process.argv.slice(2));
  if (typeof options === "string") {
    process.stderr.write(`soak: ${options}\n`);
    return EXIT.usage;
  }
  if (collect === undefined) {
    process.stderr.write("soak: start it with node --expose-gc: it watches the heap\n");
    return EXIT.noCollector;
  }
  const reports = await runAll(options);
  const faults = reports.flatMap((report) =>
    faultsOf(report).map((fault) => `${report.transport} ${report.side} ${report.rings}: ${fault}`),
  );
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ reports, faults }, undefined, 2)}\n`);
  } else {
    process.stdout.write(tables(reports));
    for (const fault of faults) process.stdout.write(`VIOLATION ${fault}\n`);
  }
  return faults.length === 0 ? 0 : EXIT.violated;
}

if (isMainThread) {
  process.exitCode = await main();
} else {
  parentPort?.postMessage(await runTask(workerData as Task));
}
