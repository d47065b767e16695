/** What guests say, cut and read. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LINE_LIMIT, LineCutter, parseResult, ResultQueue } from "../src/guest/lines.ts";

const FOREVER = 1_000_000;

function cut(parts: readonly Uint8Array[]): string[] {
  const lines: string[] = [];
  const cutter = new LineCutter((line) => lines.push(line));
  for (const part of parts) cutter.push(part);
  cutter.end();
  return lines;
}

describe("lines", () => {
  it("are the same however they come in", () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[ -~é€]{0,20}$/)), fc.nat(6), (lines, size) => {
        const bytes = new TextEncoder().encode(lines.map((line) => `${line}\r\n`).join(""));
        const parts: Uint8Array[] = [];
        for (let at = 0; at < bytes.length; at += size + 1) {
          parts.push(bytes.subarray(at, at + size + 1));
        }
        expect(cut(parts)).toEqual(lines);
      }),
    );
  });

  it("are bounded, and the last needs no end", () => {
    const lines = cut([new TextEncoder().encode("x".repeat(2 * LINE_LIMIT + 3))]);
    expect(lines.map(({ length }) => length)).toEqual([LINE_LIMIT, LINE_LIMIT, 3]);
  });
});

describe("a result", () => {
  it.each([
    ["@@ boot release=7.3.4", { name: "boot", fields: { release: "7.3.4" } }],
    ["@@ end", { name: "end", fields: {} }],
    ["@@ failed what=insmod a.ko", { name: "failed", fields: { what: "insmod a.ko" } }],
    ["@@ a x= y=1=2", { name: "a", fields: { x: "", y: "1=2" } }],
    ["@@ Boot", undefined],
    ["@@", undefined],
    [" @@ boot", undefined],
    ["[    1.0] console", undefined],
  ])("%s", (line, result) => {
    expect(parseResult(line)).toEqual(result);
  });
});

describe("results", () => {
  const named = (name: string, fields = {}) => ({ name, fields });

  it("are awaited by name, before they come and after", async () => {
    const queue = new ResultQueue();
    queue.push(named("a"));
    queue.push(named("b", { x: "1" }));
    expect(await queue.next("b", FOREVER)).toEqual(named("b", { x: "1" }));
    const later = queue.next("c", FOREVER);
    queue.push(named("other"));
    queue.push(named("c"));
    expect(await later).toEqual(named("c"));
  });

  it("end the wait when a step failed, the guest has ended, or it takes too long", async () => {
    const queue = new ResultQueue();
    const failed = queue.next("a", FOREVER);
    queue.push(named("failed", { what: "mount" }));
    await expect(failed).rejects.toThrow("the guest says that mount failed");
    await expect(queue.next("a", 1)).rejects.toThrow('did not say "a" within 0.001 s');
    const ended = queue.next("a", FOREVER);
    queue.end("QEMU ended (1)");
    await expect(ended).rejects.toThrow('QEMU ended (1) before it said "a"');
    await expect(queue.next("a", FOREVER)).rejects.toThrow("QEMU ended (1)");
  });
});
