/**
 * The driver half of virtio over channel I/O: what a guest driver does with channel programs,
 * DIAGNOSE 0x500 and indicators.
 */
import {
  type AdminQueuePlace,
  accessors,
  CONFIG_SPACE_LIMIT,
  type CommandLayout,
  type DeviceIdentity,
  DIALECTS,
  type DialectName,
  type DmaAllocator,
  type DriverTransport,
  Exclusive,
  FEATURE,
  FEATURE_BITS,
  FEATURE_WORDS,
  FeatureSet,
  type InterruptListener,
  notificationData,
  QUEUE_COUNT_LIMIT,
  type QueueAddresses,
  type QueueDoorbell,
  STATUS,
  VirtioError,
} from "@virtio-admin/core";
import { type BoundLayout, bindLayout, reservedFeaturesOf } from "./binding.ts";
import type { CcwBus } from "./bus.ts";
import type { CcwInterrupt } from "./device.ts";
import {
  checkClassic,
  checkConfigRange,
  checkDialect,
  notifyRefused,
  unavailable,
} from "./driver-errors.ts";
import { DriverIndicators } from "./driver-indicators.ts";
import {
  CCW_BASIC_LAYOUT,
  CCW_REFERENCE_LAYOUT,
  CONTROL_UNIT_TYPE,
  highestRevision,
  LOWEST_REVISION,
  NOTIFY_SUBCODE,
  SENSE_ID_BASIC_LENGTH,
  SENSE_ID_DATA,
} from "./layout.ts";
import { CommandChannel } from "./program.ts";

/** What a CCW driver half is made from. */
export interface CcwDriverInit {
  /** The subchannel of the device. */
  readonly bus: CcwBus;
  /** Memory that is shared with the device; what channel programs use must lie below 2 GiB. */
  readonly dma: DmaAllocator;
  /** The channel commands; {@link CCW_REFERENCE_LAYOUT} by default. */
  readonly layout?: CommandLayout;
  /** The revision to try first; the layout's highest by default. */
  readonly maxRevision?: number;
  /**
   * The dialect of administration commands that the device speaks; `virtio-1.4` by default. No
   * channel command tells it: whoever knows the device says it.
   */
  readonly dialect?: DialectName;
}

const NAME = "ccw";
const NO_DATA = new Uint8Array(0);
/** The words of feature bits that every device has. */
const CERTAIN_WORDS = 2;
const senseId = accessors(SENSE_ID_DATA);

/** Drives one virtio-ccw device through a subchannel. */
export class CcwDriver implements DriverTransport {
  /** The transport's name. */
  readonly name: string = NAME;
  /** Memory that is shared with the device. */
  readonly dma: DmaAllocator;
  /** The channel commands. */
  readonly layout: CommandLayout;

  readonly #bus: CcwBus;
  readonly #bound: BoundLayout;
  readonly #channel: CommandChannel;
  /** What is written to the configuration space is read before: nobody else writes in between. */
  readonly #configWrites = new Exclusive();
  readonly #maxRevision: number;
  readonly #dialect: DialectName;
  readonly #allowed: FeatureSet;
  #revision: number | undefined;
  #listener: InterruptListener | undefined;
  /** The status that was written last, for revisions without READ_STATUS. */
  #status = 0;
  #configLength: number | undefined;
  /** The words of feature bits that were written with bits since the reset. */
  readonly #wordsWritten = new Set<number>();
  #features: FeatureSet = FeatureSet.EMPTY;
  #indicators: DriverIndicators | undefined;

  /**
   * Makes a driver half; nothing is issued before {@link open}.
   *
   * @throws VirtioError `LAYOUT_INVALID` for a layout that lacks what virtio 1.4 has;
   * `TRANSPORT_OPTIONS` for a dialect that there is not.
   */
  constructor(init: CcwDriverInit) {
    this.#dialect = checkDialect(init.dialect ?? "virtio-1.4");
    this.layout = init.layout ?? CCW_REFERENCE_LAYOUT;
    this.#bound = bindLayout(this.layout);
    this.#bus = init.bus;
    this.dma = init.dma;
    this.#channel = new CommandChannel(init.bus, init.dma);
    this.#maxRevision = Math.min(init.maxRevision ?? 0xffff, highestRevision(this.layout));
    const all = Array.from({ length: FEATURE_BITS }, (_, bit) => bit);
    this.#allowed = FeatureSet.of(...all).without(...reservedFeaturesOf(this.layout));
  }

