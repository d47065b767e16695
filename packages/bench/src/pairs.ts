/**
 * Paired measurement. The machine's speed may change for seconds at a time, so each slice of ours
 * stands between two slices of the reference; a pair whose reference drifted is dropped, as are those
 * of slow spells, which are not slow for all programs alike, and only the ratio counts.
 */
import type { Subject } from "./subject.ts";

/** What pairs of slices gave. */
export interface Paired {
  /** Nanoseconds for one round trip of ours: the median of the pairs that count. */
  readonly nanoseconds: number;
  /** Ours ÷ the reference: the median of the pairs that count. */
  readonly ratio: number;
  /** Half the distance between the first and the third quartile of the ratio ÷ its median. */
  readonly spread: number;
  /** How many pairs count. */
  readonly pairs: number;
  /** Nanoseconds for one round trip of the reference, at its shortest. */
  readonly reference: number;
}

/** How many pairs are measured, and how long each slice takes. */
export interface PairingPlan {
  /** How many pairs are to count. */
  readonly pairs: number;
  /** How many come before, and do not. */
  readonly warmUp: number;
  /** How many are measured at most until so many count. */
  readonly attempts: number;
  /** How long a slice takes, in nanoseconds. */
  readonly slice: number;
}

/** Between threads: slices long against what waking one takes. */
export const LONG_SLICES: PairingPlan = {
  pairs: 12,
  warmUp: 2,
  attempts: 100,
  slice: 8e6,
};
/** Against another program: slices shorter than what a busy machine gives to others in between. */
export const PLAIN_SLICES: PairingPlan = {
  pairs: 30,
  warmUp: 20,
  attempts: 400,
  slice: 1e6,
};
/** Against the same program: many, as differences are small. */
export const SHORT_SLICES: PairingPlan = {
  pairs: 100,
  warmUp: 100,
  attempts: 600,
  slice: 5e5,
};

const DRIFT = 0.12;
/** A slice of the reference that takes so many times the shortest is of a slow spell. */
const SLOW = 1.2;
const WARM_UP_NANOSECONDS = 1e8;
const LEAST_ROUNDS = 4;

interface Pair {
  readonly ours: number;
  readonly theirs: number;
}

/**
 * Measures `ours` against `reference` with that many round trips outstanding.
 *
 * @param shortest how long a round trip of the reference is known to take when the machine is fast
 */
export async function measurePairs(
  ours: Subject,
  reference: Subject,
  outstanding: number,
  plan: PairingPlan = PLAIN_SLICES,
  shortest = Number.POSITIVE_INFINITY,
): Promise<Paired> {
  const ourRounds = await calibrate(ours, outstanding, plan.slice);
  const theirRounds = await calibrate(reference, outstanding, plan.slice);
  const pairs: Pair[] = [];
  let best = shortest;
  let fast = 0;
  let before = await reference.slice(outstanding, theirRounds);
  for (let attempt = 0; attempt < plan.attempts && fast < plan.pairs; attempt++) {
    const time = await ours.slice(outstanding, ourRounds);
    const after = await reference.slice(outstanding, theirRounds);
    const theirs = (before + after) / 2;
    if (attempt >= plan.warmUp && Math.abs(before - after) <= DRIFT * theirs) {
      pairs.push({ ours: time, theirs });
      // A faster one than ever may show that the others were slow.
      if (theirs < best) {
        best = theirs;
        fast = pairs.filter((pair) => isFast(pair, best)).length;
      } else if (theirs <= SLOW * best) {
        fast++;
      }
    }
    before = after;
  }
  const atFull = pairs.filter((pair) => isFast(pair, best));
  const counted = atFull.length < plan.pairs / 4 ? pairs : atFull;
  const ratios = counted.map((pair) => pair.ours / pair.theirs);
  const ratio = quantile(ratios, 0.5);
  return {
    nanoseconds: quantile(
      counted.map((pair) => pair.ours),
      0.5,
    ),
    ratio,
    spread: (quantile(ratios, 0.75) - quantile(ratios, 0.25)) / 2 / ratio,
    pairs: counted.length,
    reference: best,
  };
}

function isFast({ theirs }: Pair, best: number): boolean {
  return theirs <= SLOW * best;
}

/** How many rounds make a slice, after warming up. */
async function calibrate(subject: Subject, outstanding: number, slice: number): Promise<number> {
  let rounds = 64;
  for (let spent = 0; spent < WARM_UP_NANOSECONDS; ) {
    const time = await subject.slice(outstanding, rounds);
    spent += time * outstanding * rounds;
    rounds = Math.max(LEAST_ROUNDS, Math.round(slice / (time * outstanding)));
  }
  return rounds;
}

/** The value below which that share of the values lies; NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
