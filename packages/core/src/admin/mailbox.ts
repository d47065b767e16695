/**
 * A command interface that carries one command at a time through a window of bytes, as a register
 * mailbox does. It is what the administration virtqueues are measured against; no specification
 * has it.
 */
import { VirtioError } from "../errors.ts";
import type { CommandInterface, CommandInterfaceBinding } from "./command-interface.ts";
import type { AdminExecutor } from "./executor.ts";

const DEFAULT_WINDOW = 4096;

/** What an {@link AdminMailbox} is made from. */
export interface AdminMailboxOptions {
  /** What carries the commands out. */
  readonly executor: AdminExecutor;
  /** The length of each of the two windows in bytes; 4096 when absent. */
  readonly windowLength?: number;
  /** Called when a command that had to wait is answered. */
  readonly whenDone?: () => void;
}

/** A register mailbox: write the request window, start, read the response window. */
export class AdminMailbox implements CommandInterfaceBinding {
  /** The request window: the device-readable part, written before {@link start}. */
  readonly request: Uint8Array;
  /** The response window: the device-writable part. */
  readonly response: Uint8Array;
  readonly #executor: AdminExecutor;
  readonly #whenDone: (() => void) | undefined;
  #busy = false;
  #written = 0;
  #epoch = 0;

  /**
   * Makes a mailbox with zeroed windows.
   *
   * @throws VirtioError `VALUE_RANGE` when the length is not 1..2^20
   */
  constructor(options: AdminMailboxOptions) {
    const { windowLength = DEFAULT_WINDOW } = options;
    if (!Number.isInteger(windowLength) || windowLength < 1 || windowLength > 2 ** 20) {
      throw new VirtioError("VALUE_RANGE", {
        path: "windowLength",
        message: "a window has 1 to 2^20 bytes",
        value: windowLength,
      });
    }
    this.#executor = options.executor;
    this.#whenDone = options.whenDone;
    this.request = new Uint8Array(windowLength);
    this.response = new Uint8Array(windowLength);
  }

  /** True while a command is under way. */
  get busy(): boolean {
    return this.#busy;
  }

  /** How many bytes of the response window the last command wrote. */
  get written(): number {
    return this.#written;
  }

  /**
   * Carries out the command in the request window.
   *
   * @param readable how many bytes of the request window the command has; more than the window
   * counts as all of it
   * @param writable how many bytes of the response window may be written; likewise
   * @returns false, and nothing happened, while another command is under way
   */
  start(readable: number, writable: number): boolean {
    if (this.#busy) return false;
    this.#busy = true;
    const epoch = this.#epoch;
    const response = new Uint8Array(Math.max(0, Math.min(writable, this.response.length)));
    const request = this.request.subarray(0, Math.max(0, readable));
    const answer = this.#executor.execute(request, response);
    if (typeof answer === "number") {
      this.#finish(response, answer);
    } else {
      void answer.then((written) => {
        if (epoch !== this.#epoch) return;
        this.#finish(response, written);
        this.#whenDone?.();
      });
    }
    return true;
  }

  /** The device was reset: nothing is under way, and both windows are zero. */
  reset(): void {
    this.#epoch++;
    this.#busy = false;
    this.#written = 0;
    this.request.fill(0);
    this.response.fill(0);
  }

  #finish(response: Uint8Array, written: number): void {
    this.response.set(response.subarray(0, written));
    this.#written = written;
    this.#busy = false;
  }
}

/**
 * The mailbox as a plug-in.
 *
 * @throws VirtioError `VALUE_RANGE` from `bind`, as {@link AdminMailbox} does
 */
export function mailboxInterface(
  options: Omit<AdminMailboxOptions, "executor"> = {},
): CommandInterface<AdminMailbox> {
  return { name: "mailbox", bind: (executor) => new AdminMailbox({ ...options, executor }) };
}
