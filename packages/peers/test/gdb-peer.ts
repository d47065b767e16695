/** A machine that speaks the GDB protocol: what QEMU is in its place. What it runs is the test's. */
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createGuestMemory, type GuestMemory } from "@virtio-admin/core";
import { GPR, PSW_ADDRESS } from "../src/gdb/registers.ts";

const INTERRUPT = "\x03";
const STOPPED = "T05thread:01;";
const INTERRUPTED = "T02thread:01;";
const REGISTERS = 18;
const MEMORY_BYTES = 0x10_0000;

/** What the machine does when it is to run. */
export interface FakeProcessor {
  /** Executes the instruction that is next. */
  step(): void;
  /** Called again and again while the machine runs; false when it is to stop. */
  runs(): boolean;
}

/** A server with one connection. */
export class GdbPeer {
  /** The packets that came, without what is around them. */
  readonly commands: string[] = [];
  /** What is answered instead, by command; nothing at all for `undefined`. */
  script: ((command: string) => string | undefined) | undefined;
  /** The registers, by QEMU's numbers. */
  readonly registers: bigint[] = new Array<bigint>(REGISTERS).fill(0n);
  /** The addresses at which it stops. */
  readonly stops = new Set<bigint>();
  /** Its memory, at address 0. */
  readonly memory: GuestMemory = createGuestMemory([
    { base: 0, bytes: new Uint8Array(MEMORY_BYTES), concurrent: true },
  ]);
  /** What it runs; it stays where it is unless given. */
  processor: FakeProcessor = { step: () => undefined, runs: () => true };
  /** The client's end. */
  readonly socket: Socket;
  readonly #folder: string;
  readonly #server: Server;
  readonly #own: Socket;
  #received = "";
  #running: NodeJS.Immediate | undefined;

  private constructor(folder: string, server: Server, socket: Socket, own: Socket) {
    this.#folder = folder;
    this.#server = server;
    this.socket = socket;
    this.#own = own;
    own.on("error", () => own.destroy());
    own.on("data", (bytes: Buffer) => this.#receive(bytes.toString("latin1")));
  }

  static async start(): Promise<GdbPeer> {
    const folder = mkdtempSync(join(tmpdir(), "gdb-"));
    const path = join(folder, "a.sock");
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const connected = new Promise<Socket>((resolve) => server.once("connection", resolve));
    const socket = connect(path);
    return new GdbPeer(folder, server, socket, await connected);
  }

  /** A general register. */
  general(number: number): bigint {
    return this.registers[GPR + number] ?? 0n;
  }

  setGeneral(number: number, value: bigint): void {
    this.registers[GPR + number] = BigInt.asUintN(64, value);
  }

  /** Where it is. */
  get address(): bigint {
    return this.registers[PSW_ADDRESS] ?? 0n;
  }

  set address(address: bigint) {
    this.registers[PSW_ADDRESS] = address;
  }

  /** Says anything. */
  say(text: string): void {
    this.#own.write(text, "latin1");
  }

  /** Says a packet. */
  answer(text: string): void {
    this.say(`+$${text}#${checksum(text)}`);
  }

  hangUp(): void {
    this.#own.destroy();
  }

  async stop(): Promise<void> {
    clearImmediate(this.#running);
    this.#own.destroy();
    this.socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #receive(text: string): void {
    this.#received += text;
    for (;;) {
      this.#received = this.#received.replace(/^\++/, "");
      if (this.#received.startsWith(INTERRUPT)) {
        this.#received = this.#received.slice(1);
        if (this.#running !== undefined) this.#stopped(INTERRUPTED);
        continue;
      }
      const packet = /^\$([^#]*)#(..)/.exec(this.#received);
      if (packet === null) return;
      const [whole, command = "", sum] = packet;
      this.#received = this.#received.slice(whole.length);
      if (sum !== checksum(command)) throw new Error(`a damaged packet: ${whole}`);
      this.commands.push(command);
      const answer = this.script === undefined ? this.#usual(command) : this.script(command);
      if (answer !== undefined) this.answer(answer);
    }
  }

  #usual(command: string): string | undefined {
    const [, verb = "", first = "", second = "", data = ""] =
      /^([pPmMZz])([0-9a-f]+)(?:[,=]([0-9a-f]+))?(?:[,:]([0-9a-f]*))?$/.exec(command) ?? [];
    const number = Number.parseInt(first, 16);
    switch (verb === "" ? command : verb) {
      case "p":
        return (this.registers[number] ?? 0n).toString(16).padStart(16, "0");
      case "P":
        this.registers[number] = BigInt(`0x${second}`);
        return "OK";
      case "m": {
        const bytes = Buffer.alloc(Number.parseInt(second, 16));
        return this.memory.read(number, bytes) ? bytes.toString("hex") : "E14";
      }
      case "M":
        return this.memory.write(number, Buffer.from(data, "hex")) ? "OK" : "E14";
      case "Z":
        this.stops.add(BigInt(`0x${second}`));
        return "OK";
      case "z":
        return this.stops.delete(BigInt(`0x${second}`)) ? "OK" : "E22";
      case "s":
        this.processor.step();
        return STOPPED;
      case "c":
        this.#run();
        return undefined;
      case "?":
        return STOPPED;
      default:
        return "";
    }
  }

  /** As QEMU: it stops at once where it is to stop. */
  #run(): void {
    this.#running = setImmediate(() => {
      if (this.stops.has(this.address) || !this.processor.runs()) this.#stopped(STOPPED);
      else this.#run();
    });
  }

  #stopped(how: string): void {
    clearImmediate(this.#running);
    this.#running = undefined;
    this.answer(how);
  }
}

function checksum(text: string): string {
  let sum = 0;
  for (const character of text) sum = (sum + character.charCodeAt(0)) & 0xff;
  return sum.toString(16).padStart(2, "0");
}
