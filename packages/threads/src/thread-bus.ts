/** The driver's end of a register window that another thread serves. */
import { type RegisterLayout, VirtioError } from "@virtio-admin/core";
import { MMIO_REFERENCE_LAYOUT, type MmioBus } from "@virtio-admin/transport-mmio";
import { ACCESS, Control } from "./control.ts";

/** How often each side looks for work before it sleeps, unless told. */
export const DEFAULT_POLLS = 4000;
/** A notification of this or more carries more than the index of the queue. */
const QUEUES = 0x10000;

/** How a {@link ThreadBus} is made. */
export interface ThreadBusOptions {
  /** The registers; `MMIO_REFERENCE_LAYOUT` when absent. The window at the other end has the same. */
  readonly layout?: RegisterLayout;
  /** How often it looks for an answer before it sleeps; 4000 when absent, which is 100 µs or so. */
  readonly polls?: number;
}

/** A register access that was asked for. */
interface Call {
  readonly kind: number;
  readonly offset: number;
  readonly size: number;
  readonly value: number;
  readonly resolve: (value: number) => void;
  readonly reject: (error: VirtioError) => void;
}

/**
 * The bus of an `MmioDriver` whose device is in another thread, which is given {@link words} and
 * serves them with `serveBus`. Accesses are carried out one after the other. A notification of a queue
 * is not waited for, and has been carried out when an access that was asked for later is answered.
 */
export class ThreadBus implements MmioBus {
  /** What the other thread serves; nobody else writes there. */
  readonly words: SharedArrayBuffer = new SharedArrayBuffer(Control.BYTES);
  readonly #control = new Control(this.words);
  readonly #polls: number;
  readonly #notifyAt: number;
  readonly #calls: Call[] = [];
  #asked = 0;
  #asking = false;
  #risen = 0;
  #handler: (() => void) | undefined;
  #ended: VirtioError | undefined;

  /** Makes the bus; it may be used at once, and is answered once the other thread serves it. */
  constructor(options: ThreadBusOptions = {}) {
    const { layout = MMIO_REFERENCE_LAYOUT, polls = DEFAULT_POLLS } = options;
    this.#polls = polls;
    this.#notifyAt = layout.registers["QueueNotify"]?.offset ?? 0;
    void this.#listen();
  }

  /** Why nobody serves it any more; `undefined` while it is of use. */
  get ended(): VirtioError | undefined {
    return this.#ended;
  }

  /**
   * Reads a register.
   *
   * @throws VirtioError `DEVICE_THREAD` when the bus was ended, or the device half failed
   */
  read(offset: number, size: number): Promise<number> {
    return this.#access(ACCESS.read, offset, size, 0);
  }

  /** Writes a register, as {@link read}; a plain notification of a queue is not waited for. */
  write(offset: number, size: number, value: number): Promise<void> | undefined {
    if (offset === this.#notifyAt && value < QUEUES) {
      if (this.#ended !== undefined) return Promise.reject(this.#ended);
      this.#control.notifyQueue(value);
      return undefined;
    }
    return this.#access(ACCESS.write, offset, size, value).then(() => undefined);
  }

  /** Names who is called when the interrupt line rises; `undefined` for nobody. */
  onInterrupt(handler: (() => void) | undefined): void {
    this.#handler = handler;
    this.#risen = this.#control.risen;
    if (this.#control.isHigh) handler?.();
  }

  /**
   * Fails what is under way, and everything later. The interrupt handler runs, so that the driver
   * half looks at the device and finds it gone.
   *
   * @param why what the driver half is told
   * @param quietly without the interrupt
   */
  end(why: VirtioError, quietly: boolean = false): void {
    if (this.#ended !== undefined) return;
    this.#ended = why;
    for (const call of this.#calls.splice(0)) call.reject(why);
    this.#control.toDriver.ring();
    if (!quietly) this.#handler?.();
  }

  #access(kind: number, offset: number, size: number, value: number): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) {
        reject(this.#ended);
        return;
      }
      this.#calls.push({ kind, offset, size, value, resolve, reject });
      this.#askNext();
    });
  }

  #askNext(): void {
    const call = this.#calls[0];
    if (this.#asking || call === undefined) return;
    this.#asking = true;
    this.#asked = this.#control.ask(call.kind, call.offset, call.size, call.value);
  }

  async #listen(): Promise<void> {
    const { toDriver } = this.#control;
    while (this.#ended === undefined) {
      const seen = toDriver.count;
      this.#takeAnswer();
      const risen = this.#control.risen;
      if (risen !== this.#risen) {
        this.#risen = risen;
        this.#handler?.();
      }
      // Who asks is worth waiting for; an interrupt may be long in coming.
      const heard = await toDriver.heard(seen, this.#asking ? this.#polls : 0);
      if (heard === "timed-out") return;
    }
  }

  #takeAnswer(): void {
    if (!this.#asking || !this.#control.isAnswered(this.#asked)) return;
    const { answer, refused } = this.#control;
    const call = this.#calls.shift();
    this.#asking = false;
    this.#askNext();
    if (call === undefined) return;
    if (refused) call.reject(threadError("its device half failed", undefined));
    else call.resolve(answer);
  }
}

/** @internal The error of a thread that serves no device any more. */
export function threadError(why: string, cause: unknown): VirtioError {
  return new VirtioError("DEVICE_THREAD", {
    path: "thread",
    message: `the thread of the device is of no more use: ${why}`,
    hint: "start another one, and bring its device up",
    ...(cause === undefined ? {} : { cause }),
  });
}
