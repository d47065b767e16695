import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { JsonlSink, type TraceEvent, toHex } from "@virtio-admin/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TRANSPORT_NAMES } from "../src/transports.ts";
import { TraceContext } from "../src/way/context.ts";
import { followCommand, LIVE_COMMANDS } from "../src/way/live.ts";
import { momentOf } from "../src/way/moments.ts";
import { BLOCK_LIMIT } from "../src/way/spans.ts";
import { readTraceFile, TRACE_FILE_LIMITS } from "../src/way/trace-file.ts";

const TRACES = fileURLToPath(new URL("../../fixtures/traces/", import.meta.url));

describe.each(TRANSPORT_NAMES)("the way of a command on %s", (transport) => {
  it.each(LIVE_COMMANDS)("of $name goes down and up again", async (command) => {
    const moments = await followCommand(transport, command);
    const titles = moments.map(({ title }) => title);
    expect(titles[0]).toBe("The driver writes the command");
    expect(titles[1]).toBe("The descriptors name its buffers");
    expect(titles[2]).toBe("The available ring offers the head");
    expect(titles.at(-1)).toBe("The promise settles");
    expect(titles.filter((title) => title === "The used ring gives the head back")).toHaveLength(1);
    const executed = moments.filter(({ station }) => station === "executor");
    expect(executed).toHaveLength(1);
    const refused = command.request(1).opcode === 0x7ffe || command.request(1).member === 99;
    expect(executed[0]?.text).toContain(refused ? "EINVAL" : "OK (0, 0)");
    expect(moments.at(-1)?.text.startsWith("OK")).toBe(!refused);
  });

  it("has the bytes of the command in the driver's memory, and the same at the device", async () => {
    const command = LIVE_COMMANDS[0]!;
    const moments = await followCommand(transport, command);
    const [request] = moments[0]!.blocks;
    const group = transport === "pci" ? "0100" : "00ff";
    expect(toHex(request!.bytes)).toBe(
      `0201${group}${"00".repeat(12)}0100000000000000${"0500000000000000"}`,
    );
    expect(request!.spans.map(({ name, value }) => `${name} ${value}`)).toEqual([
      "opcode 0x102",
      `group_type ${transport === "pci" ? "1" : "0xff00"}`,
      "reserved1 all zero",
      "group_member_id 1",
      "vectors 5",
      "reserved all zero",
    ]);
    const buffer = moments.find(({ title }) => title.endsWith("buffer of queue 1"));
    expect(toHex(buffer!.blocks[0]!.bytes)).toBe(toHex(request!.bytes));
    const status = buffer!.blocks[1]!.spans.find(({ name }) => name === "status");
    expect(status).toMatchObject({ from: 0, to: 2, value: "0" });
  });
});

