/**
 * The driver half of virtio over MMIO: what a guest driver does with the registers.
 */
import {
  type AdminQueuePlace,
  CONFIG_SPACE_LIMIT,
  type ConfigAccess,
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
  type MaybePromise,
  notificationData,
  type QueueAddresses,
  type QueueDoorbell,
  type RegisterLayout,
  readConfigFields,
  VirtioError,
  writeConfigFields,
} from "@virtio-admin/core";
import type { MmioBus } from "./bus.ts";
import { checkMmioLayout, exposesAdminQueues, reservedFeaturesOf } from "./device.ts";
import {
  MMIO_INTERRUPT,
  MMIO_MAGIC,
  MMIO_REFERENCE_LAYOUT,
  MMIO_VERSION,
  type MmioRegister,
} from "./layout.ts";

/** What an MMIO driver half is made from. */
export interface MmioDriverInit {
  /** The window and the interrupt of the device. */
  readonly bus: MmioBus;
  /** Memory that is shared with the device. */
  readonly dma: DmaAllocator;
  /** The registers; {@link MMIO_REFERENCE_LAYOUT} by default. */
  readonly layout?: RegisterLayout;
  /**
   * The dialect of administration commands that the device speaks; `virtio-1.4` by default. No
   * register tells it: whoever knows the device says it.
   */
  readonly dialect?: DialectName;
}

const NAME = "mmio";
const REGISTER_BYTES = 4;
/** The words of feature bits that every device has. */
const CERTAIN_WORDS = 2;
const WORD = 0x100000000;
/** admin_queue_index and admin_queue_num stand in bits 0 to 15; a driver ignores the others. */
const ADMIN_FIELD_MASK = 0xffff;
/** Queue indexes are 16 bits wide. */
const QUEUE_INDEXES = 0x10000;
/** How often a register is read before the device is given up. */
const POLL_LIMIT = 10_000;
/** How many rounds one interrupt may take: a device that never stops asserting is given up. */
const INTERRUPT_ROUNDS = 4096;
const KNOWN_EVENTS = MMIO_INTERRUPT.usedBuffer | MMIO_INTERRUPT.configurationChange;

/** Drives one virtio-mmio device through a bus. */
export class MmioDriver implements DriverTransport {
  /** The transport's name. */
  readonly name: string = NAME;
  /** Memory that is shared with the device. */
  readonly dma: DmaAllocator;
  /** Every feature bit that the layout can carry. */
  readonly allowedFeatures: FeatureSet;
  /** The registers of the window. */
  readonly layout: RegisterLayout;

