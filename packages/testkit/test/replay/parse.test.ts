/** Reading traces: the headed format, the three older shapes, and files that are neither. */
import { isVirtioError, TRACE_FORMAT, TRACE_VERSION, VirtioError } from "@virtio-admin/core";
import { parseExpectations, parseTrace, TRACE_LIMITS } from "@virtio-admin/testkit";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const HEADER = `{"format":"${TRACE_FORMAT}","version":${TRACE_VERSION},"transport":"mmio"}`;
const READ = '{"t_us":1,"op":"read","offset":112,"size":4,"data":"0b000000"}';
const PCI_WRITE = '{"op":"write","region":"bar0","offset":20,"size":1,"data":"0F"}';
const SSCH =
  '{"op":"ssch","orb":"0282500000c28000007680f0","ccw":{"command":18,"flags":0,"count":5,"data_before":"0000003001"}}';
const BUFFER =
  '{"op":"buffer","queue":1,"descriptors":[{"length":2,"writable":false},{"length":8,"writable":true}],"readable":"0102","used":3,"written":"aabbcc"}';

function failure(text: string): VirtioError {
  try {
    parseTrace(text, "t.jsonl");
  } catch (error) {
    if (error instanceof VirtioError) return error;
    throw error;
  }
  throw new Error("the text was read as a trace");
}

