/** A machine in QEMU whose processors do not run: we do what they would do. */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { createGuestMemory, DmaArena, type RegionMemory, VirtioError } from "@virtio-admin/core";
import { mapSharedFile, type SharedFile } from "@virtio-admin/vfio-user";
import { endsWithUs, killedWithUs, type PrivateFolder, privateFolder } from "../cleanup.ts";
import { LineCutter } from "../guest/lines.ts";
import type { Program } from "../qemu/program.ts";
import type { Board } from "./boards.ts";
import { QtestClient } from "./client.ts";
import { QtestMonitor } from "./monitor.ts";

/** RAM in bytes. */
export const RAM_BYTES = 64 << 20;

const START_TIME = 30_000;
const LAST_LINES = 8;
/** What QEMU says where it was built, or packaged, without qtest. */
const NO_QTEST = /invalid accelerator qtest/;

/** The arguments of a machine whose RAM is the file at `ram`, and that connects to `socket`. */
export function qtestArguments(board: Board, ram: string, socket: string): string[] {
  // JSON, as a path may have commas.
  const memory = {
    "qom-type": "memory-backend-file",
    id: "ram",
    size: RAM_BYTES,
    "mem-path": ram,
    share: true,
  };
  return [
    ...board.arguments,
    ...["-machine", "memory-backend=ram", "-m", `${RAM_BYTES >> 20}M`],
    ...["-object", JSON.stringify(memory), "-accel", "qtest"],
    ...["-chardev", `socket,id=qtest,path=${socket.replaceAll(",", ",,")}`],
    ...["-qtest", "chardev:qtest", "-qtest-log", "none"],
    ...["-nodefaults", "-no-user-config", "-display", "none", "-qmp", "stdio"],
  ];
}

/** A machine that was started; {@link startMachine} makes it. */
export interface QtestMachine {
  /** Its registers, ports and interrupt lines. */
  readonly client: QtestClient;
  /** Its monitor. */
  readonly monitor: QtestMonitor;
  /** Its RAM. */
  readonly memory: RegionMemory;
  /** Allocates RAM for a driver. */
  readonly dma: DmaArena;
  /** Ends QEMU; its RAM is gone. */
  close(): Promise<void>;
}

/**
 * Starts a machine, with further arguments of QEMU's own for its devices.
 *
 * @throws VirtioError `TRANSPORT` when QEMU ends, or is not there in time; `HOST_UNSUPPORTED`
 * where it has no qtest, or its RAM cannot be mapped
 */
export async function startMachine(
  program: Program,
  board: Board,
  devices: readonly string[],
): Promise<QtestMachine> {
  const parts = new Parts();
  try {
    return await parts.start(program, board, devices);
  } catch (error) {
    await parts.close();
    throw error;
  }
}

/** What a machine is made of, as far as it is there. */
class Parts {
  #folder: PrivateFolder | undefined;
  #ram: SharedFile | undefined;
  #server: Server | undefined;
  #child: ChildProcess | undefined;
  #gone: Promise<unknown> = Promise.resolve();
  #client: QtestClient | undefined;
  readonly #lines: string[] = [];

  async start(program: Program, board: Board, devices: readonly string[]): Promise<QtestMachine> {
    this.#folder = privateFolder();
    const ram = join(this.#folder.path, "ram");
    const socket = join(this.#folder.path, "qtest.sock");
    this.#ram = await mapSharedFile(ram, RAM_BYTES);
    this.#server = await listen(socket);
    const connected = new Promise<Socket>((resolve) => this.#server?.once("connection", resolve));
    const args = [...program.before, ...qtestArguments(board, ram, socket), ...devices];
    const child = spawn(...killedWithUs(program.file, args), {
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
    const client = new QtestClient(await this.#first(connected, gone));
    this.#client = client;
    const monitor = await QtestMonitor.open(child.stdin, child.stdout);
    const { controller, ramBase, driverOffset } = board;
    await client.interceptLines(
      "path" in controller ? controller.path : await monitor.find(controller.type),
    );
    const memory = createGuestMemory([{ base: ramBase, bytes: this.#ram.bytes, concurrent: true }]);
    const dma = new DmaArena(memory, ramBase + driverOffset, RAM_BYTES - driverOffset);
    return { client, monitor, memory, dma, close: () => this.close() };
  }

  async close(): Promise<void> {
    await this.#client?.close();
    this.#child?.kill("SIGKILL");
    await this.#gone;
    this.#server?.close();
    this.#ram?.close();
    this.#folder?.remove();
  }

  /** The connection, unless QEMU ends before it connects. */
  async #first(connected: Promise<Socket>, gone: Promise<string>): Promise<Socket> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve("QEMU does not connect"), START_TIME);
    });
    const first = await Promise.race([connected, gone, late]);
    clearTimeout(timer);
    if (typeof first !== "string") return first;
    const hasNone = this.#lines.some((line) => NO_QTEST.test(line));
    throw new VirtioError(hasNone ? "HOST_UNSUPPORTED" : "TRANSPORT", {
      message: [first, ...this.#lines].join(" / "),
      path: "qtest",
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
