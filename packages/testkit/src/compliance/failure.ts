/** The error of a rule that does not hold. */
import { VirtioError } from "@virtio-admin/core";

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
