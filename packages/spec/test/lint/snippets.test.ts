/** Every rule on a few lines of our own: what it finds in them, and the same lines mended. */
import { LINT_RULES, lintSpec } from "@virtio-admin/spec";
import { describe, expect, it } from "vitest";
import { treeOf } from "../specification.ts";

const listing = (code: string): string => `\\begin{lstlisting}\n${code}\n\\end{lstlisting}\n`;
const device = "\\devicenormative{\\section}{A}{A}\n";
const driver = "\\drivernormative{\\section}{A}{A}\n";
const table = (...rows: string[]): string =>
  `\\begin{tabular}{|l|l|}\n\\hline\n${rows.map((row) => `${row} \\\\\n\\hline\n`).join("")}\\end{tabular}\n`;
const items = (...entries: string[]): string =>
  `\\begin{description}\n${entries.map((entry) => `\\item${entry}\n`).join("")}\\end{description}\n`;

const STATUSES = table("Status & Name", "0 & VIRTIO_X_STATUS_OK", "1 & VIRTIO_X_STATUS_NO");
const COMMANDS = table("Code & Name", "0x1 & VIRTIO_X_ONE", "0x2 & VIRTIO_X_TWO");
const CLAUSE =
  "\\conformance{\\section}{Clause}\n\\begin{itemize}\\item \\ref{devicenormative:A}\\end{itemize}";
const BITS = items("[0 to 3] Feature bits of devices", "[4 to 7] Feature bits, see \\ref{sec:B}");
const BITS_HOME = "\\chapter{B}\\label{sec:B}\n";
const CALL = "struct virtio_call {\n le64 data[];\n u8 rest[];\n};";

const SNIPPETS: readonly (readonly [rule: string, bad: string, good: string])[] = [
  ["label-unlisted", `${device}${driver}${CLAUSE}`, `${device}${CLAUSE}`],
  [
    "label-undefined",
    "\\begin{document}\\ref{sec:A}",
    "\\begin{document}\\section{A}\\label{sec:A}\\ref{sec:A}",
  ],
  [
    "label-undefined",
    "\\begin{document}\\ref{lst:A}",
    "\\begin{document}\\ref{lst:A}\\begin{lstlisting}[label={lst:A}]\n\\end{lstlisting}",
  ],
  ["label-duplicate", "\\label{sec:A}\\label{sec:A}", "\\label{sec:A}\\label{sec:B}"],
  [
    "label-case",
    "\\label{sec:A / Bc}\\label{sec:A / BC / D}",
    "\\label{sec:A / Bc}\\label{sec:A / Bc / D}",
  ],
  ["name-undefined", `${COMMANDS}Then VIRTIO_X_THREE.`, `${COMMANDS}Then VIRTIO_X_TWO.`],
  ["name-undefined", `${COMMANDS}Then VIRTIO_X_BOTH.`, `${COMMANDS}Then VIRTIO_X_BOTH*.`],
  [
    "name-undefined",
    `${COMMANDS}Then VIRTIO_X_OLD.`,
    `${COMMANDS}Then VIRTIO_X_ONE, previously known as VIRTIO_X_OLD.`,
  ],
  [
    "status-unlisted",
    `${STATUSES}Else VIRTIO_X_STATUS_MAYBE.`,
    `${STATUSES}Else VIRTIO_X_STATUS_NO.`,
  ],
  [
    "struct-undefined",
    `${listing("struct virtio_a { u8 x; };")}As struct virtio_b.`,
    `${listing("struct virtio_a { u8 x; };")}As struct virtio_a.`,
  ],
  [
    "field-misspelt",
    `${listing("struct a { u8 queue_size; };")}\\field{queue_szie} is.`,
    `${listing("struct a { u8 queue_size; };")}\\field{queue_size} is.`,
  ],
  [
    "value-mismatch",
    `${COMMANDS}For VIRTIO_X_ONE, \\field{code} is set to 0x2.`,
    `${COMMANDS}For VIRTIO_X_ONE, \\field{code} is set to 0x1.`,
  ],
  [
    "value-mismatch",
    `${COMMANDS}${listing("#define VIRTIO_X_TWO 3")}`,
    `${COMMANDS}${listing("#define VIRTIO_X_TWO 2")}`,
  ],
  [
    "value-mismatch",
    `${items("[VIRTIO_X_F_A (3)] A bit.")}${listing("#define VIRTIO_X_F_A (1 << 4)")}`,
    `${items("[VIRTIO_X_F_A (3)] A bit.")}${listing("#define VIRTIO_X_F_A (1 << 3)")}`,
  ],
  [
    "value-duplicate",
    table("0 & VIRTIO_X_A & a", "1 & VIRTIO_X_B & b", "1 & VIRTIO_X_C & c"),
    table("0 & VIRTIO_X_A & a", "1 & VIRTIO_X_B & b", "2 & VIRTIO_X_C & c"),
  ],
  [
    "table-coverage",
    table("0x0 & a", "0x2-0x7 & b", "0x8-0xff & c"),
    table("0x0-0x1 & a", "0x2-0x7 & b", "0x8-0xff & c"),
  ],
  [
    "table-coverage",
    table("0x0-0x2 & a", "0x2-0x7 & b", "0x8-0xff & c"),
    table("0x0-0x1 & a", "0x8-0xff & c", "0x2-0x7 & b"),
  ],
  [
    "range-conflict",
    `${table("0x0-0x7 & parts")}Parts \\field{0x4-0xf}.`,
    `${table("0x0-0x7 & parts")}Parts \\field{0x8-0xf}.`,
  ],
  [
    "range-conflict",
    `${table("0x0-0x7 & parts")}Parts \\field{0x4-0xf}.`,
    `${table("0x0-0x7 & parts")}Other things \\field{0x4-0xf}.`,
  ],
  [
    "feature-bit",
    `${BITS}${BITS_HOME}${items("[VIRTIO_F_A (3)] A.")}`,
    `${BITS}${BITS_HOME}${items("[VIRTIO_F_A (4)] A.")}`,
  ],
  [
    "feature-bit",
    `${BITS}\\chapter{C}\n${items("[VIRTIO_C_F_A (5)] A.")}${BITS_HOME}`,
    `${BITS}\\chapter{C}\n${items("[VIRTIO_C_F_A (3)] A.")}${BITS_HOME}`,
  ],
  [
    "feature-bit",
    items("[VIRTIO_C_F_A (1)] A.", "[VIRTIO_C_F_B (1)] B."),
    items("[VIRTIO_C_F_A (1)] A.", "[VIRTIO_C_F_B (2)] B."),
  ],
  [
    "feature-bit",
    items("[0 to 3] Feature bits", "[5 and above] feature bits"),
    items("[0 to 4] Feature bits", "[5 and above] feature bits"),
  ],
  ["requirement-party", `${driver}The device MUST work.`, `${driver}The driver MUST work.`],
  [
    "requirement-party",
    `${device}A driver MAY work.`,
    `${device}A device for any driver MAY work.`,
  ],
  ["requirement-place", "\\section{A}\nIt MUST work.", `${device}It MUST work.`],
  [
    "requirement-place",
    "\\section{A}\nIt MAY work.",
    "\\section{Legacy Interface: A}\nIt MAY work.",
  ],
  ["requirement-word", `${device}The device MUST not work.`, `${device}The device MUST NOT work.`],
  [
    "requirement-strength",
    `${device}The device MUST do one and another thing at once.\n\nThe device SHOULD do one and another thing at once.`,
    `${device}The device MUST do one and another thing at once.\n\nThe device MUST NOT do one and another thing at once.`,
  ],
  ["comment-open", listing("u8 a; /* no end\nu8 b;"), listing("u8 a; /* an end */\nu8 b;")],
  [
    "struct-size",
    `${listing("struct a { le16 x; u8 y; };")}It has exactly 4 bytes.`,
    `${listing("struct a { le16 x; u8 y; };")}It has exactly 3 bytes.`,
  ],
  [
    "struct-size",
    listing("struct a { u8 x; };\nstruct a { le16 x; };"),
    listing("struct a { u8 x; };\nstruct a { u8 y; };"),
  ],
  [
    "struct-wrong",
    `\\section{A}\n${listing("struct aa { u8 x; };")}\\section{B}\nIt is in the format \\field{struct aa}.\n${listing("struct bb { u8 x; };")}`,
    `\\section{A}\n${listing("struct aa { u8 x; };")}\\section{B}\nIt is in the format \\field{struct bb}.\n${listing("struct bb { u8 x; };")}`,
  ],
  [
    "write-list",
    `${listing("struct a {\nu8 x; /* read-only */\nu8 y; /* read-only */\nu8 z; /* read-only */\n};")}${driver}The driver MUST NOT write \\field{x} or \\field{y}.`,
    `${listing("struct a {\nu8 x; /* read-only */\nu8 y; /* read-only */\nu8 z; /* read-write */\n};")}${driver}The driver MUST NOT write \\field{x} or \\field{y}.`,
  ],
  [
    "length-formula",
    "Of $DIV_ROUND_UP(top, 64)$ where \\field{top} is the largest.",
    "Of $DIV_ROUND_UP(top + 1, 64)$ where \\field{top} is the largest.",
  ],
  [
    "element-size",
    `${listing(`${CALL}\nstruct virtio_a { u8 x; };`)}\\field{data} is in the format \\field{struct virtio_a}.`,
    `${listing(`${CALL}\nstruct virtio_a { le64 x; };`)}\\field{data} is in the format \\field{struct virtio_a}.`,
  ],
];

