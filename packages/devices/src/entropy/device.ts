/**
 * The entropy device (section "Entropy Device"): fills what the driver makes available with random
 * bytes.
 */
import {
  type Chain,
  DESCRIPTORS_PER_VISIT,
  type DeviceHost,
  type DeviceModel,
  type DeviceQueue,
  type QueueSpec,
} from "@virtio-admin/core";
import { ENTROPY_DEVICE_ID, ENTROPY_REQUESTQ } from "./identity.ts";

/** Fills all of `target` with bytes. Must not throw, and must not keep `target`. */
export type EntropySource = (target: Uint8Array) => void;

/** What an entropy device is made from. */
export interface EntropyInit {
  /** Where the bytes come from; the Web Crypto generator unless given. */
  readonly source?: EntropySource;
  /** The largest size of the requestq; 256 unless given. */
  readonly queueSize?: number;
}

const DEFAULT_QUEUE_SIZE = 256;
/** The most that is drawn at once: also what Web Crypto gives in one call. */
const DRAW_LIMIT = 65536;
/** What is drawn for small requests at once. */
const POOL_BYTES = 4096;
/** The most bytes for one buffer: the device may use less than all of it. */
const BUFFER_LIMIT = 1 << 20;
/** The most bytes for one notification, before other queues have their turn. */
const VISIT_LIMIT = 4 << 20;

/** Makes an entropy device. */
export function createEntropy(init: EntropyInit = {}): DeviceModel {
  return new Entropy(init.source ?? webCrypto(), init.queueSize ?? DEFAULT_QUEUE_SIZE);
}

class Entropy implements DeviceModel {
  readonly name = "entropy";
  readonly deviceId = ENTROPY_DEVICE_ID;
  readonly features: readonly number[] = [];
  readonly queues: readonly QueueSpec[];
  readonly #source: EntropySource;
  readonly #bytes = new Uint8Array(DRAW_LIMIT);
  #host: DeviceHost | undefined;

  constructor(source: EntropySource, queueSize: number) {
    this.#source = source;
    this.queues = [{ name: "requestq", maxSize: queueSize }];
  }

  attach(host: DeviceHost): void {
    this.#host = host;
  }

  start(): void {
    this.queueNotified(ENTROPY_REQUESTQ);
  }

  queueNotified(index: number): void {
    const host = this.#host;
    const queue = host?.queue(index);
    if (host === undefined || queue === undefined) return;
    let written = 0;
    let buffers = 0;
    let more = true;
    const enough = queue.visited + DESCRIPTORS_PER_VISIT;
    while (buffers < queue.size && written < VISIT_LIMIT && queue.visited < enough) {
      const chain = queue.pop();
      if (chain === undefined) {
        more = false;
        break;
      }
      const used = this.#fill(queue, chain);
      queue.push(chain, used);
      written += used;
      buffers++;
    }
    host.publish(index);
    if (more) host.revisit(index);
  }

  reset(): void {}

  /**
   * Fills the writable part and returns how many bytes that is. A driver must not put readable
   * parts in; they are passed over, and a buffer without room is used with length 0.
   */
  #fill(queue: DeviceQueue, chain: Chain): number {
    const length = Math.min(chain.writableLength, BUFFER_LIMIT);
    let at = 0;
    while (at < length) {
      const part = this.#bytes.subarray(0, Math.min(length - at, DRAW_LIMIT));
      this.#source(part);
      const wrote = queue.write(chain, at, part);
      if (wrote === 0) break;
      at += wrote;
    }
    // What was given away is known to the driver alone.
    this.#bytes.fill(0, 0, Math.min(length, DRAW_LIMIT));
    return at;
  }
}

/**
 * The host's generator. A small request costs it no more than the call, and drivers come with small
 * ones: these are served from a pool, whose bytes are wiped as they are given away.
 */
function webCrypto(): EntropySource {
  const { crypto } = globalThis as unknown as {
    crypto: { getRandomValues(target: Uint8Array): unknown };
  };
  const pool = new Uint8Array(POOL_BYTES);
  let left = 0;
  return (target) => {
    const { length } = target;
    if (length > POOL_BYTES / 4) {
      crypto.getRandomValues(target);
      return;
    }
    if (length > left) {
      crypto.getRandomValues(pool);
      left = POOL_BYTES;
    }
    const from = left - length;
    target.set(pool.subarray(from, left));
    pool.fill(0, from, left);
    left = from;
  };
}
