/** A machine that speaks the qtest protocol: what QEMU is in its place. */
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What is behind addresses or ports. */
export interface Space {
  read(at: number, size: number): number;
  write(at: number, size: number, value: number): void;
}

/** Bytes that read back, 0 at first. */
export function plainSpace(): Space {
  const bytes = new Map<number, number>();
  return {
    read: (at, size) => {
      let value = 0;
      for (let i = size; i-- > 0; ) value = value * 256 + (bytes.get(at + i) ?? 0);
      return value;
    },
    write: (at, size, value) => {
      for (let i = 0; i < size; i++) bytes.set(at + i, Math.floor(value / 256 ** i) % 256);
    },
  };
}

const SIZES: Readonly<Record<string, number>> = { b: 1, w: 2, l: 4 };
/** An access; a write has a value. */
const ACCESS = /^(read|write|in|out)([bwl]) (0x[0-9a-f]+)(?: (0x[0-9a-f]+))?$/;

/** A server with one connection. */
export class QtestPeer {
  /** The commands that came. */
  readonly commands: string[] = [];
  /** What is answered instead, by command; nothing at all for `undefined`. */
  script: ((command: string) => string | undefined) | undefined;
  /** The two spaces. */
  memory: Space = plainSpace();
  ports: Space = plainSpace();
  /** The client's end. */
  readonly socket: Socket;
  readonly #folder: string;
  readonly #server: Server;
  readonly #own: Socket;
  #rest = "";

  private constructor(folder: string, server: Server, socket: Socket, own: Socket) {
    this.#folder = folder;
    this.#server = server;
    this.socket = socket;
    this.#own = own;
    own.on("error", () => own.destroy());
    own.on("data", (bytes: Buffer) => {
      const lines = `${this.#rest}${bytes}`.split("\n");
      this.#rest = lines.pop() ?? "";
      for (const line of lines) this.#take(line);
    });
  }

  static async start(): Promise<QtestPeer> {
    const folder = mkdtempSync(join(tmpdir(), "qtest-"));
    const path = join(folder, "a.sock");
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const connected = new Promise<Socket>((resolve) => server.once("connection", resolve));
    const socket = connect(path);
    return new QtestPeer(folder, server, socket, await connected);
  }

  /** Says anything. */
  say(text: string | Uint8Array): void {
    this.#own.write(text);
  }

  /** Says that an intercepted line goes up or down. */
  line(number: number, high: boolean): void {
    this.say(`IRQ ${high ? "raise" : "lower"} ${number}\n`);
  }

  hangUp(): void {
    this.#own.destroy();
  }

  async stop(): Promise<void> {
    this.#own.destroy();
    this.socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #take(command: string): void {
    this.commands.push(command);
    const answer = this.script === undefined ? this.#usual(command) : this.script(command);
    if (answer !== undefined) this.say(`${answer}\n`);
  }

  #usual(command: string): string {
    if (command.startsWith("irq_intercept_in ")) return "OK";
    const [, verb, letter = "", at, value] = ACCESS.exec(command) ?? [];
    const size = SIZES[letter];
    if (size === undefined) return "FAIL Unknown command";
    const space = verb === "in" || verb === "out" ? this.ports : this.memory;
    if (verb === "write" || verb === "out") {
      if (value === undefined) return "FAIL no value";
      space.write(Number(at), size, Number(value));
      return "OK";
    }
    const digits = verb === "in" ? 4 : 16;
    return `OK 0x${space.read(Number(at), size).toString(16).padStart(digits, "0")}`;
  }
}
