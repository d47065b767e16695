/** What a layout is held against before anything runs on it: the rules by name, and what breaks one. */
import { LAYOUT_RULES } from "@virtio-admin/core";

/** Every rule with what it asks for: those that make a layout sound, and those of its design. */
export const CHECK_RULES = {
  text: "the file is YAML or JSON that can be read",
  variant: "a variant changes, adds and removes what its base has, or has not",
  ...LAYOUT_RULES,
  hole: "every byte of a structure has a name, reserved ones too",
  packed: "the fields of a structure are naturally aligned, so that C needs no packing",
  union: "fields share bytes only where one says how to read the other",
  access: "what is written is written, what is read is read, and halves are accessed alike",
  gate: "what a gate asks for can come about on the transport",
  "name-collision": "names differ by more than their spelling, and as macros too",
  keyword: "no name is one that C or C++ keeps for itself",
  squatter: "no place is taken that others are known to use",
  ratified: "what virtio 1.4 has stays where it is, as it is",
} as const;

/** The name of a rule of {@link CHECK_RULES}. */
export type CheckRule = keyof typeof CHECK_RULES;

/**
 * How much it matters: an `error` makes the layout unusable, a `warning` is what a reviewer would refuse,
 * a `note` is to be known.
 */
export type CheckSeverity = "error" | "warning" | "note";

/** A rule that does not hold, and where. */
export interface CheckFinding {
  /** The rule. */
  readonly rule: CheckRule;
  /** How much it matters. */
  readonly severity: CheckSeverity;
  /** Where: `layout.registers[3].offset`. */
  readonly path: string;
  /** The line of the file, from 1; absent when it is about no file, or about none of its lines. */
  readonly line?: number;
  /** What is wrong, in one sentence. */
  readonly message: string;
  /** What to do about it. */
  readonly remedy: string;
}

/** True when something was found that a reviewer would refuse. */
export function isRefused(findings: readonly CheckFinding[]): boolean {
  return findings.some(({ severity }) => severity !== "note");
}

/** Gathers what is found, without repeating it. */
export class CheckFindings {
  /** In the order in which they were met. */
  readonly list: CheckFinding[] = [];

  /** True when no more are kept. */
  get isFull(): boolean {
    return this.list.length >= MOST_FINDINGS;
  }

  /** Adds one, unless the same was found there. */
  add(finding: CheckFinding): void {
    const isKnown = this.list.some(
      ({ rule, path, message }) =>
        rule === finding.rule && path === finding.path && message === finding.message,
    );
    if (!isKnown && !this.isFull) this.list.push(finding);
  }
}

const MOST_FINDINGS = 200;