  readonly #bus: MmioBus;
  readonly #dialect: DialectName;
  readonly #exclusive = new Exclusive();
  readonly #config: ConfigAccess = {
    generationPath: "mmio.ConfigGeneration",
    generation: () => this.#read("ConfigGeneration"),
    read: (offset, width) => this.#bus.read(this.#offset("Config") + offset, width),
    write: (offset, width, value) => this.#bus.write(this.#offset("Config") + offset, width, value),
  };
  /** The words of feature bits that were written with bits since the reset. */
  readonly #wordsWritten = new Set<number>();
  #features: FeatureSet = FeatureSet.EMPTY;
  #listener: InterruptListener | undefined;
  #serving = false;
  /** The line rose since InterruptStatus was asked for last. */
  #risen = false;

  /**
   * Makes a driver half; nothing is read before {@link open}.
   *
   * @throws VirtioError `LAYOUT_INVALID`; `TRANSPORT_OPTIONS` for a dialect that there is not
   */
  constructor(init: MmioDriverInit) {
    this.#dialect = init.dialect ?? "virtio-1.4";
    if (!Object.hasOwn(DIALECTS, this.#dialect)) {
      throw new VirtioError("TRANSPORT_OPTIONS", {
        message: "there is no such dialect of administration commands",
        path: "mmio.dialect",
        value: this.#dialect,
        hint: `say ${Object.keys(DIALECTS).join(" or ")}`,
      });
    }
    this.layout = init.layout ?? MMIO_REFERENCE_LAYOUT;
    checkMmioLayout(this.layout);
    this.#bus = init.bus;
    this.dma = init.dma;
    const all = Array.from({ length: FEATURE_BITS }, (_, bit) => bit);
    this.allowedFeatures = FeatureSet.of(...all).without(...reservedFeaturesOf(this.layout));
  }

  /** Checks magic, version and device id, in this order. */
  async open(): Promise<DeviceIdentity> {
    await this.#expect("MagicValue", MMIO_MAGIC);
    await this.#expect("Version", MMIO_VERSION);
    const deviceId = await this.#read("DeviceID");
    if (deviceId === 0) {
      throw new VirtioError("DEVICE_UNKNOWN", {
        message: "the window is a placeholder without a device",
        path: "DeviceID",
        value: deviceId,
        hint: "look at another window",
      });
    }
    return { deviceId, vendorId: await this.#read("VendorID") };
  }

  /** Delivers interrupts to `listener` from now on. */
  async listen(listener: InterruptListener): Promise<void> {
    this.#listener = listener;
    this.#bus.onInterrupt(() => this.#serve());
  }

  /** Writes status 0 and waits until it reads back. */
  reset(): Promise<void> {
    return this.#exclusive.run(async () => {
      await this.#write("Status", 0);
      await this.#poll("Status", 0);
      this.#wordsWritten.clear();
      this.#features = FeatureSet.EMPTY;
    });
  }

  /** Reads Status. */
  readStatus(): Promise<number> {
    return this.#exclusive.run(async () => (await this.#read("Status")) & 0xff);
  }

  /** Writes Status. */
  writeStatus(status: number): Promise<void> {
    return this.#exclusive.run(async () => {
      await this.#write("Status", status);
    });
  }

  /** Reads the four words of DeviceFeatures. */
  readFeatures(): Promise<FeatureSet> {
    return this.#exclusive.run(async () => {
      const words: number[] = [];
      for (let word = 0; word < FEATURE_WORDS; word++) {
        await this.#write("DeviceFeaturesSel", word);
        words.push(await this.#read("DeviceFeatures"));
      }
      return FeatureSet.fromWords(words);
    });
  }

  /**
   * Writes the words of DriverFeatures; those beyond the first two only where they are not 0, or
   * were not the last time: there are devices that take every selector but 0 for 1.
   */
  writeFeatures(features: FeatureSet): Promise<void> {
    return this.#exclusive.run(async () => {
      for (let word = 0; word < FEATURE_WORDS; word++) {
        const isEmpty = features.word(word) === 0;
        if (word >= CERTAIN_WORDS && isEmpty && !this.#wordsWritten.has(word)) continue;
        await this.#write("DriverFeaturesSel", word);
        await this.#write("DriverFeatures", features.word(word));
        if (!isEmpty) this.#wordsWritten.add(word);
      }
      this.#features = features;
    });
  }

  /**
   * Reads configuration bytes. One field at a time is read in its own width (2, 4 and 8 bytes when
   * aligned); anything else byte by byte, as the text asks for byte fields.
   *
   * @throws VirtioError `VALUE_RANGE` for a range outside 4096 bytes, `DEVICE_FAILED` when the
   * configuration never stops changing.
   */
  readConfig(offset: number, length: number): Promise<Uint8Array> {
    checkConfigRange(offset, length);
    return this.#exclusive.run(() => readConfigFields(this.#config, offset, length));
  }

  /** Writes configuration bytes in the widths of {@link readConfig}. */
  writeConfig(offset: number, bytes: Uint8Array): Promise<void> {
    checkConfigRange(offset, bytes.length);
    const source = bytes.slice();
    return this.#exclusive.run(() => writeConfigFields(this.#config, offset, source));
  }

  /** Reads QueueSizeMax of a queue. */
  queueSizeMax(index: number): Promise<number> {
    return this.#exclusive.run(async () => {
      await this.#write("QueueSel", index);
      return this.#read("QueueSizeMax");
    });
  }

  /**
   * Tells the device where the queue is and makes it ready.
   *
   * @throws VirtioError `TRANSPORT` when it is in use already or does not become ready.
   */
  enableQueue(index: number, size: number, areas: QueueAddresses): Promise<QueueDoorbell> {
    return this.#exclusive.run(async () => {
      await this.#write("QueueSel", index);
      await this.#expectReady(index, 0);
      await this.#write("QueueSize", size);
      await this.#write("QueueDescLow", areas.descriptorArea % WORD);
      await this.#write("QueueDescHigh", Math.floor(areas.descriptorArea / WORD));
      await this.#write("QueueDriverLow", areas.driverArea % WORD);
      await this.#write("QueueDriverHigh", Math.floor(areas.driverArea / WORD));
      await this.#write("QueueDeviceLow", areas.deviceArea % WORD);
      await this.#write("QueueDeviceHigh", Math.floor(areas.deviceArea / WORD));
      await this.#write("QueueReady", 1);
      await this.#expectReady(index, 1);
      const offset = this.#offset("QueueNotify");
      const carriesData = this.#features.has(FEATURE.VIRTIO_F_NOTIFICATION_DATA);
      return {
        ring: (next = 0) => {
          const value = carriesData ? notificationData(index, next) : index;
          this.#post(() => this.#bus.write(offset, REGISTER_BYTES, value));
        },
      };
    });
  }

  /**
   * Resets one queue through QueueReset and waits until QueueReset and QueueReady read 0.
   *
   * @throws VirtioError `TRANSPORT_UNSUPPORTED` without VIRTIO_F_RING_RESET, which brings the
   * register; `DEVICE_FAILED` when the reset does not end.
   */
  resetQueue(index: number): Promise<void> {
    return this.#exclusive.run(async () => {
      if (!this.#features.has(FEATURE.VIRTIO_F_RING_RESET)) {
        throw new VirtioError("TRANSPORT_UNSUPPORTED", {
          message: `one queue cannot be reset without VIRTIO_F_RING_RESET (bit ${FEATURE.VIRTIO_F_RING_RESET})`,
          path: "mmio.QueueReset",
          value: this.#features.toString(),
          hint: "reset the device",
        });
      }
      await this.#write("QueueSel", index);
      await this.#write("QueueReset", 1);
      await this.#poll("QueueReset", 0);
      await this.#poll("QueueReady", 0);
    });
  }

  /** Reads AdminQueueIndex and AdminQueueNum, once VIRTIO_F_ADMIN_VQ is negotiated. */
  async adminQueues(features: FeatureSet): Promise<AdminQueuePlace> {
    if (!exposesAdminQueues(this.layout)) {
      throw new VirtioError("ADMIN_QUEUE_UNAVAILABLE", {
        message: `the mmio layout ${this.layout.name} has no AdminQueueIndex and AdminQueueNum`,
        path: "mmio.AdminQueueIndex",
        hint: "use MMIO_REFERENCE_LAYOUT on both sides, or do without administration virtqueues",
      });
    }
    if (!features.has(FEATURE.VIRTIO_F_ADMIN_VQ)) {
      throw new VirtioError("ADMIN_QUEUE_UNAVAILABLE", {
        message: `on mmio VIRTIO_F_ADMIN_VQ (bit ${FEATURE.VIRTIO_F_ADMIN_VQ}) is not negotiated`,
        path: "mmio.AdminQueueIndex",
        value: features.toString(),
        hint: "offer it on the device, ask for it in bring-up, or do without",
      });
    }
    return this.#exclusive.run(async () => {
      const index = (await this.#read("AdminQueueIndex")) & ADMIN_FIELD_MASK;
      const count = (await this.#read("AdminQueueNum")) & ADMIN_FIELD_MASK;
      if (count > QUEUE_INDEXES - index) {
        throw new VirtioError("TRANSPORT", {
          message: "the device places administration virtqueues beyond the last queue index",
          path: "mmio.AdminQueueNum",
          value: count,
          hint: "the device is faulty: AdminQueueIndex + AdminQueueNum is at most 65536",
        });
      }
      const dialect = DIALECTS[this.#dialect];
      if (count > dialect.mostQueues) {
        throw new VirtioError("TRANSPORT", {
          message: `a device that speaks ${dialect.label} has ${dialect.mostQueues} administration virtqueue`,
          path: "mmio.AdminQueueNum",
          value: count,
          hint: "it speaks another dialect than the driver was told",
        });
      }
      const place = (name: MmioRegister) =>
        `${name} 0x${this.#offset(name).toString(16).padStart(3, "0")}`;
      const source = `MMIO registers ${place("AdminQueueIndex")}, ${place("AdminQueueNum")}`;
      return dialect.reconstruction
        ? { index, count, source: `${source}; ${dialect.label}`, dialect: dialect.name }
        : { index, count, source };
    });
  }

  /** Stops listening to interrupts. */
  async close(): Promise<void> {
    this.#bus.onInterrupt(undefined);
    this.#listener = undefined;
  }

  /** Serves the line until no known event is left. Synchronous where the bus is. */
  #serve(): void {
    this.#risen = true;
    if (this.#serving) return;
    this.#serving = true;
    let later: PromiseLike<void> | undefined;
    try {
      for (let round = 0; round < INTERRUPT_ROUNDS; round++) {
        const status = this.#readEvents();
        if (typeof status !== "number") {
          later = this.#serveLater(status);
          return;
        }
        const events = status & KNOWN_EVENTS;
        if (events === 0) return;
        this.#dispatch(events);
        const acknowledged = this.#write("InterruptACK", events);
        if (acknowledged !== undefined) {
          later = this.#serveLater(acknowledged.then(() => this.#readStatusAgain(events)));
          return;
        }
        this.#dispatch(events);
      }
      throw endlessInterrupt();
    } catch (error) {
      this.#listener?.failed(error);
    } finally {
      if (later === undefined) this.#serving = false;
      else later.then(undefined, (error) => this.#listener?.failed(error));
    }
  }

  #readStatusAgain(events: number): MaybePromise<number> {
    this.#dispatch(events);
    return this.#readEvents();
  }

  #readEvents(): MaybePromise<number> {
    this.#risen = false;
    return this.#read("InterruptStatus");
  }

  async #serveLater(first: PromiseLike<number>): Promise<void> {
    try {
      let events = (await first) & KNOWN_EVENTS;
      for (let round = 0; round < INTERRUPT_ROUNDS; round++) {
        if (events !== 0) {
          this.#dispatch(events);
          await this.#write("InterruptACK", events);
        } else if (!this.#risen) {
          // Otherwise the answer may be older than the interrupt that came while it was on its way.
          return;
        }
        events = (await this.#readStatusAgain(events)) & KNOWN_EVENTS;
      }
      throw endlessInterrupt();
    } finally {
      this.#serving = false;
    }
  }

  /**
   * Called before and after the acknowledgement: the text wants it after the handling, and what
   * the device used between the two would else be acknowledged without having been seen.
   */
  #dispatch(events: number): void {
    if ((events & MMIO_INTERRUPT.usedBuffer) !== 0) this.#listener?.usedBuffers(undefined);
    if ((events & MMIO_INTERRUPT.configurationChange) !== 0) this.#listener?.configurationChange();
  }

  #post(write: () => MaybePromise<void>): void {
    try {
      write()?.then(undefined, (error) => this.#listener?.failed(error));
    } catch (error) {
      this.#listener?.failed(error);
    }
  }

  async #expect(name: MmioRegister, wanted: number): Promise<void> {
    const value = await this.#read(name);
    if (value === wanted) return;
    throw new VirtioError("DEVICE_UNKNOWN", {
      message: `this is no virtio-mmio device of version ${MMIO_VERSION}`,
      path: name,
      value,
      hint: `${name} must read 0x${wanted.toString(16)}`,
    });
  }

  async #expectReady(index: number, wanted: 0 | 1): Promise<void> {
    const ready = await this.#read("QueueReady");
    if (ready === wanted) return;
    throw new VirtioError("TRANSPORT", {
      message: wanted === 1 ? "the queue did not become ready" : "the queue is in use already",
      path: `mmio.queue[${index}].QueueReady`,
      value: ready,
      hint: "reset the device and begin again",
    });
  }

  async #poll(name: MmioRegister, wanted: number): Promise<void> {
    for (let i = 0; i < POLL_LIMIT; i++) {
      if ((await this.#read(name)) === wanted) return;
    }
    throw new VirtioError("DEVICE_FAILED", {
      message: `the register never read ${wanted}`,
      path: `mmio.${name}`,
      value: POLL_LIMIT,
      hint: "the device hangs",
    });
  }

  #offset(name: MmioRegister): number {
    return this.layout.registers[name]?.offset ?? Number.NaN;
  }

  #read(name: MmioRegister): MaybePromise<number> {
    return this.#bus.read(this.#offset(name), REGISTER_BYTES);
  }

  #write(name: MmioRegister, value: number): MaybePromise<void> {
    return this.#bus.write(this.#offset(name), REGISTER_BYTES, value);
  }
}

function endlessInterrupt(): VirtioError {
  return new VirtioError("DEVICE_FAILED", {
    message: "the interrupt stays asserted whatever is acknowledged",
    path: "mmio.InterruptStatus",
    value: INTERRUPT_ROUNDS,
    hint: "reset the device",
  });
}

function checkConfigRange(offset: number, length: number): void {
  if (offset >= 0 && length >= 0 && offset + length <= CONFIG_SPACE_LIMIT) return;
  throw new VirtioError("VALUE_RANGE", {
    message: "a range of the configuration space lies in its first 4096 bytes",
    path: "config",
    value: `${offset}+${length}`,
    hint: "read one field at a time",
  });
}
