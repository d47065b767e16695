/**
 * Reads a trace, of this project's format or of one of its three older shapes, with every event. A
 * file is hostile: what it may cost is bounded, and the first thing that is wrong is the answer.
 */
import { TRACE_FORMAT, TRACE_VERSION, type TraceEvent } from "@virtio-admin/core";

/** What a trace may cost at most. */
export const TRACE_FILE_LIMITS = {
  /** The characters of the file. */
  length: 1 << 25,
  /** The characters of a line. */
  line: 1 << 20,
  /** The number of events. */
  events: 200_000,
  /** The descriptors of a buffer. */
  descriptors: 1024,
} as const;

/** An event, and when it was. */
export interface TimedEvent {
  /** What happened. */
  readonly event: TraceEvent;
  /** Microseconds since the trace began; `undefined` where it does not say. */
  readonly time: number | undefined;
}

/** A trace as it was read. */
export interface TraceFile {
  /** The transport. */
  readonly transport: string;
  /** What happened, in order. */
  readonly events: readonly TimedEvent[];
}

/** A trace, or why there is none: with the line, from 1. */
export type ReadTrace =
  | { readonly trace: TraceFile; readonly refusal?: undefined }
  | { readonly trace?: undefined; readonly refusal: string };

class Refusal extends Error {}

const TEXT_LIMIT = 4096;
const U16 = 0xffff;
const U32 = 0xffff_ffff;
const { MAX_SAFE_INTEGER } = Number;
const SIGNALS: readonly string[] = [
  "reset",
  "notify",
  "interrupt",
  "needs-reset",
  "status",
  "stop",
  "resume",
  "parts",
];

/** Reads the text of a file; never throws. */
export function readTraceFile(text: string): ReadTrace {
  let line = 0;
  try {
    if (text.length > TRACE_FILE_LIMITS.length) {
      throw new Refusal(`a trace has at most ${TRACE_FILE_LIMITS.length} characters`);
    }
    const events: TimedEvent[] = [];
    let transport: string | undefined;
    for (let start = 0; start < text.length; ) {
      const found = text.indexOf("\n", start);
      const end = found < 0 ? text.length : found;
      line++;
      if (end - start > TRACE_FILE_LIMITS.line) {
        throw new Refusal(`a line has at most ${TRACE_FILE_LIMITS.line} characters`);
      }
      const content = text.slice(start, end).trim();
      start = end + 1;
      if (content === "") continue;
      const fields = new Fields(JSON.parse(content));
      if (transport === undefined && fields.has("format")) {
        transport = header(fields);
        continue;
      }
      if (events.length >= TRACE_FILE_LIMITS.events) {
        throw new Refusal(`a trace has at most ${TRACE_FILE_LIMITS.events} events`);
      }
      const event = eventOf(fields);
      transport ??= transportOf(event);
      events.push({
        event,
        time: fields.has("t_us") ? fields.number("t_us", MAX_SAFE_INTEGER) : undefined,
      });
    }
    if (transport === undefined)
      throw new Refusal("neither a header nor an event tells the transport");
    return { trace: { transport, events } };
  } catch (error) {
    const message = error instanceof Error ? error.message : "it cannot be read";
    return { refusal: line === 0 ? message : `line ${line}: ${message}` };
  }
}

function header(fields: Fields): string {
  if (fields.text("format") !== TRACE_FORMAT) throw new Refusal(`format is not ${TRACE_FORMAT}`);
  if (fields.number("version", U32) !== TRACE_VERSION) {
    throw new Refusal(`version is not ${TRACE_VERSION}`);
  }
  return fields.text("transport");
}

/** The transport that an event of an older shape is of. */
function transportOf(event: TraceEvent): string | undefined {
  if (event.op === "ccw") return "ccw";
  if (event.op !== "read" && event.op !== "write") return undefined;
  return event.region === undefined ? "mmio" : "pci";
}

