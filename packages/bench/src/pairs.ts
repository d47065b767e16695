/**
 * Paired measurement. The machine's speed may change for seconds at a time, so each slice of ours
 * stands between two slices of the reference; a pair whose reference drifted is dropped, and only
 * the ratio counts.
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
}

const PAIRS = 12;
const ATTEMPTS = 60;
const DRIFT = 0.12;
const SLICE_NANOSECONDS = 8e6;
const WARM_UP_SLICES = 12;

/** Measures `ours` against `reference` with that many round trips outstanding. */
export async function measurePairs(
  ours: Subject,
  reference: Subject,
  outstanding: number,
): Promise<Paired> {
  const ourRounds = await calibrate(ours, outstanding);
  const theirRounds = await calibrate(reference, outstanding);
  const ratios: number[] = [];
  const times: number[] = [];
  let before = await reference.slice(outstanding, theirRounds);
  for (let attempt = 0; attempt < ATTEMPTS && ratios.length < PAIRS; attempt++) {
    const time = await ours.slice(outstanding, ourRounds);
    const after = await reference.slice(outstanding, theirRounds);
    const theirs = (before + after) / 2;
    if (Math.abs(before - after) <= DRIFT * theirs) {
      ratios.push(time / theirs);
      times.push(time);
    }
    before = after;
  }
  const ratio = quantile(ratios, 0.5);
  return {
    nanoseconds: quantile(times, 0.5),
    ratio,
    spread: (quantile(ratios, 0.75) - quantile(ratios, 0.25)) / 2 / ratio,
    pairs: ratios.length,
  };
}

/** How many rounds make a slice, after warming up. */
async function calibrate(subject: Subject, outstanding: number): Promise<number> {
  let rounds = 64;
  for (let i = 0; i < WARM_UP_SLICES; i++) {
    const time = await subject.slice(outstanding, rounds);
    rounds = Math.max(16, Math.round(SLICE_NANOSECONDS / (time * outstanding)));
  }
  return rounds;
}

/** The value below which that share of the values lies; NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
