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

/** RAM in bytes, unless a machine needs more. */
export const RAM_BYTES = 64 << 20;

const START_TIME = 30_000;
const LAST_LINES = 8;

/** The arguments that every such machine has; its RAM is the file at `ram`, of so many bytes. */
export function machineArguments(ram: string, bytes: number = RAM_BYTES): string[] {
  // JSON, as a path may have commas.
  const memory = {
    "qom-type": "memory-backend-file",
    id: "ram",
    size: bytes,
    "mem-path": ram,
    share: true,
  };
  return [
    ...["-machine", "memory-backend=ram", "-m", `${bytes >> 20}M`],
    ...["-object", JSON.stringify(memory)],
    ...["-nodefaults", "-no-user-config", "-display", "none", "-qmp", "stdio"],
  ];
}

/** The argument of a character device that connects to `socket`. */
export function socketArgument(id: string, socket: string): string {
  return `socket,id=${id},path=${socket.replaceAll(",", ",,")}`;
}

/** What a machine is started with. */
export interface MachineProcessInit<Name extends string> {
  /** QEMU. */
  readonly program: Program;
  /** RAM in bytes; {@link RAM_BYTES} unless given. */
  readonly ramBytes?: number;
  /** The names of the sockets that it connects to. */
  readonly sockets: readonly Name[];
  /** Its arguments, for RAM in the file `ram`, and sockets at these paths. */
  readonly args: (ram: string, sockets: Readonly<Record<Name, string>>) => readonly string[];
  /** What it is called in errors. */
  readonly path: string;
  /** What QEMU says where this cannot be. */
  readonly unsupported?: RegExp;
}

/** What it was started with, once it is there. */
export interface Started<Name extends string> {
  /** Its RAM. */
  readonly ram: Uint8Array;
  /** Its connections, by the names of their sockets. */
  readonly connections: Readonly<Record<Name, Socket>>;
  /** Its monitor. */
  readonly monitor: QemuMonitor;
}

/** One that was started. */
export class MachineProcess {
  #folder: PrivateFolder | undefined;
  #ram: SharedFile | undefined;
  readonly #servers: Server[] = [];
  /** Resolves with how it ended. */
  #child: ChildProcess | undefined;
  #gone: Promise<string> = Promise.resolve("it was not started");
  readonly #lines: string[] = [];

  private constructor() {}

  /**
   * Starts QEMU and waits until it has connected.
   *
   * @throws VirtioError `TRANSPORT` when it ends, or is not there in time; `HOST_UNSUPPORTED` where it
   * cannot do what it is to do, or its RAM cannot be mapped
   */
  static async start<Name extends string>(
    init: MachineProcessInit<Name>,
  ): Promise<Started<Name> & { readonly machine: MachineProcess }> {
    const machine = new MachineProcess();
    try {
      return { machine, ...(await machine.#start(init)) };
    } catch (error) {
      await machine.close();
      throw error;
    }
  }

  /** Resolves with how QEMU ended, in words, whatever ended it. */
  get gone(): Promise<string> {
    return this.#gone;
  }

  /** Ends QEMU; its RAM is gone. */
  async close(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#gone;
    for (const server of this.#servers) server.close();
    this.#ram?.close();
    this.#folder?.remove();
  }

  async #start<Name extends string>({
    program,
    ramBytes = RAM_BYTES,
    sockets,
    args,
    path,
    unsupported,
  }: MachineProcessInit<Name>): Promise<Started<Name>> {
    const folder = privateFolder();
    this.#folder = folder;
    const ram = join(folder.path, "ram");
    this.#ram = await mapSharedFile(ram, ramBytes);
    const paths = {} as Record<Name, string>;
    const connected: Promise<readonly [Name, Socket]>[] = [];
    for (const name of sockets) {
      paths[name] = join(folder.path, `${name}.sock`);
      const server = await listen(paths[name]);
      this.#servers.push(server);
      connected.push(
        new Promise((resolve) => {
          server.once("connection", (socket) => resolve([name, socket]));
        }),
      );
    }
    const child = spawn(...killedWithUs(program.file, [...program.before, ...args(ram, paths)]), {
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
    const connections = await this.#first(Promise.all(connected), gone, path, unsupported);
    const monitor = await QemuMonitor.open(child.stdin, child.stdout);
    return {
      ram: this.#ram.bytes,
      connections: Object.fromEntries(connections) as Record<Name, Socket>,
      monitor,
    };
  }

  /** The connections, unless QEMU ends before it connects. */
  async #first<Connections>(
    connected: Promise<Connections>,
    gone: Promise<string>,
    path: string,
    unsupported: RegExp | undefined,
  ): Promise<Connections> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve("QEMU does not connect"), START_TIME);
    });
    const failed = Promise.race([gone, late]).then((why) => {
      const cannot = this.#lines.some((line) => unsupported?.test(line) === true);
      throw new VirtioError(cannot ? "HOST_UNSUPPORTED" : "TRANSPORT", {
        message: [why, ...this.#lines].join(" / "),
        path,
      });
    });
    // It may fail later, when nobody waits here any more.
    failed.catch(() => undefined);
    try {
      return await Promise.race([connected, failed]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function listen(path: string): Promise<Server> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => resolve(server));
  });
}