function eventOf(fields: Fields): TraceEvent {
  const op = fields.text("op");
  if (op === "read" || op === "write") {
    return {
      op,
      ...fields.optional("region", (name) => fields.text(name)),
      offset: fields.number("offset", U32),
      size: fields.number("size", U16),
      data: fields.hex("data"),
      ...fields.optional("name", (name) => fields.text(name)),
    };
  }
  if (op === "ccw") return { op, ...channel(fields, "data"), ...ending(fields) };
  if (op === "ssch")
    return { op: "ccw", ...channel(fields.object("ccw"), "data_before"), status: 0, residual: 0 };
  if (op === "buffer") {
    return {
      op,
      queue: fields.number("queue", U16),
      descriptors: fields.list("descriptors", TRACE_FILE_LIMITS.descriptors).map((each) => ({
        length: each.number("length", MAX_SAFE_INTEGER),
        writable: each.flag("writable"),
      })),
      readable: fields.hex("readable"),
      used: fields.number("used", MAX_SAFE_INTEGER),
      written: fields.hex("written"),
    };
  }
  if (op === "command") {
    return {
      op,
      ...fields.optional("queue", (name) => fields.number(name, U16)),
      opcode: fields.number("opcode", U16),
      ...fields.optional("name", (name) => fields.text(name)),
      group: fields.number("group", U16),
      // A member id that no number holds is infinite, which JSON has as null.
      member: fields.isNull("member")
        ? Number.POSITIVE_INFINITY
        : fields.number("member", MAX_SAFE_INTEGER),
      status: fields.number("status", U16),
      qualifier: fields.number("qualifier", U16),
      ...fields.optional("dialect", (name) => fields.text(name)),
      ...fields.optional("tolerance", (name) => fields.text(name)),
    };
  }
  if (op === "member") {
    return {
      op,
      member: fields.number("member", MAX_SAFE_INTEGER),
      plugged: fields.flag("plugged"),
      in_use: fields.flag("in_use"),
    };
  }
  if (!SIGNALS.includes(op)) throw new Refusal(`there is no event ${op.slice(0, 64)}`);
  return {
    op: op as "reset",
    ...fields.optional("queue", (name) => fields.number(name, U16)),
    ...fields.optional("vector", (name) => fields.number(name, U32)),
    ...fields.optional("status", (name) => fields.number(name, U32)),
    ...fields.optional("why", (name) => fields.text(name)),
  };
}

function channel(fields: Fields, data: string) {
  return {
    command: fields.number("command", 0xff),
    ...fields.optional("name", (name) => fields.text(name)),
    flags: fields.number("flags", 0xff),
    count: fields.number("count", U16),
    data: fields.hex(data),
  };
}

function ending(fields: Fields) {
  return { status: fields.number("status", U16), residual: fields.number("residual", U16) };
}

/** The members of an object that nobody vouches for. */
class Fields {
  readonly #members: Readonly<Record<string, unknown>>;

  constructor(value: unknown) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new Refusal("an object is needed");
    }
    this.#members = value as Readonly<Record<string, unknown>>;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#members, name);
  }

  isNull(name: string): boolean {
    return this.has(name) && this.#members[name] === null;
  }

  text(name: string): string {
    const value = this.#value(name);
    if (typeof value === "string" && value.length <= TEXT_LIMIT) return value;
    throw new Refusal(`${name} is no text of at most ${TEXT_LIMIT} characters`);
  }

  number(name: string, most: number): number {
    const value = this.#value(name);
    if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most) {
      return value;
    }
    throw new Refusal(`${name} is no integer from 0 to ${most}`);
  }

  flag(name: string): boolean {
    const value = this.#value(name);
    if (typeof value === "boolean") return value;
    throw new Refusal(`${name} is neither true nor false`);
  }

  hex(name: string): string {
    const value = this.#value(name);
    if (typeof value === "string" && value.length % 2 === 0 && !/[^0-9a-fA-F]/.test(value)) {
      return value;
    }
    throw new Refusal(`${name} is no hex of whole bytes`);
  }

  object(name: string): Fields {
    return new Fields(this.#value(name));
  }

  list(name: string, most: number): Fields[] {
    const value = this.#value(name);
    if (Array.isArray(value) && value.length <= most) return value.map((each) => new Fields(each));
    throw new Refusal(`${name} is no list of at most ${most}`);
  }

  optional<N extends string, T>(name: N, read: (name: N) => T): { readonly [K in N]?: T } {
    return (this.has(name) ? { [name]: read(name) } : {}) as { readonly [K in N]?: T };
  }

  #value(name: string): unknown {
    return this.has(name) ? this.#members[name] : undefined;
  }
}
