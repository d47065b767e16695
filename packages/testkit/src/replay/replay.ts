/**
 * Replays a trace: the recorded requests are put to a device half, and every answer is compared
 * with the recorded one, or with the expectation that stands in its place.
 */
import { BUFFER_TRACE_LIMIT, toHex, VirtioError } from "@virtio-admin/core";
import type { PlacedBuffer } from "./guest.ts";
import type { ReplayAnswer, ReplaySession, ReplayTarget } from "./target.ts";
import type {
  BufferLine,
  Expectation,
  Mismatch,
  ReplayMode,
  ReplayReport,
  RequestLine,
  Trace,
  TraceLine,
} from "./types.ts";

/** How a trace is replayed. */
export interface ReplayOptions {
  /** How the device treats what the text does not allow; `strict` unless given. */
  readonly mode?: ReplayMode;
  /** Where a correct device answers otherwise; none unless given. */
  readonly expectations?: readonly Expectation[];
}

/**
 * Replays a trace on a target of its transport.
 *
 * A recorded buffer is made available before the last notification of its queue that stands above
 * it, or before DRIVER_OK where none does since; with the driver's wish to be interrupted for it or
 * not. Every expectation of the mode must be needed: one whose line has no answer, or whose answer
 * was recorded just so, is a mismatch.
 *
 * @throws VirtioError `TRACE_FORMAT` when the target is of another transport, or can make no device
 * of what the trace says. Nothing else in a trace or an answer throws: it is a mismatch.
 */
export function replay(
  trace: Trace,
  target: ReplayTarget,
  options: ReplayOptions = {},
): ReplayReport {
  const mode = options.mode ?? "strict";
  if (target.transport !== trace.transport) {
    throw new VirtioError("TRACE_FORMAT", {
      message: `the trace is of transport ${trace.transport}`,
      path: trace.file,
      value: target.transport,
      hint: "give the target of that transport",
    });
  }
  const run = new Run(trace, target.open(trace, mode), mode, options.expectations ?? []);
  return run.report();
}

class Run {
  readonly #trace: Trace;
  readonly #session: ReplaySession;
  readonly #mode: ReplayMode;
  readonly #expectations = new Map<number, Expectation>();
  readonly #used = new Set<Expectation>();
  readonly #mismatches: Mismatch[] = [];
  /** For a line that notifies, or sets DRIVER_OK: the buffers that go with it. */
  readonly #buffersOf = new Map<TraceLine, BufferLine[]>();
  readonly #placed = new Map<BufferLine, PlacedBuffer | string>();
  #checked = 0;

  constructor(
    trace: Trace,
    session: ReplaySession,
    mode: ReplayMode,
    expectations: readonly Expectation[],
  ) {
    this.#trace = trace;
    this.#session = session;
    this.#mode = mode;
    for (const expectation of expectations) {
      if ((expectation.mode ?? mode) === mode)
        this.#expectations.set(expectation.line, expectation);
    }
    this.#findNotifications();
  }

  report(): ReplayReport {
    const { lines, file, transport } = this.#trace;
    lines.forEach((line, i) => {
      if (line.op === "buffer") this.#buffer(line);
      else if (!this.#isConsequence(line, lines[i - 1], lines[i + 1])) this.#request(line);
    });
    for (const expectation of this.#expectations.values()) {
      if (!this.#used.has(expectation)) {
        this.#mismatch(
          expectation.line,
          0,
          toHex(expectation.expected),
          "no answer that needs it",
          {
            what: `the expectation "${expectation.reason}" is not needed`,
          },
        );
      }
    }
    return {
      transport,
      file,
      mode: this.#mode,
      checked: this.#checked,
      expectationsUsed: this.#used.size,
      mismatches: this.#mismatches,
    };
  }

