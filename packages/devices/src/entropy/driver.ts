/** The driver of the entropy device (section "Entropy Device"). */
import {
  type DmaBlock,
  type DriverDevice,
  type DriverQueueHandle,
  VirtioError,
  withDeadline,
} from "@virtio-admin/core";
import { ENTROPY_DEVICE_ID, ENTROPY_REQUESTQ } from "./identity.ts";

/** What an entropy driver may be told. */
export interface EntropyDriverOptions {
  /** The size of its one buffer in bytes, 4096 unless given: the most that one request asks for. */
  readonly bufferSize?: number;
  /** How long one request may take, in milliseconds; 10000 unless given. */
  readonly timeout?: number;
}

const DEFAULT_BUFFER_SIZE = 4096;
const DEFAULT_TIMEOUT = 10_000;
/** The most bytes of one read; a larger one is a mistake rather than a need. */
const READ_LIMIT = 1 << 30;

interface Request {
  readonly resolve: (length: number) => void;
  readonly reject: (error: unknown) => void;
}

/** Reads random bytes through an entropy device. One request is with the device at a time. */
export class EntropyDriver {
  readonly #device: DriverDevice;
  readonly #requestq: DriverQueueHandle;
  readonly #buffer: DmaBlock;
  readonly #timeout: number;
  readonly #ignoreFailure: () => void;
  #request: Request | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  /**
   * Takes over the requestq of a device that was brought up with queue 0.
   *
   * @throws VirtioError `DEVICE_UNKNOWN` when it is no entropy device; `QUEUE_UNAVAILABLE` when its
   * queue was not set up; `MEMORY_EXHAUSTED`; `VALUE_RANGE` for a buffer size that is no positive
   * integer.
   */
  constructor(device: DriverDevice, options: EntropyDriverOptions = {}) {
    if (device.identity.deviceId !== ENTROPY_DEVICE_ID) {
      throw new VirtioError("DEVICE_UNKNOWN", {
        message: "not an entropy device",
        path: "device.identity.deviceId",
        value: device.identity.deviceId,
      });
    }
    this.#device = device;
    this.#requestq = device.queue(ENTROPY_REQUESTQ);
    this.#buffer = device.dma.allocate(options.bufferSize ?? DEFAULT_BUFFER_SIZE, 1);
    this.#timeout = options.timeout ?? DEFAULT_TIMEOUT;
    this.#requestq.onUsed = () => this.#used();
    this.#ignoreFailure = device.onFailure((error) => this.#request?.reject(error));
  }

  /**
   * Reads `length` random bytes, in as many requests as that takes. Reads are served in order.
   *
   * @throws VirtioError `VALUE_RANGE` for a length that is no integer from 0 to 2^30;
   * `DEVICE_FAILED` when the device fails, takes too long, or uses a buffer without a byte in it;
   * `DRIVER_STATE` after {@link close}.
   */
  read(length: number): Promise<Uint8Array> {
    if (!Number.isInteger(length) || length < 0 || length > READ_LIMIT) {
      return Promise.reject(
        new VirtioError("VALUE_RANGE", {
          message: "a read is of 0 to 2^30 bytes",
          path: "length",
          value: length,
        }),
      );
    }
    const result = this.#last.then(() => this.#read(length));
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Ends the driver's use of the queue. Its buffer is given back unless the device still has it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ignoreFailure();
    this.#requestq.onUsed = undefined;
    if (this.#requestq.queue.outstanding === 0) this.#buffer.free();
    this.#request?.reject(closed());
  }

  async #read(length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    let at = 0;
    while (at < length) {
      const asked = Math.min(length - at, this.#buffer.length);
      const got = await this.#ask(asked);
      if (got === 0) throw this.#failed("used a buffer without placing a byte in it");
      const { region, address } = this.#buffer;
      const start = address - region.base;
      bytes.set(region.bytes.subarray(start, start + got), at);
      // The bytes are the caller's secret from here on.
      region.bytes.fill(0, start, start + got);
      at += got;
    }
    return bytes;
  }

  #ask(length: number): Promise<number> {
    if (this.#closed) return Promise.reject(closed());
    if (this.#device.failure !== undefined) return Promise.reject(this.#device.failure);
    const queue = this.#requestq.queue;
    // A buffer that took too long may still come: until then it is the device's.
    if (queue.outstanding > 0 || queue.add([this.#buffer.address], [length], 1, 0) < 0) {
      return Promise.reject(this.#failed("has not given back an earlier buffer"));
    }
    const used = new Promise<number>((resolve, reject) => {
      // In place before the notification: the buffer may be used before that returns.
      this.#request = { resolve, reject };
      this.#requestq.notify();
    });
    return withDeadline(used, this.#timeout, () =>
      this.#failed(`did not answer within ${this.#timeout} ms`),
    );
  }

  #used(): void {
    while (this.#requestq.reap() >= 0) {
      this.#request?.resolve(this.#requestq.queue.usedLength);
    }
  }

  #failed(what: string): VirtioError {
    return new VirtioError("DEVICE_FAILED", {
      message: `the entropy device ${what}`,
      path: "requestq",
      hint: "close the device and bring it up again",
    });
  }
}

function closed(): VirtioError {
  return new VirtioError("DRIVER_STATE", { message: "the entropy driver is closed" });
}
