/** The C of listings, as far as layouts need it: structures with their sizes, constants, comments. */

/** A member of a structure. */
export interface Field {
  /** Its name; empty for an anonymous structure or union. */
  readonly name: string;
  /** Its type: `le16`, `struct virtio_pci_cap`, or `struct` and `union` for one that is declared in place. */
  readonly type: string;
  /** How many: 1 without brackets, `undefined` for `[]` or a length that is not known. */
  readonly count: number | undefined;
  /** Whether it is an array without a length. */
  readonly flexible: boolean;
  /** The members of a structure or a union that is declared in place. */
  readonly members: readonly Field[];
  /** The comment on its line. */
  readonly comment: string;
  /** The index of its name in the listing. */
  readonly at: number;
}

/** A structure. */
export interface Struct {
  /** Its name. */
  readonly name: string;
  /** Its members. */
  readonly fields: readonly Field[];
  /** The index of its name in the listing. */
  readonly at: number;
  /** Whether its end is there and nothing in it was left out. */
  readonly complete: boolean;
}

/** A constant: `#define NAME 1`, or an enumerator. */
export interface Constant {
  /** Its name. */
  readonly name: string;
  /** Its value, when it is a number. */
  readonly value: number | undefined;
  /** The index of its name in the listing. */
  readonly at: number;
}

/** A comment. */
export interface Comment {
  /** What it says. */
  readonly text: string;
  /** Where it begins in the listing. */
  readonly at: number;
  /** For one that is not ended: the end is missing, or another begins first. */
  readonly open: boolean;
}

/** What a listing declares. */
export interface Declarations {
  /** The structures, without those that are declared in place. */
  readonly structs: readonly Struct[];
  /** The constants. */
  readonly constants: readonly Constant[];
  /** The comments. */
  readonly comments: readonly Comment[];
  /** The code with comments as spaces. */
  readonly code: string;
}

const SCALARS: ReadonlyMap<string, number> = new Map(
  [
    ...[8, 16, 32, 64].flatMap((bits) =>
      ["u", "le", "be", "s", "__u", "__le", "__be"].map((prefix) => [prefix + bits, bits / 8]),
    ),
    ["char", 1],
    ["le128", 16],
  ].map(([name, size]) => [String(name), Number(size)] as const),
);
const DEEPEST_MEMBER = 16;
const LONGEST_LINE = 512;

/** Reads a listing; what is no C is passed over. */
export function declarationsOf(listing: string): Declarations {
  const { comments, code } = splitComments(listing);
  const constants = constantsOf(code);
  const values = new Map(constants.map(({ name, value }) => [name, value]));
  return { comments, code, constants, structs: structsOf(code, comments, values) };
}

/** The size of a scalar type in bytes, or `undefined`. */
function scalarSize(type: string): number | undefined {
  return SCALARS.get(type);
}

/** How large members are: the bytes that are there at least, and whether there can be more. */
export interface Size {
  /** The bytes that every instance has. */
  readonly bytes: number;
  /** Whether an array without a length follows. */
  readonly open: boolean;
}

/** The size of members, or `undefined` when a type or a length is not known. */
export function sizeOf(
  fields: readonly Field[],
  structs: ReadonlyMap<string, Struct>,
  depth = 0,
): Size | undefined {
  let bytes = 0;
  let open = false;
  for (const field of fields) {
    const one = elementSize(field, structs, depth);
    if (one === undefined || (field.count === undefined && !field.flexible)) return undefined;
    bytes += one.bytes * (field.count ?? 0);
    open ||= one.open || field.flexible;
  }
  return { bytes, open };
}

