import { main } from "../src/main.ts";

/** What one run of the command did. */
export interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the command in this process. */
export async function run(...words: string[]): Promise<Run> {
  let out = "";
  let err = "";
  const code = await main(words, {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    interactive: false,
    colour: false,
  });
  return { code, out, err };
}
