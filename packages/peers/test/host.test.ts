/** What the host is left with: caches, locks, children, folders. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SeededStream } from "@virtio-admin/fixtures";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cacheFolder, lockCache } from "../src/cache.ts";
import { endsWithUs, privateFolder } from "../src/cleanup.ts";
import { completeTrees, isComplete, packagesOf, treeFolder } from "../src/debian/tree.ts";
import { runProgram } from "../src/program.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "peers-test-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe("the cache", () => {
  it("is where XDG says, when that is a path", () => {
    expect(cacheFolder({ XDG_CACHE_HOME: "/x" })).toBe("/x/virtio-admin/peers");
    expect(cacheFolder({ XDG_CACHE_HOME: "x" })).toBe(cacheFolder({}));
    expect(cacheFolder({})).toMatch(/\/\.cache\/virtio-admin\/peers$/);
  });

  it("is locked once, and can be locked again afterwards", async () => {
    const unlock = await lockCache(folder);
    await expect(lockCache(folder)).rejects.toMatchObject({
      code: "HOST_UNSUPPORTED",
      message: expect.stringContaining("another run uses this cache"),
    });
    const other = await lockCache(join(folder, "other"));
    await unlock();
    await (await lockCache(folder))();
    await other();
  });
});

describe("an unpacked tree", () => {
  const packages = [
    { name: "b", version: "1" },
    { name: "a", version: "2" },
  ];

  function make(name: string, entries: number): string {
    const tree = treeFolder(folder, name, packages);
    mkdirSync(join(tree, "usr"), { recursive: true });
    writeFileSync(join(tree, "usr/file"), "");
    writeFileSync(
      join(tree, "unpacked.json"),
      JSON.stringify({ packages: ["a=2", "b=1"], entries }),
    );
    return tree;
  }

  it("has a folder for each set of packages, in any order", () => {
    expect(treeFolder(folder, "x", packages)).toBe(
      treeFolder(folder, "x", [...packages].reverse()),
    );
    expect(treeFolder(folder, "x", packages)).not.toBe(treeFolder(folder, "x", packages.slice(1)));
  });

  it("is complete when everything is there that was unpacked", () => {
    const tree = make("linux", 1);
    expect(isComplete(tree)).toBe(true);
    expect(packagesOf(tree)).toEqual(["a=2", "b=1"]);
    mkdirSync(join(tree, "dev"));
    expect(isComplete(tree)).toBe(true);
    rmSync(join(tree, "usr/file"));
    expect(isComplete(tree)).toBe(false);
    expect(isComplete(join(folder, "nowhere"))).toBe(false);
  });

  it.each(["", "{", "[]", '{"packages":1,"entries":2}'])(
    "is not complete with a stamp %s",
    (text) => {
      const tree = make("linux", 1);
      writeFileSync(join(tree, "unpacked.json"), text);
      expect(isComplete(tree)).toBe(false);
    },
  );

  it("is found by its name, and not by the beginning of it", () => {
    const tree = make("linux-newest", 1);
    make("linux", 5);
    expect(completeTrees(folder, "linux-newest")).toEqual([tree]);
    expect(completeTrees(folder, "linux")).toEqual([]);
    expect(completeTrees(join(folder, "nowhere"), "linux")).toEqual([]);
  });
});

describe("a program", () => {
  it("answers what it wrote, and tells its lines", async () => {
    const lines: string[] = [];
    const args = ["-e", "console.log('a'); console.error('b')"];
    const output = await runProgram(process.execPath, args, { onLine: (line) => lines.push(line) });
    expect(output).toBe("a\n");
    expect(lines.sort()).toEqual(["a", "b"]);
  });

  it("that fails, or is not there, is what the host lacks", async () => {
    const args = ["-e", "console.error('why'); process.exit(3)"];
    await expect(runProgram(process.execPath, args)).rejects.toMatchObject({
      code: "HOST_UNSUPPORTED",
      message: expect.stringContaining("it ended with 3: why"),
    });
    await expect(runProgram(join(folder, "nothing"), [])).rejects.toMatchObject({
      code: "HOST_UNSUPPORTED",
    });
  });
});

describe("what ends with us", () => {
  it("a folder goes when it is let go of", () => {
    const { path, remove } = privateFolder();
    expect(existsSync(path)).toBe(true);
    remove();
    expect(existsSync(path)).toBe(false);
  });

  // The signals and the end of a process are tried in one of its own, see `ending.test.ts`.
  it("a child that has ended is forgotten", async () => {
    const child = spawn(process.execPath, ["-e", ""]);
    endsWithUs(child);
    await new Promise((resolve) => child.once("exit", resolve));
    expect(child.listenerCount("exit")).toBe(0);
  });
});

describe("seeded entropy", () => {
  const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

  it("is the same for the same seed, however it is drawn", () => {
    fc.assert(
      fc.property(fc.string(), fc.array(fc.nat(100), { maxLength: 8 }), (seed, lengths) => {
        const total = lengths.reduce((sum, length) => sum + length, 0);
        const parts = new Uint8Array(total);
        const stream = new SeededStream(seed);
        let at = 0;
        for (const length of lengths) {
          stream.source(parts.subarray(at, at + length));
          at += length;
        }
        const whole = new Uint8Array(total);
        new SeededStream(seed).source(whole);
        expect(parts).toEqual(whole);
        expect(stream.given).toBe(total);
      }),
    );
  });

  it("is found where it was given, and nothing else is", () => {
    const stream = new SeededStream("seed");
    const bytes = new Uint8Array(300);
    stream.source(bytes);
    const part = sha256(bytes.subarray(77, 141));
    expect(stream.find(part, 64)).toBe(77);
    expect(stream.find(part, 64, 77)).toBe(77);
    expect(stream.find(part, 64, 78)).toBeUndefined();
    expect(stream.find(sha256(new Uint8Array(64)), 64)).toBeUndefined();
    expect(stream.find(part, 64, 1000)).toBeUndefined();
  });
});
