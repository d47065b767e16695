/** What is wrong with a layout: gathered as a list, or thrown as the first error. */
import { type ErrorCode, VirtioError } from "../errors.ts";

/** The bounds of a layout; a document beyond them is refused before it costs anything. */
export const LAYOUT_LIMITS = {
  /** Bytes of a structure or a register map, without a `"rest"` field. */
  bytes: 0x1_0000,
  /** Fields, registers or commands of one layout. */
  entries: 1024,
  /** Characters of a name. */
  name: 64,
  /** Characters of a `doc` or a `cite`. */
  text: 4096,
  /** Findings in one list; what follows is not reported. */
  findings: 100,
  /** The highest bit of a field. */
  bit: 63,
  /** The highest feature bit. */
  feature: 127,
  /** The highest transport revision. */
  revision: 0xffff,
} as const;

/** What a layout is held against. Declared once; documentation is generated from it. */
export const LAYOUT_RULES = {
  form: "the document matches the layout schema, and a declaration its types",
  name: "names are names of C, each once in its layout",
  code: "every channel command has a code of its own",
  direction: "the low bits of a command's code say what its direction says",
  overlap: "no two fields, and no two names of bits, share bytes or bits by mistake",
  size: "fields and the rest fit the size",
  alignment: "a register stands at a multiple of its width",
  "bus-width": "the bus can access every register whole",
  "byte-order": "all registers have the byte order of their map",
  reset: "a reset value fits its field",
  bits: "named bits lie inside their field",
} as const;

/** The name of a rule of {@link LAYOUT_RULES}. */
export type LayoutRule = keyof typeof LAYOUT_RULES;

/** One thing that is wrong, or at least odd, about a layout. */
export interface LayoutFinding {
  /** An `"error"` makes the layout unusable; a `"warning"` is for its author to think about. */
  readonly severity: "error" | "warning";
  /** Which rule does not hold. */
  readonly rule: LayoutRule;
  /** The code of the error that using the layout throws. */
  readonly code: Extract<ErrorCode, `LAYOUT_${string}`>;
  /** Where: `name.field.member` for a declaration, `layout.fields[2].offset` for a document. */
  readonly path: string;
  /** What is wrong, in one sentence. */
  readonly message: string;
  /** The value that is refused; absent when something is missing. */
  readonly value?: unknown;
  /** What to do about it. */
  readonly hint?: string;
}

/** Gathers findings; `path` is complete when it gets here. */
export class Findings {
  /** In the order in which they were met. */
  readonly list: LayoutFinding[] = [];
  readonly #malformed: LayoutFinding["code"];

  /** `malformed` is the code of an error that the form alone makes. */
  constructor(malformed: LayoutFinding["code"] = "LAYOUT_INVALID") {
    this.#malformed = malformed;
  }

  /** True when an error is among them. */
  get failed(): boolean {
    return this.list.some((finding) => finding.severity === "error");
  }

  /** Adds one, unless there are enough, or there is one as severe about the same member. */
  add(finding: LayoutFinding): void {
    if (this.list.length >= LAYOUT_LIMITS.findings) return;
    const known = this.list.some(
      ({ path, severity }) => path === finding.path && severity === finding.severity,
    );
    if (known) return;
    this.list.push(finding);
  }

  /** Adds an error about a member that is wrong whatever the others say: what a schema can tell. */
  malformed(path: string, message: string, value?: unknown, hint?: string): void {
    this.#error(this.#malformed, "form", path, message, value, hint);
  }

  /** Adds an error about members that contradict each other. */
  invalid(rule: LayoutRule, path: string, message: string, value?: unknown, hint?: string): void {
    this.#error("LAYOUT_INVALID", rule, path, message, value, hint);
  }

  #error(
    code: LayoutFinding["code"],
    rule: LayoutRule,
    path: string,
    message: string,
    value: unknown,
    hint: string | undefined,
  ): void {
    this.add({
      severity: "error",
      rule,
      code,
      path,
      message,
      ...(value === undefined ? {} : { value }),
      ...(hint === undefined ? {} : { hint }),
    });
  }

  /** Throws the first error, if there is one. */
  throwFirst(): void {
    const first = this.list.find((finding) => finding.severity === "error");
    if (first !== undefined) throw new VirtioError(first.code, first);
  }
}

/** A named declaration and the path that a finding about it begins with. */
export interface Entry<S> {
  /** The wire name. */
  readonly name: string;
  /** What was declared. */
  readonly spec: S;
  /** The path of the declaration. */
  readonly path: string;
  /** The paths of its named bits, where they aren't `<path>.bits.<name>`. */
  readonly bitPaths?: ReadonlyMap<string, string>;
}
