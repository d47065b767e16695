import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { lex, matchGroups } from "../../src/latex/lexer.ts";

/** The tokens of a text as `kind:what stands there`, or `kind:name` where there is a name. */
function shown(text: string): string[] {
  return lex(text).map(({ kind, name, start, end }) =>
    name === "" ? `${kind}:${text.slice(start, end)}` : `${kind}:${name}`,
  );
}

describe("lex", () => {
  it.each<[string, string[]]>([
    ["plain words", ["text:plain words"]],
    ["a\n\n b", ["text:a", "blank:\n\n", "text: b"]],
    ["\\field{x_y}", ["command:field", "open:{", "text:x_y", "close:}"]],
    ["a\\_b", ["text:a", "text:_", "text:b"]],
    ["a \\\\ b", ["text:a ", "command:\\\\", "text: b"]],
    ["a & b", ["text:a ", "cell:&", "text: b"]],
    ["a % gone\nb", ["text:a ", "text:b"]],
    ["100\\% sure", ["text:100", "text:%", "text: sure"]],
    ["$x$ $$y$$", ["math:$", "text:x", "math:$", "text: ", "math:$$", "text:y", "math:$$"]],
    ["\\item[a]", ["command:item", "bracket:[", "text:a", "bracket:]"]],
    ["\\begin{itemize}x\\end{itemize}", ["begin:itemize", "text:x", "end:itemize"]],
    [
      "\\begin{lstlisting}\nint a; % \\x\n\\end{lstlisting}",
      ["begin:lstlisting", "verbatim:lstlisting", "end:lstlisting"],
    ],
    ["\\begin{lstlisting} never ended", ["begin:lstlisting", "verbatim:lstlisting"]],
    ["\\begin", ["command:begin"]],
    ["\\begin{", ["command:begin", "open:{"]],
    ["\\", ["command:"]],
  ])("cuts %j", (text, tokens) => {
    expect(shown(text)).toEqual(
      tokens.map((token) => (token === "command:" ? "command:\\" : token)),
    );
  });

  it("covers any text in order, in pieces that do not overlap", () => {
    fc.assert(
      fc.property(
        fc
          .array(
            fc.constantFrom(
              "\\",
              "begin",
              "end",
              "{",
              "}",
              "lstlisting",
              "%",
              "\n",
              " ",
              "$",
              "&",
              "[",
              "a",
            ),
          )
          .map((parts) => parts.join("")),
        (text) => {
          let at = 0;
          for (const { start, end } of lex(text)) {
            expect(start).toBeGreaterThanOrEqual(at);
            expect(end).toBeGreaterThanOrEqual(start);
            at = end;
          }
          expect(at).toBeLessThanOrEqual(text.length);
        },
      ),
    );
  });
});

describe("matchGroups", () => {
  it("finds the partner of every brace that has one", () => {
    const text = "{a{b}} } {c";
    const tokens = lex(text);
    const pairs = [...matchGroups(tokens)].flatMap((close, open) => {
      return close < 0 ? [] : [text.slice(tokens[open]!.start, tokens[close]!.end)];
    });
    expect(pairs).toEqual(["{a{b}}", "{b}"]);
  });
});
