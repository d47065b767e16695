/**
 * A transport small enough to see through: a bank of bytes that keeps what is written, a doorbell,
 * and an entropy device that is up from the start.
 */
import { FEATURE, STATUS, VirtioDevice } from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import {
  type ReplayAnswer,
  ReplayGuest,
  type ReplaySession,
  type ReplayTarget,
  type RequestLine,
} from "@virtio-admin/testkit";

/** Writing a queue's index here notifies it. */
export const DOORBELL = 0x100;
/** Writing here has the device look at its queues, as DRIVER_OK does. */
export const START = 0x108;
/** Writing here resets the device. */
export const RESET = 0x104;
/** Every byte of entropy. */
export const ENTROPY_BYTE = 0x5a;
export const QUEUE_SIZE = 4;

const BANK_BYTES = 16;
const RINGS_BASE = 0x1000;

class BankSession implements ReplaySession {
  readonly guest = new ReplayGuest();
  readonly device: VirtioDevice;
  readonly performed: RequestLine[] = [];
  /** How often the driver was interrupted. */
  interrupts = 0;
  readonly #bank = new Uint8Array(BANK_BYTES);

  constructor() {
    const { guest } = this;
    this.device = new VirtioDevice({
      model: createEntropy({
        source: (target) => {
          target.fill(ENTROPY_BYTE);
        },
        queueSize: QUEUE_SIZE,
      }),
      memory: guest.memory,
    });
    const { device } = this;
    device.connect({
      transport: "bank",
      reservedFeatures: [],
      usedBuffers: () => {
        this.interrupts += 1;
      },
      configurationChange: () => undefined,
      deviceReset: () => undefined,
    });
    device.writeDriverFeatures(1, 2 ** (FEATURE.VIRTIO_F_VERSION_1 - 32));
    device.writeStatus(STATUS.ACKNOWLEDGE);
    device.writeStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER);
    device.writeStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.FEATURES_OK);
    device.setQueueAddress(0, "descriptorArea", 0, RINGS_BASE);
    device.setQueueAddress(0, "driverArea", 0, RINGS_BASE + 0x100);
    device.setQueueAddress(0, "deviceArea", 0, RINGS_BASE + 0x200);
    guest.prepareFromRegisters(device, 0);
    device.enableQueue(0);
    guest.follow(device);
    device.writeStatus(device.status | STATUS.DRIVER_OK);
  }

  perform(request: RequestLine): readonly ReplayAnswer[] {
    this.performed.push(request);
    if (request.op === "reset" || this.resets(request)) this.device.reset();
    const queue = this.starts(request) ? 0 : this.notifies(request);
    if (queue !== undefined) this.device.notify(queue);
    if (request.op === "write") {
      request.data.forEach((byte, i) => {
        if (request.offset + i < BANK_BYTES) this.#bank[request.offset + i] = byte;
      });
    }
    if (request.op !== "read") return [];
    const got = this.#bank.slice(request.offset, request.offset + request.size);
    const what = `read ${request.offset}`;
    return [{ line: request.line, what, recorded: request.data, got }];
  }

  notifies(request: RequestLine): number | undefined {
    return request.op === "write" && request.offset === DOORBELL ? request.data[0] : undefined;
  }

  starts(request: RequestLine): boolean {
    return request.op === "write" && request.offset === START;
  }

  resets(request: RequestLine): boolean {
    return request.op === "write" && request.offset === RESET;
  }
}

/** Makes banks, and keeps the latest session for a look behind it. */
export class BankTarget implements ReplayTarget {
  readonly transport: string = "mmio";
  latest: BankSession | undefined;

  open(): ReplaySession {
    this.latest = new BankSession();
    return this.latest;
  }
}
