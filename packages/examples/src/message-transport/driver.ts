/**
 * The driver half: what a guest driver asks with messages.
 *
 * Every message says all that the device has to know, so that, unlike registers that select a
 * queue, nothing has to be kept from running beside something else.
 */
import {
  type AdminQueuePlace,
  type Decoded,
  type DeviceIdentity,
  type DmaAllocator,
  type DriverTransport,
  decode,
  type Encodable,
  encode,
  FEATURE,
  FEATURE_BITS,
  FEATURE_WORDS,
  FeatureSet,
  type Fields,
  type InterruptListener,
  type QueueAddresses,
  type QueueDoorbell,
  type StructLayout,
  VirtioError,
} from "@virtio-admin/core";
import type { MessageBus } from "./bus.ts";
import { checkLimit, MESSAGE_RESERVED_FEATURES, MESSAGE_TRANSPORT_NAME } from "./device.ts";
import {
  checkRange,
  deviceHangs,
  expectEcho,
  expectElements,
  faultyAnswer,
  pathOf,
  restlessConfig,
} from "./driver-errors.ts";
import { DEVICE_INFO, EVENTS, MESSAGE_HEADER, REQUESTS, VQUEUE } from "./layout.ts";
import {
  DISCARD_REASONS,
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

/** What a driver half is made from. */
export interface MessageDriverInit {
  /** The bus that the device is on. */
  readonly bus: MessageBus;
  /** Memory that is shared with the device. */
  readonly dma: DmaAllocator;
  /** The number of the device on its bus; 0 by default. */
  readonly deviceNumber?: number;
}

/** A request: its id, and the layouts of what it and its answer carry, if anything. */
interface Request<Q extends Fields, A extends Fields> {
  readonly id: number;
  readonly request: StructLayout<Q> | undefined;
  readonly answer: StructLayout<A> | undefined;
}

const LARGEST_TOKEN = 0xffff;
/** Queue indexes are 16 bits wide. */
const QUEUE_INDEXES = 0x10000;
const STATUS_MASK = 0xff;
/** How often the device is asked whether it is done before it is given up. */
const POLL_LIMIT = 1000;
/** How often the configuration is read or written again because it changed meanwhile. */
const CONFIG_ATTEMPTS = 64;

/** Drives one device through a bus of messages. */
export class MessageDriver implements DriverTransport {
  /** The transport's name. */
  readonly name: string = MESSAGE_TRANSPORT_NAME;
  /** Memory that is shared with the device. */
  readonly dma: DmaAllocator;
  /** Every feature bit that messages can carry. */
  readonly allowedFeatures: FeatureSet;
  /** The number of the device on its bus. */
  readonly deviceNumber: number;
  /** The longest message of the bus, in bytes with the header. */
  readonly limit: number;

  readonly #bus: MessageBus;
  readonly #discards: Discards = new Map();
  #listener: InterruptListener | undefined;
  #token = 0;
  /** The last generation that the device told; SET_CONFIG has to name the current one. */
  #generation = 0;

  /** Makes a driver half; nothing is sent before {@link open}. @throws VirtioError `TRANSPORT_OPTIONS` */
  constructor(init: MessageDriverInit) {
    this.limit = checkLimit(init.bus.limit);
    this.deviceNumber = init.deviceNumber ?? 0;
    this.dma = init.dma;
    this.#bus = init.bus;
    const all = Array.from({ length: FEATURE_BITS }, (_, bit) => bit);
    this.allowedFeatures = FeatureSet.of(...all).without(...MESSAGE_RESERVED_FEATURES);
  }

  /** How many events were discarded, by reason. */
  get discards(): ReadonlyMap<DiscardReason, number> {
    return this.#discards;
  }

  /** Asks what the device is. Of the answer, only the identity holds for good. */
  async open(): Promise<DeviceIdentity> {
    const { device_id: deviceId, vendor_id: vendorId } = await this.#ask(
      REQUESTS.GET_DEVICE_INFO,
      {},
    );
    if (deviceId !== 0) return { deviceId, vendorId };
    throw new VirtioError("DEVICE_UNKNOWN", {
      message: "there is no device of this number",
      path: pathOf("device_info.device_id"),
      value: deviceId,
      hint: "look at another device number",
    });
  }

  /** Delivers events to `listener` from now on. */
  async listen(listener: InterruptListener): Promise<void> {
    this.#listener = listener;
    this.#bus.onEvent((event) => this.#receive(event));
  }

  /** Sets status 0 and waits until it reads back. */
  async reset(): Promise<void> {
    let { status } = await this.#ask(REQUESTS.SET_DEVICE_STATUS, { status: 0 });
    for (let i = 0; (status & STATUS_MASK) !== 0; i++) {
      if (i === POLL_LIMIT) throw deviceHangs("status", POLL_LIMIT);
      status = await this.readStatus();
    }
  }

  /** Asks for the status. */
  async readStatus(): Promise<number> {
    return (await this.#ask(REQUESTS.GET_DEVICE_STATUS, {})).status & STATUS_MASK;
  }

  /** Sets the status. What became of it is asked for again by whoever wants to know. */
  async writeStatus(status: number): Promise<void> {
    await this.#ask(REQUESTS.SET_DEVICE_STATUS, { status });
  }

  /** Asks for all blocks of offered features at once. */
  async readFeatures(): Promise<FeatureSet> {
    const blocks = { block_index: 0, num_blocks: FEATURE_WORDS };
    const { data, ...echo } = await this.#ask(REQUESTS.GET_DEVICE_FEATURES, blocks);
    expectEcho("features", echo, blocks);
    expectElements("features.data", data, FEATURE_WORDS);
    return FeatureSet.fromWords(data);
  }

  /** Sets all blocks of accepted features at once. */
  async writeFeatures(features: FeatureSet): Promise<void> {
    const data = Array.from({ length: FEATURE_WORDS }, (_, word) => features.word(word));
    await this.#ask(REQUESTS.SET_DRIVER_FEATURES, {
      block_index: 0,
      num_blocks: FEATURE_WORDS,
      data,
    });
  }

  /**
   * Reads configuration bytes. What fits into one message is of one generation by itself; of more,
   * all messages have to tell the same.
   *
   * @throws VirtioError `VALUE_RANGE` for a range outside 4096 bytes, `DEVICE_FAILED` when the
   * configuration never stops changing.
   */
  async readConfig(offset: number, length: number): Promise<Uint8Array> {
    checkRange(offset, length);
    const bytes = new Uint8Array(length);
    for (let attempt = 0; attempt < CONFIG_ATTEMPTS; attempt++) {
      if (await this.#readConfigOnce(offset, bytes)) return bytes;
    }
    throw restlessConfig(CONFIG_ATTEMPTS);
  }

  /** True when all bytes were of one generation. */
  async #readConfigOnce(offset: number, bytes: Uint8Array): Promise<boolean> {
    let first: number | undefined;
    for (const { at, num_bytes } of this.#pieces(bytes.length)) {
      const range = { offset: offset + at, num_bytes };
      const { data, generation, ...echo } = await this.#ask(REQUESTS.GET_CONFIG, range);
      expectEcho("config", echo, range);
      expectElements("config.data", data, num_bytes);
      this.#generation = generation;
      first ??= generation;
      if (generation !== first) return false;
      bytes.set(data.slice(0, num_bytes), at);
    }
    return true;
  }

  /**
   * Writes configuration bytes. The device rejects what was written in ignorance of a change, and
   * tells the new generation; the write then goes over that change, as it does on other transports.
   *
   * @throws VirtioError as {@link readConfig}.
   */
  async writeConfig(offset: number, bytes: Uint8Array): Promise<void> {
    checkRange(offset, bytes.length);
    const source = bytes.slice();
    for (const { at, num_bytes } of this.#pieces(source.length)) {
      const data = source.subarray(at, at + num_bytes);
      await this.#writeConfigPiece({ offset: offset + at, num_bytes, data });
    }
  }

  async #writeConfigPiece(piece: {
    readonly offset: number;
    readonly num_bytes: number;
    readonly data: Uint8Array;
  }): Promise<void> {
    for (let attempt = 0; attempt < CONFIG_ATTEMPTS; attempt++) {
      const named = this.#generation;
      const answer = await this.#ask(REQUESTS.SET_CONFIG, { ...piece, generation: named });
      this.#generation = answer.generation;
      if (answer.num_bytes === piece.num_bytes) return;
    }
    throw restlessConfig(CONFIG_ATTEMPTS);
  }

  /** Asks for the largest size of a queue. */
  async queueSizeMax(index: number): Promise<number> {
    return (await this.#askVqueue(index)).max_size;
  }

  /**
   * Tells the device where the queue is, which enables it.
   *
   * @throws VirtioError `TRANSPORT` when it is in use already or is not enabled by it.
   */
  async enableQueue(index: number, size: number, areas: QueueAddresses): Promise<QueueDoorbell> {
    await this.#expectEnabled(index, false);
    await this.#ask(REQUESTS.SET_VQUEUE, {
      index,
      size,
      descriptor_area: areas.descriptorArea,
      driver_area: areas.driverArea,
      device_area: areas.deviceArea,
    });
    await this.#expectEnabled(index, true);
    const { id, payload } = EVENTS.EVENT_AVAIL;
    // Made once: a notification allocates nothing on this side.
    const event = writeEvent(id, encode(payload, { index }), this.deviceNumber);
    return { ring: () => this.#send(event) };
  }

  /** Resets one queue and waits until it is no longer enabled. */
  async resetQueue(index: number): Promise<void> {
    await this.#ask(REQUESTS.RESET_VQUEUE, { index });
    for (let i = 0; (await this.#askVqueue(index)).isEnabled; i++) {
      if (i === POLL_LIMIT) throw deviceHangs(`vqueue[${index}].flags`, POLL_LIMIT);
    }
  }

  /**
   * Asks again what the device is, now that the feature is negotiated: before, the place is 0 and 0,
   * and what {@link open} was told is not kept.
   */
  async adminQueues(features: FeatureSet): Promise<AdminQueuePlace> {
    const { admin_vq_start, admin_vq_count } = DEVICE_INFO.fields;
    if (!features.has(FEATURE.VIRTIO_F_ADMIN_VQ)) {
      throw new VirtioError("ADMIN_QUEUE_UNAVAILABLE", {
        message: `on ${this.name} VIRTIO_F_ADMIN_VQ (bit ${FEATURE.VIRTIO_F_ADMIN_VQ}) is not negotiated`,
        path: pathOf("device_info.admin_vq_start"),
        value: features.toString(),
        hint: "offer it on the device, ask for it in bring-up, or do without",
      });
    }
    const info = await this.#ask(REQUESTS.GET_DEVICE_INFO, {});
    const { admin_vq_start: index, admin_vq_count: count, max_virtqueues } = info;
    const isBehind = count === 0 || index >= max_virtqueues;
    if (!isBehind || count > QUEUE_INDEXES - index) {
      throw new VirtioError("TRANSPORT", {
        message: "the device places administration virtqueues where there is no room for them",
        path: pathOf("device_info.admin_vq_start"),
        value: `${count} at ${index}`,
        hint: `the device is faulty: they come after its ${max_virtqueues} others, below 65536`,
      });
    }
    const source = `GET_DEVICE_INFO, offsets ${admin_vq_start.offset}, ${admin_vq_count.offset}`;
    return { index, count, source };
  }

  /** Stops listening to events. */
  async close(): Promise<void> {
    this.#bus.onEvent(undefined);
    this.#listener = undefined;
  }

  // Requests

  /**
   * Sends a request and takes its answer apart.
   *
   * @throws VirtioError `TRANSPORT` when there is no answer, or none to this request.
   */
  async #ask<Q extends Fields, A extends Fields>(
    { id, request, answer }: Request<Q, A>,
    values: Encodable<Q>,
  ): Promise<Decoded<A>> {
    const token = this.#nextToken();
    const payload = request === undefined ? NO_PAYLOAD : encode(request, values);
    const bytes = await this.#bus.request(
      writeMessage({ isAnswer: false, id, token, payload }, this.deviceNumber),
    );
    if (bytes === undefined) throw faultyAnswer(id, "the device does not answer");
    const message = readMessage(bytes, this);
    if (typeof message === "string") throw faultyAnswer(id, DISCARD_REASONS[message]);
    if (!message.isAnswer || message.id !== id || message.token !== token) {
      throw faultyAnswer(id, "the answer is none to this request");
    }
    const excess = excessOf(answer, message.payload.length);
    if (excess < 0 || !Number.isInteger(excess)) {
      throw faultyAnswer(id, DISCARD_REASONS["wrong length"]);
    }
    return answer === undefined ? ({} as Decoded<A>) : decode(answer, message.payload);
  }

  #nextToken(): number {
    this.#token = (this.#token % LARGEST_TOKEN) + 1;
    return this.#token;
  }

  async #askVqueue(index: number) {
    const { flags, ...answer } = await this.#ask(REQUESTS.GET_VQUEUE, { index });
    expectEcho("vqueue", answer, { index });
    return { ...answer, isEnabled: (flags & VQUEUE.fields.flags.bits.enabled.mask) !== 0 };
  }

  async #expectEnabled(index: number, wanted: boolean): Promise<void> {
    const { isEnabled } = await this.#askVqueue(index);
    if (isEnabled === wanted) return;
    throw new VirtioError("TRANSPORT", {
      message: wanted ? "the queue was not enabled" : "the queue is in use already",
      path: pathOf(`vqueue[${index}].flags`),
      value: isEnabled,
      hint: "reset the device and begin again",
    });
  }

  /** A range of the configuration space in pieces that fit into a message. */
  *#pieces(length: number): Generator<{ readonly at: number; readonly num_bytes: number }> {
    const most = this.limit - MESSAGE_HEADER.size - REQUESTS.GET_CONFIG.answer.size;
    for (let at = 0; at < length; at += most) {
      yield { at, num_bytes: Math.min(most, length - at) };
    }
  }

  // Events

  #send(event: Uint8Array): void {
    try {
      this.#bus.send(event)?.then(undefined, (error) => this.#listener?.failed(error));
    } catch (error) {
      this.#listener?.failed(error);
    }
  }

  /** Takes an event. One that makes no sense is discarded: it is no reason to give the device up. */
  #receive(bytes: Uint8Array): void {
    const event = readMessage(bytes, this);
    const reason = typeof event === "string" ? event : this.#dispatch(event);
    if (reason !== undefined) discard(this.#discards, reason);
  }

  #dispatch({ isAnswer, id, token, payload }: Message): DiscardReason | undefined {
    const { EVENT_USED, EVENT_CONFIG } = EVENTS;
    if (id !== EVENT_USED.id && id !== EVENT_CONFIG.id) return "unknown id";
    if (isAnswer || token !== 0) return "wrong kind";
    if (id === EVENT_USED.id) {
      if (payload.length < EVENT_USED.payload.size) return "wrong length";
      const { index } = decode(EVENT_USED.payload, payload);
      if (index >= QUEUE_INDEXES) return "wrong value";
      this.#listener?.usedBuffers(index);
      return undefined;
    }
    if (payload.length < EVENT_CONFIG.payload.size) return "wrong length";
    this.#generation = decode(EVENT_CONFIG.payload, payload).generation;
    this.#listener?.configurationChange();
    return undefined;
  }
}
