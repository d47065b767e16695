/** What a cell is: one of our devices under one peer, and what is to hold there. */
import type { Environment } from "../environment.ts";
import type { Recorder } from "../recorder.ts";
import type { Coverage } from "./coverage.ts";

/** What a cell is run with. */
export interface Bench {
  /** The peers. */
  readonly environment: Environment;
  /** What it draws random numbers from: the same seed gives the same ones. */
  readonly seed: number;
  /** Says how far it is, on one line. */
  readonly progress: (text: string) => void;
  /** Where to keep traces of what is served; nowhere unless asked for. */
  readonly recording: { readonly recorder?: Recorder };
  /** Keeps a guest's console for the report of a failure. */
  readonly console: (lines: readonly string[]) => void;
}

/** One cell. */
export interface Cell {
  /** Its name, unique: `linux-7-admin-vq`. */
  readonly name: string;
  /** What it needs besides QEMU, for the list of cells. */
  readonly needs: string;
  /** What it checks, in one sentence. */
  readonly checks: string;
  /** What it exercises, of what the table of the whole run has. */
  readonly covers: readonly Coverage[];
  /**
   * Runs it, and answers what is worth to be told.
   *
   * @throws Error when something does not hold; VirtioError `HOST_UNSUPPORTED` when it cannot run
   */
  run(bench: Bench): Promise<readonly string[]>;
}

/**
 * Checks what is to hold.
 *
 * @throws Error with this message when it does not
 */
export function expect(holds: boolean, message: string): asserts holds {
  if (!holds) throw new Error(message);
}

/** Waits until something holds, looking again whenever the event loop turns. */
export async function until(
  holds: () => boolean,
  what: string,
  milliseconds: number,
): Promise<void> {
  const end = performance.now() + milliseconds;
  while (!holds()) {
    expect(performance.now() < end, `${what}: not within ${milliseconds / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
