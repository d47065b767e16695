/** Replay itself: what is compared, what is reported, and which lines are requests. */
import { TRACE_FORMAT, TRACE_VERSION, toHex } from "@virtio-admin/core";
import {
  type Expectation,
  formatMismatch,
  parseTrace,
  type ReplayReport,
  replay,
} from "@virtio-admin/testkit";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BankTarget, DOORBELL, ENTROPY_BYTE, QUEUE_SIZE, RESET, START } from "./bank-target.ts";

const HEADER = { format: TRACE_FORMAT, version: TRACE_VERSION, transport: "mmio" };

const read = (offset: number, data: string) => ({
  op: "read",
  offset,
  size: data.length / 2,
  data,
});
const write = (offset: number, data: string) => ({ ...read(offset, data), op: "write" });
const bell = (queue = 0) => write(DOORBELL, toHex(Uint8Array.of(queue)));
const entropy = (length: number) => toHex(new Uint8Array(length).fill(ENTROPY_BYTE));
const buffer = (written: string, used = written.length / 2, lengths: number[] = [8]) => ({
  op: "buffer",
  queue: 0,
  descriptors: lengths.map((length) => ({ length, writable: true })),
  readable: "",
  used,
  written,
});

function run(
  lines: readonly object[],
  expectations: readonly Expectation[] = [],
  target = new BankTarget(),
): ReplayReport {
  const text = lines.map((line) => JSON.stringify(line)).join("\n");
  return replay(parseTrace(text, "bank.jsonl"), target, { expectations });
}

const summary = (report: ReplayReport) =>
  report.mismatches.map(({ line, offset, expected, got }) => [line, offset, expected, got]);

describe("answers", () => {
  it("are compared byte by byte", () => {
    const lines = [write(2, "0102"), read(2, "0102"), read(1, "00010200")];
    expect(run(lines)).toEqual({
      transport: "mmio",
      file: "bank.jsonl",
      mode: "strict",
      checked: 2,
      expectationsUsed: 0,
      mismatches: [],
    });
  });

  it("that differ are reported with file, line, offset, expected and got", () => {
    const report = run([write(2, "0102"), read(2, "0102"), read(1, "00010300")]);
    expect(report.mismatches).toEqual([
      {
        file: "bank.jsonl",
        line: 3,
        offset: 2,
        expected: "00010300",
        got: "00010200",
        what: "read 1",
      },
    ]);
    expect(report.mismatches.map(formatMismatch)).toEqual([
      "bank.jsonl:3: read 1: byte 2 differs: expected 00010300, got 00010200",
    ]);
  });

  it("that are too short differ where they end", () => {
    expect(summary(run([read(14, "00000000")]))).toEqual([[1, 2, "00000000", "0000"]]);
  });

  it("are found whichever byte was changed", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 16 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (bytes, seed, change) => {
          const at = seed % bytes.length;
          const changed = Uint8Array.from(bytes);
          changed[at] = (changed[at] ?? 0) ^ change;
          const report = run([write(0, toHex(bytes)), read(0, toHex(changed))]);
          expect(summary(report)).toEqual([[2, at, toHex(changed), toHex(bytes)]]);
        },
      ),
    );
  });

  it("need a target of the trace's transport", () => {
    expect(() => run([{ ...HEADER, transport: "pci" }])).toThrow(
      expect.objectContaining({ code: "TRACE_FORMAT", path: "bank.jsonl" }),
    );
  });
});

describe("expectations", () => {
  const rom = { line: 2, expected: Uint8Array.of(0x01), reason: "only bit 0 is there" };
  const lines = [write(0, "01"), read(0, "ff")];

  it("stand in the place of a recorded answer", () => {
    const report = run(lines, [rom]);
    expect(report.mismatches).toEqual([]);
    expect([report.checked, report.expectationsUsed]).toEqual([1, 1]);
  });

  it("that are not met are mismatches", () => {
    expect(summary(run(lines, [{ ...rom, expected: Uint8Array.of(2) }]))).toEqual([
      [2, 0, "02", "01"],
    ]);
  });

  it("hold in their mode alone", () => {
    expect(summary(run(lines, [{ ...rom, mode: "tolerant" }]))).toEqual([[2, 0, "ff", "01"]]);
    expect(run(lines, [{ ...rom, mode: "strict" }]).mismatches).toEqual([]);
  });

  it.each([
    ["on a line without an answer", [write(0, "01"), read(0, "01"), write(0, "02")], 3],
    ["beyond the end", [write(0, "01")], 9],
    ["that say what was recorded", [write(0, "01"), read(0, "01")], 2],
  ])("are mismatches when they are stale: %s", (_title, stale, line) => {
    const report = run(stale, [{ ...rom, line }]);
    expect(report.mismatches).toHaveLength(1);
    expect(report.mismatches[0]).toMatchObject({ line, expected: "01" });
    expect(report.mismatches[0]?.what).toContain(rom.reason);
    expect(report.expectationsUsed).toBe(0);
  });
});

