import { readFileSync } from "node:fs";
import {
  ChromeSink,
  describeEvent,
  JsonlSink,
  MemorySink,
  PrettySink,
  type TraceEvent,
  toHex,
} from "@virtio-admin/core";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, it } from "vitest";

const schema = JSON.parse(
  readFileSync(new URL("../../schema/trace.schema.json", import.meta.url), "utf8"),
);
const matchesSchema = new Ajv2020({ strict: true }).compile(schema);

/** One event of each kind, and the words for it. */
const EVENTS: [TraceEvent, string][] = [
  [{ op: "member", member: 3, plugged: true, in_use: true }, "member 3 is in use"],
  [{ op: "member", member: 3, plugged: true, in_use: false }, "member 3 is plugged in"],
  [
    { op: "member", member: 2 ** 53 - 1, plugged: false, in_use: false },
    "member 9007199254740991 is free",
  ],
  [
    { op: "read", region: "bar4", offset: 60, size: 2, data: "0100", name: "admin_queue_index" },
    "read bar4 0x03c admin_queue_index -> 0100",
  ],
  [{ op: "write", offset: 0x70, size: 4, data: "0f000000" }, "write 0x070 <- 0f000000"],
  [
    { op: "needs-reset", why: "two\r\nlines, \u001b[31m and\u2028three" },
    "needs reset: two\\u000d\\u000alines, \\u001b[31m and\\u2028three",
  ],
  [
    {
      op: "ccw",
      command: 0x92,
      name: "CCW_CMD_READ_ADMIN_VQ",
      flags: 0x20,
      count: 4,
      data: "00010001",
      status: 0x0c00,
      residual: 0,
    },
    "ccw 0x92 CCW_CMD_READ_ADMIN_VQ count 4, residual 0, status 0x0c00 00010001",
  ],
  [{ op: "reset" }, "reset"],
  [{ op: "stop" }, "stop"],
  [{ op: "resume" }, "resume"],
  [{ op: "parts", why: "status: wrong" }, "parts refused: status: wrong"],
  [{ op: "reset", queue: 3 }, "reset queue 3"],
  [{ op: "notify", queue: 1 }, "notify queue 1"],
  [{ op: "notify", queue: 1, next: 0x8005 }, "notify queue 1 next_off 5 next_wrap 1"],
  [{ op: "interrupt" }, "interrupt configuration"],
  [{ op: "interrupt", queue: 1, vector: 2 }, "interrupt queue 1 vector 2"],
  [{ op: "needs-reset", why: "broken" }, "needs reset: broken"],
  [{ op: "status", status: 3 }, "status ACKNOWLEDGE | DRIVER"],
  [{ op: "status", status: 0, why: "sets DRIVER" }, "status 0: sets DRIVER"],
  [
    {
      op: "buffer",
      queue: 1,
      descriptors: [
        { length: 24, writable: false },
        { length: 8, writable: true },
      ],
      readable: "00".repeat(40),
      used: 2,
      written: "",
    },
    `buffer queue 1 [r24 w8] used 2 <- ${"0".repeat(64)}... (40 bytes) -> -`,
  ],
  [
    {
      op: "command",
      queue: 1,
      opcode: 0,
      name: "LIST_QUERY",
      group: 1,
      member: 0,
      status: 22,
      qualifier: 4,
      tolerance: "T1",
    },
    "command queue 1 LIST_QUERY group 0x0001 member 0: status 22 qualifier 4 (tolerated T1)",
  ],
  [
    { op: "command", opcode: 0x101, group: 0, member: 7, status: 0, qualifier: 0 },
    "command 0x0101 group 0x0000 member 7: status 0 qualifier 0",
  ],
  [
    {
      op: "command",
      opcode: 3,
      group: 1,
      member: 0,
      status: 1,
      qualifier: 16,
      dialect: "proposal-v5 (reconstruction)",
    },
    "command 0x0003 group 0x0001 member 0: status 1 qualifier 16 in proposal-v5 (reconstruction)",
  ],
];

/** A clock that moves on by 1500 microseconds each time it is read. */
function ticking(): () => number {
  let time = 0;
  return () => {
    time += 1500;
    return time;
  };
}