  #findNotifications(): void {
    const latest = new Map<number, BufferLine[]>();
    let atStart: BufferLine[] = [];
    for (const line of this.#trace.lines) {
      if (line.op === "buffer") {
        (latest.get(line.queue) ?? atStart).push(line);
        continue;
      }
      if (this.#session.starts?.(line) === true) {
        latest.clear();
        atStart = [];
        this.#buffersOf.set(line, atStart);
      }
      const queue = this.#session.notifies(line);
      if (queue === undefined) continue;
      const buffers: BufferLine[] = [];
      latest.set(queue, buffers);
      this.#buffersOf.set(line, buffers);
    }
  }

  /** True for what a headed trace tells of a request's effects: performing it would repeat them. */
  #isConsequence(
    line: RequestLine,
    before: TraceLine | undefined,
    after: TraceLine | undefined,
  ): boolean {
    if (!this.#trace.headed) return false;
    if (line.op === "notify") return this.#session.notifies(line) === undefined;
    if (line.op !== "reset") return false;
    // A register access is traced before its effects, a channel command after them.
    const isCause = (other: TraceLine | undefined) =>
      other !== undefined && other.op !== "buffer" && this.#session.resets(other);
    return isCause(before) || (after?.op === "channel" && isCause(after));
  }

  #request(line: RequestLine): void {
    const { device, guest } = this.#session;
    const buffers = this.#buffersOf.get(line) ?? [];
    for (const { queue } of buffers) {
      const wanted = buffers.some((each) => each.queue === queue && each.interrupted !== false);
      guest.wantInterrupts(queue, wanted);
    }
    for (const buffer of buffers) {
      const { descriptors, readable } = buffer;
      this.#placed.set(
        buffer,
        guest.place(buffer.queue, descriptors, readable, complement(this.#expectedBuffer(buffer))),
      );
    }
    const answers = this.#session.perform(line);
    guest.follow(device);
    for (const answer of answers) this.#compare(answer);
  }

  #buffer(line: BufferLine): void {
    const placed = this.#placed.get(line) ?? "no notification of its queue stands above it";
    const what = `buffer of queue ${line.queue}`;
    const expected = toHex(this.#expectedBuffer(line));
    if (typeof placed === "string" || placed.result === undefined) {
      this.#checked++;
      const why = typeof placed === "string" ? placed : "the device did not use it";
      this.#mismatch(line.line, 0, expected, why, { what });
      return;
    }
    const { used, written } = placed.result;
    // A tracer keeps the beginning of a long answer only.
    const isCut = line.written.length === BUFFER_TRACE_LIMIT && line.used > BUFFER_TRACE_LIMIT;
    const got = isCut ? written.subarray(0, BUFFER_TRACE_LIMIT) : written;
    const answer = { line: line.line, what: `${what}, written`, recorded: line.written, got };
    const isRecorded = this.#expectations.get(line.line) === undefined;
    if (!this.#compare(answer) || !isRecorded || used === line.used) return;
    this.#mismatch(line.line, Math.min(used, line.used), String(line.used), String(used), {
      what: `${what}, used length`,
    });
  }

  #expectedBuffer(line: BufferLine): Uint8Array {
    return this.#expectations.get(line.line)?.expected ?? line.written;
  }

  /** Compares one answer; true when it is what it should be. */
  #compare(answer: ReplayAnswer): boolean {
    const { line, what, recorded, got } = answer;
    this.#checked++;
    const expectation = this.#expectations.get(line);
    // One that says what was recorded is not needed, and reported as such at the end.
    const isNeeded =
      expectation !== undefined && firstDifference(expectation.expected, recorded) >= 0;
    if (isNeeded) this.#used.add(expectation);
    const expected = expectation?.expected ?? recorded;
    const offset = firstDifference(expected, got);
    if (offset < 0) return true;
    this.#mismatch(line, offset, toHex(expected), toHex(got), { what });
    return false;
  }

  #mismatch(
    line: number,
    offset: number,
    expected: string,
    got: string,
    { what }: { readonly what: string },
  ): void {
    this.#mismatches.push({ file: this.#trace.file, line, offset, expected, got, what });
  }
}

/** The offset of the first byte that differs, or that only one of them has; -1 for none. */
function firstDifference(a: Uint8Array, b: Uint8Array): number {
  const common = Math.min(a.length, b.length);
  for (let i = 0; i < common; i++) if (a[i] !== b[i]) return i;
  return a.length === b.length ? -1 : common;
}

/** Bytes that differ from the given ones everywhere. */
function complement(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => ~byte);
}

/** A mismatch as one line of text: file, line, offset, what was expected and what came. */
export function formatMismatch(mismatch: Mismatch): string {
  const { file, line, offset, expected, got, what } = mismatch;
  return `${file}:${line}: ${what}: byte ${offset} differs: expected ${expected}, got ${got}`;
}
