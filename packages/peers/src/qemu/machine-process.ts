/**
 * A QEMU whose RAM is a file that is mapped here as well, with its monitor, and with a socket over
 * which its processors' part is done from here.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { VirtioError } from "@virtio-admin/core";
import { mapSharedFile, type SharedFile } from "@virtio-admin/vfio-user";
import { endsWithUs, killedWithUs, type PrivateFolder, privateFolder } from "../cleanup.ts";
import { LineCutter } from "../guest/lines.ts";
import { QemuMonitor } from "./monitor.ts";
import type { Program } from "./program.ts";

/** RAM in bytes. */
export const RAM_BYTES = 64 << 20;

const START_TIME = 30_000;
const LAST_LINES = 8;

/** The arguments that every such machine has; its RAM is the file at `ram`. */
export function machineArguments(ram: string): string[] {
  // JSON, as a path may have commas.
  const memory = {
    "qom-type": "memory-backend-file",
    id: "ram",
    size: RAM_BYTES,
    "mem-path": ram,
    share: true,
  };
  return [
    ...["-machine", "memory-backend=ram", "-m", `${RAM_BYTES >> 20}M`],
    ...["-object", JSON.stringify(memory)],
    ...["-nodefaults", "-no-user-config", "-display", "none", "-qmp", "stdio"],
  ];
}

/** The argument of a character device that connects to `socket`. */
export function socketArgument(id: string, socket: string): string {
  return `socket,id=${id},path=${socket.replaceAll(",", ",,")}`;
}

/** What a machine is started with. */
export interface MachineProcessInit {
  /** QEMU. */
  readonly program: Program;
  /** Its arguments, for RAM in the file `ram`, and what connects to `socket`. */
  readonly args: (ram: string, socket: string) => readonly string[];
  /** What it is called in errors. */
  readonly path: string;
  /** What QEMU says where this cannot be. */
  readonly unsupported?: RegExp;
}

/** One that was started. */
export class MachineProcess {
  #folder: PrivateFolder | undefined;
  #ram: SharedFile | undefined;
  #server: Server | undefined;
  #child: ChildProcess | undefined;
  #gone: Promise<unknown> = Promise.resolve();
  readonly #lines: string[] = [];

  private constructor() {}

  /**
   * Starts QEMU and waits until it has connected.
   *
   * @throws VirtioError `TRANSPORT` when it ends, or is not there in time; `HOST_UNSUPPORTED` where it
   * cannot do what it is to do, or its RAM cannot be mapped
   */
  static async start(init: MachineProcessInit): Promise<{
    readonly machine: MachineProcess;
    readonly ram: Uint8Array;
    readonly connection: Socket;
    readonly monitor: QemuMonitor;
  }> {
    const machine = new MachineProcess();
    try {
      return { machine, ...(await machine.#start(init)) };
    } catch (error) {
      await machine.close();
      throw error;
    }
  }

  /** Ends QEMU; its RAM is gone. */
  async close(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#gone;
    this.#server?.close();
    this.#ram?.close();
    this.#folder?.remove();
  }

  async #start({ program, args, path, unsupported }: MachineProcessInit) {
    this.#folder = privateFolder();
    const ram = join(this.#folder.path, "ram");
    const socket = join(this.#folder.path, "machine.sock");
    this.#ram = await mapSharedFile(ram, RAM_BYTES);
    this.#server = await listen(socket);
    const connected = new Promise<Socket>((resolve) => this.#server?.once("connection", resolve));
    const child = spawn(...killedWithUs(program.file, [...program.before, ...args(ram, socket)]), {
      env: { ...process.env, ...program.env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    endsWithUs(child);
    this.#child = child;
    const gone = new Promise<string>((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("close", (code, signal) => resolve(`QEMU ended (${code ?? signal})`));
    });
    this.#gone = gone;
    const cutter = new LineCutter((line) => {
      this.#lines.push(line);
      if (this.#lines.length > LAST_LINES) this.#lines.shift();
    });
    child.stderr.on("data", (bytes: Buffer) => cutter.push(bytes));
    const connection = await this.#first(connected, gone, path, unsupported);
    const monitor = await QemuMonitor.open(child.stdin, child.stdout);
    return { ram: this.#ram.bytes, connection, monitor };
  }

  /** The connection, unless QEMU ends before it connects. */
  async #first(
    connected: Promise<Socket>,
    gone: Promise<string>,
    path: string,
    unsupported: RegExp | undefined,
  ): Promise<Socket> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve("QEMU does not connect"), START_TIME);
    });
    const first = await Promise.race([connected, gone, late]);
    clearTimeout(timer);
    if (typeof first !== "string") return first;
    const cannot = this.#lines.some((line) => unsupported?.test(line) === true);
    throw new VirtioError(cannot ? "HOST_UNSUPPORTED" : "TRANSPORT", {
      message: [first, ...this.#lines].join(" / "),
      path,
    });
  }
}

function listen(path: string): Promise<Server> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => resolve(server));
  });
}
