/**
 * The client of QEMU's qtest protocol: commands as lines, one answer for each in their order, and
 * between the answers what intercepted interrupt lines do.
 *
 * Bounds: so many commands without an answer, an answer of so many characters, and so long a wait
 * for each. A peer that breaks them, or says what is no answer, loses its connection.
 */
import type { Socket } from "node:net";
import { VirtioError } from "@virtio-admin/core";
import { LINE_LIMIT, LineCutter } from "../guest/lines.ts";

/** The size of an access, in bytes. */
export type AccessSize = 1 | 2 | 4;

/** An intercepted interrupt line that went up or down. */
export type LineListener = (line: number, high: boolean) => void;

/** What a client may be told. */
export interface QtestClientOptions {
  /** How long an answer may take, in milliseconds; 10000 unless given. */
  readonly timeout?: number;
}

interface Pending {
  readonly command: string;
  readonly deadline: number;
  readonly resolve: (answer: string) => void;
  readonly reject: (error: VirtioError) => void;
}

const DEFAULT_TIMEOUT = 10_000;
/** How many commands may wait for their answers. */
const PENDING_LIMIT = 4096;
const SUFFIX: Readonly<Record<AccessSize, string>> = { 1: "b", 2: "w", 4: "l" };
const ADDRESS_LIMIT = 2 ** 53;
const PORT_LIMIT = 2 ** 16;
const INTERRUPT = /^IRQ (raise|lower) (\d{1,9})$/;
const HEX = /^0x[0-9a-f]{1,16}$/i;

/** A machine under qtest, as whoever drives it sees it. */
export class QtestClient {
  /** Resolves when the connection is gone: with why, or nothing when {@link close} was called. */
  readonly closed: Promise<VirtioError | undefined>;
  /** Called for intercepted lines; it does not throw. */
  onLine: LineListener | undefined;

  readonly #socket: Socket;
  readonly #timeout: number;
  /** Those that wait, the oldest first. */
  readonly #pending: Pending[] = [];
  #timer: NodeJS.Timeout | undefined;
  #failure: VirtioError | undefined;
  #resolveClosed: (reason: VirtioError | undefined) => void = () => {};

