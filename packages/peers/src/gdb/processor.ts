/**
 * The one processor of an s390x machine, made to run single instructions, and to be interrupted in
 * between, as an operating system of a few instructions would.
 *
 * What it runs is written into its memory once: code that changes from outside is not noticed. An
 * interruption leads to an address at which it stops; where the machine was stopped to run an
 * instruction, interruptions are disabled.
 */
import { Exclusive, type GuestMemory, VirtioError } from "@virtio-admin/core";
import type { GdbClient } from "./client.ts";
import { conditionCodeOf, GPR, PSW_ADDRESS, PSW_DISABLED, PSW_MASK } from "./registers.ts";

/** As {@link PSW_DISABLED}, with I/O interruptions enabled. */
const ENABLED = PSW_DISABLED | 0x0200_0000_0000_0000n;

// Assigned storage locations (z/Architecture Principles of Operation, "Assigned Storage Locations").
const SUBSYSTEM_ID = 0xb8;
const INTERRUPTION_ID = 0xc0;
const IO_NEW_PSW = 0x1f0;

const CODE = 0x2000;
const DATA = 0x3000;
/** All interruption subclasses. */
const SUBCLASSES = 0xff00_0000n;

/** The instructions, with operands in general registers as they say. */
const INSTRUCTIONS = {
  /** MODIFY SUBCHANNEL: the word in register 1, the block at register 2. */
  msch: "b2322000",
  /** START SUBCHANNEL. */
  ssch: "b2332000",
  /** STORE SUBCHANNEL. */
  stsch: "b2342000",
  /** TEST SUBCHANNEL. */
  tsch: "b2352000",
  /** DIAGNOSE 0x500. */
  diag500: "83240500",
  /** LOAD CONTROL of register 6, from register 2. */
  lctlg6: "eb662000002f",
  /** BRANCH RELATIVE to itself. A processor that waits, QEMU does not run a single instruction on. */
  loop: "a7f40000",
  /** Where interruptions lead; never run. */
  landing: "0700",
} as const;

type Instruction = keyof typeof INSTRUCTIONS;
const STRIDE = 8;
const NAMES = Object.keys(INSTRUCTIONS) as Instruction[];
const addressOf = (name: Instruction): number => CODE + NAMES.indexOf(name) * STRIDE;

/** An I/O interruption that was taken. */
export type Interruption =
  | { readonly kind: "subchannel"; readonly subchannelId: number }
  | { readonly kind: "adapter"; readonly subclass: number };

/** How an instruction ended. */
export interface Executed {
  /** The condition code. */
  readonly conditionCode: number;
  /** General register 2. */
  readonly register2: bigint;
}

/** Runs one instruction with these general registers. */
export type Execute = (
  name: Exclude<Instruction, "loop" | "landing">,
  registers: readonly (readonly [number, bigint])[],
) => Promise<Executed>;

/** Memory that it uses itself lies below this. */
export const PROCESSOR_MEMORY = 0x1_0000;

/** One processor. */
export class Processor {
  readonly #client: GdbClient;
  readonly #memory: GuestMemory;
  readonly #turns = new Exclusive();
  /** Resolves when the machine has stopped, while it runs. */
  #running: Promise<void> | undefined;
  #waitingTurns = 0;
  #wanted = false;
  #failed: ((error: unknown) => void) | undefined;
  #listener: ((interruption: Interruption) => void) | undefined;

  private constructor(client: GdbClient, memory: GuestMemory) {
    this.#client = client;
    this.#memory = memory;
  }

  /** Prepares a machine that is stopped. @throws VirtioError `TRANSPORT` */
  static async open(client: GdbClient, memory: GuestMemory): Promise<Processor> {
    const processor = new Processor(client, memory);
    for (const name of NAMES) {
      memory.write(addressOf(name), Buffer.from(INSTRUCTIONS[name], "hex"));
    }
    memory.write(IO_NEW_PSW, quadwords(PSW_DISABLED, BigInt(addressOf("landing"))));
    memory.write(DATA, quadwords(SUBCLASSES, 0n));
    await client.stopAt(BigInt(addressOf("landing")));
    await processor.turn((execute) => execute("lctlg6", [[2, BigInt(DATA)]]));
    return processor;
  }