/** The size of one element of a member. */
export function elementSize(
  field: Field,
  structs: ReadonlyMap<string, Struct>,
  depth = 0,
): Size | undefined {
  if (depth > DEEPEST_MEMBER) return undefined;
  if (field.type === "struct") return sizeOf(field.members, structs, depth + 1);
  if (field.type === "union") {
    let bytes = 0;
    let open = false;
    for (const member of field.members) {
      const size = sizeOf([member], structs, depth + 1);
      if (size === undefined) return undefined;
      bytes = Math.max(bytes, size.bytes);
      open ||= size.open;
    }
    return { bytes, open };
  }
  const named = /^struct (\w+)$/.exec(field.type)?.[1];
  if (named !== undefined) {
    const struct = structs.get(named);
    return struct?.complete ? sizeOf(struct.fields, structs, depth + 1) : undefined;
  }
  const bytes = scalarSize(field.type);
  return bytes === undefined ? undefined : { bytes, open: false };
}

function splitComments(listing: string): { comments: Comment[]; code: string } {
  const comments: Comment[] = [];
  const code: string[] = [];
  let from = 0;
  let close = -1;
  let ended = false;
  const cut = (at: number, end: number, open: boolean): void => {
    const text = listing.slice(at, end);
    comments.push({ at, open, text: text.replace(/^\/[*/]|\*\/$/g, "").trim() });
    code.push(listing.slice(from, at), text.replace(/[^\n]/g, " "));
    from = end;
  };
  for (let at = listing.indexOf("/"); at >= 0; at = listing.indexOf("/", Math.max(from, at + 1))) {
    const mark = listing[at + 1];
    if (mark === "/") {
      const newline = listing.indexOf("\n", at);
      cut(at, newline < 0 ? listing.length : newline, false);
    } else if (mark === "*") {
      // Where there is none, there is none for the comments behind it: looked for once.
      if (!ended && close < at + 2) close = listing.indexOf("*/", at + 2);
      ended ||= close < 0;
      const nested = listing.indexOf("/*", at + 2);
      const open = close < 0 || (nested >= 0 && nested < close);
      // What was meant to end on its line is taken to end there, so that the rest is still read.
      const newline = listing.indexOf("\n", at);
      cut(at, open ? (newline < 0 ? listing.length : newline) : close + 2, open);
    }
  }
  code.push(listing.slice(from));
  return { comments, code: code.join("") };
}