  /** Takes over a connection. */
  constructor(socket: Socket, { timeout = DEFAULT_TIMEOUT }: QtestClientOptions = {}) {
    this.#socket = socket;
    this.#timeout = timeout;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    const cutter = new LineCutter((line) => this.#receive(line));
    socket.on("data", (bytes: Buffer) => {
      if (this.#failure === undefined) cutter.push(bytes);
    });
    socket.on("error", (cause) => this.#end(lost("the connection is lost", cause)));
    socket.on("close", () => this.#end(lost("the peer has hung up")));
  }

  /**
   * Reads memory or registers.
   *
   * @throws VirtioError `VALUE_RANGE` for what is no address; `TRANSPORT` when the machine refuses
   * or is gone
   */
  read(address: number, size: AccessSize): Promise<number> {
    return this.#load("read", "address", address, size, ADDRESS_LIMIT);
  }

  /** Writes memory or registers. @throws VirtioError as {@link read} */
  write(address: number, size: AccessSize, value: number): Promise<void> {
    return this.#store("write", "address", address, size, value, ADDRESS_LIMIT);
  }

  /** Reads a port. @throws VirtioError as {@link read} */
  portRead(port: number, size: AccessSize): Promise<number> {
    return this.#load("in", "port", port, size, PORT_LIMIT);
  }

  /** Writes a port. @throws VirtioError as {@link read} */
  portWrite(port: number, size: AccessSize, value: number): Promise<void> {
    return this.#store("out", "port", port, size, value, PORT_LIMIT);
  }

  /**
   * Tells {@link onLine} of the interrupt lines that go into an object of the machine from now on,
   * and keeps them from it. One object of a machine can be listened to.
   *
   * @param path where it is in QEMU's tree of objects
   */
  async interceptLines(path: string): Promise<void> {
    if (!/^[!-~]{1,256}$/.test(path)) throw invalid("the path of an object has no spaces", path);
    await this.#command(`irq_intercept_in ${path}`);
  }

  /** Hangs up; what waits for an answer rejects. */
  async close(): Promise<void> {
    this.#end(undefined);
    await this.closed;
  }

  async #load(
    verb: "read" | "in",
    what: string,
    at: number,
    size: AccessSize,
    limit: number,
  ): Promise<number> {
    checkAccess(what, at, size, limit);
    const command = `${verb}${SUFFIX[size]} ${hex(at)}`;
    const answer = await this.#command(command);
    const value = HEX.test(answer) ? Number(answer) : Number.NaN;
    if (value < 2 ** (8 * size)) return value;
    const error = lost(`no value of ${size} bytes for "${command}": ${excerpt(answer)}`);
    this.#end(error);
    throw error;
  }

  async #store(
    verb: "write" | "out",
    what: string,
    at: number,
    size: AccessSize,
    value: number,
    limit: number,
  ): Promise<void> {
    checkAccess(what, at, size, limit);
    if (!(Number.isInteger(value) && value >= 0 && value < 2 ** (8 * size))) {
      throw invalid(`a value of ${size} bytes is needed`, value);
    }
    await this.#command(`${verb}${SUFFIX[size]} ${hex(at)} ${hex(value)}`);
  }

  /** Sends at once, so that commands go out in the order of the calls. */
  #command(command: string): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#pending.length >= PENDING_LIMIT) throw lost("too many commands are outstanding");
      const deadline = performance.now() + this.#timeout;
      this.#pending.push({ command, deadline, resolve, reject });
      if (this.#timer === undefined) this.#await(this.#timeout);
      this.#socket.write(`${command}\n`);
    });
  }

  #receive(line: string): void {
    if (this.#failure !== undefined) return;
    if (line.length >= LINE_LIMIT) {
      this.#end(lost("a line without an end"));
      return;
    }
    const interrupt = INTERRUPT.exec(line);
    if (interrupt !== null) {
      this.onLine?.(Number(interrupt[2]), interrupt[1] === "raise");
      return;
    }
    const [word = "", ...rest] = line.split(" ");
    const answer = rest.join(" ");
    const oldest = this.#pending[0];
    if (oldest === undefined || (word !== "OK" && word !== "FAIL")) {
      this.#end(lost(`no answer to any command: ${excerpt(line)}`));
      return;
    }
    this.#pending.shift();
    if (word === "OK") oldest.resolve(answer);
    else oldest.reject(lost(`"${oldest.command}" failed: ${excerpt(answer)}`));
  }

  /** One timer for all: answers come in order, so the oldest command is late first. */
  #await(milliseconds: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const oldest = this.#pending[0];
      if (oldest === undefined) return;
      const left = oldest.deadline - performance.now();
      if (left > 0) this.#await(Math.ceil(left));
      else this.#end(lost(`"${oldest.command}" was not answered in ${this.#timeout} ms`));
    }, milliseconds);
  }

  #end(reason: VirtioError | undefined): void {
    if (this.#failure !== undefined) return;
    this.#failure = reason ?? lost("it is closed");
    clearTimeout(this.#timer);
    this.#socket.destroy();
    for (const { reject } of this.#pending.splice(0)) reject(this.#failure);
    this.#resolveClosed(reason);
  }
}

function checkAccess(what: string, at: number, size: AccessSize, limit: number): void {
  if (!Object.hasOwn(SUFFIX, size)) throw invalid("an access is of 1, 2 or 4 bytes", size);
  if (!(Number.isInteger(at) && at >= 0 && at <= limit - size)) throw invalid(`no ${what}`, at);
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

function excerpt(text: string): string {
  const printable = text.replace(/[^ -~]/g, "?");
  return printable.length > 64 ? `${printable.slice(0, 64)}…` : printable;
}

function invalid(message: string, value: unknown): VirtioError {
  return new VirtioError("VALUE_RANGE", { message, path: "qtest", value });
}

function lost(message: string, cause?: unknown): VirtioError {
  return new VirtioError("TRANSPORT", {
    message,
    path: "qtest",
    ...(cause === undefined ? {} : { cause }),
  });
}
