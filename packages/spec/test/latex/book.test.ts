import { describe, expect, it } from "vitest";
import { cellText, squeeze } from "../../src/latex/book.ts";
import { readBook } from "../../src/latex/reader.ts";
import { treeOf } from "../specification.ts";

const TEXT = String.raw`\chapter{First}\label{sec:First}
Some words on \field{a_field} (see \ref{sec:First /
Second}).

\section{\field{Odd} heading}\label{sec:First / Second}
\begin{description}
\item[\field{a_field}] What it is.
  \begin{itemize}
  \item an inner one
  \end{itemize}
\item[Other (3)] See \hyperref[sec:First]{there}.
\end{description}

\devicenormative{\subsection}{Second}{First / Second}
The device MUST work.

\begin{tabular}{|l|l|}
\hline
Code & Name \\
\hline \hline
0x1 & \hyperref[sec:First]{NAME_ONE} \\
& second cell alone \\
\end{tabular}

\begin{longtable}{p{0.2\textwidth}p{0.7\textwidth}}
\mmioreg{RegOne}{A register}{0x010}{R}{%
  With \field{RegOne} in it.
}
\end{longtable}
\input{part}
\conformance{\section}{Lists}\label{sec:Lists}
\begin{itemize}
\item \ref{devicenormative:First / Second}
\end{itemize}
`;
const book = readBook(
  treeOf({
    "main.tex": TEXT,
    "part.tex": "\\subsection{Legacy Interface: Part}\nText.\n\\input{main.tex}",
  }),
);

describe("readBook", () => {
  it("has the sections in reading order, each of its kind and in its parent", () => {
    const shown = book.sections.map(({ level, kind, title, parent }) => [
      level,
      kind,
      title,
      parent?.title,
    ]);
    expect(shown).toEqual([
      [0, "text", "First", ""],
      [1, "text", "Odd heading", "First"],
      [2, "device", "Second", "Odd heading"],
      [2, "legacy", "Legacy Interface: Part", "Odd heading"],
      [1, "conformance", "Lists", "First"],
    ]);
  });

  it("has labels and references, line breaks in them as spaces", () => {
    expect(book.labels.map(({ name }) => name)).toEqual([
      "sec:First",
      "sec:First / Second",
      "devicenormative:First / Second",
      "sec:Lists",
    ]);
    expect(book.references.map(({ name }) => name)).toEqual([
      "sec:First / Second",
      "sec:First",
      "sec:First",
      "devicenormative:First / Second",
    ]);
  });

  it("has items with labels, bodies and lists", () => {
    const shown = book.items
      .slice(0, 3)
      .map(({ label, body }) => [label?.text, body.map(({ text }) => squeeze(text))]);
    expect(shown).toEqual([
      ["a_field", ["What it is.", "an inner one"]],
      [undefined, ["an inner one"]],
      ["Other (3)", ["See there."]],
    ]);
    expect(book.items[0]?.list).toBe(book.items[2]?.list);
    expect(book.items[1]?.list).not.toBe(book.items[0]?.list);
  });

  it("has tables, rows of macros too", () => {
    const shown = book.tables.map(({ rows }) =>
      rows.map(({ macro, cells }) => [macro, ...cells.map(cellText)]),
    );
    expect(shown).toEqual([
      [
        [undefined, "Code", "Name"],
        [undefined, "0x1", "NAME_ONE"],
        [undefined, "", "second cell alone"],
      ],
      [["mmioreg", "RegOne", "A register", "0x010", "R", "With RegOne in it."]],
    ]);
  });

  it("tells where the words of a paragraph stand", () => {
    const [first] = book.paragraphs;
    const at = first!.text.indexOf("a_field");
    expect(first!.pieceAt(at)?.form).toBe("field");
    const { file, start } = first!.at(at);
    expect(file.text.startsWith("a_field", start)).toBe(true);
    expect(file.lineOf(start)).toBe(2);
  });

  it("reads each file once, whatever includes it", () => {
    expect(book.paragraphs.filter(({ text }) => text.includes("Some words"))).toHaveLength(1);
    expect(book.missing).toEqual([]);
  });

  it("says which inclusions are missing, and whether the whole is there", () => {
    const part = readBook(treeOf({ "a.tex": "\\input{b}" }));
    expect(part.missing.map(({ path }) => path)).toEqual(["b"]);
    expect(part.whole).toBe(false);
    expect(readBook(treeOf({ "a.tex": "\\begin{document}" })).whole).toBe(true);
  });
});
