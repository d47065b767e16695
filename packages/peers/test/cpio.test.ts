/** The archives of guests, byte by byte. */

import { describe, expect, it } from "vitest";
import { writeCpio } from "../src/guest/cpio.ts";
import { guestScript, makeInitramfs } from "../src/guest/initramfs.ts";

const ZERO = "00000000";
const TRAILER = [
  "070701",
  ...[ZERO, ZERO, ZERO, ZERO, "00000001", ZERO, ZERO, ZERO, ZERO, ZERO, ZERO],
  ...["0000000B", ZERO],
  "TRAILER!!!\0\0\0\0",
].join("");

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

describe("a cpio archive", () => {
  it("of nothing is its trailer", () => {
    expect(text(writeCpio([]))).toBe(TRAILER);
  });

  it("has a header, a name and data for each file, aligned to 4 bytes", () => {
    const archive = writeCpio([
      { path: "bin", kind: "directory" },
      { path: "bin/a", kind: "file", permissions: 0o644, data: "hello" },
    ]);
    const directory = [
      "070701",
      ...["00000001", "000041ED", ZERO, ZERO, "00000001", ZERO, ZERO, ZERO, ZERO, ZERO, ZERO],
      ...["00000004", ZERO],
      // 110 bytes of header and 4 of name.
      "bin\0\0\0",
    ].join("");
    const file = [
      "070701",
      ...["00000002", "000081A4", ZERO, ZERO, "00000001", ZERO, "00000005", ZERO, ZERO, ZERO, ZERO],
      ...["00000006", ZERO],
      "bin/a\0",
      "hello\0\0\0",
    ].join("");
    expect(text(archive)).toBe(directory + file + TRAILER);
  });

  it.each([
    ["link", { kind: "link", data: "busybox" }, "0000A1ED", "00000007", ZERO, ZERO],
    [
      "device",
      { kind: "character device", device: [5, 1] },
      "000021ED",
      ZERO,
      "00000005",
      "00000001",
    ],
  ] as const)("has a %s", (_name, entry, mode, size, major, minor) => {
    const archive = text(writeCpio([{ path: "x", ...entry }]));
    expect(archive.slice(14, 22)).toBe(mode);
    expect(archive.slice(54, 62)).toBe(size);
    expect(archive.slice(78, 94)).toBe(major + minor);
  });

  it("counts a name in bytes", () => {
    const archive = text(writeCpio([{ path: "é", kind: "file" }]));
    expect(archive.slice(94, 102)).toBe("00000003");
  });
});

describe("an initramfs", () => {
  const busybox = new TextEncoder().encode("BUSYBOX");
  const modules = [
    { name: "b.ko", bytes: new Uint8Array([1]) },
    { name: "a.ko.xz", bytes: new Uint8Array([2]) },
  ];

  it("has a console, busybox, modules and an init", () => {
    const archive = text(makeInitramfs({ busybox, modules, script: "true" }));
    for (const name of ["dev/console", "bin/busybox", "modules/b.ko", "modules/a.ko.xz", "init"]) {
      expect(archive).toContain(`${name}\0`);
    }
    expect(archive.indexOf("bin\0")).toBeLessThan(archive.indexOf("bin/busybox\0"));
  });

  it("has further files, each folder of them once and before them", () => {
    const files = new Map([
      ["lib/a/b", new Uint8Array([1])],
      ["lib/a/c", new Uint8Array([2])],
      ["bin/d", new Uint8Array([3])],
    ]);
    const archive = text(makeInitramfs({ busybox, files, script: "true" }));
    const places = ["lib\0", "lib/a\0", "lib/a/b\0", "lib/a/c\0"].map((each) =>
      archive.indexOf(each),
    );
    expect(places).toEqual([...places].sort((a, b) => a - b));
    for (const each of ["lib\0", "lib/a\0", "bin\0"]) expect(archive.split(each)).toHaveLength(2);
  });

  it("loads modules in the order in which they are given, and then runs the script", () => {
    const script = guestScript("the body", modules);
    const places = ["load b.ko", "load a.ko.xz", "the body", "poweroff"].map((each) =>
      script.indexOf(each),
    );
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places[0]).toBeGreaterThan(0);
  });

  it("is the same for the same input", () => {
    const once = makeInitramfs({ busybox, modules, script: "true" });
    expect(makeInitramfs({ busybox, modules, script: "true" })).toEqual(once);
  });
});
