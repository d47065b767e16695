import { CLAUSE_SECTIONS, registers, struct } from "@virtio-admin/core";
import {
  LAYOUT_CATALOGUE,
  latexLabel,
  latexProse,
  latexText,
  normativePath,
  renderLatex,
  renderLatexCommands,
  renderLatexConformance,
  renderLatexNormative,
  renderLatexRegisterRows,
  renderLatexRevisionRows,
  renderLatexStruct,
} from "@virtio-admin/spec";
import { CCW_REFERENCE_LAYOUT } from "@virtio-admin/transport-ccw";
import { MMIO_REFERENCE_LAYOUT } from "@virtio-admin/transport-mmio";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { layouts } from "./arbitrary-layout.ts";

const META = { cite: "a test", doc: "A layout for tests.", busWidth: 32 } as const;

const SMALL = registers("small", META, {
  Plain: { offset: 0, type: "le32", access: "R", title: "A & B", doc: "Chosen by PlainSel." },
  PlainSel: {
    offset: 4,
    type: "le32",
    access: "W",
    gate: { feature: 41 },
    doc: "Chooses 100% of it.",
    bits: {
      low_half: { at: 0, width: 16, doc: "The low half." },
      top: { at: 31, doc: "The top bit." },
    },
  },
  AreaLow: { offset: 8, type: "le32", access: "W", title: "Area", doc: "Bits 0 to 31." },
  AreaHigh: { offset: 12, type: "le32", access: "W", title: "Area", doc: "Bits 32 to 63." },
  OddLow: { offset: 16, type: "le32", access: "W", doc: "Alone." },
  Tail: { offset: 256, type: "u8", count: "rest", access: "RW", doc: "What follows." },
});

/** What of the map is rendered, and how it reads. */
const ROWS: readonly (readonly [string, readonly string[], string])[] = [
  [
    "a register, with another named in its description",
    ["Plain"],
    "  \\mmioreg{Plain}{A \\& B}{0x000}{R}{%\n    Chosen by \\field{PlainSel}.\n  }\n  \\hline\n",
  ],
  [
    "a register with bits and a gate, without a title",
    ["PlainSel"],
    "  \\mmioreg{PlainSel}{PlainSel}{0x004}{W}{%\n" +
      "    Chooses 100\\% of it. Present only if VIRTIO_F_ADMIN_VQ has been\n    negotiated.\n" +
      "    \\begin{description}\n      \\item[\\field{low_half}] bits 0 to 15:\n        The low half.\n" +
      "      \\item[\\field{top}] bit 31:\n        The top bit.\n    \\end{description}\n  }\n  \\hline\n",
  ],
  [
    "two halves as one row",
    ["AreaLow", "AreaHigh"],
    "  \\mmiodreg{AreaLow}{AreaHigh}{Area}{0x008}{0x00c}{W}{%\n    Bits 0 to 31. Bits 32 to 63.\n  }\n  \\hline\n",
  ],
  [
    "a half without its other half",
    ["OddLow"],
    "  \\mmioreg{OddLow}{OddLow}{0x010}{W}{%\n    Alone.\n  }\n  \\hline\n",
  ],
  [
    "what takes the rest",
    ["Tail"],
    "  \\mmioreg{Tail}{Tail}{0x100+}{RW}{%\n    What follows.\n  }\n  \\hline\n",
  ],
];

describe("register rows", () => {
  it.each(ROWS)("have %s", (_, only, row) => {
    expect(renderLatexRegisterRows(SMALL, { only })).toBe(row);
  });

  it("are there for every register, in order of the offsets", () => {
    const text = renderLatexRegisterRows(MMIO_REFERENCE_LAYOUT);
    const names = [...text.matchAll(/\\mmiod?reg\{(\w+)\}(?:\{(\w+High)\})?/g)].flatMap(
      ([, low, high]) => (high === undefined ? [low] : [low, high]),
    );
    const byOffset = Object.values(MMIO_REFERENCE_LAYOUT.registers).sort(
      (a, b) => a.offset - b.offset,
    );
    expect(names).toEqual(byOffset.map(({ name }) => name));
  });
});

