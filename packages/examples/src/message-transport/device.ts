/**
 * The device half: what a VMM, or whoever ends the bus, calls with each message of the driver.
 *
 * Nothing that a driver sends makes it throw. A message that is malformed, unknown or out of place
 * is discarded: nothing changes, nothing is answered, and a counter says why. No hot path: a
 * notification comes once for many buffers, and costs a few small objects here.
 */
import {
  type AnyStructLayout,
  accessors,
  type DevicePort,
  decode,
  type Encodable,
  encode,
  FEATURE,
  FEATURE_BITS,
  type Fields,
  type QueueArea,
  type StructLayout,
  savedObject,
  savedSame,
  type TransportFacingDevice,
  VirtioError,
} from "@virtio-admin/core";
import {
  DEFAULT_MESSAGE_LIMIT,
  EVENTS,
  MESSAGE_HEADER,
  REQUESTS,
  type RequestName,
  SMALLEST_MESSAGE_LIMIT,
  VQUEUE,
} from "./layout.ts";
import {
  type DiscardReason,
  type Discards,
  discard,
  excessOf,
  type Message,
  NO_PAYLOAD,
  readMessage,
  writeEvent,
  writeMessage,
} from "./message.ts";

/** The transport's name. */
export const MESSAGE_TRANSPORT_NAME = "msg";

/** The features that this transport never carries. */
export const MESSAGE_RESERVED_FEATURES: readonly number[] = [
  FEATURE.VIRTIO_F_SR_IOV,
  FEATURE.VIRTIO_F_NOTIF_CONFIG_DATA,
  FEATURE.VIRTIO_F_NOTIFICATION_DATA,
];

/** What a device half is made from. */
export interface MessageDeviceInit {
  /** The device behind the messages; this transport connects itself to it. */
  readonly device: TransportFacingDevice;
  /** The longest message of the bus, in bytes with the header; {@link DEFAULT_MESSAGE_LIMIT}. */
  readonly limit?: number;
  /** The number of the device on its bus; 0 by default. */
  readonly deviceNumber?: number;
  /** What GET_DEVICE_INFO says of the vendor; 0x1af4 by default. */
  readonly vendorId?: number;
  /** Takes the events for the driver. Must not throw. */
  readonly onEvent?: (event: Uint8Array) => void;
}

/** What the device half adds to a snapshot of its device. Nothing of it changes. */
export interface SavedMessageDevice {
  /** The number of the device on its bus. */
  readonly deviceNumber: number;
  /** The longest message of the bus, in bytes with the header. */
  readonly limit: number;
}

const DEFAULT_VENDOR = 0x1af4;
const LARGEST_MESSAGE_LIMIT = 0xffff;
const LARGEST_STATUS = 0xff;
/** admin_vq_count has 16 bits; no more queues than that have an index above another queue's. */
const LARGEST_COUNT = 0xffff;

const vqueue = accessors(VQUEUE);
const AREAS = [
  ["descriptorArea", vqueue.descriptor_area],
  ["driverArea", vqueue.driver_area],
  ["deviceArea", vqueue.device_area],
] as const satisfies readonly (readonly [QueueArea, unknown])[];

/** What a request's payload comes to: the answer's payload, or why it is discarded. */
type Answer = Uint8Array | DiscardReason;

/** A request at work. */
interface Handler {
  readonly layout: AnyStructLayout | undefined;
  readonly answer: (payload: Uint8Array) => Answer;
}

/** Checks the limit of a bus. @throws VirtioError `TRANSPORT_OPTIONS` */
export function checkLimit(limit: number): number {
  const isLegal =
    Number.isInteger(limit) && limit >= SMALLEST_MESSAGE_LIMIT && limit <= LARGEST_MESSAGE_LIMIT;
  if (isLegal) return limit;
  throw new VirtioError("TRANSPORT_OPTIONS", {
    message: "the bus cannot carry the messages of this transport",
    path: `${MESSAGE_TRANSPORT_NAME}.limit`,
    value: limit,
    hint: `a limit is a number of bytes from ${SMALLEST_MESSAGE_LIMIT} to ${LARGEST_MESSAGE_LIMIT}`,
  });
}

/** One device at the end of a bus. */
export class MessageDevice implements DevicePort {
  /** The transport's name. */
  readonly transport: string = MESSAGE_TRANSPORT_NAME;
  /** The features that messages cannot carry. */
  readonly reservedFeatures: readonly number[] = MESSAGE_RESERVED_FEATURES;
  /** The longest message, in bytes with the header. */
  readonly limit: number;
  /** The number of the device on its bus. */
  readonly deviceNumber: number;
  /** Takes the events for the driver. Must not throw. */
  onEvent: ((event: Uint8Array) => void) | undefined;

  readonly #device: TransportFacingDevice;
  readonly #vendorId: number;
  readonly #handlers: ReadonlyMap<number, Handler>;
  readonly #discards: Discards = new Map();

