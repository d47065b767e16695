/** Words as the specification's sources have them. */

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "\\&",
  "%": "\\%",
  $: "\\$",
  "#": "\\#",
  "{": "\\{",
  "}": "\\}",
  "~": "\\textasciitilde{}",
  "^": "\\textasciicircum{}",
  "\\": "\\textbackslash{}",
};
/** The sources are ASCII. */
const ASCII: Readonly<Record<string, string>> = {
  "\u2018": "`",
  "\u2019": "'",
  "\u201c": "``",
  "\u201d": "''",
  "\u2013": "--",
  "\u2014": "---",
  "\u2026": "...",
  "\u00a0": "~",
};

/**
 * Plain text as LaTeX: what LaTeX would read as a command is escaped, and `_` stands as it is, for
 * the specification loads the package `underscore`. What is not ASCII becomes `?`, as the sources are.
 */
export function latexText(text: string): string {
  return [...text]
    .map((char) => {
      const known = ESCAPES[char] ?? ASCII[char];
      if (known !== undefined) return known;
      const code = char.codePointAt(0) ?? 0;
      if (code === 0x0a || code === 0x09 || code === 0x0d) return " ";
      return code < 0x20 || code > 0x7e ? "?" : char;
    })
    .join("");
}

/** Names that no word of English is: `QueueSel`, `admin_queue_index`. */
const UNMISTAKABLE = /[a-z][A-Z]|_/;

/** As {@link latexText}, with `fields` that are named in it marked as such. */
export function latexProse(text: string, fields: readonly string[] = []): string {
  const known = new Set(fields.filter((name) => UNMISTAKABLE.test(name)));
  return text
    .split(/(`[^`]*`|[A-Za-z][A-Za-z0-9_]*)/)
    .map((part) => {
      if (part.length > 1 && part.startsWith("`") && part.endsWith("`")) {
        return `\\field{${latexText(part.slice(1, -1))}}`;
      }
      return known.has(part) ? `\\field{${part}}` : latexText(part);
    })
    .join("");
}

/** A label: 1.4 has no underscores in labels, and a brace or a backslash would end it. */
export function latexLabel(label: string): string {
  return latexText(label.replaceAll(/[\\{}%#~^&$]/g, "")).replaceAll("_", "-");
}
