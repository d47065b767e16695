/** What the command says: text for people, or one JSON document; a progress line when it takes long. */
import process from "node:process";
import { createColors } from "picocolors";

/** How long something takes before a progress line appears, in milliseconds. */
const PATIENCE = 1000;

/** Where a command writes to. */
export interface Streams {
  /** Takes text for standard output. */
  readonly out: (text: string) => void;
  /** Takes text for standard error. */
  readonly err: (text: string) => void;
  /** Whether standard error is a terminal: only then is there a progress line. */
  readonly interactive: boolean;
  /** Whether to colour. */
  readonly colour: boolean;
}

/** The streams of this process. */
export function processStreams(): Streams {
  const { stdout, stderr, env } = process;
  return {
    out: (text) => stdout.write(text),
    err: (text) => stderr.write(text),
    interactive: stderr.isTTY === true,
    colour: stdout.isTTY === true && env["NO_COLOR"] === undefined,
  };
}

/** The output of one run of the command. */
export class Output {
  /** True when the run answers with one JSON document instead of text. */
  readonly json: boolean;
  /** Colours, or functions that leave text as it is. */
  readonly colours: ReturnType<typeof createColors>;
  readonly #streams: Streams;
  readonly #started = Date.now();
  #progressShown = false;

  /** Writes to `streams`. */
  constructor(streams: Streams, json: boolean) {
    this.json = json;
    this.#streams = streams;
    this.colours = createColors(streams.colour && !json);
  }

  /** A line of text; nothing when the run answers with JSON. */
  line(text = ""): void {
    if (this.json) return;
    this.#clearProgress();
    this.#streams.out(`${text}\n`);
  }

  /** The JSON document that a run with `--json` answers with. */
  document(value: unknown): void {
    if (this.json) this.#streams.out(`${JSON.stringify(value, null, 2)}\n`);
  }

  /** Something that happened: a line of text, or of JSON. No text: it is said otherwise. */
  event(text: string | undefined, value: unknown): void {
    if (this.json) this.#streams.out(`${JSON.stringify(value)}\n`);
    else if (text !== undefined) this.line(text);
  }

  /** A line of a trace: on standard error, so that it mixes with no answer. */
  trace(line: string): void {
    this.#clearProgress();
    this.#streams.err(`${line}\n`);
  }

  /** What went wrong. */
  error(text: string): void {
    this.#clearProgress();
    this.#streams.err(`${text}\n`);
  }

  /** What is going on, once the run has taken a second. */
  progress(text: string): void {
    if (!this.#streams.interactive || Date.now() - this.#started < PATIENCE) return;
    this.#progressShown = true;
    this.#streams.err(`\r\u001b[K${text}`);
  }

  #clearProgress(): void {
    if (!this.#progressShown) return;
    this.#progressShown = false;
    this.#streams.err("\r\u001b[K");
  }
}
