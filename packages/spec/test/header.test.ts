import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AnyStructLayout, type Layout, registers, struct } from "@virtio-admin/core";
import {
  compareWithHeaders,
  LAYOUT_CATALOGUE,
  layoutNamed,
  renderHeader,
} from "@virtio-admin/spec";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { readC } from "../src/linux/read-c.ts";
import { structs } from "./arbitrary-layout.ts";

const folder = mkdtempSync(join(tmpdir(), "virtio-admin-header-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const COMPILERS = [
  ["C11", "gcc", ["-std=c11"], "c"],
  ["C++17", "g++", ["-std=c++17"], "cpp"],
] as const;

/** True when it compiles something that includes what our headers include. */
function isThere(compiler: string, language: string): boolean {
  const input = "#include <linux/types.h>\n#include <stddef.h>\n__le16 x;\n";
  const words = ["-fsyntax-only", "-x", language === "c" ? "c" : "c++", "-"];
  return spawnSync(compiler, words, { input }).status === 0;
}

/** What the compiler says of a program that includes these headers; empty when it has nothing against it. */
function compile(
  [, compiler, standard, language]: (typeof COMPILERS)[number],
  headers: readonly string[],
): string {
  const names = headers.map((text, i) => {
    writeFileSync(join(folder, `h${i}.h`), text);
    return `h${i}.h`;
  });
  const program = join(folder, `program.${language}`);
  const includes = names.map((name) => `#include "${name}"\n`).join("");
  writeFileSync(program, `${includes}int main(void)\n{\n\treturn 0;\n}\n`);
  const words = [...standard, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", program];
  return spawnSync(compiler, words, { encoding: "utf8" }).stderr;
}

/** All of the project's; a ratified layout has the macros of the one that extends it. */
const ALL: readonly Layout[] = [...LAYOUT_CATALOGUE.values()].filter(
  ({ name }) => !LAYOUT_CATALOGUE.has(`${name}_admin`),
);

describe.each(COMPILERS.map((each) => [each[0], each] as const))(
  "a header in %s",
  (_, language) => {
    const [, compiler, , suffix] = language;
    const there = isThere(compiler, suffix);

    it.skipIf(!there)(`compiles, with every size and offset asserted (needs ${compiler})`, () => {
      expect(compile(language, [renderHeader(ALL, { name: "virtio_all" })])).toBe("");
    });

    it.skipIf(!there)(`compiles whatever structures it has (needs ${compiler})`, () => {
      const sample = fc.sample(structs, 60);
      const headers = sample.map((layout, i) => renamed(layout, i));
      expect(compile(language, headers)).toBe("");
    });

    it.skipIf(!there)(
      `fails to compile where an offset is not what it says (needs ${compiler})`,
      () => {
        const text = renderHeader([layoutNamed("virtio_pci_common_cfg")]);
        expect(text).toContain("admin_queue_num) == 62");
        const wrong = text.replace("admin_queue_num) == 62", "admin_queue_num) == 60");
        expect(compile(language, [wrong])).toMatch(/static assertion failed|static_assert/);
      },
    );
  },
);

/** A header whose structure is like no other's, and that defines no macros of offsets. */
function renamed(layout: AnyStructLayout, i: number): string {
  const fields = Object.fromEntries(
    Object.entries(layout.fields).map(([name, field]) => {
      const { offset, type, count, doc } = field;
      return [name, { offset, type, doc, ...(count === undefined ? {} : { count }) }];
    }),
  );
  const { cite, doc, size } = layout;
  return renderHeader([struct(`s${i}_${layout.name}`, { cite, doc, size }, fields)]);
}

describe("names in a header", () => {
  it("are those of Linux where a declaration knows them, else made alike", () => {
    const text = renderHeader([layoutNamed("virtio_mmio_admin")]);
    expect(text).toMatch(/^#define VIRTIO_MMIO_QUEUE_NUM_MAX +0x034$/m);
    expect(text).toMatch(/^#define VIRTIO_MMIO_ADMIN_QUEUE_INDEX +0x0e0$/m);
    expect(text).toMatch(/^#define VIRTIO_MMIO_INT_CONFIG +\(1 << 1\)$/m);
    expect(text).toMatch(
      /^#define VIRTIO_MMIO_ADMIN_QUEUE_INDEX_ADMIN_QUEUE_INDEX_MASK +0xffffU$/m,
    );
    expect(renderHeader([layoutNamed("virtio_ccw_commands_admin")])).toMatch(
      /^#define CCW_CMD_READ_ADMIN_VQ +0x92$/m,
    );
  });

  it("are no words of C, and end no comment", () => {
    const layout = struct(
      "class",
      { cite: "a test", doc: "Ends */ here" },
      {
        default: { offset: 0, type: "u8", doc: "A /* and a */ too." },
        default_: { offset: 1, type: "u8", doc: "Taken." },
      },
    );
    const text = renderHeader([layout]);
    expect(text).toContain("struct class_ {");
    expect(text).toMatch(/__u8 default__;/);
    expect(text.replaceAll(/\/\*[\s\S]*?\*\//g, "")).not.toMatch(/here|too/);
  });
});

const HEADER = `
#define V_MAGIC 0x000 /* a
 comment */
#define V_STATUS (V_MAGIC + 0x8) // another
#define V_BIT (1 << 1)
#define V_LOOP V_LOOP
#define V_F(x) x
#define V_LONG \\
	0x10
#define V_TEXT "no number"
struct inner { __u8 a; __le32 b; };
struct packed_one { __u8 a; __le32 b; } __attribute__((packed));
typedef struct inner __attribute__((aligned(4))) inner_t;
struct outer {
	struct inner first;
	__le16 list[V_BIT];
	union { struct { __be16 x; __u8 y[2]; } in; __virtio32 whole; } sel;
	inner_t tail[];
};
struct unreadable { void *pointer; int (*call)(void); };
struct after { __u8 only; };
`;

describe("reading C", () => {
  const { macros, structs: read } = readC([HEADER]);

  it("finds macros with a number", () => {
    expect(Object.fromEntries(macros)).toEqual({
      V_MAGIC: 0n,
      V_STATUS: 8n,
      V_BIT: 2n,
      V_LONG: 16n,
    });
  });

  it("places members as a compiler does", () => {
    expect(read.get("inner")).toMatchObject({ size: 8 });
    expect(read.get("packed_one")).toMatchObject({ size: 5 });
    expect(
      read.get("outer")?.members.map(({ path, offset, count }) => [path, offset, count]),
    ).toEqual([
      ["first.a", 0, undefined],
      ["first.b", 4, undefined],
      ["list", 8, 2],
      ["sel.in.x", 12, undefined],
      ["sel.in.y", 14, 2],
      ["sel.whole", 12, undefined],
    ]);
    expect(read.get("outer")?.size).toBe(16);
  });

  it("leaves out what it cannot read, and goes on", () => {
    expect(read.has("unreadable")).toBe(false);
    expect(read.get("after")?.size).toBe(1);
  });

  it("neither grows nor sinks without a bound", () => {
    const doubling = Array.from({ length: 200 }, (_, i) => `#define D${i + 1} (D${i} * D${i})`);
    const { macros: large } = readC([`#define D0 0xffffffff\n${doubling.join("\n")}`]);
    expect([...large.keys()]).toEqual(["D0", "D1"]);
    const deep = `struct a { ${"struct { ".repeat(50_000)}`;
    expect(readC([deep]).structs.size).toBe(0);
    const wide = Array.from(
      { length: 16 },
      (_, i) => `struct w${i + 1} { struct w${i} a[64]; struct w${i} b; };`,
    );
    const { structs: some } = readC([`struct w0 { __u8 x; __u8 y; };\n${wide.join("\n")}`]);
    expect(some.has("w1")).toBe(true);
    expect(some.has("w16")).toBe(false);
  });

  it("ends, whatever it reads", () => {
    const soup = fc
      .array(
        fc.oneof(
          fc.constantFrom(
            ..."struct union { } [ ] ; ( ) x __u8 __le16 #define /* */ // \\ \n << | 0x1 typedef".split(
              " ",
            ),
          ),
          fc.string(),
        ),
        { maxLength: 200 },
      )
      .map((words) => words.join(" "));
    fc.assert(fc.property(soup, (text) => void readC([text])));
  });
});

describe("against Linux's headers", () => {
  const layout = registers(
    "v",
    { cite: "a test", doc: "A test.", busWidth: 32 },
    {
      Magic: { offset: 0, type: "le32", access: "R", linux: "V_MAGIC", doc: "Same." },
      Status: {
        offset: 4,
        type: "le32",
        access: "R",
        linux: "V_STATUS",
        doc: "Elsewhere.",
        bits: { bit: { at: 1, linux: "V_BIT", doc: "Same." } },
      },
      Gone: { offset: 8, type: "le32", access: "R", linux: "V_GONE", doc: "Absent." },
    },
  );
  const half = struct(
    "half",
    { cite: "a test", doc: "A test.", linux: "outer", size: 16 },
    {
      first: { offset: 0, type: "u8", count: 8, doc: "In parts." },
      items: { offset: 8, type: "le16", count: 2, doc: "Renamed." },
      x: { offset: 12, type: "le16", doc: "In the other order." },
      rest: { offset: 16, type: "u8", count: "rest", doc: "None." },
    },
  );

  it("says how each name agrees", () => {
    const rows = compareWithHeaders([layout, half], [HEADER]);
    expect(rows.map(({ name, linux, verdict }) => [name, linux, verdict])).toEqual([
      ["Magic", "V_MAGIC", "same"],
      ["Status", "V_STATUS", "differs"],
      ["Status.bit", "V_BIT", "same"],
      ["Gone", "", "absent"],
      ["size", "struct outer", "same"],
      ["first", "", "differs"],
      ["items", "outer.list", "renamed"],
      ["x", "", "differs"],
      ["rest", "", "absent"],
    ]);
  });

  const installed = "/usr/include/linux";
  const files = existsSync(installed)
    ? readdirSync(installed).filter((name) => /^virtio\w*\.h$/.test(name))
    : [];

  it.skipIf(files.length === 0)(
    "of this machine, no name of ours differs (needs linux-libc-dev)",
    () => {
      const texts = files.map((name) => readFileSync(join(installed, name), "utf8"));
      const rows = compareWithHeaders([...LAYOUT_CATALOGUE.values()], texts);
      expect(rows.filter(({ verdict }) => verdict === "differs")).toEqual([]);
      const same = rows.filter(({ verdict }) => verdict === "same").map(({ linux }) => linux);
      for (const name of [
        "VIRTIO_MMIO_QUEUE_SEL",
        "VIRTIO_PCI_COMMON_Q_SIZE",
        "VRING_DESC_F_NEXT",
      ]) {
        expect(same).toContain(name);
      }
    },
  );
});