  /** Makes the device half and connects it. @throws VirtioError `TRANSPORT_OPTIONS` */
  constructor(init: MessageDeviceInit) {
    this.limit = checkLimit(init.limit ?? DEFAULT_MESSAGE_LIMIT);
    this.deviceNumber = init.deviceNumber ?? 0;
    this.onEvent = init.onEvent;
    this.#device = init.device;
    this.#vendorId = init.vendorId ?? DEFAULT_VENDOR;
    this.#handlers = this.#makeHandlers();
    init.device.connect(this);
  }

  /** How many messages were discarded, by reason. */
  get discards(): ReadonlyMap<DiscardReason, number> {
    return this.#discards;
  }

  /**
   * Takes one message of the driver, whole, and returns the answer: `undefined` for an event, and
   * for what is discarded.
   */
  receive(bytes: Uint8Array): Uint8Array | undefined {
    const message = readMessage(bytes, this);
    if (typeof message === "string") return discard(this.#discards, message);
    if (message.isAnswer) return discard(this.#discards, "wrong kind");
    const { id, token } = message;
    if (id === EVENTS.EVENT_AVAIL.id) return this.#available(message);
    const handler = this.#handlers.get(id);
    if (handler === undefined) return discard(this.#discards, "unknown id");
    if (token === 0) return discard(this.#discards, "wrong kind");
    const payload = this.#answer(handler, message.payload);
    if (typeof payload === "string") return discard(this.#discards, payload);
    return writeMessage({ isAnswer: true, id, token, payload }, this.deviceNumber);
  }

  /** Part of {@link DevicePort}: a used buffer notification. */
  usedBuffers(queue: number): void {
    this.#tell(EVENTS.EVENT_USED, { index: queue });
  }

  /** Part of {@link DevicePort}: a configuration change notification. */
  configurationChange(): void {
    const { status, configGeneration: generation } = this.#device;
    this.#tell(EVENTS.EVENT_CONFIG, { status, generation });
  }

  /** Part of {@link DevicePort}: this transport keeps nothing for a driver. */
  deviceReset(): void {}

  /** Part of {@link DevicePort}: what the driver knows of the bus, which has to be the same elsewhere. */
  save(): SavedMessageDevice {
    return { deviceNumber: this.deviceNumber, limit: this.limit };
  }

  /** Part of {@link DevicePort}. @throws VirtioError `SNAPSHOT` when it was another bus */
  restore(value: unknown, path: string): () => void {
    savedObject<SavedMessageDevice>({
      deviceNumber: savedSame(this.deviceNumber, "the number of the device"),
      limit: savedSame(this.limit, "the longest message"),
    })(value, path);
    return () => undefined;
  }

  #tell<F extends Fields>(
    event: { readonly id: number; readonly payload: StructLayout<F> },
    values: Encodable<F>,
  ): void {
    this.onEvent?.(writeEvent(event.id, encode(event.payload, values), this.deviceNumber));
  }

  #available({ token, payload }: Message): undefined {
    const layout = EVENTS.EVENT_AVAIL.payload;
    if (token !== 0) return discard(this.#discards, "wrong kind");
    if (payload.length !== layout.size) return discard(this.#discards, "wrong length");
    this.#device.notify(decode(layout, payload).index);
  }

  /** What every request is checked for, whatever it asks: that its payload is all there. */
  #answer({ layout, answer }: Handler, payload: Uint8Array): Answer {
    const excess = excessOf(layout, payload.length);
    const fits =
      layout?.rest === undefined ? excess === 0 : excess >= 0 && Number.isInteger(excess);
    return fits ? answer(payload) : "wrong length";
  }

  /** True when an answer of so many bytes after its layout's fits into a message. */
  #fits(layout: AnyStructLayout, bytes: number): boolean {
    return MESSAGE_HEADER.size + layout.size + bytes <= this.limit;
  }

  #makeHandlers(): ReadonlyMap<number, Handler> {
    const answers: Readonly<Record<RequestName, (payload: Uint8Array) => Answer>> = {
      GET_DEVICE_INFO: () => this.#deviceInfo(),
      GET_DEVICE_FEATURES: (payload) => this.#deviceFeatures(payload),
      SET_DRIVER_FEATURES: (payload) => this.#setDriverFeatures(payload),
      GET_CONFIG: (payload) => this.#config(payload),
      SET_CONFIG: (payload) => this.#setConfig(payload),
      GET_DEVICE_STATUS: () => this.#status(),
      SET_DEVICE_STATUS: (payload) => this.#setStatus(payload),
      GET_VQUEUE: (payload) => this.#vqueue(payload),
      SET_VQUEUE: (payload) => this.#setVqueue(payload),
      RESET_VQUEUE: (payload) => this.#resetVqueue(payload),
    };
    return new Map(
      (Object.keys(answers) as RequestName[]).map((name) => [
        REQUESTS[name].id,
        { layout: REQUESTS[name].request, answer: answers[name] },
      ]),
    );
  }

  /**
   * The place of the administration virtqueues is part of this answer, which a driver may ask for
   * at any time. So it is gated here as everywhere: 0 and 0 until VIRTIO_F_ADMIN_VQ is negotiated,
   * and the device is not even asked.
   */
  #deviceInfo(): Answer {
    const device = this.#device;
    const isOwner = device.negotiated(FEATURE.VIRTIO_F_ADMIN_VQ);
    return encode(REQUESTS.GET_DEVICE_INFO.answer, {
      device_id: device.deviceId,
      vendor_id: this.#vendorId,
      num_feature_bits: FEATURE_BITS,
      config_size: device.configLength,
      max_virtqueues: device.queueCount,
      admin_vq_start: isOwner ? device.adminQueueIndex : 0,
      admin_vq_count: isOwner ? Math.min(device.adminQueueNum, LARGEST_COUNT) : 0,
    });
  }

  #deviceFeatures(payload: Uint8Array): Answer {
    const { request, answer } = REQUESTS.GET_DEVICE_FEATURES;
    const { block_index, num_blocks } = decode(request, payload);
    if (!this.#fits(answer, num_blocks * answer.fields.data.width)) return "wrong value";
    const { offeredFeatures } = this.#device;
    const data = Array.from({ length: num_blocks }, (_, i) =>
      offeredFeatures.word(block_index + i),
    );
    return encode(answer, { block_index, num_blocks, data });
  }

  #setDriverFeatures(payload: Uint8Array): Answer {
    const { block_index, num_blocks, data } = decode(REQUESTS.SET_DRIVER_FEATURES.request, payload);
    if (data.length !== num_blocks) return "wrong length";
    for (const [i, word] of data.entries()) {
      this.#device.writeDriverFeatures(block_index + i, word);
    }
    return NO_PAYLOAD;
  }

