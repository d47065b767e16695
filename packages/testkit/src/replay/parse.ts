/**
 * Reads traces: the format with a header line, and the three older shapes of recordings. A file is
 * hostile: what it may cost is bounded, and all that is wrong with it is one error.
 */
import { type DescriptorShape, TRACE_FORMAT, TRACE_VERSION, VirtioError } from "@virtio-admin/core";
import { FieldReader, parseJson } from "./fields.ts";
import type { AccessLine, BufferLine, ChannelLine, Trace, TraceLine } from "./types.ts";

/** What a trace may cost at most. */
export const TRACE_LIMITS = {
  /** The number of lines. */
  lines: 200_000,
  /** The characters of one line. */
  lineLength: 2 ** 20,
  /** The width of one register access in bytes. */
  accessSize: 4096,
  /** The descriptors of one buffer. */
  descriptors: 1024,
  /** The bytes of one buffer's descriptors together. */
  bufferLength: 2 ** 24,
  /** The bytes of all buffers' descriptors together. */
  totalLength: 2 ** 26,
} as const;

const NAME_LENGTH = 64;
const OFFSET_MAX = 2 ** 32 - 1;
const QUEUE_MAX = 0xffff;
const USED_MAX = 2 ** 32;
const BYTE_MAX = 0xff;
const COUNT_MAX = 0xffff;
const ORB_MAX = 64;

/** Events of the headed format that say what a request led to: a replay does not repeat them. */
const CONSEQUENCES: ReadonlySet<string> = new Set([
  "interrupt",
  "needs-reset",
  "status",
  "command",
  "stop",
  "resume",
  "parts",
]);

/**
 * Reads a trace.
 *
 * @param text the contents of the file
 * @param file its name, for errors and reports
 * @throws VirtioError `TRACE_FORMAT` naming file, line and field, when the text is no trace or is
 * larger than {@link TRACE_LIMITS} allow.
 */
export function parseTrace(text: string, file: string): Trace {
  const lines: TraceLine[] = [];
  let transport: string | undefined;
  let device: unknown;
  let headed = false;
  let number = 0;
  let total = 0;
  /** What was used since the last request. */
  let used: { -readonly [K in keyof BufferLine]: BufferLine[K] }[] = [];
  for (const [start, end] of lineRanges(text)) {
    number++;
    const place = `${file}:${number}`;
    if (number > TRACE_LIMITS.lines) throw tooLarge(place, `more than ${TRACE_LIMITS.lines} lines`);
    if (end - start > TRACE_LIMITS.lineLength) {
      throw tooLarge(place, `a line of more than ${TRACE_LIMITS.lineLength} characters`);
    }
    const content = text.slice(start, end).trim();
    if (content === "") continue;
    const fields = new FieldReader(place, parseJson(content, place));
    if (transport === undefined && fields.has("format")) {
      transport = readHeader(fields);
      device = fields.value("device");
      headed = true;
      continue;
    }
    const line = readLine(fields, number, headed);
    if (line === undefined) {
      const queue = interruptedQueue(fields);
      for (const buffer of used) buffer.interrupted ||= buffer.queue === queue;
      continue;
    }
    if (line.op === "buffer") {
      used.push(line);
      for (const { length } of line.descriptors) total += length;
      if (total > TRACE_LIMITS.totalLength) {
        throw tooLarge(place, `buffers of more than ${TRACE_LIMITS.totalLength} bytes`);
      }
    } else used = [];
    lines.push(line);
    if (headed) continue;
    const shape = shapeOf(line);
    if (shape === undefined) continue;
    if (transport !== undefined && transport !== shape) {
      fields.refuse("op", `a ${shape} event in a ${transport} trace`);
    }
    transport = shape;
  }
  if (transport === undefined) {
    throw new VirtioError("TRACE_FORMAT", {
      message: "neither a header line nor an event tells the transport",
      path: file,
      hint: "is this a trace?",
    });
  }
  return { file, transport, headed, lines, ...(device === undefined ? {} : { device }) };
}

function* lineRanges(text: string): Generator<readonly [number, number]> {
  for (let start = 0; start < text.length; ) {
    const found = text.indexOf("\n", start);
    const end = found < 0 ? text.length : found;
    yield [start, end];
    start = end + 1;
  }
}

function readHeader(fields: FieldReader): string {
  if (fields.text("format", NAME_LENGTH) !== TRACE_FORMAT) {
    fields.refuse("format", `not "${TRACE_FORMAT}"`);
  }
  fields.integer("version", TRACE_VERSION, TRACE_VERSION);
  return fields.text("transport", NAME_LENGTH);
}

/** The transport whose older shape this is; `undefined` for what several have. */
function shapeOf(line: TraceLine): string | undefined {
  if (line.op === "channel") return "ccw";
  if (line.op === "read" || line.op === "write") return line.region === undefined ? "mmio" : "pci";
  return undefined;
}

