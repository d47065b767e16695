/** Transport operations, each with a time limit and with errors of one kind. */
import { withDeadline } from "../clock.ts";
import { isVirtioError, VirtioError } from "../errors.ts";

/** Runs the operations of one transport. */
export class Operations {
  readonly #name: string;
  readonly #timeout: number;

  /** Operations of the transport `name`, each within `timeout` milliseconds. */
  constructor(name: string, timeout: number) {
    this.#name = name;
    this.#timeout = timeout;
  }

  /**
   * What `operation` resolves with.
   *
   * @throws VirtioError what the operation threw; `TRANSPORT` when that was no VirtioError, or
   * when it took too long.
   */
  async run<T>(what: string, operation: () => Promise<T>): Promise<T> {
    try {
      return await withDeadline(operation(), this.#timeout, () =>
        this.#error(`${what} took longer than ${this.#timeout} ms`, undefined),
      );
    } catch (error) {
      throw isVirtioError(error) ? error : this.#error(`${what} failed`, error);
    }
  }

  /** As {@link run}, for what is tried only: whether it succeeded. */
  async attempt(what: string, operation: () => Promise<void>): Promise<boolean> {
    try {
      await this.run(what, operation);
      return true;
    } catch {
      return false;
    }
  }

  #error(message: string, cause: unknown): VirtioError {
    return new VirtioError("TRANSPORT", { message, path: this.#name, cause });
  }
}