describe("traces", () => {
  const files = readdirSync(TRACES).filter((name) => name.endsWith(".jsonl"));

  it.each(files)("that were recorded are read, and every event has a moment: %s", (name) => {
    const { trace, refusal } = readTraceFile(readFileSync(`${TRACES}${name}`, "utf8"));
    expect(refusal).toBeUndefined();
    expect(trace?.transport).toBe(name.slice(0, name.indexOf("-")));
    const events = trace!.events.map(({ event }) => event);
    const context = new TraceContext(trace!.transport, events);
    for (const event of events) {
      const { title, text, blocks } = momentOf(event, context);
      expect(title).not.toBe("");
      expect(text).not.toBe("");
      for (const { bytes } of blocks) expect(bytes.length).toBeLessThanOrEqual(BLOCK_LIMIT);
    }
  });

  it("of stock Linux on PCI name the registers, and the administration commands", () => {
    const { trace } = readTraceFile(readFileSync(`${TRACES}pci-linux-7.3.4.jsonl`, "utf8"));
    const events = trace!.events.map(({ event }) => event);
    const context = new TraceContext("pci", events);
    const titles = new Set(events.map((event) => momentOf(event, context).title));
    expect(titles).toContain("read admin_queue_index");
    expect(titles).toContain("write device_status");
    const admin = events.filter((event) => event.op === "buffer" && context.isAdmin(event.queue));
    expect(admin.length).toBeGreaterThan(0);
    const [block] = momentOf(admin[0]!, context).blocks;
    expect(block?.spans[0]).toMatchObject({ name: "opcode", value: "0" });
  });

  it("that a sink writes come back event by event", () => {
    const events: TraceEvent[] = [
      { op: "write", offset: 0x50, size: 4, data: "01000000", name: "QueueNotify" },
      { op: "notify", queue: 1 },
      { op: "command", queue: 1, opcode: 2, group: 0, member: 0, status: 22, qualifier: 2 },
      {
        op: "buffer",
        queue: 1,
        descriptors: [{ length: 2, writable: false }],
        readable: "0102",
        used: 0,
        written: "",
      },
      { op: "interrupt", queue: 1, vector: 3 },
      { op: "needs-reset", why: "a loop" },
      { op: "member", member: 3, plugged: true, in_use: false },
      { op: "ccw", command: 3, flags: 0, count: 0, data: "", status: 0x0c00, residual: 0 },
    ];
    const lines: string[] = [];
    const sink = new JsonlSink((line) => lines.push(line), { transport: "mmio", now: () => 7 });
    for (const event of events) sink.emit(event);
    const { trace } = readTraceFile(lines.join("\n"));
    expect(trace?.transport).toBe("mmio");
    expect(trace?.events).toEqual(events.map((event) => ({ event, time: 7 })));
  });

  it.each([
    ["nothing", "", "neither a header nor an event"],
    ["no JSON", "{", "line 1: "],
    ["a list", "[]", "line 1: an object is needed"],
    ["an unknown event", '{"op":"fly"}', "line 1: there is no event fly"],
    [
      "an odd number of digits",
      '{"op":"read","offset":0,"size":1,"data":"0"}',
      "line 1: data is no hex",
    ],
    ["an offset below zero", '{"op":"read","offset":-1,"size":1,"data":"00"}', "line 1: offset"],
    [
      "a list that is too long",
      `{"op":"buffer","queue":0,"descriptors":[${"{},".repeat(1024)}{}]}`,
      "line 1: desc",
    ],
    [
      "a line that is too long",
      `{"a":"${"x".repeat(TRACE_FILE_LIMITS.line)}"}`,
      "line 1: a line has",
    ],
    [
      "a header of something else",
      '{"format":"x","version":1,"transport":"pci"}',
      "line 1: format",
    ],
    [
      "a version to come",
      '{"format":"virtio-admin-trace","version":2,"transport":"pci"}',
      "line 1: version",
    ],
    [
      "a signal after a good line",
      '{"op":"reset"}\n{"op":"status","status":"x"}',
      "line 2: status",
    ],
  ])("are refused, and it is said where: %s", (_, text, refusal) => {
    const read = readTraceFile(text);
    expect(read.trace).toBeUndefined();
    expect(read.refusal).toContain(refusal);
  });

  it("are never an exception, whatever is in them", () => {
    const member = fc.oneof(
      fc.nat(),
      fc.string(),
      fc.boolean(),
      fc.constant(null),
      fc.constant("00ff"),
    );
    const line = fc
      .dictionary(
        fc.constantFrom(
          "op",
          "offset",
          "size",
          "data",
          "queue",
          "region",
          "command",
          "count",
          "name",
          "t_us",
        ),
        member,
      )
      .chain((members) =>
        fc
          .constantFrom("read", "ccw", "buffer", "command", "interrupt", "x")
          .map((op) => ({ ...members, op })),
      );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(line).map((l) => l.map((e) => JSON.stringify(e)).join("\n")),
        ),
        (text) => {
          const { trace, refusal } = readTraceFile(text);
          expect((trace === undefined) !== (refusal === undefined)).toBe(true);
          if (trace === undefined) return;
          const events = trace.events.map(({ event }) => event);
          const context = new TraceContext(trace.transport, events);
          for (const event of events) momentOf(event, context);
        },
      ),
    );
  });
});
