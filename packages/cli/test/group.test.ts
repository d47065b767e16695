import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isVirtioError } from "@virtio-admin/core";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GROUP_FILE_LIMIT, parseGroup } from "../src/group/group-file.ts";
import { run } from "./command.ts";

const EXAMPLE = fileURLToPath(new URL("../examples/eight-vfs.yaml", import.meta.url));

interface Member {
  readonly member: number;
  readonly vectors?: number;
  readonly offered: readonly string[];
  readonly driver: { readonly vectors?: number; readonly offered: readonly string[] };
}

interface State {
  readonly group: { readonly msix?: { readonly total: number; readonly free: number } };
  readonly provision: readonly { readonly member: number; readonly refused?: string }[];
  readonly members: readonly Member[];
}

describe("virtio-admin group", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "virtio-admin-test-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const written = (content: string | Uint8Array, name = "group.yaml") => {
    const file = join(folder, name);
    writeFileSync(file, content);
    return file;
  };
  const described = (lines: readonly string[]) =>
    written(["format: virtio-admin.group", "version: 1", ...lines].join("\n"));
  const stateOf = async (file: string) => {
    const { code, out, err } = await run("group", file, "--json");
    expect(err).toBe("");
    return { code, state: JSON.parse(out) as State };
  };

  it("[management-device-12] runs eight virtual functions, each found by its driver as its owner has it", async () => {
    const { code, state } = await stateOf(EXAMPLE);
    expect(code).toBe(0);
    const { members, group, provision } = state;
    expect(members.map(({ vectors }) => vectors)).toEqual([32, 1, 4, 4, 4, 4, 4, 4]);
    for (const { vectors, offered, driver } of members)
      expect(driver).toEqual({ vectors, offered });
    const without = (feature: string) =>
      members.filter(({ driver }) => !driver.offered.includes(feature)).map((one) => one.member);
    expect(without("VIRTIO_F_EVENT_IDX")).toEqual([2]);
    expect(without("VIRTIO_F_INDIRECT_DESC")).toEqual([3]);
    expect(without("VIRTIO_F_RING_RESET")).toEqual([3]);
    expect(without("VIRTIO_F_VERSION_1")).toEqual([]);
    expect(group.msix).toEqual({ total: 64, free: 64 - 32 - 1 - 6 * 4, min: 1, max: 32 });
    expect(provision.map(({ refused }) => refused)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("prints the same as a table, with the pool", async () => {
    const { code, out } = await run("group", EXAMPLE);
    expect(code).toBe(0);
    expect(out).toMatch(/│ 1 +│ 32 +│ INDIRECT_DESC EVENT_IDX VERSION_1 RING_RESET +│/);
    expect(out).toMatch(/│ 2 +│ 1 +│ INDIRECT_DESC VERSION_1 RING_RESET +│/);
    expect(out).toContain("pool: 64 vectors, 7 free, 1 to 32 for one member");
  });

  it("answers 1 and names the line when the device refuses, and goes on", async () => {
    const file = described([
      "transport: pci",
      "owner: { device: entropy }",
      "group:",
      "  type: sr-iov",
      "  members: 2",
      "  msix: { total: 6, max: 4, default: 2 }",
      "  settable: [VIRTIO_F_EVENT_IDX]",
      "provision:",
      "  - { member: 1, vectors: 4 }",
      "  - member: 2",
      "    vectors: 3",
      "  - { member: 2, vectors: 5 }",
      "  - { member: 2, features: { clear: [40] } }",
      "  - { member: 2, features: { clear: [VIRTIO_F_EVENT_IDX] } }",
    ]);
    const { code, state } = await stateOf(file);
    expect(code).toBe(1);
    expect(state.provision).toEqual([
      { member: 1, vectors: 4, place: `${file}:11:27` },
      { member: 2, vectors: 3, place: `${file}:13:14`, refused: "ENOSPC, NORESOURCE" },
      { member: 2, vectors: 5, place: `${file}:14:27`, refused: "EINVAL, INVALID_FIELD" },
      expect.objectContaining({ member: 2, refused: "EINVAL, INVALID_FIELD" }),
      {
        member: 2,
        features: { set: [], clear: ["VIRTIO_F_EVENT_IDX"] },
        place: `${file}:16:28`,
      },
    ]);
    expect(state.members.map(({ driver }) => driver.vectors)).toEqual([4, 2]);
    expect(state.members[1]?.driver.offered).not.toContain("VIRTIO_F_EVENT_IDX");
    const { code: again, out } = await run("group", file);
    expect(again).toBe(1);
    expect(out).toContain(`member 2: vectors 3: ENOSPC, NORESOURCE (${file}:13:14)`);
  });

  it.each(["pci", "mmio", "ccw"])("runs a platform group of block devices on %s", async (name) => {
    const file = described([
      `transport: ${name}`,
      "owner: { device: block, admin_queues: 3 }",
      "group: { type: platform, members: [7, 9007199254740991, 0] }",
      "provision:",
      "  - { member: 9007199254740991, features: { clear: [VIRTIO_BLK_F_FLUSH, 29] } }",
      "  - { member: 0, features: { clear: [29] } }",
      "  - { member: 0, features: { set: [29] } }",
    ]);
    const { code, state } = await stateOf(file);
    expect(code).toBe(0);
    expect(state.group.msix).toBeUndefined();
    expect(state.members.map(({ member }) => member)).toEqual([7, 9007199254740991, 0]);
    const flush = state.members.map(({ driver }) => driver.offered.includes("VIRTIO_BLK_F_FLUSH"));
    const events = state.members.map(({ driver }) => driver.offered.includes("VIRTIO_F_EVENT_IDX"));
    expect([flush, events]).toEqual([
      [true, false, true],
      [true, false, true],
    ]);
    for (const { offered, driver } of state.members) expect(driver).toEqual({ offered });
    const { out } = await run("group", file);
    expect(out).toMatch(/│ 0 +│ .*FLUSH/);
    expect(out).not.toContain("pool");
  });

  it("makes block devices with several queues, and vectors for all of them", async () => {
    const { state } = await stateOf(
      described([
        "transport: pci",
        "owner: { device: block, queues: 3 }",
        "group: { type: sr-iov, members: 2 }",
      ]),
    );
    expect(state.members.map(({ driver }) => driver.vectors)).toEqual([4, 4]);
    expect(state.members[0]?.driver.offered).toContain("VIRTIO_BLK_F_MQ");
  });

  it("gives virtual functions vectors as the transport has it when nothing is said of them", async () => {
    const { state } = await stateOf(
      described([
        "transport: pci",
        "owner: { device: entropy }",
        "group: { type: sr-iov, members: 3 }",
      ]),
    );
    expect(state.members.map(({ driver }) => driver.vectors)).toEqual([2, 2, 2]);
    expect(state.group.msix).toMatchObject({ total: 6, free: 0 });
  });

  it("runs as many members as a description can have", async () => {
    const { code, state } = await stateOf(
      described([
        "transport: pci",
        "owner: { device: entropy }",
        "group: { type: sr-iov, members: 256, msix: { total: 4096, max: 2048, default: 2 } }",
        "provision: [{ member: 256, vectors: 2048 }]",
      ]),
    );
    expect(code).toBe(0);
    expect(state.members).toHaveLength(256);
    expect(state.members.at(-1)?.driver.vectors).toBe(2048);
  });

  describe("refuses a bad file with exit code 2:", () => {
    const refused = async (file: string) => {
      const { code, out, err } = await run("group", file, "--json");
      expect(code).toBe(2);
      expect(out).toBe("");
      return err;
    };
    const example = readFileSync(EXAMPLE, "utf8");
    const changed = (from: string, to: string) => {
      expect(example).toContain(from);
      return example.replace(from, to);
    };
    /** Line and column of `mark` in `text`, as people count. */
    const placeIn = (text: string, mark: string) => {
      const lines = text.slice(0, text.indexOf(mark)).split("\n");
      return `${lines.length}:${(lines.at(-1)?.length ?? 0) + 1}`;
    };

    it.each<[string, string, string, string, RegExp]>([
      [
        "another format",
        "virtio-admin.group",
        "virtio-admin.layout",
        "virtio-admin.l",
        /format: it is "virtio-admin.group"/,
      ],
      ["another version", "version: 1", "version: 2", "2", /version: it is 1 \(got 2\)/],
      [
        "an unknown transport",
        "transport: pci",
        "transport: usb",
        "usb",
        /transport: it is one of pci, mmio, ccw \(got "usb"\)/,
      ],
      [
        "an unknown key",
        "  admin_queues",
        "  admin_queue",
        "admin_queue:",
        /owner.admin_queue: no such key; there are device, admin_queues, queues/,
      ],
      [
        "a missing key",
        "  device: entropy\n",
        "",
        "admin_queues",
        /owner: the key device is missing/,
      ],
      [
        "several queues where there is one",
        "  admin_queues",
        "  queues: 2\n  admin_queues",
        "queues: 2",
        /owner.queues: only a block device has several queues/,
      ],
      [
        "too many queues",
        "admin_queues: 2",
        "admin_queues: 17",
        "17",
        /owner.admin_queues: it is 16 or less \(got 17/,
      ],
      [
        "half a member",
        "members: 8",
        "members: 7.5",
        "7.5",
        /group.members: it is an integer or a list \(got 7.5\)/,
      ],
      ["no member", "members: 8", "members: 0", "0\n", /group.members: it is 1 or more \(got 0\)/],
      ["too many members", "members: 8", "members: 257", "257", /group.members: it is 256 or less/],
      [
        "an endless number",
        "members: 8",
        "members: .inf",
        ".inf",
        /group.members: it is an integer or a list/,
      ],
      [
        "named virtual functions",
        "members: 8",
        "members: [1, 2]",
        "[1, 2]",
        /group.members: .*numbered from 1/,
      ],
      [
        "a member twice",
        "members: 8",
        "members: [1, 1]",
        "1]",
        /group.members\[1\]: it stands twice/,
      ],
      [
        "virtual functions elsewhere",
        "transport: pci",
        "transport: ccw",
        "sr-iov",
        /group.type: an SR-IOV group is on pci/,
      ],
      [
        "vectors in a platform group",
        "type: sr-iov",
        "type: platform",
        "msix:",
        /group.msix: .*no MSI-X/,
      ],
      [
        "a pool too small",
        "total: 64",
        "total: 31",
        "31",
        /group.msix.total: 8 members have 4 each: 32 \(got 31/,
      ],
      ["least above most", "min: 1", "min: 33", "33", /group.msix.min: it is no more than max, 32/],
      ["a default outside", "default: 4", "default: 33", "33", /group.msix.default: it is 1 to 32/],
      [
        "an unknown feature",
        "[VIRTIO_F_INDIRECT_DESC,",
        "[VIRTIO_F_INDIRECT,",
        "VIRTIO_F_INDIRECT,",
        /group.settable\[0\]: no feature of that name/,
      ],
      [
        "a feature of another type",
        "[VIRTIO_F_INDIRECT_DESC,",
        "[VIRTIO_BLK_F_RO,",
        "VIRTIO_BLK",
        /group.settable\[0\]: no feature of that name/,
      ],
      [
        "a bit too high",
        "clear: [VIRTIO_F_EVENT_IDX]",
        "clear: [128]",
        "128",
        /provision\[1\].features.clear\[0\]: it is 127 or less/,
      ],
      [
        "a stranger",
        "member: 3",
        "member: 9",
        "9",
        /provision\[2\].member: the group has no such member \(got 9\)/,
      ],
      [
        "nothing provisioned",
        "    vectors: 32\n",
        "",
        "member: 1",
        /provision\[0\]: nothing is provisioned/,
      ],
      [
        "a contradiction",
        "{ clear: [VIRTIO_F_EVENT_IDX] }",
        "{ clear: [29], set: [29] }",
        "{ clear: [29]",
        /provision\[1\].features: a feature is both set and cleared/,
      ],
      [
        "a key twice",
        "transport: pci",
        "transport: pci\ntransport: mmio",
        "transport: mmio",
        /the key stands twice/,
      ],
      ["an alias", "members: 8", "members: *eight", "*eight", /alias/i],
      [
        "an anchor that is used",
        "members: 8\n",
        "members: &eight 8\n  also: *eight\n",
        "*eight",
        /without aliases/,
      ],
      ["a tag", "members: 8", "members: !!python/object 8", "!!python", /tag/i],
      ["an open bracket", "default: 4 }", "default: 4", "settable", /.+/],
      [
        "a key that hides",
        "  admin_queues",
        "  __proto__: {}\n  admin_queues",
        "__proto__",
        /owner.__proto__: no such key/,
      ],
      [
        "a key of a stranger's",
        "  admin_queues: 2",
        '  "\\e[2J": 2',
        '"\\e[2J"',
        /owner\["\\u001b\[2J"\]: no such key/,
      ],
    ])("%s", async (_, from, to, mark, message) => {
      const text = changed(from, to);
      const file = written(text);
      const err = await refused(file);
      expect(err).toMatch(message);
      expect(err.startsWith(`${file}:${placeIn(text, mark)}: `)).toBe(true);
    });

    it.each<[string, string | Uint8Array]>([
      ["an empty file", ""],
      ["a comment", "# nothing\n"],
      ["a number", "5"],
      ["a list", "- format: virtio-admin.group"],
      ["two documents", "format: 1\n---\nformat: 1\n"],
      ["a lost byte", Uint8Array.of(0x66, 0xff, 0xfe)],
      ["a NUL", "format: \0"],
      ["more bytes than are read", `#${"x".repeat(GROUP_FILE_LIMIT)}`],
      ["brackets without end", "[".repeat(GROUP_FILE_LIMIT)],
      ["braces without end", "{a: ".repeat(GROUP_FILE_LIMIT / 4)],
      ["dashes without end", "- ".repeat(GROUP_FILE_LIMIT / 2)],
      ["question marks without end", "? ".repeat(GROUP_FILE_LIMIT / 2)],
      [
        "many keys",
        Array.from({ length: 9_000 }, (_, i) => `${i}:`)
          .join("\n")
          .slice(0, GROUP_FILE_LIMIT),
      ],
    ])("%s", async (_, content) => {
      const file = written(content);
      const err = await refused(file);
      expect(err.startsWith(file)).toBe(true);
      expect(err.length).toBeLessThan(2000);
    });

    it("whatever its characters are, with one error that begins with its name", () => {
      const pieces = fc.constantFrom(
        ..."{}[]:,-?&*!|>'\"%@`#\n\t \0\u{1f600}~<<",
        "\n  - ",
        "---\n",
        "!!",
      );
      const edits = fc.array(
        fc.tuple(fc.nat(example.length), fc.nat(12), fc.oneof(pieces, fc.string())),
        { minLength: 1, maxLength: 4 },
      );
      fc.assert(
        fc.property(edits, (all) => {
          const text = all.reduce(
            (now, [at, length, by]) => now.slice(0, at) + by + now.slice(at + length),
            example,
          );
          try {
            expect(parseGroup(text, "a.yaml").description.group.members.length).toBeGreaterThan(0);
          } catch (error) {
            if (!isVirtioError(error, "GROUP_INVALID")) throw error;
            expect(error.message).toMatch(/^a\.yaml:/);
          }
        }),
        { numRuns: 500 },
      );
    });

    it("one that is not there, or is a folder", async () => {
      expect(await refused(join(folder, "absent.yaml"))).toContain("cannot be read");
      expect(await refused(folder)).toContain("cannot be read");
    });
  });
});
