import { LINT_RULES, lintSpec, specPatches } from "@virtio-admin/spec";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { treeOf } from "../specification.ts";

const PIECES = [
  ..."\\{}[]%&$\n _-.:;/*#|",
  "\\begin{",
  "\\begin{tabular}{|l|}",
  "\\begin{lstlisting}",
  "\\begin{description}",
  "\\begin{itemize}",
  "\\end{tabular}",
  "\\end{lstlisting}",
  "\\end{itemize}",
  "\\end{description}",
  "\\begin{document}",
  "\\item",
  "\\item[",
  "\\item[0 to 23, 41]",
  "\\item[VIRTIO_A_F_B (41)]",
  "\\section{",
  "\\chapter{A}",
  "\\devicenormative{\\section}{A}{B}",
  "\\drivernormative{\\subsection}{A}{B}",
  "\\conformance{\\section}{A}",
  "\\label{sec:A / B}",
  "\\label{sec:a / B}",
  "\\ref{sec:A}",
  "\\hyperref[",
  "\\field{",
  "\\field{queue_size}",
  "\\mmioreg{A}{B}{0x10}{R}{",
  "\\input{a}",
  "\\input{b.tex}",
  "\\\\",
  "\\newcommand{\\x}[1]{",
  "struct a {",
  "struct virtio_a {",
  "u8 a[3];",
  "le64 b[];",
  "};",
  "union {",
  "/*",
  "*/",
  "// ",
  "#define VIRTIO_A_B 3",
  "enum x {",
  "0x10-0x20",
  "0x00 & VIRTIO_A_OK",
  " is set to 0x4",
  "exactly 5 bytes",
  "The driver MUST",
  "MUST not",
  "in the format \\field{struct virtio_a}",
  "VIRTIO_A_STATUS_OK",
  "VIRTIO_A_STATUS_NO",
  "DIV_ROUND_UP(max, 64)",
];

describe("hostile sources", () => {
  it("are linted without an exception, every finding on a line that is there", () => {
    const source = fc
      .array(fc.constantFrom(...PIECES), { maxLength: 60 })
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(source, source, (a, b) => {
        const tree = treeOf({ "a.tex": a, "b.tex": b });
        for (const { file, line, message } of lintSpec(tree).findings) {
          expect(line).toBeLessThanOrEqual(tree.files.get(file)!.text.split("\n").length);
          expect(message).not.toBe("");
        }
      }),
    );
  });

  it("make the patches fail with an error of ours", () => {
    const source = fc
      .array(fc.constantFrom(...PIECES), { maxLength: 40 })
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(source, (text) => {
        expect(() => specPatches(treeOf({ "a.tex": text }))).toThrow(
          expect.objectContaining({ code: "SPEC_ANCHOR" }),
        );
      }),
    );
  });

  /** So much of a piece: what reads it again and again does not come back in time. */
  const SIZE = 1 << 18;
  it.each([
    ...PIECES.filter((piece) => piece.length > 1),
    "{",
    "[",
    "%\n",
    "a ",
    " ",
    "\n",
    "a\n\n",
    "\\a",
    "\\a{}{}{}{}",
    "a_",
    "A_",
    "A_B ",
    "VIRTIO_A_B1 ",
    "\\item[a] b\n",
    "\\begin{itemize}\\item ",
    "\\begin{tabular}{l}\\a{b",
    "The device MUST do this and that in some way or other. ",
    "\\section{A}\\label{sec:A / B}",
    "enum ",
    "struct ",
    "#define A",
    "u8 a;",
    "0x1-0x2 ",
    "\\item[1 to 2] feature bits\n",
  ])("are read in one pass: many of %j", (piece) => {
    const text = piece.repeat(Math.ceil(SIZE / piece.length));
    const listing = `\\begin{lstlisting}${text}`;
    for (const source of [text, listing]) {
      const { findings } = lintSpec(treeOf({ "a.tex": source }), {
        rules: LINT_RULES.map(({ name }) => name),
      });
      expect(findings.length).toBeGreaterThanOrEqual(0);
    }
  });

  it("may nest as deep as they like", () => {
    const deep = `${"\\begin{itemize}\\item {".repeat(20_000)}x${"}\\end{itemize}".repeat(20_000)}`;
    expect(lintSpec(treeOf({ "a.tex": deep })).findings).toEqual([]);
  });

  it("may include themselves", () => {
    const tree = treeOf({ "a.tex": "\\input{b}\\input{a}", "b.tex": "\\input{a}\\input{b}" });
    expect(lintSpec(tree).findings).toEqual([]);
  });
});
