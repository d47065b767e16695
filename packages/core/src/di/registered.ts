/** What is registered under a token, made and held to its contract. */
import { isVirtioError, VirtioError } from "../errors.ts";
import type { DependencyContainer, InjectionToken } from "./container.ts";
import type { Contract } from "./contracts.ts";
import { reasonOf } from "./disposal.ts";
import { nameOf } from "./tokens.ts";

/** Where in a host a token is looked for: `members[3].`, or nothing. */
export type Where = string;

/**
 * Something is registered; nothing is made.
 *
 * @throws VirtioError `INJECTION` otherwise
 */
export function checkRegistered(
  container: DependencyContainer,
  { token, hint }: Contract<unknown>,
  where: Where = "",
): void {
  if (container.isRegistered(token, true)) return;
  throw refusal(token, where, "nothing is registered under this token", hint);
}

/**
 * All values under a token, made in the order in which they were registered.
 *
 * @throws VirtioError `INJECTION` when one cannot be made or is not of the contract
 */
export function allOf<T>(
  container: DependencyContainer,
  contract: Contract<T>,
  where: Where = "",
): readonly T[] {
  const { token } = contract;
  if (!container.isRegistered(token, true)) return [];
  return blame(contract, where, "what is registered under this token cannot be made", () =>
    container.resolveAll(token).map((value) => heldTo(contract, value, where)),
  );
}

/**
 * The value, when it is of the contract.
 *
 * @throws VirtioError `INJECTION` when it is not
 */
export function heldTo<T>({ token, hint, fault }: Contract<T>, value: T, where: Where): T {
  const found = fault(value);
  if (found === undefined) return value;
  const message = `what stands under this token is not of its contract: ${found.why}`;
  throw refusal(token, where, message, hint, { value: found.value });
}

/** The only value under a token, or none. Throws as {@link allOf}, and when there are more. */
export function atMostOne<T>(
  container: DependencyContainer,
  contract: Contract<T>,
  where: Where = "",
): T | undefined {
  const { token, hint } = contract;
  const [value, second] = allOf(container, contract, where);
  if (second === undefined) return value;
  throw refusal(token, where, "more than one is registered under this token", hint);
}

/** The only value under a token. Throws as {@link atMostOne}, and when there is none. */
export function oneOf<T>(
  container: DependencyContainer,
  contract: Contract<T>,
  where: Where = "",
): T {
  checkRegistered(container, contract, where);
  return atMostOne(container, contract, where) as T;
}

/** Runs `work`; what it throws is laid to a token, see {@link laidTo}. */
export function blame<T>(
  contract: Contract<unknown>,
  where: Where,
  what: string,
  work: () => T,
): T {
  try {
    return work();
  } catch (error) {
    throw laidTo(contract, where, what, error);
  }
}

/** An error as one about a token, unless it is that already. */
export function laidTo(
  { token, hint }: Contract<unknown>,
  where: Where,
  what: string,
  error: unknown,
): VirtioError {
  if (isVirtioError(error, "INJECTION")) return error;
  return refusal(token, where, `${what}: ${reasonOf(error)}`, hint, { cause: error });
}

/** The error about a token. */
export function refusal(
  token: InjectionToken,
  where: Where,
  message: string,
  hint: string,
  more: { readonly value?: unknown; readonly cause?: unknown } = {},
): VirtioError {
  return new VirtioError("INJECTION", { path: `${where}${nameOf(token)}`, message, hint, ...more });
}