  /** The revision that was selected, or `undefined` before {@link open}. */
  get revision(): number | undefined {
    return this.#revision;
  }

  /**
   * What the selected revision lets a driver accept; nothing before {@link open}.
   *
   * VIRTIO_F_ADMIN_VQ is not among it below the revision of READ_ADMIN_VQ, even if a device offers
   * it there: the driver would have no command to ask for the place of the queues with, and the
   * specification reserves the bit.
   */
  get allowedFeatures(): FeatureSet {
    if (this.#revision === undefined) return FeatureSet.EMPTY;
    return this.#isAdminReachable()
      ? this.#allowed
      : this.#allowed.without(FEATURE.VIRTIO_F_ADMIN_VQ);
  }

  /**
   * Enables the subchannel, checks the control unit type and selects a revision, the highest first.
   * Device type and model are ignored.
   *
   * @throws VirtioError `DEVICE_UNKNOWN` when the control unit is another, or no revision from the
   * driver's down to 1 is accepted (a legacy device).
   */
  async open(): Promise<DeviceIdentity> {
    // Whoever drove the device before may have left a revision selected; disabling unsets it.
    await this.#bus.modifySubchannel(false);
    await this.#bus.modifySubchannel(true);
    const { view } = await this.#channel.demand(
      CCW_BASIC_LAYOUT.commands.SENSE_ID,
      new Uint8Array(SENSE_ID_BASIC_LENGTH),
      { suppressLength: true },
    );
    const type = senseId.cu_type.get(view, 0);
    if (type !== CONTROL_UNIT_TYPE) {
      throw new VirtioError("DEVICE_UNKNOWN", {
        message: "the control unit is not that of a virtio-ccw device",
        path: "ccw.SENSE_ID.cu_type",
        value: type,
        hint: `look for control unit type 0x${CONTROL_UNIT_TYPE.toString(16)}`,
      });
    }
    this.#revision = await this.#selectRevision();
    return { deviceId: senseId.cu_model.get(view, 0), vendorId: 0 };
  }

  /** Delivers interrupts to `listener` from now on. */
  async listen(listener: InterruptListener): Promise<void> {
    this.#listener = listener;
    this.#bus.onInterrupt((interrupt) => this.#serve(interrupt));
  }

  /**
   * Issues VDEV_RESET, which is complete when it ends, and verifies that where it can.
   *
   * @throws VirtioError `DEVICE_FAILED` when the status is not 0 afterwards.
   */
  async reset(): Promise<void> {
    await this.#channel.demand(this.#bound.commands.VDEV_RESET, NO_DATA);
    this.#status = 0;
    this.#wordsWritten.clear();
    this.#features = FeatureSet.EMPTY;
    this.#freeIndicators();
    const status = await this.readStatus();
    if (status === 0) return;
    throw new VirtioError("DEVICE_FAILED", {
      message: "the reset concluded, but the status is not 0",
      path: "ccw.READ_STATUS",
      value: status,
    });
  }

