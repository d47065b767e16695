/**
 * QEMU's monitor (QMP) over the standard streams of its process: it names objects of the machine,
 * and changes what is behind its devices.
 */
import type { Readable, Writable } from "node:stream";
import { VirtioError } from "@virtio-admin/core";
import { LineCutter } from "../guest/lines.ts";

interface Reply {
  readonly return?: unknown;
  readonly error?: unknown;
}

const TIMEOUT = 10_000;
/** Objects that nobody gave a name have these, as many as a machine may have. */
const UNATTACHED = (index: number): string => `/machine/unattached/device[${index}]`;
const UNATTACHED_LIMIT = 256;

/** One question at a time. */
export class QemuMonitor {
  readonly #input: Writable;
  #waiting: ((reply: Reply | undefined) => void) | undefined;
  #ended = false;

  private constructor(input: Writable, output: Readable) {
    this.#input = input;
    const cutter = new LineCutter((line) => this.#receive(line));
    output.on("data", (bytes: Buffer) => cutter.push(bytes));
    output.on("close", () => this.#end());
    // The end of the process is told by its output.
    input.on("error", () => undefined);
  }

  /** Takes the streams over. @throws VirtioError `TRANSPORT` */
  static async open(input: Writable, output: Readable): Promise<QemuMonitor> {
    const monitor = new QemuMonitor(input, output);
    await monitor.#ask("qmp_capabilities");
    return monitor;
  }

  /**
   * Finds an object without a name by its type.
   *
   * @throws VirtioError `TRANSPORT` when there is none, or no answer
   */
  async find(type: string): Promise<string> {
    for (let index = 0; index < UNATTACHED_LIMIT; index++) {
      const path = UNATTACHED(index);
      const reply = await this.#ask("qom-get", { path, property: "type" });
      if (reply.error !== undefined) break;
      if (reply.return === type) return path;
    }
    throw failed(`the machine has no ${type}`);
  }

  /**
   * Has QEMU carry out a command.
   *
   * @throws VirtioError `TRANSPORT` when it fails
   */
  async execute(command: string, args: object): Promise<void> {
    const { error } = await this.#ask(command, args);
    if (error !== undefined) throw failed(`${command} failed: ${JSON.stringify(error)}`);
  }

  #ask(execute: string, args?: object): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#ended) throw failed("the monitor is gone");
      if (this.#waiting !== undefined) throw failed("a question is under way");
      const settle = (reply: Reply | undefined): void => {
        clearTimeout(timer);
        this.#waiting = undefined;
        if (reply === undefined) reject(failed(`no answer to ${execute}`));
        else resolve(reply);
      };
      const timer = setTimeout(() => this.#end(), TIMEOUT);
      this.#waiting = settle;
      const question = args === undefined ? { execute } : { execute, arguments: args };
      this.#input.write(`${JSON.stringify(question)}\n`);
    });
  }

  #receive(line: string): void {
    let reply: unknown;
    try {
      reply = JSON.parse(line);
    } catch {
      this.#end();
      return;
    }
    // The greeting and the events are no answers.
    const isReply =
      typeof reply === "object" && reply !== null && ("return" in reply || "error" in reply);
    if (isReply) this.#waiting?.(reply as Reply);
  }

  /** An answer that comes too late would be taken for that to the next question. */
  #end(): void {
    this.#ended = true;
    this.#waiting?.(undefined);
  }
}

function failed(message: string): VirtioError {
  return new VirtioError("TRANSPORT", { message, path: "qemu.monitor" });
}
