/** A guest in QEMU: started, listened to, and gone again, whatever happens. */
import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { endsWithUs, killedWithUs, privateFolder } from "../cleanup.ts";
import { type GuestResult, LineCutter, parseResult, ResultQueue } from "../guest/lines.ts";
import { type Machine, machineArguments } from "./arguments.ts";
import type { Program } from "./program.ts";

/** What a guest is started from: the archive is written to a file, the socket of results is made. */
export type GuestInit = Omit<Machine, "initramfs" | "results" | "console" | "acpiTables"> & {
  /** The bytes of an ACPI table, besides those of the firmware. */
  readonly acpiTable?: Uint8Array;
  /** The bytes of the initramfs. */
  readonly archive: Uint8Array;
};

/** How a process ended: its exit code, or the signal. */
export type Ending = number | NodeJS.Signals;

const LAST_LINES = 40;

/** A guest that runs; {@link Guest.start} makes it. */
export class Guest {
  /** Resolves when QEMU has ended, whatever ended it. */
  readonly ended: Promise<Ending>;
  readonly #child: ChildProcess;
  readonly #results: ResultQueue;
  readonly #lines: string[];
  readonly #close: () => void;

  private constructor(
    child: ChildProcess,
    results: ResultQueue,
    lines: string[],
    close: () => void,
  ) {
    this.#child = child;
    this.#results = results;
    this.#lines = lines;
    this.#close = close;
    this.ended = new Promise((resolve) => {
      child.once("error", () => resolve(127));
      child.once("close", (code, signal) => resolve(code ?? signal ?? 0));
    });
    void this.ended.then((how) => {
      results.end(`QEMU ended (${how})`);
      this.#close();
    });
  }

  /** Starts QEMU. It boots a guest whose console is kept, the last lines of it. */
  static async start(
    program: Program,
    { archive, acpiTable, ...machine }: GuestInit,
  ): Promise<Guest> {
    const folder = privateFolder();
    const initramfs = join(folder.path, "initramfs.cpio");
    const results = join(folder.path, "results.sock");
    writeFileSync(initramfs, archive);
    const acpiTables = acpiTable === undefined ? [] : [join(folder.path, "table.aml")];
    for (const file of acpiTables) writeFileSync(file, acpiTable ?? "");
    const queue = new ResultQueue();
    const connected: Socket[] = [];
    const server = await listen(results, queue, connected);
    const args = machineArguments({
      ...machine,
      acpiTables,
      initramfs,
      results,
      console: "output",
    });
    const child = spawn(...killedWithUs(program.file, [...program.before, ...args]), {
      env: { ...process.env, ...program.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    endsWithUs(child);
    const lines: string[] = [];
    const keep = (line: string): void => {
      lines.push(line);
      if (lines.length > LAST_LINES) lines.shift();
    };
    for (const stream of [child.stdout, child.stderr]) {
      const cutter = new LineCutter(keep);
      stream.on("data", (bytes: Buffer) => cutter.push(bytes));
      stream.on("end", () => cutter.end());
    }
    return new Guest(child, queue, lines, () => {
      for (const socket of connected) socket.destroy();
      server.close();
      folder.remove();
    });
  }

  /** The process id of QEMU. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The last lines of the console. */
  get lastLines(): readonly string[] {
    return this.#lines;
  }

  /** See {@link ResultQueue.next}. */
  result(name: string, milliseconds: number): Promise<GuestResult> {
    return this.#results.next(name, milliseconds);
  }

  /** Kills QEMU, and resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }

  /**
   * Resolves when the guest has switched itself off.
   *
   * @throws Error when it does not in time, or QEMU ends with another code than 0
   */
  async poweredOff(milliseconds: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), milliseconds);
    });
    const how = await Promise.race([this.ended, late]);
    clearTimeout(timer);
    if (how !== 0) throw new Error(how === "late" ? "the guest stays on" : `QEMU ended (${how})`);
  }
}

/** Waits for the guest's line of results. */
function listen(path: string, queue: ResultQueue, connected: Socket[]): Promise<Server> {
  const server = createServer((socket) => {
    connected.push(socket);
    const cutter = new LineCutter((line) => {
      const result = parseResult(line);
      if (result !== undefined) queue.push(result);
    });
    socket.on("data", (bytes: Buffer) => cutter.push(bytes));
    socket.on("error", () => socket.destroy());
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => resolve(server));
  });
}
