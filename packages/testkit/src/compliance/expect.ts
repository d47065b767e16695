/** The checks that cases are written with: each throws a {@link ComplianceFailure}. */
import { isVirtioError, type VirtioError } from "@virtio-admin/core";
import { ComplianceFailure } from "./failure.ts";

/** `got` is `expected`; bytes, sets and lists are compared by what they hold. */
export function expectEqual<T>(what: string, got: T, expected: T): void {
  if (!sameValue(got, expected)) throw new ComplianceFailure(what, expected, got);
}

/** `got` is true. */
export function expectTrue(what: string, got: boolean): void {
  expectEqual(what, got, true);
}

/** `got` is an integer from `least` to `most`. */
export function expectInteger(what: string, got: unknown, least: number, most: number): void {
  if (Number.isInteger(got) && (got as number) >= least && (got as number) <= most) return;
  throw new ComplianceFailure(what, `an integer from ${least} to ${most}`, got);
}

/** `got` is a text of one character or more. */
export function expectText(what: string, got: unknown): void {
  if (typeof got !== "string" || got === "") throw new ComplianceFailure(what, "a text", got);
}

/**
 * `work` rejects with a VirtioError of one of these codes; any code when none is given.
 *
 * @returns the error.
 */
export async function expectRefusal(
  what: string,
  work: PromiseLike<unknown>,
  ...codes: readonly string[]
): Promise<VirtioError> {
  const wanted = codes.length === 0 ? "a VirtioError" : codes.join(" or ");
  let value: unknown;
  try {
    value = await work;
  } catch (error) {
    if (isVirtioError(error) && error.code !== "COMPLIANCE") {
      if (codes.length === 0 || codes.includes(error.code)) return error;
    }
    throw new ComplianceFailure(what, wanted, error, error);
  }
  throw new ComplianceFailure(what, wanted, value === undefined ? "success" : value);
}

/** How often a condition is looked at before it counts as never met. */
const TURNS = 100;
/** The same where the halves live apart: the other one has to get a processor first. */
const TURNS_APART = 3000;
/** How many turns of the event loop anything that is under way is given. */
const SETTLE_TURNS = 3;

/** Resolves once what the halves have told each other has arrived, see `Connection.arrived`. */
export type Arrived = () => Promise<void>;

/**
 * Waits until `condition` holds, within a bound; `what` says what is waited for. Nothing is done
 * meanwhile that could wake the other half: what was told has to have woken it.
 *
 * @param arrived given where the halves live apart
 */
export async function expectSoon(
  what: string,
  condition: () => boolean,
  arrived?: Arrived,
): Promise<void> {
  const turns = arrived === undefined ? TURNS : TURNS_APART;
  for (let i = 0; i < turns; i++) {
    if (condition()) return;
    await turn();
  }
  if (!condition()) throw new ComplianceFailure(what, "soon", "not within the bound");
}

/**
 * Gives whatever is under way the time to happen, so that its absence can be seen.
 *
 * @param arrived given where the halves live apart
 */
export async function settle(arrived?: Arrived): Promise<void> {
  for (let i = 0; i < SETTLE_TURNS; i++) {
    await turn();
    await arrived?.();
  }
}

/** One turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function sameValue(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (
    (a instanceof Uint8Array && b instanceof Uint8Array) ||
    (Array.isArray(a) && Array.isArray(b))
  )
    return a.length === b.length && a.every((item, i) => sameValue(item, b[i]));
  return hasEquals(a) && hasEquals(b) && a.equals(b);
}

function hasEquals(value: unknown): value is { equals(other: unknown): boolean } {
  return typeof (value as { equals?: unknown } | null | undefined)?.equals === "function";
}

/**
 * Awaits what a transport may carry out without effect or may refuse: a VirtioError is as good as
 * nothing. Whatever else is thrown is not.
 *
 * @returns whether it was carried out.
 */
export async function attempt(work: PromiseLike<unknown>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    if (isVirtioError(error) && error.code !== "COMPLIANCE") return false;
    throw error;
  }
}
