/**
 * The client of the GDB remote protocol, as far as a machine is driven with it: packets with a
 * checksum, one answer to each, and a stop that may come at any time while the machine runs.
 *
 * Bounds: one question under way, an answer of so many characters, and so long a wait for it. A
 * peer that breaks them, or says what is no answer, loses its connection.
 */
import type { Socket } from "node:net";
import { VirtioError } from "@virtio-admin/core";

/** What a client may be told. */
export interface GdbClientOptions {
  /** How long an answer may take, in milliseconds; 10000 unless given. */
  readonly timeout?: number;
}

const DEFAULT_TIMEOUT = 10_000;
const ANSWER_LIMIT = 0x10000;
const INTERRUPT = "\x03";
const PACKET = /^\$([^#$]*)#([0-9a-f]{2})/i;
/** What may become one. */
const BEGUN = /^\$[^#$]*(#[0-9a-f]?)?$/i;
const HEX = /^([0-9a-f]{2}){1,8}$/i;

interface Waiting {
  /** It is for the machine to stop, which runs until then. */
  readonly runs: boolean;
  resolve(answer: string): void;
  reject(error: unknown): void;
}

/** A machine under a debugger; every number is of 64 bits. */
export class GdbClient {
  readonly #socket: Socket;
  readonly #timeout: number;
  #received = "";
  #waiting: Waiting | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failure: VirtioError | undefined;

  private constructor(socket: Socket, timeout: number) {
    this.#socket = socket;
    this.#timeout = timeout;
    socket.on("data", (bytes: Buffer) => this.#receive(bytes.toString("latin1")));
    socket.on("error", (cause) => this.#end(lost("the connection is lost", cause)));
    socket.on("close", () => this.#end(lost("the peer has hung up")));
  }

  /**
   * Takes over a connection to a machine that is stopped.
   *
   * @throws VirtioError `TRANSPORT` when it does not speak the protocol
   */
  static async open(
    socket: Socket,
    { timeout = DEFAULT_TIMEOUT }: GdbClientOptions = {},
  ): Promise<GdbClient> {
    const client = new GdbClient(socket, timeout);
    await client.#ask("?");
    await client.#ask("qSupported");
    // Registers have their numbers once the description is read.
    await client.#ask("qXfer:features:read:target.xml:0,ffb");
    return client;
  }

  /** Reads a register. @throws VirtioError `TRANSPORT` */
  async register(number: number): Promise<bigint> {
    const answer = await this.#ask(`p${number.toString(16)}`);
    if (!HEX.test(answer)) throw lost(`no value of register ${number}: ${excerpt(answer)}`);
    return BigInt(`0x${answer}`);
  }

  /** Writes a register. @throws VirtioError `TRANSPORT` */
  async setRegister(number: number, value: bigint): Promise<void> {
    const digits = BigInt.asUintN(64, value).toString(16).padStart(16, "0");
    await this.#order(`P${number.toString(16)}=${digits}`);
  }

  /** Reads memory as the processor sees it. @throws VirtioError `TRANSPORT` where there is none */
  async readMemory(address: bigint, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const answer = await this.#ask(`m${address.toString(16)},${length.toString(16)}`);
    const bytes = Uint8Array.from(Buffer.from(answer, "hex"));
    if (bytes.length !== length) throw lost(`no ${length} bytes at ${address.toString(16)}`);
    return bytes;
  }

  /** Writes memory as the processor sees it. @throws VirtioError `TRANSPORT` where there is none */
  async writeMemory(address: bigint, bytes: Uint8Array): Promise<void> {
    const data = Buffer.from(bytes).toString("hex");
    await this.#order(`M${address.toString(16)},${bytes.length.toString(16)}:${data}`);
  }

  /** Has the machine stop before the instruction at `address`. @throws VirtioError `TRANSPORT` */
  async stopAt(address: bigint): Promise<void> {
    await this.#order(`Z0,${address.toString(16)},2`);
  }

  /** Ends {@link stopAt}. @throws VirtioError `TRANSPORT` */
  async goPast(address: bigint): Promise<void> {
    await this.#order(`z0,${address.toString(16)},2`);
  }

  /** Runs one instruction. @throws VirtioError `TRANSPORT` */
  async step(): Promise<void> {
    checkStop(await this.#ask("s"));
  }

  /**
   * Runs the machine until it stops by itself or {@link interrupt} is called; there is no limit to how
   * long that takes.
   *
   * @throws VirtioError `TRANSPORT`
   */
  async run(): Promise<void> {
    checkStop(await this.#ask("c", Number.POSITIVE_INFINITY));
  }

  /**
   * Stops a machine that runs; {@link run} resolves then. Of no effect on one that is stopped, or
   * runs a single instruction, which it might keep from being run.
   */
  interrupt(): void {
    if (this.#waiting?.runs !== true) return;
    this.#await(this.#timeout);
    this.#socket.write(INTERRUPT, "latin1");
  }

  /** Hangs up; what waits for an answer rejects. */
  close(): void {
    this.#end(lost("it is closed"));
  }

  async #order(command: string): Promise<void> {
    const answer = await this.#ask(command);
    if (answer !== "OK") throw lost(`"${command}" failed: ${excerpt(answer)}`);
  }

  #ask(command: string, timeout = this.#timeout): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#waiting !== undefined) throw lost("a question is under way");
      this.#waiting = { runs: timeout === Number.POSITIVE_INFINITY, resolve, reject };
      this.#await(timeout);
      this.#socket.write(`$${command}#${checksum(command)}`, "latin1");
    });
  }

  #await(timeout: number): void {
    clearTimeout(this.#timer);
    if (timeout === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.#end(lost(`no answer in ${timeout} ms`)), timeout);
  }

  #receive(text: string): void {
    if (this.#failure !== undefined) return;
    this.#received += text;
    for (;;) {
      this.#received = this.#received.replace(/^\++/, "");
      if (this.#received === "") return;
      const packet = PACKET.exec(this.#received);
      if (packet === null) {
        const isBegun = this.#received.length < ANSWER_LIMIT && BEGUN.test(this.#received);
        if (!isBegun) this.#end(lost(`no answer to anything: ${excerpt(this.#received)}`));
        return;
      }
      const [whole, answer = "", sum = ""] = packet;
      this.#received = this.#received.slice(whole.length);
      const waiting = this.#waiting;
      if (sum.toLowerCase() !== checksum(answer) || waiting === undefined) {
        this.#end(lost(`an answer to nothing, or a damaged one: ${excerpt(answer)}`));
        return;
      }
      this.#socket.write("+", "latin1");
      clearTimeout(this.#timer);
      this.#waiting = undefined;
      waiting.resolve(answer);
    }
  }

  #end(reason: VirtioError): void {
    if (this.#failure !== undefined) return;
    this.#failure = reason;
    clearTimeout(this.#timer);
    this.#socket.destroy();
    this.#waiting?.reject(reason);
    this.#waiting = undefined;
  }
}

function checkStop(answer: string): void {
  if (!/^[TS]0[25]/.test(answer)) throw lost(`the machine has not stopped: ${excerpt(answer)}`);
}

function checksum(text: string): string {
  let sum = 0;
  for (let i = 0; i < text.length; i++) sum = (sum + text.charCodeAt(i)) & 0xff;
  return sum.toString(16).padStart(2, "0");
}

function excerpt(text: string): string {
  const printable = text.replace(/[^ -~]/g, "?");
  return printable.length > 64 ? `${printable.slice(0, 64)}…` : printable;
}

function lost(message: string, cause?: unknown): VirtioError {
  return new VirtioError("TRANSPORT", {
    message,
    path: "gdb",
    ...(cause === undefined ? {} : { cause }),
  });
}