describe("parseTrace", () => {
  it("reads the older MMIO shape", () => {
    expect(parseTrace(`${READ}\n${BUFFER}\n`, "t.jsonl")).toEqual({
      file: "t.jsonl",
      transport: "mmio",
      headed: false,
      lines: [
        {
          op: "read",
          line: 1,
          region: undefined,
          offset: 112,
          size: 4,
          data: Uint8Array.of(0x0b, 0, 0, 0),
        },
        {
          op: "buffer",
          line: 2,
          queue: 1,
          descriptors: [
            { length: 2, writable: false },
            { length: 8, writable: true },
          ],
          readable: Uint8Array.of(1, 2),
          used: 3,
          written: Uint8Array.of(0xaa, 0xbb, 0xcc),
        },
      ],
    });
  });

  it("reads the older PCI shape, counting empty lines", () => {
    const trace = parseTrace(`\n${PCI_WRITE}\r\n\n{"op":"reset"}`, "t.jsonl");
    expect(trace.transport).toBe("pci");
    expect(trace.lines).toEqual([
      { op: "write", line: 2, region: "bar0", offset: 20, size: 1, data: Uint8Array.of(0x0f) },
      { op: "reset", line: 4 },
    ]);
  });

  it("reads the older CCW shape", () => {
    const trace = parseTrace(SSCH, "t.jsonl");
    expect(trace.transport).toBe("ccw");
    expect(trace.lines).toEqual([
      {
        op: "channel",
        line: 1,
        orb: Uint8Array.of(0x02, 0x82, 0x50, 0, 0, 0xc2, 0x80, 0, 0, 0x76, 0x80, 0xf0),
        command: 18,
        flags: 0,
        count: 5,
        data: Uint8Array.of(0, 0, 0, 0x30, 1),
        ending: undefined,
      },
    ]);
  });

  it("reads the headed format, and leaves out what requests led to", () => {
    const text = [
      HEADER.replace("mmio", "ccw"),
      '{"t_us":1,"op":"ccw","command":114,"flags":0,"count":1,"data":"0f","status":3072,"residual":0}',
      '{"t_us":2,"op":"notify","queue":3}',
      '{"t_us":3,"op":"interrupt","queue":3,"vector":1}',
      '{"t_us":4,"op":"status","status":15}',
      '{"t_us":5,"op":"needs-reset","why":"x"}',
      '{"t_us":6,"op":"command","opcode":0,"group":0,"member":0,"status":0,"qualifier":0}',
      '{"t_us":7,"op":"reset","queue":3}',
      '{"t_us":8,"op":"reset"}',
    ].join("\n");
    const trace = parseTrace(text, "t.jsonl");
    expect(trace.headed).toBe(true);
    expect(trace.transport).toBe("ccw");
    expect(trace.lines.map(({ op, line }) => [line, op])).toEqual([
      [2, "channel"],
      [3, "notify"],
      [9, "reset"],
    ]);
    expect(trace.lines[0]).toMatchObject({ ending: { status: 0x0c00, residual: 0 } });
  });

  it("tells which buffers the driver was interrupted for, where the trace does", () => {
    const buffer = (queue: number) =>
      `{"t_us":1,"op":"buffer","queue":${queue},"descriptors":[{"length":1,"writable":true}],"readable":"","used":1,"written":"00"}`;
    const interrupt = (queue: string) => `{"t_us":1,"op":"interrupt"${queue}}`;
    const bell = '{"t_us":1,"op":"write","offset":80,"size":4,"data":"00000000"}';
    const of = (lines: readonly string[]) =>
      parseTrace(lines.join("\n"), "t.jsonl").lines.flatMap((line) =>
        line.op === "buffer" ? [line.interrupted] : [],
      );
    const lines = [buffer(0), buffer(1), buffer(0), interrupt(',"queue":0'), bell, buffer(0), bell];
    expect(of([HEADER, ...lines, interrupt(',"queue":0')])).toEqual([true, false, true, false]);
    // That of the configuration is for no queue.
    expect(of([HEADER, buffer(0), interrupt("")])).toEqual([false]);
    expect(of([bell, buffer(0)])).toEqual([undefined]);
  });

  it("takes the transport of a headed trace from its header, whatever the name", () => {
    expect(parseTrace(HEADER.replace("mmio", "msg"), "t.jsonl").transport).toBe("msg");
  });

  it("keeps what the header says that the device was made from, whatever it is", () => {
    expect("device" in parseTrace(HEADER, "t.jsonl")).toBe(false);
    for (const device of [null, 7, "a", [1], { made_by: "b", of: [{}] }]) {
      const header = JSON.stringify({ ...JSON.parse(HEADER), device });
      expect(parseTrace(header, "t.jsonl").device).toEqual(device);
    }
  });

  it.each([
    ["nothing", "", "t.jsonl"],
    ["no JSON", "{", "t.jsonl:1"],
    ["no object", "[1]", "t.jsonl:1"],
    ["no op", `${READ}\n{"offset":0}`, "t.jsonl:2.op"],
    ["an op of another format", '{"op":"notify","queue":0}', "t.jsonl:1.op"],
    ["an older op in a headed trace", `${HEADER}\n${SSCH}`, "t.jsonl:2.op"],
    ["an inherited name for an op", '{"op":"toString"}', "t.jsonl:1.op"],
    ["another format", '{"format":"pcap","version":1,"transport":"pci"}', "t.jsonl:1.format"],
    ["another version", HEADER.replace(":1,", ":2,"), "t.jsonl:1.version"],
    ["no transport", HEADER.replace("mmio", ""), "t.jsonl:1.transport"],
    ["a transport that is no text", HEADER.replace('"mmio"', "1"), "t.jsonl:1.transport"],
    ["two shapes", `${READ}\n${PCI_WRITE}`, "t.jsonl:2.op"],
    ["an odd number of digits", READ.replace("0b000000", "0b00000"), "t.jsonl:1.data"],
    ["another digit", READ.replace("0b0000", "0g0000"), "t.jsonl:1.data"],
    ["fewer bytes than the size", READ.replace("0b000000", "0b0000"), "t.jsonl:1.data"],
    ["a fraction", READ.replace("112", "1.5"), "t.jsonl:1.offset"],
    ["a negative offset", READ.replace("112", "-1"), "t.jsonl:1.offset"],
    ["an access too wide", READ.replace('"size":4', '"size":4097'), "t.jsonl:1.size"],
    ["a region that is no text", PCI_WRITE.replace('"bar0"', "{}"), "t.jsonl:1.region"],
    ["a buffer without descriptors", BUFFER.replace(/\[.*\]/, "[]"), "t.jsonl:1.descriptors"],
    [
      "readable after writable",
      BUFFER.replace("false", "x").replace("true", "false").replace("x", "true"),
      "t.jsonl:1.descriptors",
    ],
    [
      "a buffer too long",
      BUFFER.replace('"length":8', `"length":${TRACE_LIMITS.bufferLength}`),
      "t.jsonl:1.descriptors",
    ],
    ["a descriptor of no length", BUFFER.replace(":8", ":0"), "t.jsonl:1.descriptors[1].length"],
    ["readable bytes amiss", BUFFER.replace("0102", "01"), "t.jsonl:1.readable"],
    ["a queue out of range", BUFFER.replace('"queue":1', '"queue":65536'), "t.jsonl:1.queue"],
    [
      "more data than the count",
      SSCH.replace('"count":5', '"count":4'),
      "t.jsonl:1.ccw.data_before",
    ],
    ["no CCW", '{"op":"ssch","orb":""}', "t.jsonl:1.ccw"],
    ["a command out of range", SSCH.replace(":18", ":256"), "t.jsonl:1.ccw.command"],
  ])("refuses %s, and says where", (_title, text, path) => {
    const error = failure(text);
    expect(error.code).toBe("TRACE_FORMAT");
    expect(error.path).toBe(path);
  });

  it("refuses lines and files that are too long", () => {
    const long = `{"op":"read","x":"${"x".repeat(TRACE_LIMITS.lineLength)}"}`;
    expect(failure(`${READ}\n${long}`).path).toBe("t.jsonl:2");
    expect(failure("\n".repeat(TRACE_LIMITS.lines + 1)).path).toBe(
      `t.jsonl:${TRACE_LIMITS.lines + 1}`,
    );
  });

  it("refuses buffers that are too long together", () => {
    const large = BUFFER.replace('"length":8', `"length":${TRACE_LIMITS.bufferLength - 2}`);
    const count = TRACE_LIMITS.totalLength / TRACE_LIMITS.bufferLength;
    const lines = Array.from({ length: count }, () => large);
    expect(parseTrace([READ, ...lines].join("\n"), "t.jsonl").lines).toHaveLength(count + 1);
    expect(failure([READ, ...lines, BUFFER].join("\n")).path).toBe(`t.jsonl:${count + 2}`);
  });

  it("throws nothing but its own error for any text", () => {
    const line = fc.oneof(
      fc.constantFrom(HEADER, READ, PCI_WRITE, SSCH, BUFFER),
      fc.json(),
      fc.string(),
      fc
        .record(
          {
            op: fc.constantFrom("read", "write", "buffer", "ssch", "ccw", "reset", "notify"),
            region: fc.jsonValue(),
            offset: fc.jsonValue(),
            size: fc.jsonValue(),
            data: fc.jsonValue(),
            orb: fc.jsonValue(),
            ccw: fc.jsonValue(),
            queue: fc.jsonValue(),
            descriptors: fc.jsonValue(),
          },
          { requiredKeys: ["op"] },
        )
        .map((event) => JSON.stringify(event)),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 6 }), (lines) => {
        try {
          parseTrace(lines.join("\n"), "t.jsonl");
        } catch (error) {
          expect(isVirtioError(error, "TRACE_FORMAT")).toBe(true);
        }
      }),
    );
  });
});

