/// <reference lib="esnext.disposable" preserve="true" />
/** How a thing is let go of, and the error of those that could not be. */
import { VirtioError } from "../errors.ts";

/** Lets go of a thing that was made. It may fail; a promise that it returns is waited for. */
export type LetGo<T> = (made: T) => unknown;

// A browser may not have these symbols yet; `undefined` would be the name of a method like any other.
const DISPOSE: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for("Symbol.dispose");
/** `Symbol.asyncDispose`, where there is one. */
export const ASYNC_DISPOSE: typeof Symbol.asyncDispose =
  Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose");

/**
 * How a thing says that it is let go of: `Symbol.asyncDispose`, `Symbol.dispose`, or the
 * `dispose()` that tsyringe knows; `undefined` when it says nothing.
 */
export function letGoOf<T>(made: T): LetGo<T> | undefined {
  if ((typeof made !== "object" && typeof made !== "function") || made === null) return undefined;
  const ways = made as { readonly [way in string | symbol]?: unknown };
  const way = [ASYNC_DISPOSE, DISPOSE, "dispose"].find((each) => typeof ways[each] === "function");
  if (way === undefined) return undefined;
  return () => (ways[way] as () => unknown).call(made);
}

/** What failed while a scope was disposed of; all else of the scope is let go of. */
export class DisposalError extends VirtioError {
  /** The name that stands before the message in a stack trace. */
  override readonly name: string = "DisposalError";
  /** What each of them threw, in the order in which they were let go of; at least one. */
  readonly errors: readonly unknown[];

  /** Made when a scope is disposed of. */
  constructor(errors: readonly unknown[]) {
    const reasons = errors.map(reasonOf);
    super("DISPOSAL", {
      path: "scope",
      message: `${errors.length} of its parts could not be let go of: ${reasons.join("; ")}`,
      hint: "all others are; see errors",
      cause: errors[0],
    });
    this.errors = errors;
  }
}

/** What somebody threw, for people. */
export function reasonOf(error: unknown): string {
  if (error instanceof Error) return error.message;
  try {
    return String(error);
  } catch {
    return "something that has no words";
  }
}