  /** Reads the device status; below revision 2, what was written last. */
  async readStatus(): Promise<number> {
    const command = this.#bound.commands.READ_STATUS;
    if (!this.#isInRevision(command.gate?.revision)) return this.#status;
    const { view } = await this.#channel.demand(command, new Uint8Array(command.payload.size));
    return this.#bound.readStatus.status.get(view, 0);
  }

  /**
   * Writes the device status. When the device rejects FEATURES_OK, the status stays as it was and
   * nothing is thrown: reading it back tells.
   *
   * @throws VirtioError `DEVICE_FAILED` when the device rejects another bit.
   */
  async writeStatus(status: number): Promise<void> {
    const command = this.#bound.commands.WRITE_STATUS;
    const data = new Uint8Array(command.payload.size);
    this.#bound.writeStatus.status.set(viewOf(data), 0, status);
    const { rejected } = await this.#channel.issue(command, data);
    if (!rejected) {
      this.#status = status;
      return;
    }
    if ((status & ~this.#status & STATUS.FEATURES_OK) !== 0) return;
    throw new VirtioError("DEVICE_FAILED", {
      message: "the device rejected the status; it is as it was before",
      path: "ccw.WRITE_STATUS",
      value: status,
      hint: "reset the device",
    });
  }

  /** Reads all 128 offered feature bits. */
  async readFeatures(): Promise<FeatureSet> {
    const command = this.#bound.commands.READ_FEAT;
    const { index, features } = this.#bound.readFeat;
    const words: number[] = [];
    for (let word = 0; word < FEATURE_WORDS; word++) {
      const data = new Uint8Array(command.payload.size);
      index.set(viewOf(data), 0, word);
      const { view } = await this.#channel.demand(command, data);
      words.push(features.get(view, 0));
    }
    return FeatureSet.fromWords(words);
  }

  /**
   * Writes the accepted feature bits; words beyond the first two only where they are not 0, or were
   * not the last time.
   */
  async writeFeatures(accepted: FeatureSet): Promise<void> {
    const command = this.#bound.commands.WRITE_FEAT;
    const { index, features } = this.#bound.writeFeat;
    for (let word = 0; word < FEATURE_WORDS; word++) {
      const isEmpty = accepted.word(word) === 0;
      if (word >= CERTAIN_WORDS && isEmpty && !this.#wordsWritten.has(word)) continue;
      const data = new Uint8Array(command.payload.size);
      index.set(viewOf(data), 0, word);
      features.set(viewOf(data), 0, accepted.word(word));
      await this.#channel.demand(command, data);
      if (!isEmpty) this.#wordsWritten.add(word);
    }
    this.#features = accepted;
  }

  /**
   * Reads configuration bytes; those beyond the configuration space are 0. The command transmits
   * all of it at once, so what it returns is consistent.
   *
   * @throws VirtioError `VALUE_RANGE` for a range outside 4096 bytes.
   */
  async readConfig(offset: number, length: number): Promise<Uint8Array> {
    checkConfigRange(offset, length);
    const bytes = new Uint8Array(length);
    const space = await this.#readConfigSpace();
    bytes.set(space.subarray(offset, offset + length));
    return bytes;
  }

  /**
   * Writes configuration bytes: reads the space, replaces them and writes it all, as the command
   * wants. Bytes beyond the configuration space are ignored.
   *
   * @throws VirtioError `VALUE_RANGE` for a range outside 4096 bytes.
   */
  async writeConfig(offset: number, bytes: Uint8Array): Promise<void> {
    checkConfigRange(offset, bytes.length);
    const written = bytes.slice();
    await this.#configWrites.run(async () => {
      const space = await this.#readConfigSpace();
      if (offset >= space.length) return;
      space.set(written.subarray(0, space.length - offset), offset);
      await this.#channel.demand(this.#bound.commands.WRITE_CONF, space);
    });
  }

  /** The largest size of a queue, by READ_VQ_CONF. */
  async queueSizeMax(index: number): Promise<number> {
    const command = this.#bound.commands.READ_VQ_CONF;
    const data = new Uint8Array(command.payload.size);
    this.#bound.readVqConf.index.set(viewOf(data), 0, index);
    const { view } = await this.#channel.demand(command, data);
    return this.#bound.readVqConf.max_queue_size.get(view, 0);
  }

  /**
   * Sets up and enables a queue.
   *
   * @throws VirtioError `QUEUE_UNAVAILABLE` when the device rejects it, or its index is above 63
   * and there are no adapter interrupts.
   */
  async enableQueue(index: number, size: number, areas: QueueAddresses): Promise<QueueDoorbell> {
    if (!this.#bus.adapterInterrupts) checkClassic(index);
    const command = this.#bound.commands.SET_VQ;
    const fields = this.#bound.setVq;
    const data = new Uint8Array(command.payload.size);
    const view = viewOf(data);
    fields.index.set(view, 0, index);
    fields.size.set(view, 0, size);
    fields.desc.setNumber(view, 0, areas.descriptorArea);
    fields.driver.setNumber(view, 0, areas.driverArea);
    fields.device.setNumber(view, 0, areas.deviceArea);
    const { rejected } = await this.#channel.issue(command, data);
    if (rejected) {
      throw new VirtioError("QUEUE_UNAVAILABLE", {
        message: "the device rejected SET_VQ",
        path: `ccw.queue[${index}]`,
        value: size,
        hint: "the queue does not exist, is enabled already, or its areas are not legal",
      });
    }
    return this.#doorbell(index);
  }

  /** @throws VirtioError `TRANSPORT_UNSUPPORTED`: one queue cannot be stopped on this transport */
  async resetQueue(index: number): Promise<void> {
    throw new VirtioError("TRANSPORT_UNSUPPORTED", {
      message: "ccw cannot reset one queue",
      path: `ccw.queue[${index}]`,
      hint: "reset the device",
    });
  }

  /**
   * Sets up the indicators of the queues that were enabled: adapter indicators where the machine
   * and the device have them, classic ones otherwise; and those of configuration changes.
   *
   * @throws VirtioError `QUEUE_UNAVAILABLE` when a queue above 63 has to do with classic ones.
   */
  async queuesReady(indexes: readonly number[]): Promise<void> {
    this.#freeIndicators();
    const indicators = new DriverIndicators(this.dma, indexes);
    this.#indicators = indicators;
    if (!this.#bus.adapterInterrupts || !(await this.#setAdapter(indicators))) {
      indexes.forEach(checkClassic);
      const command = this.#bound.commands.SET_IND;
      const data = new Uint8Array(command.payload.size);
      this.#bound.setInd.address.setNumber(viewOf(data), 0, indicators.classic);
      await this.#channel.demand(command, data);
      indicators.queueIndicators = "classic";
    }
    const command = this.#bound.commands.SET_CONF_IND;
    const data = new Uint8Array(command.payload.size);
    this.#bound.setConfInd.address.setNumber(viewOf(data), 0, indicators.configuration);
    await this.#channel.demand(command, data);
  }

  /**
   * Reads where the administration virtqueues are, by READ_ADMIN_VQ.
   *
   * @throws VirtioError `ADMIN_QUEUE_UNAVAILABLE` when the layout, the revision or the features
   * lack them; `DEVICE_FAILED` when they reach beyond the last queue index.
   */
  async adminQueues(features: FeatureSet): Promise<AdminQueuePlace> {
    const { admin, adminFields } = this.#bound;
    if (admin === undefined || adminFields === undefined) {
      throw unavailable(
        `the ccw layout ${this.layout.name} has no READ_ADMIN_VQ`,
        this.layout.name,
        "use CCW_REFERENCE_LAYOUT on both sides, or do without administration virtqueues",
      );
    }
    if (!this.#isAdminReachable()) {
      throw unavailable(
        `on ccw READ_ADMIN_VQ needs revision ${admin.gate?.revision}`,
        this.#revision,
        "use a device that accepts that revision, or do without",
      );
    }
    if (!features.has(FEATURE.VIRTIO_F_ADMIN_VQ)) {
      throw unavailable(
        `on ccw VIRTIO_F_ADMIN_VQ (bit ${FEATURE.VIRTIO_F_ADMIN_VQ}) is not negotiated`,
        features.toString(),
        "offer it on the device, ask for it in bring-up, or do without",
      );
    }
    // A later revision may append to the payload: what is too much or missing there is no error.
    const { view, moved } = await this.#channel.demand(admin, new Uint8Array(admin.payload.size), {
      suppressLength: true,
    });
    const { admin_queue_index, admin_queue_num } = adminFields;
    const needed = Math.max(
      admin_queue_index.offset + admin_queue_index.width,
      admin_queue_num.offset + admin_queue_num.width,
    );
    const index = admin_queue_index.get(view, 0);
    const count = admin_queue_num.get(view, 0);
    if (moved < needed || count > QUEUE_COUNT_LIMIT - index) {
      throw new VirtioError("DEVICE_FAILED", {
        message: "the device's answer to READ_ADMIN_VQ is cut short or beyond the last queue index",
        path: "ccw.READ_ADMIN_VQ",
        value: `${index}+${count}, ${moved} bytes`,
        hint: "the device is faulty: index + number is at most 65536",
      });
    }
    const dialect = DIALECTS[this.#dialect];
    if (count > dialect.mostQueues) {
      throw new VirtioError("DEVICE_FAILED", {
        message: `a device that speaks ${dialect.label} has ${dialect.mostQueues} administration virtqueue`,
        path: "ccw.READ_ADMIN_VQ",
        value: count,
        hint: "it speaks another dialect than the driver was told",
      });
    }
    const source = `CCW command READ_ADMIN_VQ 0x${admin.code.toString(16).padStart(2, "0")}`;
    return dialect.reconstruction
      ? { index, count, source: `${source}; ${dialect.label}`, dialect: dialect.name }
      : { index, count, source };
  }

  /**
   * Stops listening and disables the subchannel, which unsets the revision. Memory goes back where
   * the device cannot use it any more.
   */
  async close(): Promise<void> {
    this.#bus.onInterrupt(undefined);
    this.#listener = undefined;
    this.#revision = undefined;
    if (this.#status === 0) this.#freeIndicators();
    this.#channel.release();
    await this.#bus.modifySubchannel(false);
  }

  async #selectRevision(): Promise<number> {
    const command = this.#bound.commands.SET_VIRTIO_REV;
    for (let revision = this.#maxRevision; revision >= LOWEST_REVISION; revision--) {
      const data = new Uint8Array(command.payload.size);
      this.#bound.setRevision.revision.set(viewOf(data), 0, revision);
      const { rejected } = await this.#channel.issue(command, data);
      if (!rejected) return revision;
    }
    throw new VirtioError("DEVICE_UNKNOWN", {
      message: `the device accepts no revision from ${this.#maxRevision} down to ${LOWEST_REVISION}`,
      path: "ccw.SET_VIRTIO_REV",
      hint: "it is a legacy device, or driven by somebody else",
    });
  }

  #isInRevision(wanted: number | undefined): boolean {
    return (wanted ?? LOWEST_REVISION) <= (this.#revision ?? 0);
  }

  #isAdminReachable(): boolean {
    return this.#isInRevision(this.#bound.admin?.gate?.revision);
  }

  /** The whole configuration space; its length is learnt from the residual count, once. */
  async #readConfigSpace(): Promise<Uint8Array> {
    const wanted = this.#configLength ?? CONFIG_SPACE_LIMIT;
    if (wanted === 0) return new Uint8Array(0);
    const { view, moved } = await this.#channel.demand(
      this.#bound.commands.READ_CONF,
      new Uint8Array(wanted),
      { suppressLength: this.#configLength === undefined },
    );
    this.#configLength = moved;
    return new Uint8Array(view.buffer, 0, moved);
  }

