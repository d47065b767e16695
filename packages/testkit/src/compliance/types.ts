/** What a compliance case is, and what a run of them reports. */
import { VirtioError } from "@virtio-admin/core";
import type { ComplianceContext } from "./context.ts";

/** Which half of the transport a case puts to the test. */
export type ComplianceSide = "device" | "driver";

/** One rule (or a few that stand and fall together), checked through any transport. */
export interface ComplianceCase {
  /** Its name, unique in the kit, in kebab case: `status-order`. */
  readonly id: string;
  /** What holds, in one sentence. */
  readonly title: string;
  /** The half that is put to the test. */
  readonly side: ComplianceSide;
  /** The ids of the clauses it checks. */
  readonly clauses: readonly string[];
  /**
   * Runs it. Resolves when the rule holds or was found not to apply
   * ({@link ComplianceContext.skip}).
   *
   * @throws ComplianceFailure when the rule does not hold.
   */
  run(context: ComplianceContext): Promise<void>;
}

/** How one case ended. */
export interface ComplianceResult {
  /** The case. */
  readonly id: string;
  /** What the case says. */
  readonly title: string;
  /** The half that was put to the test. */
  readonly side: ComplianceSide;
  /** The ids of the clauses. */
  readonly clauses: readonly string[];
  /** Whether the rule holds, does not hold, or does not apply to this transport. */
  readonly outcome: "passed" | "failed" | "skipped";
  /** How long it took, in milliseconds. */
  readonly milliseconds: number;
  /** Why it failed, or does not apply; absent when it passed. */
  readonly reason?: string;
  /** What was thrown; present when it failed. */
  readonly error?: unknown;
}

/** What a run of the kit comes to. */
export interface ComplianceReport {
  /** The transport's name. */
  readonly transport: string;
  /** All results, in the order of the cases. */
  readonly results: readonly ComplianceResult[];
  /** How many passed. */
  readonly passed: number;
  /** The results that failed. */
  readonly failures: readonly ComplianceResult[];
  /** The results that do not apply, each with its reason. */
  readonly skipped: readonly ComplianceResult[];
}

/** Thrown when a rule does not hold. Its code is `COMPLIANCE`. */
export class ComplianceFailure extends VirtioError {
  /** The name that stands before the message in a stack trace. */
  override readonly name: string = "ComplianceFailure";
  /** What the rule asks for. */
  readonly expected: unknown;
  /** What was found. */
  readonly got: unknown;

  /** Makes the failure of a rule: `what` was looked at, `expected` asked for and `got` found. */
  constructor(what: string, expected: unknown, got: unknown, cause?: unknown) {
    super("COMPLIANCE", {
      message: `${what}: expected ${show(expected)}, got ${show(got)}`,
      ...(cause === undefined ? {} : { cause }),
    });
    this.expected = expected;
    this.got = got;
  }
}

/** A value for people: numbers from 10 on in hex too, errors by their message. */
export function show(value: unknown): string {
  if (typeof value === "number" && value > 9) return `${value} (0x${value.toString(16)})`;
  if (value instanceof Error) return `${value.name} ${value.message}`;
  if (value instanceof Uint8Array) {
    return [...value].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  return String(value);
}
