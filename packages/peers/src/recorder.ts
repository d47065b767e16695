/** Traces of what devices of ours had to do in a cell, a file for each of their clients. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { TraceFile, type TraceFileHeader } from "@virtio-admin/fixtures";

/** Makes the files of one cell: `CELL.jsonl`, `CELL-2.jsonl` and so on. */
export class Recorder {
  readonly #folder: string;
  readonly #cell: string;
  readonly #progress: (text: string) => void;
  #files = 0;

  /** `progress` hears of a file that ends before its device does. */
  constructor(folder: string, cell: string, progress: (text: string) => void) {
    mkdirSync(folder, { recursive: true });
    this.#folder = folder;
    this.#cell = cell;
    this.#progress = progress;
  }

  /** Where the next file is. */
  path(): string {
    const number = ++this.#files;
    return join(this.#folder, `${this.#cell}${number === 1 ? "" : `-${number}`}.jsonl`);
  }

  /** Makes the next file. */
  open(header: TraceFileHeader): TraceFile {
    const file = this.path();
    return new TraceFile(file, header, (why) => this.#progress(`${file} ends here: ${why}`));
  }
}
