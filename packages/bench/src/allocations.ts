/**
 * What a command leaves on the heap, when a collection can be forced: the growth over many commands
 * that were carried out without any collection between them.
 */
import { type CommandSubjects, commandSubjects } from "./admin-paths.ts";

/** Bytes that were allocated for one command. */
export interface AllocatedBytes {
  /** The path. */
  readonly path: string;
  /** Bytes for one command; the path that allocates nothing has a fraction of one. */
  readonly bytes: number;
}

const OUTSTANDING = 32;
const WARM_UP_ROUNDS = 4000;
/** The new space has megabytes: so many commands that allocate a byte each fill no part of it. */
const ROUNDS = 2000;
const RUNS = 7;

/** Measures every path below the promises; `undefined` without `--expose-gc`. */
export function measureAllocations(): readonly AllocatedBytes[] | undefined {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) return undefined;
  const subjects: CommandSubjects = commandSubjects();
  return Object.entries(subjects).map(([path, run]) => {
    run(OUTSTANDING, WARM_UP_ROUNDS);
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < RUNS; i++) {
      gc();
      const before = process.memoryUsage().heapUsed;
      run(OUTSTANDING, ROUNDS);
      const grown = process.memoryUsage().heapUsed - before;
      // A collection in between makes it shrink, and says nothing.
      if (grown >= 0) least = Math.min(least, grown);
    }
    return { path, bytes: least / (OUTSTANDING * ROUNDS) };
  });
}
