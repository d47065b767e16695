/** A machine that speaks the qtest protocol over a socket, for the client's tests: RAM and ports. */
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { QtestClient, type QtestClientOptions } from "../src/qtest/client.ts";

const SIZES: Readonly<Record<string, number>> = { b: 1, w: 2, l: 4 };

/** A machine, and a client of it. */
export interface Rig {
  readonly client: QtestClient;
  /** What the client sent, line by line. */
  readonly heard: readonly string[];
  /** What the machine answers, instead of what a machine would; `undefined` for nothing. */
  answer: ((line: string) => string | undefined) | undefined;
  /** Says something to the client, without an end. */
  say(text: string): void;
  /** Hangs up on the client. */
  hangUp(): void;
  close(): Promise<void>;
}

export async function makeRig(options?: QtestClientOptions): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), "qtest-"));
  const path = join(folder, "socket");
  const heard: string[] = [];
  const bytes = new Map<string, number>();
  const server = createServer();
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const own = connect(path);
  const peer = await accepted;
  const client = new QtestClient(own, options);
  const rig: Rig = {
    client,
    heard,
    answer: undefined,
    say: (text) => void peer.write(text),
    hangUp: () => peer.destroy(),
    close: async () => {
      await client.close();
      peer.destroy();
      await new Promise((resolve) => server.close(resolve));
      rmSync(folder, { recursive: true });
    },
  };
  let rest = "";
  peer.on("error", () => undefined);
  peer.on("data", (data: Buffer) => {
    const lines = (rest + data.toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      heard.push(line);
      const answer = rig.answer === undefined ? serve(bytes, line) : rig.answer(line);
      if (answer !== undefined) peer.write(`${answer}\n`);
    }
  });
  return rig;
}

/** Reads and writes little-endian, as the protocol has it on the machines that are tried. */
function serve(bytes: Map<string, number>, line: string): string {
  const [, verb = "", suffix = "", at = "", value] =
    /^(read|write|in|out)([bwl]) (0x[0-9a-f]+)(?: (0x[0-9a-f]+))?$/.exec(line) ?? [];
  const size = SIZES[suffix];
  if (size === undefined)
    return line.startsWith("irq_intercept_in ") ? "OK" : "FAIL Unknown command";
  const space = verb === "in" || verb === "out" ? "port" : "memory";
  const places = Array.from({ length: size }, (_, i) => `${space} ${Number(at) + i}`);
  if (value !== undefined) {
    places.forEach((place, i) => {
      bytes.set(place, Math.floor(Number(value) / 2 ** (8 * i)) % 256);
    });
    return "OK";
  }
  const read = places.reduceRight((sum, place) => sum * 256 + (bytes.get(place) ?? 0), 0);
  return `OK 0x${read.toString(16).padStart(16, "0")}`;
}