  /**
   * Gives `work` the machine, stopped: nothing happens in it but the instructions that `work` has it run.
   *
   * @throws VirtioError `TRANSPORT` when the machine is gone
   */
  turn<T>(work: (execute: Execute) => Promise<T>): Promise<T> {
    this.#waitingTurns += 1;
    this.#client.interrupt();
    return this.#turns.run(async () => {
      try {
        await this.#running;
        return await work((name, registers) => this.#execute(name, registers));
      } finally {
        this.#waitingTurns -= 1;
        this.#goOn();
      }
    });
  }

  /**
   * Runs the machine, in a loop, whenever nothing else is to be done; interruptions go to `listener`.
   * `failed` is told when the machine is gone. Without a listener it is stopped.
   */
  onInterruption(
    listener: ((interruption: Interruption) => void) | undefined,
    failed: (error: unknown) => void = () => undefined,
  ): void {
    this.#listener = listener;
    this.#failed = failed;
    this.#wanted = listener !== undefined;
    if (this.#wanted) this.#goOn();
    else this.#client.interrupt();
  }

  #goOn(): void {
    if (!this.#wanted || this.#waitingTurns > 0 || this.#running !== undefined) return;
    this.#running = this.#wait()
      .catch((error: unknown) => {
        this.#wanted = false;
        this.#failed?.(error);
        return undefined;
      })
      .then((interruption) => {
        this.#running = undefined;
        if (interruption !== undefined) this.#listener?.(interruption);
        this.#goOn();
      });
  }

  /** Waits for an interruption, or until the machine is stopped for an instruction. */
  async #wait(): Promise<Interruption | undefined> {
    await this.#setPsw(addressOf("loop"), ENABLED);
    const stopped = this.#client.run();
    if (this.#waitingTurns > 0 || !this.#wanted) this.#client.interrupt();
    await stopped;
    const at = await this.#client.register(PSW_ADDRESS);
    return at === BigInt(addressOf("landing")) ? this.#interruption() : undefined;
  }

  #interruption(): Interruption {
    const word = (at: number): number => {
      const bytes = new Uint8Array(4);
      this.#memory.read(at, bytes);
      return new DataView(bytes.buffer).getUint32(0);
    };
    const id = word(INTERRUPTION_ID);
    // The leftmost bit says that an adapter has interrupted; the next but one, of which subclass.
    if (id >>> 31 === 1) return { kind: "adapter", subclass: (id >>> 27) & 7 };
    return { kind: "subchannel", subchannelId: word(SUBSYSTEM_ID) };
  }

  async #execute(
    name: Instruction,
    registers: readonly (readonly [number, bigint])[],
  ): Promise<Executed> {
    for (const [register, value] of registers) {
      await this.#client.setRegister(GPR + register, value);
    }
    await this.#setPsw(addressOf(name), PSW_DISABLED);
    await this.#client.step();
    const mask = await this.#client.register(PSW_MASK);
    const register2 = await this.#client.register(GPR + 2);
    return { conditionCode: conditionCodeOf(mask), register2 };
  }

  async #setPsw(address: number, mask: bigint): Promise<void> {
    await this.#client.setRegister(PSW_MASK, mask);
    await this.#client.setRegister(PSW_ADDRESS, BigInt(address));
  }
}

/** @throws VirtioError `TRANSPORT` for a condition code that is not among `allowed` */
export function checkCondition(
  what: string,
  { conditionCode }: Executed,
  ...allowed: number[]
): void {
  if (allowed.includes(conditionCode)) return;
  throw new VirtioError("TRANSPORT", {
    message: `${what} ended with condition code ${conditionCode}`,
    path: "gdb.processor",
    value: conditionCode,
  });
}

function quadwords(...values: readonly bigint[]): Uint8Array {
  const bytes = new Uint8Array(8 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    view.setBigUint64(8 * i, value);
  });
  return bytes;
}
