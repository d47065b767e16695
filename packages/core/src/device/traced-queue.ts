/** A virtqueue whose used buffers go to a trace sink: what a consumer gets while one is set. */
import type { GuestMemory } from "../memory/types.ts";
import { toHex } from "../trace/hex.ts";
import type { BufferEvent, TraceSink } from "../trace/types.ts";
import type { Chain, DeviceQueue, QueueDefect } from "../virtqueue/types.ts";

/** How many bytes of each part of a buffer go into its trace event; the rest is left out. */
export const BUFFER_TRACE_LIMIT = 0x10000;

/** Emits a `buffer` event for every buffer that is pushed; delegates all else. */
export class TracedQueue implements DeviceQueue {
  readonly size: number;
  readonly memory: GuestMemory;
  readonly #queue: DeviceQueue;
  readonly #index: number;
  readonly #trace: TraceSink;
  #stopped = false;

  constructor(queue: DeviceQueue, index: number, trace: TraceSink) {
    this.size = queue.size;
    this.memory = queue.memory;
    this.#queue = queue;
    this.#index = index;
    this.#trace = trace;
  }

  get concurrent(): boolean {
    return this.#queue.concurrent;
  }

  get defect(): QueueDefect | undefined {
    return this.#queue.defect;
  }

  get outstanding(): number {
    return this.#queue.outstanding;
  }

  /** See {@link DeviceQueue.visited}. */
  get visited(): number {
    return this.#queue.visited;
  }

  get index(): number {
    return this.#queue.index;
  }

  get publishedIndex(): number {
    return this.#queue.publishedIndex;
  }

  get notifications(): boolean {
    return this.#queue.notifications;
  }

  pop(): Chain | undefined {
    return this.#queue.pop();
  }

  push(chain: Chain, written: number): void {
    if (this.#stopped) return;
    // The chain belongs to the pool once it is pushed: what the event says of it is taken before.
    const event = bufferEvent(this.memory, this.#index, chain, written);
    this.#queue.push(chain, written);
    this.#trace.emit(event);
  }

  publish(): boolean {
    return this.#queue.publish();
  }

  enableNotifications(): boolean {
    return this.#queue.enableNotifications();
  }

  disableNotifications(): void {
    this.#queue.disableNotifications();
  }

  read(chain: Chain, from: number, target: Uint8Array): number {
    return this.#queue.read(chain, from, target);
  }

  write(chain: Chain, at: number, source: Uint8Array): number {
    return this.#queue.write(chain, at, source);
  }

  hold(): void {
    this.#queue.hold();
  }

  release(): void {
    this.#queue.release();
  }

  stop(): void {
    this.#stopped = true;
    this.#queue.stop();
  }
}

function bufferEvent(
  memory: GuestMemory,
  queue: number,
  chain: Chain,
  written: number,
): BufferEvent {
  const used = Math.min(written, chain.writableLength);
  const descriptors: { length: number; writable: boolean }[] = [];
  for (let i = 0; i < chain.count; i++) {
    descriptors.push({ length: chain.lengths[i] ?? 0, writable: i >= chain.readableCount });
  }
  return {
    op: "buffer",
    queue,
    descriptors,
    readable: hexOf(memory, chain, 0, chain.readableCount, chain.readableLength),
    used,
    written: hexOf(memory, chain, chain.readableCount, chain.count, used),
  };
}

/** The first `length` bytes of the segments from `first` to before `end`, up to the limit. */
function hexOf(
  memory: GuestMemory,
  chain: Chain,
  first: number,
  end: number,
  length: number,
): string {
  const bytes = new Uint8Array(Math.min(length, BUFFER_TRACE_LIMIT));
  let at = 0;
  for (let i = first; i < end && at < bytes.length; i++) {
    const part = bytes.subarray(at, at + (chain.lengths[i] ?? 0));
    memory.read(chain.addresses[i] ?? 0, part);
    at += part.length;
  }
  return toHex(bytes.subarray(0, at));
}
