/**
 * Reads what matters of C headers: macros with a number, and structures with the places of their
 * members as a compiler of a 64-bit machine puts them. What it cannot read it leaves out; whatever a
 * header says, it ends in time that grows with its length.
 */

/** A scalar of a structure, or an array of them. */
export interface CMember {
  /** The name, with those of the structures around it: `selector.vq_index.index`. */
  readonly path: string;
  /** Bytes from the start of the outermost structure. */
  readonly offset: number;
  /** The width of the scalar in bytes. */
  readonly width: number;
  /** How many there are; `"rest"` for a flexible array, `undefined` when it is no array. */
  readonly count: number | "rest" | undefined;
  /** `undefined` when the type says none. */
  readonly order: "little" | "big" | undefined;
}

/** A structure. */
export interface CStruct {
  /** Its size in bytes, without a flexible array. */
  readonly size: number;
  /** Its members, those of structures in it among them. */
  readonly members: readonly CMember[];
}

/** What was read. */
export interface CHeaders {
  /** Macros whose value is a number. */
  readonly macros: ReadonlyMap<string, bigint>;
  /** Structures by name. */
  readonly structs: ReadonlyMap<string, CStruct>;
}

/** A macro, a structure and its nesting beyond these are not read. */
const DEEPEST = 16;
const MOST_MEMBERS = 4096;
const MOST_TOKENS = 64;
/** The members of all structures together, and the largest value of a macro. */
const MOST_IN_ALL = 1 << 18;
const LARGEST = 1n << 64n;

const SCALARS: ReadonlyMap<string, readonly [number, "little" | "big" | undefined]> = new Map(
  [1, 2, 4, 8].flatMap((width): [string, readonly [number, "little" | "big" | undefined]][] => {
    const bits = 8 * width;
    return [
      [`__u${bits}`, [width, undefined]],
      [`__s${bits}`, [width, undefined]],
      [`uint${bits}_t`, [width, undefined]],
      [`__virtio${bits}`, [width, undefined]],
      [`__le${bits}`, [width, "little"]],
      [`__be${bits}`, [width, "big"]],
    ];
  }),
);