function readLine(fields: FieldReader, line: number, headed: boolean): TraceLine | undefined {
  const op = fields.text("op", NAME_LENGTH);
  if (op === "read" || op === "write") return readAccess(fields, line, op);
  if (op === "buffer") return readBuffer(fields, line, headed);
  if (op === "ssch" && !headed) return readStart(fields, line);
  if (op === "ccw" && headed) return readCommand(fields, line);
  if (op === "notify" && headed) return { op, line, queue: fields.integer("queue", 0, QUEUE_MAX) };
  // The reset of one queue is what a register write led to.
  if (op === "reset") return headed && fields.has("queue") ? undefined : { op, line };
  if (op === "member" && headed) {
    return {
      op,
      line,
      member: fields.integer("member", 0, Number.MAX_SAFE_INTEGER),
      plugged: fields.flag("plugged"),
      inUse: fields.flag("in_use"),
    };
  }
  if (headed && CONSEQUENCES.has(op)) return undefined;
  return fields.refuse("op", "no event of this format");
}

/** The queue that a consequence is an interrupt for. */
function interruptedQueue(fields: FieldReader): number | undefined {
  const isInterrupt = fields.text("op", NAME_LENGTH) === "interrupt" && fields.has("queue");
  return isInterrupt ? fields.integer("queue", 0, QUEUE_MAX) : undefined;
}

function readAccess(fields: FieldReader, line: number, op: "read" | "write"): AccessLine {
  const size = fields.integer("size", 1, TRACE_LIMITS.accessSize);
  const data = fields.bytes("data");
  if (data.length !== size) fields.refuse("data", `${size} bytes are needed, as "size" says`);
  return {
    op,
    line,
    region: fields.has("region") ? fields.text("region", NAME_LENGTH) : undefined,
    offset: fields.integer("offset", 0, OFFSET_MAX),
    size,
    data,
  };
}

function readBuffer(fields: FieldReader, line: number, headed: boolean): BufferLine {
  const descriptors: DescriptorShape[] = fields
    .objects("descriptors", TRACE_LIMITS.descriptors)
    .map((item) => ({
      length: item.integer("length", 1, TRACE_LIMITS.bufferLength),
      writable: item.flag("writable"),
    }));
  let total = 0;
  let readableLength = 0;
  let writableSeen = false;
  for (const { length, writable } of descriptors) {
    if (writableSeen && !writable) {
      fields.refuse("descriptors", "a readable descriptor after a writable one");
    }
    writableSeen ||= writable;
    total += length;
    if (!writable) readableLength += length;
  }
  if (descriptors.length === 0) fields.refuse("descriptors", "a buffer has a descriptor");
  if (total > TRACE_LIMITS.bufferLength) {
    fields.refuse("descriptors", `a buffer of more than ${TRACE_LIMITS.bufferLength} bytes`);
  }
  const readable = fields.bytes("readable");
  if (readable.length !== readableLength) {
    fields.refuse("readable", `${readableLength} bytes are needed, as the descriptors say`);
  }
  return {
    op: "buffer",
    line,
    queue: fields.integer("queue", 0, QUEUE_MAX),
    descriptors,
    readable,
    used: fields.integer("used", 0, USED_MAX),
    written: fields.bytes("written"),
    // The older shapes have no interrupts.
    interrupted: headed ? false : undefined,
  };
}

function readStart(fields: FieldReader, line: number): ChannelLine {
  const orb = fields.bytes("orb");
  if (orb.length > ORB_MAX) fields.refuse("orb", `an ORB has at most ${ORB_MAX} bytes`);
  const ccw = fields.object("ccw");
  return { op: "channel", line, orb, ...readWord(ccw, "data_before"), ending: undefined };
}

function readCommand(fields: FieldReader, line: number): ChannelLine {
  const ending = {
    status: fields.integer("status", 0, 0xffff),
    residual: fields.integer("residual", 0, COUNT_MAX),
  };
  return { op: "channel", line, orb: undefined, ...readWord(fields, "data"), ending };
}

function readWord(ccw: FieldReader, dataName: string) {
  const count = ccw.integer("count", 0, COUNT_MAX);
  const data = ccw.bytes(dataName);
  // Recorders keep the beginning of a long data area only.
  if (data.length > count) ccw.refuse(dataName, `at most ${count} bytes, as "count" says`);
  return {
    command: ccw.integer("command", 0, BYTE_MAX),
    flags: ccw.integer("flags", 0, BYTE_MAX),
    count,
    data,
  };
}

function tooLarge(place: string, message: string): VirtioError {
  return new VirtioError("TRACE_FORMAT", { message, path: place, hint: "record a shorter run" });
}
