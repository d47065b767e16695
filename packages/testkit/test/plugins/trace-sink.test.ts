import type { TraceEvent, TraceSink } from "@virtio-admin/core";
import { checkTraceSink, type TraceSinkFixture } from "@virtio-admin/testkit";
import { describe, expect, it } from "vitest";
import { foundBy } from "./broken.ts";

/** A sink that counts what it writes down. */
const fixture = (emit: (event: TraceEvent, lines: string[]) => unknown): TraceSinkFixture => ({
  name: "own",
  make: () => {
    const lines: string[] = [];
    const sink = { emit: (event: TraceEvent) => emit(event, lines) } as TraceSink;
    return { sink, count: () => lines.length };
  },
});

const ALL = ["sink-takes-all", "sink-takes-strange", "sink-counts", "sink-under-a-device"];

const BROKEN: readonly (readonly [string, TraceSinkFixture, readonly string[]])[] = [
  [
    "an error for a kind that it does not know",
    fixture((event, lines) => {
      if (event.op === "ccw") throw new Error(`what is ${event.op}?`);
      lines.push(event.op);
    }),
    ["sink-takes-all", "sink-takes-strange"],
  ],
  [
    "an error for a device that is broken",
    fixture((event, lines) => {
      if (event.op === "needs-reset") throw new Error("help");
      lines.push(event.op);
    }),
    ["sink-takes-all", "sink-takes-strange", "sink-under-a-device"],
  ],
  [
    "a mark of its own on the event",
    fixture((event, lines) => {
      (event as { seen?: boolean }).seen = true;
      lines.push(event.op);
    }),
    ["sink-takes-all", "sink-takes-strange"],
  ],
  [
    "a promise that nobody waits for",
    fixture(async (event, lines) => {
      lines.push(event.op);
      if (event.op === "ccw") throw new Error("the disk is full");
    }),
    ["sink-takes-all", "sink-takes-strange"],
  ],
  [
    "lines that a text can break",
    fixture((event, lines) => {
      lines.push(...("why" in event ? `${event.why}` : event.op).split("\n"));
    }),
    ["sink-takes-strange"],
  ],
  [
    "room for a few",
    fixture((event, lines) => {
      if (lines.length < 100) lines.push(event.op);
    }),
    ["sink-counts"],
  ],
  ["two of each", fixture(({ op }, lines) => lines.push(op, op) > 0 && undefined), ALL],
  ["nothing at all", fixture(() => undefined), ALL],
];

describe("a trace sink", () => {
  it("passes when it is sound", async () => {
    const sound = fixture(({ op }, lines) => lines.push(op));
    expect(await checkTraceSink(sound)).toMatchObject({ failures: [], skipped: [] });
  });

  it("need not be one that can be counted", async () => {
    const report = await checkTraceSink({ name: "own", make: () => ({ sink: { emit() {} } }) });
    expect(report.failures).toEqual([]);
    expect(report.skipped.map(({ id }) => id)).toEqual(["sink-counts"]);
  });

  it.each(BROKEN)("with %s is found out", async (_, broken, cases) => {
    expect(await foundBy(checkTraceSink(broken))).toEqual(cases);
  });
});