  #config(payload: Uint8Array): Answer {
    const { request, answer } = REQUESTS.GET_CONFIG;
    const { offset, num_bytes } = decode(request, payload);
    if (!this.#fits(answer, num_bytes)) return "wrong value";
    // The generation first: bytes that are newer than it are read again, older ones would not be.
    const generation = this.#device.configGeneration;
    const data = new Uint8Array(num_bytes);
    this.#device.readConfig(offset, data);
    return encode(answer, { generation, offset, num_bytes, data });
  }

  #setConfig(payload: Uint8Array): Answer {
    const { request, answer } = REQUESTS.SET_CONFIG;
    const { generation, offset, num_bytes, data } = decode(request, payload);
    if (data.length !== num_bytes) return "wrong length";
    const current = this.#device.configGeneration;
    if (generation !== current) return encode(answer, { generation: current, offset });
    this.#device.writeConfig(offset, Uint8Array.from(data));
    const taken = new Uint8Array(num_bytes);
    this.#device.readConfig(offset, taken);
    const { configGeneration } = this.#device;
    return encode(answer, { generation: configGeneration, offset, num_bytes, data: taken });
  }

  #status(): Answer {
    return encode(REQUESTS.GET_DEVICE_STATUS.answer, { status: this.#device.status });
  }

  #setStatus(payload: Uint8Array): Answer {
    const { status } = decode(REQUESTS.SET_DEVICE_STATUS.request, payload);
    if (status > LARGEST_STATUS) return "wrong value";
    this.#device.writeStatus(status);
    return this.#status();
  }

  #vqueue(payload: Uint8Array): Answer {
    const device = this.#device;
    const { request, answer } = REQUESTS.GET_VQUEUE;
    const { index } = decode(request, payload);
    const bytes = encode(answer, {
      index,
      max_size: device.queueSizeMax(index),
      size: device.queueSize(index),
      flags: device.queueEnabled(index) ? VQUEUE.fields.flags.bits.enabled.mask : 0,
    });
    const view = new DataView(bytes.buffer);
    for (const [area, field] of AREAS) {
      field.setLow(view, 0, device.queueAddress(index, area, 0));
      field.setHigh(view, 0, device.queueAddress(index, area, 1));
    }
    return bytes;
  }

  /** A queue that cannot be set up so stays as it is; GET_VQUEUE tells. */
  #setVqueue(payload: Uint8Array): Answer {
    const device = this.#device;
    const { index, size } = decode(REQUESTS.SET_VQUEUE.request, payload);
    const isSettable = size >= 1 && size <= device.queueSizeMax(index);
    if (isSettable && !device.queueEnabled(index)) {
      const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
      device.setQueueSize(index, size);
      for (const [area, field] of AREAS) {
        device.setQueueAddress(index, area, 0, field.getLow(view, 0));
        device.setQueueAddress(index, area, 1, field.getHigh(view, 0));
      }
      device.enableQueue(index);
    }
    return NO_PAYLOAD;
  }

  #resetVqueue(payload: Uint8Array): Answer {
    if (!this.#device.negotiated(FEATURE.VIRTIO_F_RING_RESET)) return "not negotiated";
    this.#device.resetQueue(decode(REQUESTS.RESET_VQUEUE.request, payload).index);
    return NO_PAYLOAD;
  }
}
