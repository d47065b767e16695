/** The driver's side: a worker with a device in it, and the bus that leads there. */
import { Worker } from "node:worker_threads";
import {
  createGuestMemory,
  type GuestMemory,
  type RegisterLayout,
  VirtioError,
} from "@virtio-admin/core";
import { MMIO_REFERENCE_LAYOUT, type MmioBus } from "@virtio-admin/transport-mmio";
import { ACCESS, Control } from "./control.ts";
import { INIT, READY, type ThreadInit } from "./serve.ts";

const DEFAULT_POLLS = 4000;
const DEFAULT_BASE = 0x8000_0000;
/** A notification of this or more carries more than the index of the queue. */
const QUEUES = 0x10000;

/** How a {@link DeviceThread} is started. */
export interface DeviceThreadOptions {
  /** The bytes of guest memory, which both threads reach. */
  readonly memoryBytes: number;
  /** The guest address of the first of them; 0x80000000 when absent. */
  readonly memoryBase?: number;
  /** The registers; {@link MMIO_REFERENCE_LAYOUT} when absent. The worker's window has the same. */
  readonly layout?: RegisterLayout;
  /** What the worker is given along: anything that can be cloned. */
  readonly data?: unknown;
  /** How often each side looks for work before it sleeps; 4000 when absent, which is 100 µs or so. */
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
 * A device that runs in a worker. {@link bus} is for an `MmioDriver`; {@link memory} for its queues
 * and buffers. When the worker ends, by an error, by `process.exit` or because it was terminated,
 * every access fails with `DEVICE_THREAD`, the driver's interrupt handler runs and finds that out,
 * so that the device fails, and with it every command that is under way.
 */
export class DeviceThread {
  /** The guest memory: one region, marked concurrent. */
  readonly memory: GuestMemory;
  /** The registers and the interrupt of the device, for its driver half. */
  readonly bus: MmioBus;
  readonly #worker: Worker;
  readonly #control: Control;
  readonly #polls: number;
  readonly #notifyAt: number;
  readonly #calls: Call[] = [];
  readonly #listeners: ((error: VirtioError) => void)[] = [];
  #asked = 0;
  #asking = false;
  #risen = 0;
  #handler: (() => void) | undefined;
  #ended: VirtioError | undefined;
  #closing = false;

  private constructor(module: URL, options: DeviceThreadOptions) {
    const { memoryBytes, memoryBase = DEFAULT_BASE, layout = MMIO_REFERENCE_LAYOUT } = options;
    const { polls = DEFAULT_POLLS, data } = options;
    const guest = new SharedArrayBuffer(memoryBytes);
    const bytes = new Uint8Array(guest);
    this.memory = createGuestMemory([{ base: memoryBase, bytes, concurrent: true }]);
    const control = new SharedArrayBuffer(Control.BYTES);
    this.#control = new Control(control);
    this.#polls = polls;
    this.#notifyAt = layout.registers["QueueNotify"]?.offset ?? 0;
    const init: ThreadInit = { control, guest, base: memoryBase, polls, data };
    this.#worker = new Worker(module, { workerData: { [INIT]: init } });
    this.bus = {
      read: (offset, size) => this.#access(ACCESS.read, offset, size, 0),
      write: (offset, size, value) => this.#write(offset, size, value),
      onInterrupt: (handler) => {
        this.#handler = handler;
        this.#risen = this.#control.risen;
        if (this.#control.isHigh) handler?.();
      },
    };
  }

  /**
   * Starts the module as a worker, which calls `serveThread`, and waits until its device is there.
   *
   * @throws VirtioError `DEVICE_THREAD` when the worker ends before that, `MEMORY_REGION` for a
   * base that is none
   */
  static async start(module: URL, options: DeviceThreadOptions): Promise<DeviceThread> {
    const thread = new DeviceThread(module, options);
    await thread.#ready();
    void thread.#listen();
    return thread;
  }

  /** Why the device is gone; `undefined` while it is there. */
  get ended(): VirtioError | undefined {
    return this.#ended;
  }

  /** Calls `listener` once, when the worker ends; at once when it has. */
  onEnd(listener: (error: VirtioError) => void): void {
    if (this.#ended === undefined) this.#listeners.push(listener);
    else listener(this.#ended);
  }

  /** Ends the worker, whatever it does, and waits until it is gone. Reset the device before. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#worker.terminate();
    this.#end("it was closed", undefined);
  }

  /** Ends the worker at once, as an accident would. */
  async kill(): Promise<void> {
    await this.#worker.terminate();
  }

  #ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      const worker = this.#worker;
      worker.on("error", (error) => this.#end("it failed", error));
      worker.on("messageerror", (error) => this.#end("what it said cannot be read", error));
      worker.on("exit", (code) => this.#end(`it ended with code ${code}`, undefined));
      worker.on("message", (message) => message === READY && resolve());
      this.onEnd(reject);
    });
  }

  #write(offset: number, size: number, value: number): Promise<void> | undefined {
    if (offset === this.#notifyAt && value < QUEUES) {
      if (this.#ended !== undefined) return Promise.reject(this.#ended);
      this.#control.notifyQueue(value);
      return undefined;
    }
    return this.#access(ACCESS.write, offset, size, value).then(() => undefined);
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

  #end(why: string, cause: unknown): void {
    if (this.#ended !== undefined) return;
    const error = threadError(why, cause);
    this.#ended = error;
    for (const call of this.#calls.splice(0)) call.reject(error);
    this.#control.toDriver.ring();
    // The driver half looks at the device, and finds it gone.
    if (!this.#closing) this.#handler?.();
    for (const listener of this.#listeners.splice(0)) listener(error);
  }
}

function threadError(why: string, cause: unknown): VirtioError {
  return new VirtioError("DEVICE_THREAD", {
    path: "thread",
    message: `the thread of the device is of no more use: ${why}`,
    hint: "start another one, and bring its device up",
    ...(cause === undefined ? {} : { cause }),
  });
}