describe("channel commands", () => {
  it("are defined with the prefix of the specification, and bring their revision", () => {
    const only = ["READ_STATUS", "READ_ADMIN_VQ"];
    expect(renderLatexCommands(CCW_REFERENCE_LAYOUT, { only })).toBe(
      "#define CCW_CMD_READ_STATUS 0x72\n#define CCW_CMD_READ_ADMIN_VQ 0x92\n",
    );
    expect(renderLatexRevisionRows(CCW_REFERENCE_LAYOUT, { only })).toBe(
      "2        & 0      & <empty>   & CCW_CMD_READ_STATUS support \\\\\n\\hline\n" +
        "3        & 0      & <empty>   & CCW_CMD_READ_ADMIN_VQ support \\\\\n\\hline\n",
    );
  });

  it("carry their structures", () => {
    expect(renderLatex(CCW_REFERENCE_LAYOUT, { only: ["READ_ADMIN_VQ"] })).toContain(
      "struct admin_vq_block {\n        be16 admin_queue_index;\n        be16 admin_queue_num;\n};",
    );
  });
});

describe("structures", () => {
  it("have holes filled, arrays in brackets, and unions for what shares bytes", () => {
    const layout = struct("s", META, {
      a: { offset: 0, type: "u8", doc: "One." },
      b: { offset: 4, type: "le32", count: 2, doc: "Two." },
      c: { offset: 6, type: "le16", overlay: true, doc: "Part of it." },
      d: { offset: 12, type: "u8", count: "rest", doc: "The rest." },
    });
    expect(renderLatexStruct(layout)).toBe(
      [
        "\\begin{lstlisting}",
        "struct s {",
        "        u8 a;",
        "        u8 padding_1[3];",
        "        union {",
        "                le32 b[2];",
        "                struct {",
        "                        u8 padding_4[2];",
        "                        le16 c;",
        "                };",
        "        };",
        "        u8 d[];",
        "};",
        "\\end{lstlisting}",
        "",
      ].join("\n"),
    );
  });
});

describe("normative sections", () => {
  it.each([
    ["mmio-admin-driver", "driver", "Virtio Over MMIO / Administration virtqueues"],
    ["ccw-admin-device", "device", "Virtio over channel I/O / Administration virtqueues"],
  ])("of %s are labelled as the sources label them", (slug, role, path) => {
    const section = CLAUSE_SECTIONS.get(slug);
    if (section === undefined) throw new Error(`no section ${slug}`);
    expect(normativePath(section)).toBe(path);
    const text = renderLatexNormative(section, { level: "paragraph", path: `A / ${path}` });
    expect(text).toMatch(
      new RegExp(`^\\\\${role}normative\\{\\\\paragraph\\}\\{Administration virtqueues\\}`),
    );
    expect(text).toContain(`{A / ${path}}`);
    for (const { id } of section.clauses) expect(text).toContain(`% ${id}: `);
    expect(renderLatexConformance(section)).toBe(`\\item \\ref{${role}normative:${path}}\n`);
  });
});

describe("words in LaTeX", () => {
  it.each([
    ["100% of A_B & C", "100\\% of A_B \\& C"],
    ["\\input{x}", "\\textbackslash{}input\\{x\\}"],
    ["$5 ~ #1 ^ 2", "\\$5 \\textasciitilde{} \\#1 \\textasciicircum{} 2"],
    ["a – b…", "a -- b..."],
    ["日", "?"],
    ["a\nb", "a b"],
  ])("%j is %j", (plain, latex) => {
    expect(latexText(plain)).toBe(latex);
  });

  it("are fields where they name one, and no word of English is", () => {
    expect(latexProse("Status of QueueSel and `Config`", ["Status", "QueueSel"])).toBe(
      "Status of \\field{QueueSel} and \\field{Config}",
    );
  });

  it("have labels without underscores", () => {
    expect(latexLabel("A / b_c {%}")).toBe("A / b-c ");
  });

  it("never end what stands around them", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (plain) => {
        const latex = latexText(plain).replaceAll(/\\text[a-z]+\{\}|\\[&%$#{}]/g, "");
        expect(latex).not.toMatch(/[\\&%$#{}~^]/);
        expect(latex).toMatch(/^[\x20-\x7e]*$/);
      }),
    );
  });
});

describe("any layout", () => {
  it("is ASCII, without tabs and blanks at the ends of lines, and its braces are in balance", () => {
    const judge = (text: string) => {
      expect(text).toMatch(/^[\n -~]*$/);
      expect(text).not.toMatch(/ $/m);
      let depth = 0;
      for (const [brace] of text.replaceAll(/\\[{}]/g, "").matchAll(/[{}]/g)) {
        depth += brace === "{" ? 1 : -1;
        expect(depth).toBeGreaterThanOrEqual(0);
      }
      expect(depth).toBe(0);
    };
    for (const layout of LAYOUT_CATALOGUE.values()) judge(renderLatex(layout));
    fc.assert(fc.property(layouts, (layout) => judge(renderLatex(layout))));
  });
});