describe("buffers", () => {
  it("are there when the notification above them is sent", () => {
    const lines = [bell(), buffer(entropy(8)), buffer(entropy(12), 12, [4, 8]), bell()];
    expect(run([...lines, buffer(entropy(1), 1, [1])])).toMatchObject({
      checked: 3,
      mismatches: [],
    });
  });

  it("are compared in what was written", () => {
    const changed = `${entropy(7)}00`;
    expect(summary(run([bell(), buffer(changed)]))).toEqual([[2, 7, changed, entropy(8)]]);
    const short = entropy(7);
    expect(summary(run([bell(), buffer(short)]))).toEqual([[2, 7, short, entropy(8)]]);
  });

  it("are compared in their used length", () => {
    const report = run([bell(), buffer(entropy(8), 9)]);
    expect(summary(report)).toEqual([[2, 8, "9", "8"]]);
    expect(report.mismatches[0]?.what).toContain("used length");
  });

  it("may have an expectation, whose length is the used length then", () => {
    const wrong = buffer("00", 1);
    const expected = new Uint8Array(8).fill(ENTROPY_BYTE);
    expect(run([bell(), wrong], [{ line: 2, expected, reason: "r" }])).toMatchObject({
      expectationsUsed: 1,
      mismatches: [],
    });
  });

  it.each([
    ["no notification stands above", [write(0, "00"), buffer(entropy(8))], 2, "no notification"],
    ["their queue is another", [bell(1), buffer(entropy(8))], 2, "no notification"],
    [
      "their queue is not enabled",
      [write(RESET, "00"), bell(), buffer(entropy(8))],
      3,
      "not enabled",
    ],
    [
      "the queue is full",
      [bell(), ...Array.from({ length: QUEUE_SIZE + 1 }, () => buffer(entropy(8)))],
      QUEUE_SIZE + 2,
      "full",
    ],
    [
      "they have more descriptors than the queue",
      [bell(), buffer(entropy(5), 5, [1, 1, 1, 1, 1])],
      2,
      "4 descriptors only",
    ],
  ])("that cannot be used are mismatches: %s", (_title, lines, line, why) => {
    const report = run(lines);
    expect(report.mismatches).toHaveLength(1);
    expect(report.mismatches[0]).toMatchObject({ line, offset: 0, expected: expect.any(String) });
    expect(report.mismatches[0]?.got).toContain(why);
  });

  it("keep what came of them when the device is reset", () => {
    const lines = [bell(), write(RESET, "00"), buffer(entropy(8))];
    expect(run(lines)).toMatchObject({ checked: 1, mismatches: [] });
  });

  it("leave no memory behind", () => {
    const target = new BankTarget();
    run([bell(), buffer(entropy(8)), write(RESET, "00"), bell(), buffer(entropy(8))], [], target);
    expect(target.latest?.guest.memory.regions).toEqual([]);
  });
});

describe("what the driver had done before", () => {
  const start = write(START, "00");
  const interrupt = { op: "interrupt", queue: 0 };

  it("buffers without a notification were there when the device went live", () => {
    const lines = [HEADER, start, buffer(entropy(8)), bell(), buffer(entropy(8))];
    expect(run(lines)).toMatchObject({ checked: 2, mismatches: [] });
    // A notification before that has nothing to do with what comes after.
    const again = [HEADER, bell(), buffer(entropy(8)), start, buffer(entropy(8))];
    expect(run(again)).toMatchObject({ checked: 2, mismatches: [] });
  });

  it("it wanted the interrupts that it got, and no others", () => {
    for (const got of [[true], [false], [true, false, true], [false, false, true, true]]) {
      const lines = got.flatMap((each) => [
        bell(),
        buffer(entropy(8)),
        ...(each ? [interrupt] : []),
      ]);
      const target = new BankTarget();
      expect(run([HEADER, ...lines], [], target)).toMatchObject({ mismatches: [] });
      expect(target.latest?.interrupts).toBe(got.filter((each) => each).length);
    }
  });

  it("it wanted all of them, where the trace has none", () => {
    const target = new BankTarget();
    run([bell(), buffer(entropy(8)), bell(), buffer(entropy(8))], [], target);
    expect(target.latest?.interrupts).toBe(2);
  });
});

describe("what is a request", () => {
  const requestsOf = (lines: readonly object[]) => {
    const target = new BankTarget();
    run(lines, [], target);
    return target.latest?.performed.map(({ line, op }) => [line, op]);
  };

  it("every reset of an older shape", () => {
    expect(requestsOf([write(RESET, "00"), { op: "reset" }])).toEqual([
      [1, "write"],
      [2, "reset"],
    ]);
  });

  it("in a headed trace, no reset that the write above it caused", () => {
    const lines = [HEADER, write(RESET, "00"), { op: "reset" }, write(0, "00"), { op: "reset" }];
    expect(requestsOf(lines)).toEqual([
      [2, "write"],
      [4, "write"],
      [5, "reset"],
    ]);
  });

  it("in a headed trace, no notification where a register has it", () => {
    expect(requestsOf([HEADER, bell(), { op: "notify", queue: 0 }])).toEqual([[2, "write"]]);
  });
});
