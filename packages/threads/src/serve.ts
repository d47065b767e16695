/** The device's side: a register window behind shared words, served until it is of no more use. */
import { parentPort, workerData } from "node:worker_threads";
import { createGuestMemory, type GuestMemory, VirtioError } from "@virtio-admin/core";
import type { MmioDevice } from "@virtio-admin/transport-mmio";
import { ACCESS, Control } from "./control.ts";
import { DEFAULT_POLLS } from "./thread-bus.ts";

/** @internal What a worker is started with. */
export interface ThreadInit {
  readonly words: SharedArrayBuffer;
  readonly guest: SharedArrayBuffer;
  readonly base: number;
  readonly polls: number;
  readonly data: unknown;
}

/** @internal The member of `workerData` that a {@link ThreadInit} is. */
export const INIT = "virtio-admin-thread";
/** @internal What the worker says when its device is there. */
export const READY = "ready";

/** What the worker makes its device from. */
export interface ServedThread {
  /** The guest memory, which the driver reaches at the same time. */
  readonly memory: GuestMemory;
  /** What the other thread gave along. */
  readonly data: unknown;
}

/**
 * Makes the device of this worker and serves it, until the other thread closes it. An error that it
 * throws, or that nobody catches anywhere in the worker, ends the thread: the driver is told.
 *
 * @param make makes the register window of the device, in the memory that is given
 * @throws VirtioError `HOST_UNSUPPORTED` when the thread was not started by a {@link DeviceThread}
 */
export async function serveThread(make: (thread: ServedThread) => MmioDevice): Promise<void> {
  const init = (workerData as Readonly<Record<string, ThreadInit>> | null)?.[INIT];
  if (parentPort === null || init === undefined) {
    throw new VirtioError("HOST_UNSUPPORTED", {
      message: "this is no worker that a DeviceThread has started",
      hint: "start this module with DeviceThread.start",
    });
  }
  const { base, polls, data } = init;
  const bytes = new Uint8Array(init.guest);
  const memory = createGuestMemory([{ base, bytes, concurrent: true }]);
  const window = make({ memory, data });
  // The listener keeps the thread alive while it sleeps.
  parentPort.on("message", () => undefined);
  parentPort.postMessage(READY);
  await serveBus(init.words, window, { polls });
}

/** How a window is served. */
export interface ServeBusOptions {
  /** How often it looks for work before it sleeps; 4000 when absent, which is 100 µs or so. */
  readonly polls?: number;
  /** Ends it: the driver is not answered any more. */
  readonly signal?: AbortSignal;
}

/**
 * Serves the register window of a device to the driver half at the other end of a {@link ThreadBus},
 * until it is told to end. One thread may serve any number of windows.
 *
 * @param words those of the bus
 */
export async function serveBus(
  words: SharedArrayBuffer,
  window: MmioDevice,
  { polls = DEFAULT_POLLS, signal }: ServeBusOptions = {},
): Promise<void> {
  const control = new Control(words);
  const notifyAt = window.layout.registers["QueueNotify"]?.offset ?? 0;
  const access = (kind: number, offset: number, size: number, value: number): number => {
    if (kind === ACCESS.read) return window.read(offset, size);
    window.write(offset, size, value);
    return 0;
  };
  const notified = (queue: number) => window.write(notifyAt, 4, queue);
  signal?.addEventListener("abort", () => control.toDevice.ring());
  window.onInterrupt = (high) => control.setLine(high);
  if (window.interruptLine) control.setLine(true);
  while (signal?.aborted !== true) {
    const seen = control.toDevice.count;
    control.serve(access, notified);
    await control.toDevice.heard(seen, polls);
  }
  window.onInterrupt = undefined;
}