/** Reads headers, one after the other; what a later one defines again counts. */
export function readC(texts: readonly string[]): CHeaders {
  const expressions = new Map<string, string>();
  const tokens: string[] = [];
  for (const text of texts) {
    const plain = withoutComments(text.replaceAll("\r", "")).replaceAll("\\\n", " ");
    for (const line of plain.split("\n")) {
      const define = /^\s*#\s*define\s+(\w+)\s+(.*)$/.exec(line);
      if (define?.[1] !== undefined) expressions.set(define[1], (define[2] ?? "").trim());
      if (/^\s*#/.test(line)) continue;
      for (const token of line.match(/\w+|[^\s\w]/g) ?? []) tokens.push(token);
    }
  }
  const values = new Values(expressions);
  const reader = new StructReader(tokens, values);
  reader.readAll();
  return { macros: values.all(), structs: reader.structs };
}

/** The text with a blank for every comment; one that never ends takes all that follows. */
function withoutComments(text: string): string {
  const parts: string[] = [];
  let at = 0;
  for (;;) {
    const block = text.indexOf("/*", at);
    const line = text.indexOf("//", at);
    const start = block < 0 || (line >= 0 && line < block) ? line : block;
    if (start < 0) break;
    parts.push(text.slice(at, start), " ");
    const end = start === block ? text.indexOf("*/", start + 2) : text.indexOf("\n", start);
    if (end < 0) return parts.join("");
    at = start === block ? end + 2 : end;
  }
  return parts.join("") + text.slice(at);
}

/** Macros as numbers: literals, other macros, and `<<`, `|`, `+`, `-`, `*` of these. */
class Values {
  readonly #expressions: ReadonlyMap<string, string>;
  readonly #known = new Map<string, bigint | undefined>();

  constructor(expressions: ReadonlyMap<string, string>) {
    this.#expressions = expressions;
  }

  all(): ReadonlyMap<string, bigint> {
    const found = new Map<string, bigint>();
    for (const name of this.#expressions.keys()) {
      const value = this.named(name, 0);
      if (value !== undefined) found.set(name, value);
    }
    return found;
  }

  named(name: string, depth: number): bigint | undefined {
    if (this.#known.has(name)) return this.#known.get(name);
    const expression = this.#expressions.get(name);
    if (expression === undefined || depth > DEEPEST) return undefined;
    // A macro that names itself is no number.
    this.#known.set(name, undefined);
    const value = this.of(expression.match(/\w+|<<|[()|+*-]|\S/g) ?? [], depth + 1);
    this.#known.set(name, value);
    return value;
  }

  /** The value of an expression, or `undefined`. */
  of(tokens: readonly string[], depth = 0): bigint | undefined {
    let at = 0;
    const primary = (nesting: number): bigint | undefined => {
      const token = tokens[at++];
      if (token === undefined || nesting > DEEPEST) return undefined;
      if (token === "(") {
        const inner = sum(0, nesting + 1);
        return tokens[at++] === ")" ? inner : undefined;
      }
      const literal = /^(0[xX][0-9a-fA-F]+|\d+)[uUlL]*$/.exec(token)?.[1];
      if (literal === undefined) return this.named(token, depth + 1);
      if (literal.length > 20) return undefined;
      return /^0[0-7]+$/.test(literal) ? BigInt(`0o${literal.slice(1)}`) : BigInt(literal);
    };
    const sum = (level: number, nesting: number): bigint | undefined => {
      const next = OPERATORS[level];
      if (next === undefined) return primary(nesting);
      let left = sum(level + 1, nesting);
      for (let operator = next.get(tokens[at] ?? ""); operator !== undefined; ) {
        at++;
        const right = sum(level + 1, nesting);
        if (left === undefined || right === undefined) return undefined;
        left = operator(left, right);
        if (left !== undefined && (left > LARGEST || left < -LARGEST)) return undefined;
        operator = next.get(tokens[at] ?? "");
      }
      return left;
    };
    const value = sum(0, 0);
    return at === tokens.length ? value : undefined;
  }
}

type Operator = (left: bigint, right: bigint) => bigint | undefined;

const OPERATORS: readonly ReadonlyMap<string, Operator>[] = [
  new Map([["|", (left: bigint, right: bigint) => left | right]]),
  new Map([["<<", shifted]]),
  new Map([
    ["+", (left: bigint, right: bigint) => left + right],
    ["-", (left: bigint, right: bigint) => left - right],
  ]),
  new Map([["*", (left: bigint, right: bigint) => left * right]]),
];

function shifted(left: bigint, right: bigint): bigint | undefined {
  return right < 64n && right >= 0n ? left << right : undefined;
}

interface Placed {
  readonly members: CMember[];
  readonly size: number;
  readonly alignment: number;
}

/** Finds `struct name { … }` at any place, and puts the members of each. */
class StructReader {
  readonly structs = new Map<string, CStruct>();
  readonly #placed = new Map<string, Placed>();
  readonly #aliases = new Map<string, string>();
  readonly #tokens: readonly string[];
  readonly #values: Values;
  #at = 0;
  #budget = MOST_IN_ALL;

  constructor(tokens: readonly string[], values: Values) {
    this.#tokens = tokens;
    this.#values = values;
  }

  readAll(): void {
    while (this.#at < this.#tokens.length) {
      const start = this.#at;
      if (this.#peek() === "typedef") this.#readTypedef();
      else if (this.#peek() === "struct" && this.#peek(2) === "{") {
        const name = this.#peek(1) ?? "";
        this.#at += 3;
        const placed = this.#readBody("struct", 0);
        if (placed !== undefined) {
          this.#placed.set(name, placed);
          this.structs.set(name, { size: placed.size, members: placed.members });
        }
      }
      if (this.#at === start) this.#at++;
    }
  }

  #peek(ahead = 0): string | undefined {
    return this.#tokens[this.#at + ahead];
  }

  /** `typedef struct name … alias;` */
  #readTypedef(): void {
    if (this.#peek(1) !== "struct" || this.#peek(3) === "{") return;
    const name = this.#peek(2) ?? "";
    let last = "";
    while (this.#at < this.#tokens.length && this.#peek() !== ";") {
      const token = this.#peek() ?? "";
      if (/^\w+$/.test(token)) last = token;
      this.#at++;
    }
    this.#aliases.set(last, name);
  }

  /** After the opening brace, to what follows the closing one; `undefined` if it cannot be read. */
  #readBody(kind: "struct" | "union", depth: number): Placed | undefined {
    const members: CMember[] = [];
    let size = 0;
    let alignment = 1;
    if (depth > DEEPEST) {
      this.#skipBody();
      return undefined;
    }
    let readable = true;
    const parts: { placed: Placed; name: string; count: number | "rest" | undefined }[] = [];
    while (this.#at < this.#tokens.length && this.#peek() !== "}") {
      const part = this.#readMember(depth);
      if (part === undefined || parts.length > MOST_MEMBERS) {
        readable = false;
        this.#skipToSemicolon();
      } else {
        parts.push(part);
      }
    }
    this.#at++;
    const packed = this.#readPacked();
    if (!readable) return undefined;
    for (const { placed, name, count } of parts) {
      const own = packed ? 1 : placed.alignment;
      const offset = kind === "union" ? 0 : Math.ceil(size / own) * own;
      const copies =
        placed.members.length === 1 && placed.members[0]?.path === "" ? 1 : repeat(count);
      for (let i = 0; i < copies; i++) {
        for (const member of placed.members) {
          if (members.length > MOST_MEMBERS || this.#budget-- <= 0) return undefined;
          members.push({
            ...member,
            path: [name + (copies > 1 ? `[${i}]` : ""), member.path]
              .filter((p) => p !== "")
              .join("."),
            offset: offset + i * placed.size + member.offset,
            count: member.path === "" ? count : member.count,
          });
        }
      }
      size = Math.max(size, offset + placed.size * repeat(count));
      alignment = Math.max(alignment, own);
    }
    return { members, size: Math.ceil(size / alignment) * alignment, alignment };
  }

  /** After an opening brace, to what follows the one that closes it. */
  #skipBody(): void {
    for (let braces = 1; braces > 0 && this.#at < this.#tokens.length; this.#at++) {
      if (this.#peek() === "{") braces++;
      if (this.#peek() === "}") braces--;
    }
  }

  #readMember(depth: number) {
    const head = this.#peek();
    let placed: Placed | undefined;
    if ((head === "struct" || head === "union") && this.#isBody()) {
      this.#at += this.#peek(1) === "{" ? 2 : 3;
      placed = this.#readBody(head, depth + 1);
    } else if (head === "struct") {
      placed = this.#placed.get(this.#peek(1) ?? "");
      this.#at += 2;
    } else {
      const scalar = SCALARS.get(head ?? "");
      const alias = this.#placed.get(this.#aliases.get(head ?? "") ?? "");
      placed = scalar === undefined ? alias : scalarOf(scalar[0], scalar[1]);
      this.#at += 1;
    }
    if (placed === undefined) return undefined;
    let name = "";
    if (/^\w+$/.test(this.#peek() ?? "")) name = this.#tokens[this.#at++] ?? "";
    let count: number | "rest" | undefined;
    if (this.#peek() === "[") {
      const width = this.#tokens.slice(this.#at, this.#at + MOST_TOKENS).indexOf("]");
      if (width < 0) return undefined;
      const end = this.#at + width;
      const value = this.#values.of(this.#tokens.slice(this.#at + 1, end));
      if (end === this.#at + 1 || value === 0n) count = "rest";
      else if (value === undefined || value < 0n || value > MOST_MEMBERS) return undefined;
      else count = Number(value);
      this.#at = end + 1;
    }
    if (this.#peek() !== ";") return undefined;
    this.#at++;
    return { placed, name, count };
  }

  #isBody(): boolean {
    return this.#peek(1) === "{" || this.#peek(2) === "{";
  }

  #readPacked(): boolean {
    let packed = false;
    for (let i = 0; i < DEEPEST && this.#peek(i) !== ";" && this.#peek(i) !== undefined; i++) {
      if (/packed/.test(this.#peek(i) ?? "")) packed = true;
    }
    return packed;
  }

  #skipToSemicolon(): void {
    for (let braces = 0; this.#at < this.#tokens.length; this.#at++) {
      const token = this.#peek();
      if (token === "{") braces++;
      if (token === "}" && braces-- === 0) return;
      if (token === ";" && braces === 0) {
        this.#at++;
        return;
      }
    }
  }
}

function scalarOf(width: number, order: CMember["order"]): Placed {
  const member = { path: "", offset: 0, width, count: undefined, order };
  return { members: [member], size: width, alignment: width };
}

function repeat(count: number | "rest" | undefined): number {
  return count === "rest" ? 0 : (count ?? 1);
}