  /** Asks for adapter indicators; false when the device does not have them. */
  async #setAdapter(indicators: DriverIndicators): Promise<boolean> {
    const { summary, area, firstBit, subclass } = indicators.adapter;
    const command = this.#bound.commands.SET_IND_ADAPTER;
    const fields = this.#bound.setIndAdapter;
    const data = new Uint8Array(command.payload.size);
    const view = viewOf(data);
    fields.summary_indicator.setNumber(view, 0, summary);
    fields.indicator.setNumber(view, 0, area);
    fields.bit_nr.setNumber(view, 0, firstBit);
    fields.isc.set(view, 0, subclass);
    const { rejected } = await this.#channel.issue(command, data);
    if (!rejected) indicators.queueIndicators = "adapter";
    return !rejected;
  }

  #doorbell(index: number): QueueDoorbell {
    let cookie = 0;
    const taken = (answer: number): void => {
      if (answer >= 0) cookie = answer;
      else this.#listener?.failed(notifyRefused(index, answer));
    };
    const failed = (error: unknown): void => this.#listener?.failed(error);
    const carriesData = this.#features.has(FEATURE.VIRTIO_F_NOTIFICATION_DATA);
    return {
      ring: (next = 0) => {
        try {
          const bus = this.#bus;
          const data = carriesData ? notificationData(index, next) : index;
          const answer = bus.diagnose500(NOTIFY_SUBCODE, bus.subchannelId, data, cookie);
          if (typeof answer === "number") taken(answer);
          else answer.then(taken, failed);
        } catch (error) {
          failed(error);
        }
      },
    };
  }

  #serve(interrupt: CcwInterrupt): void {
    if (interrupt.kind === "subchannel" && interrupt.subchannelId !== this.#bus.subchannelId)
      return;
    if (this.#listener !== undefined) this.#indicators?.serve(interrupt, this.#listener);
  }

  #freeIndicators(): void {
    this.#indicators?.free();
    this.#indicators = undefined;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
