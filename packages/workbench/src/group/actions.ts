/**
 * What a reader did to a group, as an address has it: `v2.7,u3` gave member 2 seven vectors, and
 * brought member 3 up. Whoever opens the address does it all again, on devices of their own.
 */
import type { Bench, Outcome } from "./bench.ts";

/** One thing that can be done. */
export type Action =
  | { readonly do: "add" }
  | { readonly do: "reset-owner" }
  | { readonly do: "remove" | "use" | "reset"; readonly member: number }
  | { readonly do: "vectors"; readonly member: number; readonly vectors: number }
  | {
      readonly do: "feature";
      readonly member: number;
      readonly bit: number;
      readonly on: boolean;
    };

/** The most actions that an address has; later ones are done, and not remembered. */
export const MOST_ACTIONS = 100;

const LETTERS = { remove: "x", use: "u", reset: "r" } as const;

/** One action in an address. */
export function formatAction(action: Action): string {
  switch (action.do) {
    case "add":
      return "a";
    case "reset-owner":
      return "o";
    case "vectors":
      return `v${action.member}.${action.vectors}`;
    case "feature":
      return `f${action.member}.${action.bit}.${action.on ? 1 : 0}`;
    default:
      return `${LETTERS[action.do]}${action.member}`;
  }
}

/** The actions of an address, at most {@link MOST_ACTIONS}; what is none is left out. */
export function parseActions(text: string): readonly Action[] {
  return text
    .split(",", MOST_ACTIONS)
    .flatMap((each) => parseAction(each))
    .slice(0, MOST_ACTIONS);
}

function parseAction(text: string): readonly Action[] {
  if (text === "a") return [{ do: "add" }];
  if (text === "o") return [{ do: "reset-owner" }];
  const [, letter, member, second, third] =
    /^([xurvf])(\d{1,4})(?:\.(\d{1,5}))?(?:\.([01]))?$/.exec(text) ?? [];
  const id = Number(member);
  if (letter === "v" && second !== undefined && third === undefined) {
    return [{ do: "vectors", member: id, vectors: Number(second) }];
  }
  const bit = Number(second);
  if (letter === "f" && third !== undefined && bit < 128) {
    return [{ do: "feature", member: id, bit, on: third === "1" }];
  }
  if (second !== undefined) return [];
  for (const each of ["remove", "use", "reset"] as const) {
    if (LETTERS[each] === letter) return [{ do: each, member: id }];
  }
  return [];
}

/** Does it, and says what came of it. */
export function perform(bench: Bench, action: Action): Promise<Outcome> {
  switch (action.do) {
    case "add":
      return bench.add();
    case "reset-owner":
      return bench.resetOwner();
    case "remove":
      return bench.remove(action.member);
    case "use":
      return bench.use(action.member);
    case "reset":
      return bench.reset(action.member);
    case "vectors":
      return bench.setVectors(action.member, action.vectors);
    case "feature":
      return bench.setFeature(action.member, action.bit, action.on);
  }
}

/** The same in words. */
export function actionWords(action: Action, featureWords: (bit: number) => string): string {
  switch (action.do) {
    case "add":
      return "add a member";
    case "reset-owner":
      return "reset the owner";
    case "remove":
      return `remove member ${action.member}`;
    case "use":
      return `bring member ${action.member} up`;
    case "reset":
      return `reset member ${action.member}`;
    case "vectors":
      return `member ${action.member}: ${action.vectors} vectors`;
    case "feature":
      return `member ${action.member}: ${featureWords(action.bit)} ${action.on ? "on" : "off"}`;
  }
}
