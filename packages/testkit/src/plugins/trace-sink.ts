/** Rules of trace sinks: a device tells them everything, and relies on nothing but their peace. */
import type { MaybePromise, TraceEvent, TraceSink } from "@virtio-admin/core";
import { expectEqual, expectTrue } from "../compliance/expect.ts";
import { ComplianceFailure } from "../compliance/failure.ts";
import { ProbeModel } from "../compliance/probe-model.ts";
import { ModelBench } from "./model-bench.ts";
import {
  type PluginCase,
  type PluginCheckOptions,
  type PluginReport,
  pluginCase,
  runPluginCases,
  skip,
} from "./run.ts";

/** A sink, and what became of what it was told. */
export interface SinkUnderTest {
  /** The sink. */
  readonly sink: TraceSink;
  /**
   * How many events can be read back from what it made of them: lines, records, spans. Absent where
   * that cannot be told.
   */
  readonly count?: () => number;
}

/** A trace sink as it is checked. */
export interface TraceSinkFixture {
  /** What to call it in the report. */
  readonly name: string;
  /** Makes a sink. Called for every case. */
  make(): MaybePromise<SinkUnderTest>;
}

/** One event of every kind, with everything that can be absent and without. */
const EVENTS: readonly TraceEvent[] = [
  { op: "read", offset: 0x70, size: 4, data: "0f000000" },
  { op: "write", region: "bar0", offset: 0, size: 2, data: "0100", name: "queue_select" },
  { op: "ccw", command: 0x33, flags: 0, count: 1, data: "0f", status: 0x0c00, residual: 0 },
  {
    op: "ccw",
    command: 0x92,
    name: "READ_ADMIN_VQ",
    flags: 0x20,
    count: 4,
    data: "00010001",
    status: 0x0c00,
    residual: 0,
  },
  { op: "member", member: 3, plugged: true, in_use: false },
  { op: "reset" },
  { op: "reset", queue: 1 },
  { op: "notify", queue: 0 },
  { op: "interrupt" },
  { op: "interrupt", queue: 2, vector: 3 },
  { op: "status", status: 0x0f },
  { op: "status", status: 0x03, why: "FEATURES_OK was not set" },
  { op: "needs-reset", why: "queue 0 is broken" },
  {
    op: "buffer",
    queue: 1,
    descriptors: [
      { length: 24, writable: false },
      { length: 16, writable: true },
    ],
    readable: "00".repeat(24),
    used: 16,
    written: "00".repeat(16),
  },
  { op: "buffer", queue: 0, descriptors: [], readable: "", used: 0, written: "" },
  { op: "command", opcode: 0x7777, group: 0x1234, member: 0, status: 22, qualifier: 4 },
  {
    op: "command",
    queue: 1,
    opcode: 0,
    name: "LIST_QUERY",
    group: 1,
    member: 2 ** 53 - 1,
    status: 0,
    qualifier: 0,
    tolerance: "T1",
  },
];

/** What a guest or a device type can bring about: long, and with characters of every sort. */
const STRANGE_TEXT = 'a "quoted" line\r\nand\u2028another\t\\ \u0000 \ud83d\ude00 %s </script>';
const STRANGE: readonly TraceEvent[] = [
  { op: "needs-reset", why: STRANGE_TEXT },
  { op: "status", status: 0xff, why: "" },
  {
    op: "write",
    region: STRANGE_TEXT,
    offset: 2 ** 32,
    size: 8,
    data: "ff".repeat(8),
    name: STRANGE_TEXT,
  },
  { op: "notify", queue: 0xffff },
  {
    op: "buffer",
    queue: 0xffff,
    descriptors: Array.from({ length: 300 }, () => ({ length: 0xffff_ffff, writable: true })),
    readable: "ab".repeat(0x1_0000),
    used: 0xffff_ffff,
    written: "cd".repeat(0x1_0000),
  },
  {
    op: "command",
    opcode: 0xffff,
    name: STRANGE_TEXT,
    group: 0xffff,
    member: 2 ** 53 - 1,
    status: 0xffff,
    qualifier: 0xffff,
  },
];
const MANY = 1000;