describe("parseExpectations", () => {
  it("reads them", () => {
    const text =
      '[{"line":4,"expected":"00fF","reason":"no ROM"},{"line":5,"mode":"strict","expected":"","reason":"r"},{"line":5,"mode":"tolerant","expected":"01","reason":"r"}]';
    expect(parseExpectations(text, "e.json")).toEqual([
      { line: 4, expected: Uint8Array.of(0, 0xff), reason: "no ROM" },
      { line: 5, mode: "strict", expected: new Uint8Array(0), reason: "r" },
      { line: 5, mode: "tolerant", expected: Uint8Array.of(1), reason: "r" },
    ]);
  });

  it.each([
    ["no JSON", "[", "e.json"],
    ["no array", "{}", "e.json.expectations"],
    ["no line", '[{"expected":"","reason":"r"}]', "e.json.expectations[0].line"],
    ["no reason", '[{"line":1,"expected":""}]', "e.json.expectations[0].reason"],
    ["an empty reason", '[{"line":1,"expected":"","reason":""}]', "e.json.expectations[0].reason"],
    ["no hex", '[{"line":1,"expected":"0","reason":"r"}]', "e.json.expectations[0].expected"],
    [
      "another mode",
      '[{"line":1,"mode":"lax","expected":"","reason":"r"}]',
      "e.json.expectations[0].mode",
    ],
    [
      "two for one line and mode",
      '[{"line":1,"expected":"","reason":"r"},{"line":1,"mode":"strict","expected":"","reason":"r"}]',
      "e.json.expectations[1].line",
    ],
  ])("refuses %s, and says where", (_title, text, path) => {
    expect(() => parseExpectations(text, "e.json")).toThrow(
      expect.objectContaining({ code: "TRACE_FORMAT", path }),
    );
  });
});
