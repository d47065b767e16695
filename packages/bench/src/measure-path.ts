/**
 * Measures one path, in a process that has seen no other: a program of a user's uses one ring format
 * and one transport too, and what an engine has seen of others would slow it down. C comes first,
 * as v86 brings a whole emulator along.
 */
import { type CProgram, cReference } from "./c-twin.ts";
import { handReference } from "./hand-ring.ts";
import {
  LONG_SLICES,
  measurePairs,
  type Paired,
  PLAIN_SLICES,
  quantile,
  SHORT_SLICES,
} from "./pairs.ts";
import { PATHS } from "./paths.ts";
import { v86Reference } from "./v86-queue.ts";

/** How many round trips are outstanding at a time. */
export const OUTSTANDING: readonly number[] = [1, 32, 128];

/** Our time ÷ theirs, and how far from that others were found ÷ it. */
export interface Ratio {
  readonly ratio: number;
  readonly spread: number;
}

/** One row of the report; `over_x` is `null` where there is no reference. */
export interface Row {
  readonly path: string;
  readonly outstanding: number;
  readonly ns: number;
  readonly over_c: Ratio | null;
  readonly over_hand: Ratio | null;
  readonly over_v86: Ratio | null;
  /** Paths with members: against the same commands to a group of one. */
  readonly over_one: Ratio | null;
  /** The program in C, and how long a round trip of it took at its shortest. */
  readonly c_program: CProgram;
  readonly c_ns: number | null;
}

function ratioOf(paired: Paired | undefined): Ratio | null {
  return paired === undefined ? null : { ratio: paired.ratio, spread: paired.spread };
}

/**
 * The rows of several processes that measured the same path, as one. An engine does not compile a
 * program the same way twice: processes differ by more than the slices within one, and that is in
 * the spread.
 */
export function combined(processes: readonly (readonly Row[])[]): readonly Row[] {
  const [first = []] = processes;
  return first.map((row, i) => {
    const all = processes.flatMap((rows) => rows[i] ?? []);
    const shortest = all.flatMap(({ c_ns }) => c_ns ?? []);
    return {
      ...row,
      ns: quantile(
        all.map(({ ns }) => ns),
        0.5,
      ),
      over_c: combinedRatio(all.map(({ over_c }) => over_c)),
      over_hand: combinedRatio(all.map(({ over_hand }) => over_hand)),
      over_v86: combinedRatio(all.map(({ over_v86 }) => over_v86)),
      over_one: combinedRatio(all.map(({ over_one }) => over_one)),
      c_ns: shortest.length === 0 ? null : Math.min(...shortest),
    };
  });
}

function combinedRatio(found: readonly (Ratio | null)[]): Ratio | null {
  const all = found.filter((one) => one !== null);
  const ratios = all.map(({ ratio }) => ratio);
  if (ratios.length === 0) return null;
  const ratio = quantile(ratios, 0.5);
  const within = quantile(
    all.map(({ spread }) => spread),
    0.5,
  );
  const between = Math.max(...ratios.map((one) => Math.abs(one - ratio))) / ratio;
  return { ratio, spread: Math.max(within, between) };
}

/** How long a round trip of a program in C takes at its shortest: see {@link shortestOf}. */
export type Shortest = Readonly<Record<string, number>>;

/** The shortest times that rows tell of, by program and number outstanding. */
export function shortestOf(rows: readonly Row[]): Shortest {
  const found: Record<string, number> = {};
  for (const { c_program, c_ns, outstanding } of rows) {
    const key = `${c_program} ${outstanding}`;
    if (c_ns !== null) found[key] = Math.min(c_ns, found[key] ?? c_ns);
  }
  return found;
}

/**
 * Measures the path of this name.
 *
 * @param shortest what paths before this one found
 */
export async function measurePath(name: string, shortest: Shortest): Promise<readonly Row[]> {
  const subject = await PATHS[name]?.();
  if (subject === undefined) throw new Error(`no path ${name}`);
  const { format = "split" } = subject;
  const c = cReference(format);
  const plan = format === "two-threads" ? LONG_SLICES : PLAIN_SLICES;
  const toC: (Paired | undefined)[] = [];
  const toOne: (Paired | undefined)[] = [];
  for (const outstanding of OUTSTANDING) {
    const least = shortest[`${format} ${outstanding}`];
    toC.push(
      typeof c === "string" ? undefined : await measurePairs(subject, c, outstanding, plan, least),
    );
    const { baseline } = subject;
    toOne.push(baseline && (await measurePairs(subject, baseline, outstanding, SHORT_SLICES)));
  }
  // The two in JavaScript play both halves in one thread.
  const alone = format !== "two-threads";
  const hand = alone ? handReference() : undefined;
  const v86 = alone ? await v86Reference() : undefined;
  const rows: Row[] = [];
  for (const [i, outstanding] of OUTSTANDING.entries()) {
    const toHand = hand && (await measurePairs(subject, hand, outstanding));
    const toV86 = v86 && (await measurePairs(subject, v86, outstanding));
    const [ofC, ofOne] = [toC[i], toOne[i]];
    rows.push({
      path: subject.path,
      outstanding,
      ns: (ofC ?? toV86)?.nanoseconds ?? Number.NaN,
      over_c: ratioOf(ofC),
      over_hand: ratioOf(toHand),
      over_v86: ratioOf(toV86),
      over_one: ratioOf(ofOne),
      c_program: format,
      c_ns: ofC?.reference ?? null,
    });
  }
  await subject.close?.();
  return rows;
}
