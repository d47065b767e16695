/** The driver's side: a worker with a device in it, and the bus that leads there. */
import { Worker } from "node:worker_threads";
import {
  createGuestMemory,
  type GuestMemory,
  type RegisterLayout,
  type VirtioError,
} from "@virtio-admin/core";
import type { MmioBus } from "@virtio-admin/transport-mmio";
import { INIT, READY, type ThreadInit } from "./serve.ts";
import { DEFAULT_POLLS, ThreadBus, threadError } from "./thread-bus.ts";

const DEFAULT_BASE = 0x8000_0000;

/** How a {@link DeviceThread} is started. */
export interface DeviceThreadOptions {
  /** The bytes of guest memory, which both threads reach. */
  readonly memoryBytes: number;
  /** The guest address of the first of them; 0x80000000 when absent. */
  readonly memoryBase?: number;
  /** The registers; `MMIO_REFERENCE_LAYOUT` when absent. The worker's window has the same. */
  readonly layout?: RegisterLayout;
  /** What the worker is given along: anything that can be cloned. */
  readonly data?: unknown;
  /** How often each side looks for work before it sleeps; 4000 when absent, which is 100 µs or so. */
  readonly polls?: number;
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
  readonly #bus: ThreadBus;
  readonly #worker: Worker;
  readonly #listeners: ((error: VirtioError) => void)[] = [];
  #closing = false;

  private constructor(module: URL, options: DeviceThreadOptions) {
    const { memoryBytes, memoryBase = DEFAULT_BASE } = options;
    const { polls = DEFAULT_POLLS, data } = options;
    const guest = new SharedArrayBuffer(memoryBytes);
    const bytes = new Uint8Array(guest);
    this.memory = createGuestMemory([{ base: memoryBase, bytes, concurrent: true }]);
    this.#bus = new ThreadBus(options);
    const init: ThreadInit = { words: this.#bus.words, guest, base: memoryBase, polls, data };
    this.#worker = new Worker(module, { workerData: { [INIT]: init } });
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
    return thread;
  }

  /** The registers and the interrupt of the device, for its driver half. */
  get bus(): MmioBus {
    return this.#bus;
  }

  /** Why the device is gone; `undefined` while it is there. */
  get ended(): VirtioError | undefined {
    return this.#bus.ended;
  }

  /** Calls `listener` once, when the worker ends; at once when it has. */
  onEnd(listener: (error: VirtioError) => void): void {
    const { ended } = this.#bus;
    if (ended === undefined) this.#listeners.push(listener);
    else listener(ended);
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

  #end(why: string, cause: unknown): void {
    if (this.#bus.ended !== undefined) return;
    const error = threadError(why, cause);
    this.#bus.end(error, this.#closing);
    for (const listener of this.#listeners.splice(0)) listener(error);
  }
}
