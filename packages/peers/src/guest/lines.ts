/** What a guest says on a serial line: lines, and among them results. */
import { RESULT_MARK } from "./initramfs.ts";

/** A line of results: a name, and what it says as `key=value`. */
export interface GuestResult {
  /** Which result. */
  readonly name: string;
  /** Its fields. A value goes to the next word that has a `=`; it may have spaces. */
  readonly fields: Readonly<Record<string, string>>;
}

/** The longest line; the rest of a longer one is a line of its own. */
export const LINE_LIMIT = 4096;

/** Cuts what comes in into lines, without their ends. */
export class LineCutter {
  readonly #take: (line: string) => void;
  readonly #decoder = new TextDecoder();
  #rest = "";

  /** `take` is called with every line. */
  constructor(take: (line: string) => void) {
    this.#take = take;
  }

  /** Takes bytes in. */
  push(bytes: Uint8Array): void {
    this.#rest += this.#decoder.decode(bytes, { stream: true });
    let from = 0;
    for (let to = this.#rest.indexOf("\n"); to >= 0; to = this.#rest.indexOf("\n", from)) {
      this.#take(this.#rest.slice(from, to).replace(/\r+$/, ""));
      from = to + 1;
    }
    this.#rest = this.#rest.slice(from);
    while (this.#rest.length > LINE_LIMIT) {
      this.#take(this.#rest.slice(0, LINE_LIMIT));
      this.#rest = this.#rest.slice(LINE_LIMIT);
    }
  }

  /** No more bytes come: what is left is a line too. */
  end(): void {
    if (this.#rest !== "") this.#take(this.#rest);
    this.#rest = "";
  }
}

/** Reads a line of results; `undefined` for any other line. */
export function parseResult(line: string): GuestResult | undefined {
  const mark = `${RESULT_MARK} `;
  if (!line.startsWith(mark)) return undefined;
  const [name, ...words] = line.slice(mark.length).split(" ");
  if (name === undefined || !/^[a-z][a-z0-9-]*$/.test(name)) return undefined;
  const fields: Record<string, string> = {};
  let key: string | undefined;
  for (const word of words) {
    const at = word.search("=");
    if (at > 0) {
      key = word.slice(0, at);
      fields[key] = word.slice(at + 1);
    } else if (key !== undefined) fields[key] += ` ${word}`;
  }
  return { name, fields };
}

/** Results in the order in which they come, each awaited by its name. */
export class ResultQueue {
  readonly #waiting = new Set<() => void>();
  readonly #results: GuestResult[] = [];
  #ended: string | undefined;

  /** Takes a result in. */
  push(result: GuestResult): void {
    this.#results.push(result);
    this.#wake();
  }

  /** No more results come; `why` is told to whoever waits. */
  end(why: string): void {
    this.#ended ??= why;
    this.#wake();
  }

  /**
   * The next result of this name; those before it are passed over, but for `failed`, which is what
   * a guest says when a step of its script failed.
   *
   * @throws Error when the guest says `failed`, does not say it in time, or has ended before
   */
  next(name: string, milliseconds: number): Promise<GuestResult> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        this.#waiting.delete(look);
        clearTimeout(timer);
      };
      const look = (): void => {
        for (let result = this.#results.shift(); result; result = this.#results.shift()) {
          if (result.name !== name && result.name !== "failed") continue;
          done();
          if (result.name === name) resolve(result);
          else reject(new Error(`the guest says that ${result.fields["what"]} failed`));
          return;
        }
        if (this.#ended === undefined) return;
        done();
        reject(new Error(`${this.#ended} before it said "${name}"`));
      };
      const timer = setTimeout(() => {
        done();
        reject(new Error(`the guest did not say "${name}" within ${milliseconds / 1000} s`));
      }, milliseconds);
      this.#waiting.add(look);
      look();
    });
  }

  #wake(): void {
    for (const look of [...this.#waiting]) look();
  }
}