const found = (rule: string, text: string) =>
  lintSpec(treeOf({ "a.tex": text }), { rules: [rule] });

describe("rules", () => {
  it("are all tried", () => {
    const tried = new Set(SNIPPETS.map(([rule]) => rule));
    expect([...tried].sort()).toEqual(LINT_RULES.map(({ name }) => name).sort());
  });

  it.each(SNIPPETS)("%s finds it in %j, and not in %j", (rule, bad, good) => {
    expect(found(rule, bad).findings.map((finding) => finding.rule)).toEqual([rule]);
    expect(found(rule, good).findings).toEqual([]);
  });

  it("that need the whole say when there are chapters alone", () => {
    expect(found("label-undefined", "\\ref{sec:A}")).toEqual({
      findings: [],
      skipped: ["label-undefined"],
    });
  });

  it("show nothing that a terminal would act on, and nothing without end", () => {
    const text = `\\label{sec:A\u001b[2J}\\label{sec:A\u001b[2J}\\label{${"b".repeat(5000)}}`;
    const [first, ...others] = found("label-duplicate", text.repeat(2)).findings;
    expect(first?.message).toContain("sec:A?[2J");
    for (const { message } of others) expect(message.length).toBeLessThan(700);
  });

  it("say where: file, line and what else is to be seen", () => {
    const text = `\\section{A}\n${COMMANDS}\nThen VIRTIO_X_THREE.\n\nAgain VIRTIO_X_THREE.\n`;
    expect(found("name-undefined", text).findings).toEqual([
      {
        rule: "name-undefined",
        file: "a.tex",
        line: 12,
        message: expect.stringContaining("VIRTIO_X_THREE (also line 14)"),
      },
    ]);
  });
});
