/**
 * A lexer for the LaTeX that the specification is written in. It knows no macros: it tells commands,
 * groups, environments, cells and prose apart, in one pass over the text, whatever the text is.
 */
import type { SourceFile } from "./source.ts";

/** What a {@link Token} is. */
export type TokenKind =
  /** `\name`; a control symbol has its one character as the name, a line break two backslashes. */
  | "command"
  /** `\begin{name}`. */
  | "begin"
  /** `\end{name}`. */
  | "end"
  /** The body of a verbatim environment, whose name is in `name`. */
  | "verbatim"
  /** `{`. */
  | "open"
  /** `}`. */
  | "close"
  /** `[` or `]`: prose, unless it encloses an option. */
  | "bracket"
  /** `&`. */
  | "cell"
  /** `$` or `$$`. */
  | "math"
  /** An empty line: the end of a paragraph. */
  | "blank"
  /** Anything else, as it stands in the source. */
  | "text";

/** A piece of a source file. */
export interface Token {
  /** What it is. */
  readonly kind: TokenKind;
  /** Where it begins, as an index into the text. */
  readonly start: number;
  /** Where it ends. */
  readonly end: number;
  /** The name of a command or an environment; else empty. */
  readonly name: string;
}

const VERBATIM = new Set(["lstlisting", "verbatim", "Verbatim", "comment"]);
/** Control symbols that print their own character: prose, but for the backslash. */
const ESCAPED = new Set(["_", "#", "%", "&", "$", "{", "}"]);
const LONGEST_NAME = 128;
const BACKSLASH = 0x5c;
const NEWLINE = 0x0a;

/** Cuts a text into tokens. Comments leave no token; every other character is in at most one. */
export function lex(text: string): Token[] {
  const tokens: Token[] = [];
  const push = (kind: TokenKind, start: number, end: number, name = ""): void => {
    tokens.push({ kind, start, end, name });
  };
  let at = 0;
  let prose = 0;
  const flush = (end: number): void => {
    if (end > prose) push("text", prose, end);
  };
  while (at < text.length) {
    const code = text.charCodeAt(at);
    switch (code) {
      case BACKSLASH: {
        flush(at);
        at = lexCommand(text, at, push);
        prose = at;
        break;
      }
      case 0x5b: // [
      case 0x5d: // ]
        flush(at);
        push("bracket", at, at + 1);
        at += 1;
        prose = at;
        break;
      case 0x7b: // {
      case 0x7d: // }
      case 0x26: // &
        flush(at);
        push(code === 0x7b ? "open" : code === 0x7d ? "close" : "cell", at, at + 1);
        at += 1;
        prose = at;
        break;
      case 0x24: {
        // $
        flush(at);
        const end = text.charCodeAt(at + 1) === 0x24 ? at + 2 : at + 1;
        push("math", at, end);
        at = end;
        prose = at;
        break;
      }
      case 0x25: {
        // %: up to the end of the line and the indentation of the next
        flush(at);
        const newline = text.indexOf("\n", at);
        at = newline < 0 ? text.length : newline + 1;
        prose = at;
        break;
      }
      case NEWLINE: {
        const next = afterBlankLine(text, at);
        if (next > at) {
          flush(at);
          push("blank", at, next);
          at = next;
          prose = at;
        } else {
          at += 1;
        }
        break;
      }
      default:
        at += 1;
    }
  }
  flush(text.length);
  return tokens;
}

/** Past the empty lines that follow the line break at `at`; `at` itself when there are none. */
function afterBlankLine(text: string, at: number): number {
  let end = at;
  for (let next = at + 1; next < text.length; next++) {
    const code = text.charCodeAt(next);
    if (code === NEWLINE) end = next + 1;
    else if (code !== 0x20 && code !== 0x09 && code !== 0x0d) break;
  }
  return end;
}

type Push = (kind: TokenKind, start: number, end: number, name?: string) => void;

function lexCommand(text: string, start: number, push: Push): number {
  let end = start + 1;
  while (end < text.length && isLetter(text.charCodeAt(end))) end += 1;
  if (end === start + 1) {
    const symbol = text.slice(end, end + 1);
    end = Math.min(end + 1, text.length);
    if (ESCAPED.has(symbol)) push("text", start + 1, end);
    else push("command", start, end, symbol === "\\" ? "\\\\" : symbol);
    return end;
  }
  const name = text.slice(start + 1, end);
  if (text[end] === "*") end += 1;
  if (name !== "begin" && name !== "end") {
    push("command", start, end, name);
    return end;
  }
  // Looked for in so many characters only: a file of nothing but beginnings is read in one pass too.
  const brace = text[end] === "{" ? text.slice(end, end + LONGEST_NAME).indexOf("}") : -1;
  if (brace < 0) {
    push("command", start, end, name);
    return end;
  }
  const close = end + brace;
  const environment = text.slice(end + 1, close).trim();
  push(name, start, close + 1, environment);
  if (name === "end" || !VERBATIM.has(environment)) return close + 1;
  const bodyEnd = text.indexOf(`\\end{${environment}}`, close);
  const body = bodyEnd < 0 ? text.length : bodyEnd;
  push("verbatim", close + 1, body, environment);
  return body;
}

function isLetter(code: number): boolean {
  return (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a);
}

/** For every `open` token the index of its `close`, or -1; for other tokens -1. */
export function matchGroups(tokens: readonly Token[]): Int32Array {
  const matches = new Int32Array(tokens.length).fill(-1);
  const open: number[] = [];
  tokens.forEach(({ kind }, index) => {
    if (kind === "open") open.push(index);
    else if (kind === "close") {
      const start = open.pop();
      if (start !== undefined) matches[start] = index;
    }
  });
  return matches;
}

/** A file as tokens. */
export interface Lexed {
  /** The tokens of its text. */
  readonly tokens: readonly Token[];
  /** The partner of every opening brace; see {@link matchGroups}. */
  readonly groups: Int32Array;
}

const LEXED = new WeakMap<SourceFile, Lexed>();

/** A file as tokens, cut once. */
export function lexed(file: SourceFile): Lexed {
  const known = LEXED.get(file);
  if (known !== undefined) return known;
  const tokens = lex(file.text);
  const made = { tokens, groups: matchGroups(tokens) };
  LEXED.set(file, made);
  return made;
}
