/** What becomes of a layout from one revision to the next, and what that means for who knows the other. */

/**
 * What a change means: `breaking`, a driver or a device that knows one revision fails with one that knows the
 * other; `behavioural`, it works and something that it can see is otherwise; `compatible`, only who asked for
 * the new finds it; `editorial`, no byte is otherwise.
 */
export const CHANGE_CLASSES = ["breaking", "behavioural", "compatible", "editorial"] as const;

/** A class of {@link CHANGE_CLASSES}, the gravest first. */
export type ChangeClass = (typeof CHANGE_CLASSES)[number];

/** One change. */
export interface LayoutChange {
  /** What it means. */
  readonly class: ChangeClass;
  /** Where, by names: `virtio_mmio_admin.AdminQueueIndex.offset`. */
  readonly path: string;
  /** What became of it. */
  readonly what: "added" | "removed" | "changed" | "renamed";
  /** What it was; absent when there was none. */
  readonly before?: string;
  /** What it is; absent when there is none any more. */
  readonly after?: string;
  /** Why it has this class. */
  readonly reason: string;
}

/** The gravest class among the changes, or `undefined` when there is none. */
export function gravest(changes: readonly LayoutChange[]): ChangeClass | undefined {
  return CHANGE_CLASSES.find((each) => changes.some((change) => change.class === each));
}

/** True when a change is of that class, or of a graver one. */
export function isAtLeast(changes: readonly LayoutChange[], limit: ChangeClass): boolean {
  const worst = gravest(changes);
  return worst !== undefined && CHANGE_CLASSES.indexOf(worst) <= CHANGE_CLASSES.indexOf(limit);
}

/** Gathers changes. */
export class Changes {
  /** In the order in which they were met. */
  readonly list: LayoutChange[] = [];

  /** Adds a change from one value to another. */
  changed(
    path: string,
    before: string | undefined,
    after: string | undefined,
    verdict: Verdict,
  ): void {
    const [found, reason] = verdict;
    this.list.push({
      class: found,
      path,
      what: before === undefined ? "added" : after === undefined ? "removed" : "changed",
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { after }),
      reason,
    });
  }

  /** Adds a name that changed; where the description did too, nobody but a reader knows what is meant. */
  renamed(path: string, before: string, after: string, isSameMeaning: boolean): void {
    this.list.push({
      class: isSameMeaning ? "editorial" : "behavioural",
      path,
      what: "renamed",
      before,
      after,
      reason: isSameMeaning
        ? "the bytes are the same; only what speaks of them by name is otherwise"
        : "the bytes are the same, name and description are not: whether they mean the same is to be read",
    });
  }
}

/** A class, and why. */
export type Verdict = readonly [ChangeClass, string];
