/** Ended mappings: their memory is out of reach at once, their addresses go with the last view. */
import { closeSync, readFileSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Mapping } from "../src/mapping.ts";
import { loadNative, type Native } from "../src/native.ts";
import { sharedMappings, unsupported } from "./rig.ts";

const LENGTH = 2 ** 24;

/** The size of this process's address space in bytes. */
function addressSpace(): number {
  return Number(readFileSync("/proc/self/statm", "utf8").split(" ")[0]) * 4096;
}

describe.skipIf(unsupported !== undefined)(`mappings ${unsupported ?? ""}`, () => {
  let native: Native;
  let fd: number;
  let collect: () => void;

  beforeAll(async () => {
    native = await loadNative();
    fd = native.memory(LENGTH);
    setFlagsFromString("--expose-gc");
    collect = runInNewContext("gc") as () => void;
  });

  afterAll(() => closeSync(fd));

  function mapped(): Mapping {
    const mapping = Mapping.make(native, fd, 0, LENGTH);
    if (typeof mapping === "number") throw new Error(`errno ${mapping}`);
    return mapping;
  }

  it("share memory until they end, and a view that is left reads zeros", () => {
    const [one, two] = [mapped(), mapped()];
    const [left, right] = [one.piece(0), two.piece(0)];
    left[7] = 42;
    expect(right[7]).toBe(42);
    one.end();
    one.end();
    expect(left[7]).toBe(0);
    left[7] = 1;
    expect(right[7]).toBe(42);
    expect(sharedMappings().length).toBe(1);
    two.end();
    expect(sharedMappings()).toEqual([]);
  });

  it("give their addresses back when the last view is gone", async () => {
    const before = addressSpace();
    const kept: Uint8Array[] = [];
    for (let i = 0; i < 64; i++) {
      const mapping = mapped();
      kept.push(mapping.piece(0));
      mapping.end();
    }
    collect();
    await turn();
    expect(addressSpace() - before).toBeGreaterThan(60 * LENGTH);
    expect(kept.every((bytes) => bytes[0] === 0)).toBe(true);
    kept.length = 0;
    // Finalizers run some turns after a collection, which may need more than one.
    for (let turns = 0; turns < 1000 && addressSpace() - before > 8 * LENGTH; turns++) {
      if (turns % 50 === 0) collect();
      await turn();
    }
    expect(addressSpace() - before).toBeLessThan(8 * LENGTH);
  });

  it("that nobody viewed leave nothing at all", () => {
    const before = addressSpace();
    for (let i = 0; i < 10_000; i++) mapped().end();
    expect(addressSpace() - before).toBeLessThan(4 * LENGTH);
  });
});
