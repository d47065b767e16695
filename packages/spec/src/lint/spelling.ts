/** How near two names are. */

const MOST_EDITS = 2;
/** How many names are compared in all: hostile sources have more than anybody would wait for. */
const MOST_COMPARISONS = 1_000_000;

/** Looks names up that are nearly the same; gives up, and finds nothing, after so many comparisons. */
export class Spelling {
  #left = MOST_COMPARISONS;

  /** The name among `names` that takes the fewest edits; `undefined` when all take more than `most`. */
  nearest(name: string, names: Iterable<string>, most = MOST_EDITS): string | undefined {
    let best: string | undefined;
    let least = most + 1;
    for (const candidate of names) {
      if (this.#left <= 0) break;
      this.#left -= 1;
      if (Math.abs(candidate.length - name.length) >= least || candidate === name) continue;
      const edits = editsBetween(name, candidate, least);
      if (edits < least) [best, least] = [candidate, edits];
    }
    return best;
  }
}

/** The insertions, deletions and substitutions from one to the other; `limit` when it takes more. */
function editsBetween(from: string, to: string, limit: number): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    let low = i;
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1] ? 0 : 1;
      const edits = Math.min((row[j - 1] ?? 0) + same, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
      next.push(edits);
      low = Math.min(low, edits);
    }
    if (low >= limit) return limit;
    row = next;
  }
  return row[to.length] ?? limit;
}