/** The cases, in the order in which they are run. */
export const TRACE_SINK_CASES: readonly PluginCase<TraceSinkFixture>[] = [
  pluginCase("sink-takes-all", "Every kind of event is taken, and left as it is.", [], (fixture) =>
    emitAll(fixture, EVENTS),
  ),
  pluginCase(
    "sink-takes-strange",
    "Long events and characters of every sort are taken; each is still one.",
    [],
    (fixture) => emitAll(fixture, [...STRANGE, ...EVENTS]),
  ),
  pluginCase("sink-counts", "No event is lost, and none is told twice.", [], async (fixture) => {
    const { sink, count } = await fixture.make();
    if (count === undefined) skip("what it makes of events cannot be counted");
    expectEqual("the events before the first", count(), 0);
    for (let i = 0; i < MANY; i++) sink.emit({ op: "notify", queue: i });
    expectEqual("the events", count(), MANY);
  }),
  pluginCase(
    "sink-under-a-device",
    "A device that tells it everything does what it does without.",
    [],
    async (fixture) => {
      const { sink, count } = await fixture.make();
      let told = 0;
      const counting: TraceSink = {
        emit: (event) => {
          told++;
          return sink.emit(event);
        },
      };
      expectEqual("what the driver sees", await run(counting), await run(undefined));
      expectTrue("the device told it something", told > 0);
      if (count !== undefined) expectEqual("the events", count(), told);
    },
  ),
];

/** Checks a trace sink against the rules that all of them keep. */
export function checkTraceSink(
  fixture: TraceSinkFixture,
  options?: PluginCheckOptions,
): Promise<PluginReport> {
  return runPluginCases("trace sink", TRACE_SINK_CASES, fixture, options);
}

async function emitAll(fixture: TraceSinkFixture, events: readonly TraceEvent[]): Promise<void> {
  const { sink, count } = await fixture.make();
  for (const event of events) {
    let returned: unknown;
    try {
      // A sink that changes an event changes it for whoever is told next.
      returned = sink.emit(deepFrozen(event));
    } catch (error) {
      throw new ComplianceFailure(`what ${event.op} comes to`, "no error", error, error);
    }
    if (typeof (returned as PromiseLike<unknown> | undefined)?.then !== "function") continue;
    // Nobody waits for it: what it rejects with would end the process.
    await Promise.resolve(returned).catch(() => undefined);
    throw new ComplianceFailure(`what ${event.op} comes to`, "an end at once", "a promise");
  }
  if (count !== undefined) expectEqual("the events", count(), events.length);
}

function deepFrozen(event: TraceEvent): TraceEvent {
  const copy = structuredClone(event);
  if (copy.op === "buffer") {
    for (const descriptor of copy.descriptors) Object.freeze(descriptor);
    Object.freeze(copy.descriptors);
  }
  return Object.freeze(copy);
}

/** A life of a device, as its driver sees it. */
async function run(trace: TraceSink | undefined): Promise<(number | Uint8Array)[]> {
  const bench = new ModelBench(new ProbeModel(), trace);
  const seen: (number | Uint8Array)[] = [bench.negotiate()];
  const queue = bench.queue(0);
  seen.push(bench.run());
  for (const text of ["one", "two"]) {
    const bytes = new TextEncoder().encode(text);
    const buffer = queue.add([bytes], [bytes.length]);
    bench.device.notify(0);
    seen.push(...queue.takeUsed().map(({ length }) => length), buffer.written());
  }
  // A ring that is broken, and the end of it.
  queue.offer(0xffff);
  queue.publish();
  bench.device.notify(0);
  seen.push(bench.device.status);
  bench.device.reset();
  seen.push(bench.device.status, bench.interrupts.length);
  return seen;
}
