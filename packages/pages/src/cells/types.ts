/** What a cell is, and what it works with. */
import type { Look } from "../look.ts";
import type { Sitting } from "../sitting.ts";

/** What a cell is given. */
export interface Bench {
  /** Opens a page at an address of the workbench, such as `#maps`; closed when the cell ends. */
  open(hash: string, look?: Look): Promise<Sitting>;
  /** The folder of the site. */
  readonly site: string;
  /** Keeps a picture under this name, where pictures are wanted. */
  picture(name: string, png: Uint8Array): void;
  /** A folder for files, which goes when the cell ends. */
  scratch(): string;
  /** Starts a server of the site of one's own; ended when the cell ends. */
  serve(): Promise<{ readonly url: string; close(): Promise<void> }>;
}

/** One thing that is checked of the pages. */
export interface Cell {
  /** Its name. */
  readonly name: string;
  /** What it checks. */
  readonly checks: string;
  /**
   * Runs it, and answers what is worth to be told.
   *
   * @throws Error with what does not hold
   */
  readonly run: (bench: Bench) => Promise<readonly string[]>;
}