describe("the JSONL sink", () => {
  it("writes a header and one line an event, each as the schema says", () => {
    const lines: string[] = [];
    const sink = new JsonlSink((line) => lines.push(line), { transport: "mmio", now: ticking() });
    for (const [event] of EVENTS) sink.emit(event);
    const documents = lines.map((line) => JSON.parse(line));
    for (const document of documents) expect(matchesSchema(document), lines.join("\n")).toBe(true);
    expect(documents).toEqual([
      { format: "virtio-admin-trace", version: 1, transport: "mmio" },
      ...EVENTS.map(([event], i) => ({ t_us: 1500 * (i + 1), ...event })),
    ]);
    expect(lines.every((line) => !line.includes("\n"))).toBe(true);
  });

  it("says what the device was made from, where it is told", () => {
    const lines: string[] = [];
    new JsonlSink((line) => lines.push(line), { transport: "pci", device: { made_by: "a test" } });
    const header = JSON.parse(lines[0] ?? "");
    expect(header.device).toEqual({ made_by: "a test" });
    expect(matchesSchema(header)).toBe(true);
  });

  it("counts whole microseconds from its own beginning", () => {
    const lines: string[] = [];
    const sink = new JsonlSink((line) => lines.push(line), { transport: "pci" });
    sink.emit({ op: "reset" });
    sink.emit({ op: "reset" });
    const times = lines.slice(1).map((line) => JSON.parse(line).t_us);
    expect(times.every((time) => Number.isInteger(time) && time >= 0)).toBe(true);
    expect(times[0]).toBeLessThanOrEqual(times[1]);
  });
});

describe("the trace schema", () => {
  it.each([
    ["another format", { format: "x", version: 1, transport: "pci" }],
    ["another version", { format: "virtio-admin-trace", version: 2, transport: "pci" }],
    ["no time", { op: "reset" }],
    ["an unknown op", { t_us: 1, op: "jump" }],
    ["half a byte", { t_us: 1, op: "read", offset: 0, size: 1, data: "0" }],
    ["upper-case hex", { t_us: 1, op: "read", offset: 0, size: 1, data: "FF" }],
    ["an unknown member", { t_us: 1, op: "reset", colour: 1 }],
    ["a queue beyond 65535", { t_us: 1, op: "notify", queue: 65536 }],
    ["a position beyond 16 bits", { t_us: 1, op: "notify", queue: 0, next: 65536 }],
    [
      "a buffer without descriptors",
      { t_us: 1, op: "buffer", queue: 0, readable: "", used: 0, written: "" },
    ],
  ])("refuses %s", (_what, line) => {
    expect(matchesSchema(line)).toBe(false);
  });
});

describe("the other sinks", () => {
  it.each(EVENTS)("%j reads well", (event, words) => {
    expect(describeEvent(event)).toBe(words);
  });

  it("the pretty one writes time and words", () => {
    const lines: string[] = [];
    new PrettySink((line) => lines.push(line), ticking()).emit({ op: "notify", queue: 0 });
    expect(lines).toEqual(["    1.500 ms  notify queue 0"]);
  });

  it("the Chrome one writes one JSON array, in which every event has its line", () => {
    const lines: string[] = [];
    const sink = new ChromeSink((line) => lines.push(line), { transport: "ccw", now: ticking() });
    for (const [event] of EVENTS) sink.emit(event);
    sink.close();
    sink.close();
    sink.emit({ op: "reset" });
    const entries: { ph: string; ts: number; tid: number; args: unknown; cat: string }[] =
      JSON.parse(lines.join("\n"));
    const instants = entries.filter(({ ph }) => ph === "i");
    expect(instants.map(({ args }) => args)).toEqual(EVENTS.map(([event]) => event));
    expect(instants[0]?.ts).toBe(1500);
    const lane = (op: string) => instants.find(({ cat }) => cat === op)?.tid;
    expect(["read", "ccw", "notify", "buffer", "command"].map(lane)).toEqual([1, 1, 2, 3, 4]);
    expect(entries.length - instants.length).toBe(5);
  });

  it("the memory one keeps the latest, in order", () => {
    const sink = new MemorySink(3);
    for (let queue = 0; queue < 8; queue++) sink.emit({ op: "notify", queue });
    expect(sink.events).toEqual([5, 6, 7].map((queue) => ({ op: "notify", queue })));
    expect(sink.dropped).toBe(5);
    sink.clear();
    sink.emit({ op: "reset" });
    expect([sink.events, sink.dropped]).toEqual([[{ op: "reset" }], 0]);
    expect(() => new MemorySink(0)).toThrow(expect.objectContaining({ code: "VALUE_RANGE" }));
  });

  it("hex is two digits a byte", () => {
    expect(toHex(Uint8Array.of(0, 0x0a, 0xff))).toBe("000aff");
    expect(toHex(new Uint8Array(0))).toBe("");
  });
});