function constantsOf(code: string): Constant[] {
  const constants: Constant[] = [];
  for (const match of code.matchAll(/^[ \t]*#define[ \t]+(\w+)(?:[ \t]+([^\n]*))?$/gm)) {
    const [whole, name = "", value = ""] = match;
    constants.push({ name, value: numberOf(value), at: match.index + whole.indexOf(name) });
  }
  for (const match of code.matchAll(/\benum\b[ \t\w]{0,80}\{([^{}]*)\}/g)) {
    const [whole, body = ""] = match;
    const base = match.index + whole.indexOf("{") + 1;
    let next: number | undefined = 0;
    let at = 0;
    for (const entry of body.split(",")) {
      const named = /^\s*(\w+)\s*(?:=([^=]*))?$/.exec(entry);
      if (named !== null) {
        const [, name = "", value] = named;
        next = value === undefined ? next : numberOf(value);
        constants.push({ name, value: next, at: base + at + entry.indexOf(name) });
        next = next === undefined ? undefined : next + 1;
      }
      at += entry.length + 1;
    }
  }
  return constants;
}

/** The number that an expression is, when it is one: `5`, `0x1f`, `(1 << 3)`. */
export function numberOf(text: string): number | undefined {
  const plain = text
    .trim()
    .replace(/^\((.*)\)$/, "$1")
    .trim();
  const shift = /^(\w+)\s*<<\s*(\w+)$/.exec(plain);
  if (shift !== null) {
    const base = numberOf(shift[1] ?? "");
    const by = numberOf(shift[2] ?? "");
    return base === undefined || by === undefined ? undefined : base * 2 ** by;
  }
  if (!/^(?:0x[\da-f]+|\d+)[ul]*$/i.test(plain)) return undefined;
  return Number(plain.replace(/[ul]+$/i, ""));
}

function structsOf(
  code: string,
  comments: readonly Comment[],
  values: ReadonlyMap<string, number | undefined>,
): Struct[] {
  const structs: Struct[] = [];
  const heads = /\bstruct\s+(\w+)\s*\{/g;
  for (let head = heads.exec(code); head !== null; head = heads.exec(code)) {
    const [whole, name = ""] = head;
    const reader = new MemberReader(code, comments, values, head.index + whole.length);
    const fields = reader.members(0);
    structs.push({ name, fields, at: head.index + whole.indexOf(name), complete: reader.complete });
    heads.lastIndex = Math.max(reader.at, heads.lastIndex);
  }
  return structs;
}

class MemberReader {
  at: number;
  complete = true;
  readonly #code: string;
  readonly #comments: readonly Comment[];
  readonly #values: ReadonlyMap<string, number | undefined>;

  constructor(
    code: string,
    comments: readonly Comment[],
    values: ReadonlyMap<string, number | undefined>,
    at: number,
  ) {
    this.#code = code;
    this.#comments = comments;
    this.#values = values;
    this.at = at;
  }

  /** The members up to the closing brace. */
  members(depth: number): Field[] {
    const fields: Field[] = [];
    const code = this.#code;
    let start = this.at;
    while (this.at < code.length) {
      const char = code[this.at];
      if (char === "#") {
        const newline = code.indexOf("\n", this.at);
        this.at = newline < 0 ? code.length : newline + 1;
        start = this.at;
      } else if (char === "{") {
        const head = code.slice(start, this.at).trim();
        this.at += 1;
        if (depth >= DEEPEST_MEMBER) {
          this.complete = false;
          return fields;
        }
        const members = this.members(depth + 1);
        const type = head.startsWith("union") ? "union" : "struct";
        if (!/^(?:union|struct)\b/.test(head)) this.complete = false;
        const end = this.#until();
        fields.push(this.#field(type, code.slice(this.at, end), this.at, members));
        this.at = end + 1;
        start = this.at;
      } else if (char === "}") {
        if (code.slice(start, this.at).trim() !== "") this.complete = false;
        this.at += 1;
        return fields;
      } else if (char === ";") {
        const text = code.slice(start, this.at);
        const match = /^\s*((?:struct\s+)?\w+)\s+([\s\S]*)$/.exec(text);
        if (match === null) this.complete = false;
        else {
          const [, type = "", declarator = ""] = match;
          const at = start + text.length - declarator.length;
          fields.push(this.#field(type.replace(/\s+/g, " "), declarator, at, []));
        }
        this.at += 1;
        start = this.at;
      } else {
        this.at += 1;
      }
    }
    this.complete = false;
    return fields;
  }

  #until(): number {
    const end = this.#code.indexOf(";", this.at);
    return end < 0 ? this.#code.length : end;
  }

  #field(type: string, declarator: string, at: number, members: readonly Field[]): Field {
    const lead = declarator.length - declarator.trimStart().length;
    const text = declarator.trim();
    const bracket = text.indexOf("[");
    const name = (bracket < 0 ? text : text.slice(0, bracket)).trim();
    const length =
      bracket < 0
        ? undefined
        : text
            .slice(bracket + 1)
            .replace(/\]$/, "")
            .trim();
    const plain = /^\w*$/.test(name);
    if (!plain) this.complete = false;
    const count =
      length === undefined ? 1 : (numberOf(length) ?? this.#values.get(length) ?? undefined);
    const flexible = length === "";
    return {
      name,
      type,
      count,
      flexible,
      members,
      comment: this.#commentAt(at + lead),
      at: at + lead,
    };
  }

  #commentAt(at: number): string {
    const newline = this.#code.slice(at, at + LONGEST_LINE).indexOf("\n");
    const end = at + (newline < 0 ? LONGEST_LINE : newline);
    let low = 0;
    let high = this.#comments.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#comments[middle]?.at ?? 0) < at) low = middle + 1;
      else high = middle;
    }
    const comment = this.#comments[low];
    return comment !== undefined && comment.at < end ? comment.text : "";
  }
}
