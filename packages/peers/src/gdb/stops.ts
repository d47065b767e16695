/**
 * A machine under the debugger that runs an operating system, and is stopped where its kernel comes
 * to certain instructions. It has one processor, or others would run on past what is looked at.
 */
import { VirtioError } from "@virtio-admin/core";
import type { GdbClient } from "./client.ts";
import { conditionCodeOf, GPR, PSW_ADDRESS, PSW_DISABLED, PSW_MASK } from "./registers.ts";

/** What becomes of the instruction that the machine was stopped at. */
export type Outcome =
  /** It is executed. */
  | "go on"
  /** The machine is elsewhere already. */
  | "moved";

/** Called while the machine is stopped at an address. */
export type StopHandler = () => Promise<Outcome>;

/** What is to be done while the machine is stopped. */
interface Errand {
  work(): Promise<void>;
  refuse(error: unknown): void;
}

/** The bit of the PSW that is set while a program runs, and not the kernel. */
const PROBLEM_STATE = 0x0001_0000_0000_0000n;
const LINK_REGISTER = 14;

/** Runs a machine from stop to stop. */
export class Stops {
  readonly #client: GdbClient;
  readonly #handlers = new Map<bigint, StopHandler>();
  readonly #errands: Errand[] = [];
  #running = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(client: GdbClient) {
    this.#client = client;
  }

  /**
   * Runs the machine until it is gone, and answers how that showed.
   *
   * @throws what a handler throws; the machine is stopped then
   */
  async run(): Promise<unknown> {
    try {
      for (;;) {
        for (const errand of this.#errands.splice(0)) await errand.work();
        this.#running = true;
        await this.#client.run();
        this.#running = false;
        await this.#handle();
      }
    } catch (error) {
      this.#failure = { error };
      for (const errand of this.#errands.splice(0)) errand.refuse(error);
      if (!this.#running) throw error;
      return error;
    }
  }

  /**
   * Does something while the machine is stopped, wherever that may be.
   *
   * @throws what ends {@link run}, when that is before
   */
  whileStopped<Result>(work: () => Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) throw this.#failure.error;
      this.#errands.push({ work: () => work().then(resolve, reject), refuse: reject });
      if (this.#running) this.#client.interrupt();
    });
  }

  /** Has `handler` called whenever the kernel comes to `address`. The machine is stopped. */
  async at(address: bigint, handler: StopHandler): Promise<void> {
    if (this.#handlers.has(address)) return;
    await this.#client.stopAt(address);
    this.#handlers.set(address, handler);
  }

  /** A general register of the machine, which is stopped. */
  register(number: number): Promise<bigint> {
    return this.#client.register(GPR + number);
  }

  /** Goes on behind the instruction that the machine was stopped at, of so many bytes, with its result. */
  async skip(bytes: number, result: bigint): Promise<Outcome> {
    await this.#client.setRegister(GPR + 2, result);
    const at = await this.#client.register(PSW_ADDRESS);
    await this.#client.setRegister(PSW_ADDRESS, at + BigInt(bytes));
    return "moved";
  }

  /** Goes back to who called the function that the machine was stopped at, with a result. */
  async answer(result: bigint): Promise<Outcome> {
    await this.#client.setRegister(GPR + 2, result);
    await this.#client.setRegister(PSW_ADDRESS, await this.register(LINK_REGISTER));
    return "moved";
  }

  /** Runs the function that the machine was stopped at to its end; answers its result. */
  async finish(): Promise<bigint> {
    const entry = await this.#client.register(PSW_ADDRESS);
    const end = await this.register(LINK_REGISTER);
    await this.#client.goPast(entry);
    await this.#client.stopAt(end);
    await this.#client.run();
    const at = await this.#client.register(PSW_ADDRESS);
    if (at !== end) throw elsewhere(at, end);
    await this.#client.goPast(end);
    await this.#client.stopAt(entry);
    return this.register(2);
  }

  /**
   * Executes one instruction in between, of the kernel's own privilege and at a real address, with these
   * general registers; answers its condition code. It must change no memory of the kernel's.
   */
  async execute(
    address: number,
    registers: readonly (readonly [number, bigint])[],
  ): Promise<number> {
    const kept: (readonly [number, bigint])[] = [];
    const numbers = [PSW_MASK, PSW_ADDRESS, ...registers.map(([number]) => GPR + number)];
    for (const number of numbers) kept.push([number, await this.#client.register(number)]);
    for (const [number, value] of registers) await this.#client.setRegister(GPR + number, value);
    await this.#client.setRegister(PSW_MASK, PSW_DISABLED);
    await this.#client.setRegister(PSW_ADDRESS, BigInt(address));
    await this.#client.step();
    const conditionCode = conditionCodeOf(await this.#client.register(PSW_MASK));
    for (const [number, value] of kept) await this.#client.setRegister(number, value);
    return conditionCode;
  }

  async #handle(): Promise<void> {
    const at = await this.#client.register(PSW_ADDRESS);
    const handler = this.#handlers.get(at);
    if (handler === undefined) return;
    // A program may have something at the same address of its own.
    const isKernel = ((await this.#client.register(PSW_MASK)) & PROBLEM_STATE) === 0n;
    if (isKernel && (await handler()) === "moved") return;
    await this.#client.goPast(at);
    await this.#client.step();
    await this.#client.stopAt(at);
  }
}

function elsewhere(at: bigint, wanted: bigint): VirtioError {
  return new VirtioError("TRANSPORT", {
    message: `the machine stopped at ${at.toString(16)}, and not at ${wanted.toString(16)}`,
    path: "gdb.stops",
  });
}
