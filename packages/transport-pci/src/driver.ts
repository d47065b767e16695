/**
 * The driver half of virtio over PCI: what a guest driver does with configuration space and BARs.
 * A notification is synchronous where the bus is.
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
  readConfigFields,
  VirtioError,
  writeConfigFields,
} from "@virtio-admin/core";
import { assignBars, type BarState, readBars } from "./bars.ts";
import type { PciBus } from "./bus.ts";
import { type Discovery, discover } from "./discovery.ts";
import { PCI_EXTENDED_CAPABILITY, SRIOV_CAPABILITY_LAYOUT } from "./express-layout.ts";
import { findExtendedCapability } from "./extended.ts";
import {
  type CommonField,
  MSIX_VECTORS_MAX,
  PCI_HEADER_LAYOUT,
  PROPOSAL_V5_PCI_CAP_MISC,
  PROPOSAL_V5_PCI_MISC_CFG_LAYOUT,
  VIRTIO_PCI_COMMON_CFG_LAYOUT,
  VIRTIO_PCI_DEVICE_BASE,
  VIRTIO_PCI_DEVICE_LAST,
  VIRTIO_PCI_VENDOR,
} from "./layout.ts";
import {
  carriesNotificationData,
  NOTIFICATION_BYTES,
  NOTIFICATION_DATA_BYTES,
  type PciWindow,
} from "./placement.ts";
import { DriverInterrupts, type InterruptChoice } from "./vectors.ts";

/** What a PCI driver half is made from. */
export interface PciDriverInit {
  /** The function. */
  readonly bus: PciBus;
  /** Memory that is shared with the device. */
  readonly dma: DmaAllocator;
  /** Give BARs without an address one, from here on; without this, such BARs are not used. */
  readonly assignBarsAt?: number;
  /** Which interrupts to use: MSI-X where it can, by default. */
  readonly interrupts?: InterruptChoice;
  /** The most MSI-X vectors to use; as many as the device has, by default. */
  readonly vectorLimit?: number;
  /**
   * The dialect of administration commands that the driver speaks. By default it speaks what the
   * device does: `proposal-v5`, a reconstruction, where there is a capability of type 10 and the
   * ratified place tells of no administration virtqueue, else `virtio-1.4`. With `virtio-1.4` the
   * type is one of the reserved ones, which are ignored.
   */
  readonly dialect?: DialectName | "detect";
  /**
   * What the owner's driver knows of a virtual function, see {@link SriovDriver.virtualFunction};
   * absent for any other function.
   */
  readonly virtualFunction?: VirtualFunctionIdentity;
}

/** What a virtual function does not say itself: it stands in its owner's SR-IOV capability. */
export interface VirtualFunctionIdentity {
  /** The vendor id. */
  readonly vendorId: number;
  /** The PCI device id. */
  readonly deviceId: number;
  /** The BARs by their numbers, and where they are. */
  readonly bars: readonly (BarState | undefined)[];
}

const NAME = "pci";
const HEADER = PCI_HEADER_LAYOUT.fields;
const COMMAND = HEADER.command.bits;
const COMMON = VIRTIO_PCI_COMMON_CFG_LAYOUT.fields;
const RATIFIED_SOURCE = `${VIRTIO_PCI_COMMON_CFG_LAYOUT.name}, offsets ${COMMON.admin_queue_index.offset} and ${COMMON.admin_queue_num.offset}`;
const PROPOSAL_LABEL = DIALECTS["proposal-v5"].label;
const WORD = 0x100000000;
const DWORD = 4;
const ALL_FEATURES = FeatureSet.of(...Array.from({ length: FEATURE_BITS }, (_, bit) => bit));
/** Bit 7 of header_type says that there are other functions. */
const HEADER_TYPE_MASK = 0x7f;
const QUEUE_INDEXES = 0x10000;
/** How often a register is read before the device is given up. */
const POLL_LIMIT = 10_000;
/** The device types of transitional PCI device ids (section "PCI Device Discovery"). */
const TRANSITIONAL: ReadonlyMap<number, number> = new Map([
  [0x1000, 1],
  [0x1001, 2],
  [0x1002, 5],
  [0x1003, 3],
  [0x1004, 8],
  [0x1005, 4],
  [0x1009, 9],
]);

/** What the driver half knows once it has opened the device. */
interface Opened {
  readonly found: Discovery;
  readonly common: PciWindow;
  readonly notify: PciWindow;
}

/** Drives one virtio PCI function through a bus. */
export class PciDriver implements DriverTransport {
  /** The transport's name. */
  readonly name: string = NAME;
  /** Memory that is shared with the device. */
  readonly dma: DmaAllocator;
  readonly #init: PciDriverInit;
  readonly #bus: PciBus;
  readonly #exclusive = new Exclusive();
  #opened: Opened | undefined;
  #listener: InterruptListener | undefined;
  #interrupts: DriverInterrupts | undefined;
  #features: FeatureSet = FeatureSet.EMPTY;
  readonly #dialect: DialectName | "detect";
  #allowed: FeatureSet = ALL_FEATURES.without(FEATURE.VIRTIO_F_SR_IOV);

  /**
   * Makes a driver half; nothing is read before {@link open}.
   *
   * @throws VirtioError `TRANSPORT_OPTIONS` for a dialect that there is not
   */
  constructor(init: PciDriverInit) {
    this.#init = init;
    this.#dialect = init.dialect ?? "detect";
    checkDialect(this.#dialect);
    this.#bus = init.bus;
    this.dma = init.dma;
  }

  /**
   * Every feature bit but VIRTIO_F_SR_IOV, unless {@link open} has found an SR-IOV capability, and
   * VIRTIO_F_NOTIFICATION_DATA, if it has found that 32 bits cannot be written to every queue.
   */
  get allowedFeatures(): FeatureSet {
    return this.#allowed;
  }

  /** What the walk over the capability list found; `undefined` before {@link open}. */
  get discovery(): Discovery | undefined {
    return this.#opened?.found;
  }

  /**
   * Checks the header, finds the structures, and lets the function answer and master the bus.
   *
   * @throws VirtioError `DEVICE_UNKNOWN` when this is no virtio device, or one without a usable
   * common configuration, notification or ISR structure.
   */
  async open(): Promise<DeviceIdentity> {
    const { vendor, deviceId } = await this.#identify();
    const bars = await this.#bars();
    const found = await discover(this.#bus, bars, this.#dialect !== "virtio-1.4");
    const { common, notify, isr } = found.structures;
    if (common === undefined || notify === undefined || isr === undefined) {
      throw unusable(found);
    }
    const enable =
      COMMAND.memory_space.mask |
      COMMAND.bus_master.mask |
      (bars.some((bar) => bar?.kind === "io") ? COMMAND.io_space.mask : 0);
    const command = await this.#config("command");
    await this.#bus.configWrite(HEADER.command.offset, HEADER.command.width, command | enable);
    const hasSriov =
      found.express &&
      (await findExtendedCapability(
        this.#bus,
        PCI_EXTENDED_CAPABILITY.sriov,
        SRIOV_CAPABILITY_LAYOUT.size,
      )) !== undefined;
    this.#allowed = ALL_FEATURES.without(
      ...(hasSriov ? [] : [FEATURE.VIRTIO_F_SR_IOV]),
      ...(carriesNotificationData(notify, found.notifyOffMultiplier)
        ? []
        : [FEATURE.VIRTIO_F_NOTIFICATION_DATA]),
    );
    this.#opened = { found, common, notify };
    return { deviceId, vendorId: vendor };
  }

  /** Switches interrupts on and delivers them to `listener` from now on. */
  async listen(listener: InterruptListener): Promise<void> {
    const { found } = this.#open();
    this.#listener = listener;
    this.#interrupts = new DriverInterrupts(this.#bus, found, listener);
    const limit = this.#init.vectorLimit ?? MSIX_VECTORS_MAX;
    await this.#interrupts.start(this.#init.interrupts ?? "auto", limit);
  }

  /** Writes status 0 and waits until it reads back. */
  reset(): Promise<void> {
    return this.#exclusive.run(async () => {
      await this.#write("device_status", 0);
      await this.#poll("device_status", 0);
      this.#interrupts?.forgetMappings();
      this.#features = FeatureSet.EMPTY;
    });
  }

  /** Reads device_status. */
  readStatus(): Promise<number> {
    return this.#exclusive.run(async () => this.#read("device_status"));
  }

  /** Writes device_status. @throws VirtioError `DRIVER_STATE` for 0, which would reset. */
  writeStatus(status: number): Promise<void> {
    return this.#exclusive.run(async () => {
      if (status === 0) {
        throw new VirtioError("DRIVER_STATE", {
          message: "status 0 resets the device",
          path: "pci.device_status",
          value: status,
          hint: "call reset",
        });
      }
      await this.#write("device_status", status);
    });
  }

  /** Reads the four words of device_feature. */
  readFeatures(): Promise<FeatureSet> {
    return this.#exclusive.run(async () => {
      const words: number[] = [];
      for (let word = 0; word < FEATURE_WORDS; word++) {
        await this.#write("device_feature_select", word);
        words.push(await this.#read("device_feature"));
      }
      return FeatureSet.fromWords(words);
    });
  }

  /** Writes the four words of driver_feature. */
  writeFeatures(features: FeatureSet): Promise<void> {
    return this.#exclusive.run(async () => {
      for (let word = 0; word < FEATURE_WORDS; word++) {
        await this.#write("driver_feature_select", word);
        await this.#write("driver_feature", features.word(word));
      }
      this.#features = features;
    });
  }

  /**
   * Reads configuration bytes. One aligned field of 2, 4 or 8 bytes is read in its own width, 8
   * bytes as two dwords; anything else byte by byte, as the text asks for byte fields.
   *
   * @throws VirtioError `VALUE_RANGE` for a range outside the structure, `DEVICE_FAILED` when the
   * configuration never stops changing.
   */
  readConfig(offset: number, length: number): Promise<Uint8Array> {
    return this.#exclusive.run(async () =>
      readConfigFields(this.#configAccess(offset, length), offset, length),
    );
  }

  /** Writes configuration bytes in the widths of {@link readConfig}. */
  writeConfig(offset: number, bytes: Uint8Array): Promise<void> {
    const source = bytes.slice();
    return this.#exclusive.run(async () =>
      writeConfigFields(this.#configAccess(offset, source.length), offset, source),
    );
  }

  /** Reads queue_size of a queue: its maximum, as long as it has not been set up. */
  queueSizeMax(index: number): Promise<number> {
    return this.#exclusive.run(async () => {
      await this.#write("queue_select", index);
      return this.#read("queue_size");
    });
  }

  /**
   * Sets a queue up, maps it to a vector, and enables it.
   *
   * @throws VirtioError `TRANSPORT` when it is in use already, its notification address is not
   * inside the structure, no vector can be mapped, or it does not become enabled.
   */
  enableQueue(index: number, size: number, areas: QueueAddresses): Promise<QueueDoorbell> {
    return this.#exclusive.run(async () => {
      await this.#mapConfig();
      await this.#write("queue_select", index);
      await this.#expectEnabled(index, 0);
      await this.#write("queue_size", size);
      await this.#writeAddress("queue_desc", areas.descriptorArea);
      await this.#writeAddress("queue_driver", areas.driverArea);
      await this.#writeAddress("queue_device", areas.deviceArea);
      const carriesData = this.#features.has(FEATURE.VIRTIO_F_NOTIFICATION_DATA);
      const bytes = carriesData ? NOTIFICATION_DATA_BYTES : NOTIFICATION_BYTES;
      const address = await this.#notifyAddress(index, bytes);
      const name = this.#features.has(FEATURE.VIRTIO_F_NOTIF_CONFIG_DATA)
        ? await this.#read("queue_notif_config_data")
        : index;
      const vector = await this.#mapQueue(index);
      await this.#write("queue_enable", 1);
      await this.#expectEnabled(index, 1);
      if (vector !== undefined) this.#interrupts?.queueIsMapped(index, vector);
      return this.#doorbell(address, bytes, name);
    });
  }

  /** Resets one queue through queue_reset and waits until queue_reset and queue_enable read 0. */
  resetQueue(index: number): Promise<void> {
    return this.#exclusive.run(async () => {
      if (!this.#features.has(FEATURE.VIRTIO_F_RING_RESET) || !this.#has("queue_reset")) {
        throw new VirtioError("TRANSPORT_UNSUPPORTED", {
          message: `one queue cannot be reset without VIRTIO_F_RING_RESET (bit ${FEATURE.VIRTIO_F_RING_RESET})`,
          path: "pci.queue_reset",
          value: this.#features.toString(),
          hint: "reset the device",
        });
      }
      await this.#write("queue_select", index);
      await this.#write("queue_reset", 1);
      await this.#poll("queue_reset", 0);
      await this.#poll("queue_enable", 0);
      this.#interrupts?.queueIsStopped(index);
    });
  }

  /** Maps the configuration event, where enabling a queue has not done so. */
  queuesReady(): Promise<void> {
    return this.#exclusive.run(() => this.#mapConfig());
  }

  /**
   * Reads where the administration virtqueues are, once VIRTIO_F_ADMIN_VQ is negotiated:
   * admin_queue_index and admin_queue_num, or the miscellaneous configuration structure, which tells
   * of the dialect too; see {@link PciDriverInit.dialect}.
   */
  async adminQueues(features: FeatureSet): Promise<AdminQueuePlace> {
    if (!features.has(FEATURE.VIRTIO_F_ADMIN_VQ)) {
      throw unavailable(
        `on pci VIRTIO_F_ADMIN_VQ (bit ${FEATURE.VIRTIO_F_ADMIN_VQ}) is not negotiated`,
        features.toString(),
      );
    }
    const { found, common } = this.#open();
    const { miscellaneous } = found.structures;
    if (this.#dialect === "proposal-v5" && miscellaneous === undefined) {
      throw unavailable(
        `the pci function has no usable capability of type ${PROPOSAL_V5_PCI_CAP_MISC}, where ${PROPOSAL_LABEL} has the place`,
        this.#dialect,
      );
    }
    const hasRatified = this.#dialect !== "proposal-v5" && this.#has("admin_queue_num");
    if (!hasRatified && miscellaneous === undefined) {
      throw unavailable(
        `the pci common configuration is too short for VIRTIO_F_ADMIN_VQ (bit ${FEATURE.VIRTIO_F_ADMIN_VQ})`,
        common.length,
      );
    }
    return this.#exclusive.run(async () => {
      let place: AdminQueuePlace = { index: 0, count: 0, source: RATIFIED_SOURCE };
      if (hasRatified) {
        const index = await this.#read("admin_queue_index");
        place = { ...place, index, count: await this.#read("admin_queue_num") };
      }
      // Whatever else a reserved type may come to mean, the ratified place comes first.
      if (place.count === 0 && miscellaneous !== undefined) {
        place = await this.#proposalPlace(miscellaneous);
      }
      const { index, count } = place;
      const queues = await this.#read("num_queues");
      if (count > 0 && (index < queues || count > QUEUE_INDEXES - index)) {
        throw new VirtioError("TRANSPORT", {
          message: `administration virtqueues ${index} and up, ${count} of them, are no queues of their own`,
          path: "pci.admin_queue_index",
          value: index,
          hint: `the device is faulty: they begin at num_queues (${queues}) or above, and end below 65536`,
        });
      }
      return place;
    });
  }

  /** Switches interrupts off, and the function's access to memory. */
  async close(): Promise<void> {
    const interrupts = this.#interrupts;
    this.#listener = undefined;
    this.#interrupts = undefined;
    if (this.#opened === undefined) return;
    this.#opened = undefined;
    await interrupts?.stop();
    const command = await this.#config("command");
    const { offset, width } = HEADER.command;
    await this.#bus.configWrite(offset, width, command & ~COMMAND.bus_master.mask);
  }

  /** The one administration virtqueue of the dialect proposal-v5. */
  async #proposalPlace({ bar, offset }: PciWindow): Promise<AdminQueuePlace> {
    const { name, fields } = PROPOSAL_V5_PCI_MISC_CFG_LAYOUT;
    const { admin_queue_index: at } = fields;
    return {
      index: await this.#bus.barRead(bar, offset + at.offset, at.width),
      count: 1,
      source: `${name}, offset ${at.offset}, by a capability of type ${PROPOSAL_V5_PCI_CAP_MISC}; ${PROPOSAL_LABEL}`,
      dialect: "proposal-v5",
    };
  }

  async #bars(): Promise<readonly (BarState | undefined)[]> {
    const { virtualFunction, assignBarsAt } = this.#init;
    if (virtualFunction !== undefined) return virtualFunction.bars;
    return assignBarsAt === undefined ? readBars(this.#bus) : assignBars(this.#bus, assignBarsAt);
  }

  async #identify(): Promise<{ vendor: number; deviceId: number }> {
    const { virtualFunction } = this.#init;
    const vendor = virtualFunction?.vendorId ?? (await this.#config("vendor_id"));
    if (vendor !== VIRTIO_PCI_VENDOR) {
      throw unknown("this is no virtio device", "vendor_id", vendor);
    }
    const device = virtualFunction?.deviceId ?? (await this.#config("device_id"));
    const modern = device >= VIRTIO_PCI_DEVICE_BASE && device <= VIRTIO_PCI_DEVICE_LAST;
    const deviceId = modern ? device - VIRTIO_PCI_DEVICE_BASE : TRANSITIONAL.get(device);
    if (deviceId === undefined) throw unknown("no virtio device type", "device_id", device);
    const type = (await this.#config("header_type")) & HEADER_TYPE_MASK;
    if (type !== 0) throw unknown("the header is not of type 0", "header_type", type);
    return { vendor, deviceId };
  }

  async #mapConfig(): Promise<void> {
    const interrupts = this.#interrupts;
    if (interrupts === undefined || interrupts.configMapped) return;
    const vector = await this.#mapEvent("config_msix_vector", interrupts.configCandidates);
    if (vector !== undefined) interrupts.configIsMapped();
    else await interrupts.startIntx();
  }

  async #mapQueue(index: number): Promise<number | undefined> {
    const interrupts = this.#interrupts;
    if (interrupts === undefined || !interrupts.usesMsix) return undefined;
    const vector = await this.#mapEvent("queue_msix_vector", interrupts.queueCandidates(index));
    if (vector !== undefined) return vector;
    throw new VirtioError("TRANSPORT", {
      message: "the device maps no MSI-X vector to the queue",
      path: `pci.queue[${index}].queue_msix_vector`,
      value: interrupts.queueCandidates(index).join(", "),
      hint: "use INTx instead",
    });
  }

  /** Maps the first vector that the device takes: what it took reads back. */
  async #mapEvent(
    field: "config_msix_vector" | "queue_msix_vector",
    candidates: readonly number[],
  ): Promise<number | undefined> {
    for (const vector of candidates) {
      await this.#write(field, vector);
      if ((await this.#read(field)) === vector) return vector;
    }
    return undefined;
  }

  async #notifyAddress(index: number, bytes: number): Promise<number> {
    const { found, notify } = this.#open();
    const offset = (await this.#read("queue_notify_off")) * found.notifyOffMultiplier;
    if (offset + bytes > notify.length) {
      throw new VirtioError("TRANSPORT", {
        message: "the queue is notified outside the notification structure",
        path: `pci.queue[${index}].queue_notify_off`,
        value: offset,
        hint: `the device is faulty: the structure has ${notify.length} bytes`,
      });
    }
    return notify.offset + offset;
  }

  /** Notifies in so many bytes of the queue that is called `name` in notifications. */
  #doorbell(address: number, bytes: number, name: number): QueueDoorbell {
    const bus = this.#bus;
    const { bar } = this.#open().notify;
    const failed = (error: unknown) => this.#listener?.failed(error);
    return {
      ring: (next = 0) => {
        try {
          const value = bytes === NOTIFICATION_BYTES ? name : notificationData(name, next);
          bus.barWrite(bar, address, bytes, value)?.then(undefined, failed);
        } catch (error) {
          failed(error);
        }
      },
    };
  }

  async #expectEnabled(index: number, wanted: 0 | 1): Promise<void> {
    const enabled = await this.#read("queue_enable");
    if (enabled === wanted) return;
    throw new VirtioError("TRANSPORT", {
      message: wanted === 1 ? "the queue did not become enabled" : "the queue is in use already",
      path: `pci.queue[${index}].queue_enable`,
      value: enabled,
      hint: "reset the device and begin again",
    });
  }

  async #poll(field: CommonField, wanted: number): Promise<void> {
    for (let i = 0; i < POLL_LIMIT; i++) {
      if ((await this.#read(field)) === wanted) return;
    }
    throw new VirtioError("DEVICE_FAILED", {
      message: `the field never read ${wanted}`,
      path: `pci.${field}`,
      value: POLL_LIMIT,
      hint: "the device hangs",
    });
  }

  /** Access to the window, once the range is known to lie in it. */
  #configAccess(offset: number, length: number): ConfigAccess {
    const window = this.#deviceWindow(offset, length);
    return {
      generationPath: "pci.config_generation",
      generation: () => this.#read("config_generation"),
      read: (at, width) => this.#bus.barRead(window.bar, window.offset + at, width),
      write: (at, width, value) => this.#bus.barWrite(window.bar, window.offset + at, width, value),
    };
  }

  #deviceWindow(offset: number, length: number): PciWindow {
    const window = this.#open().found.structures.device;
    const room = Math.min(window?.length ?? 0, CONFIG_SPACE_LIMIT);
    const whole = Number.isInteger(offset) && Number.isInteger(length);
    if (window !== undefined && whole && offset >= 0 && length >= 0 && offset + length <= room) {
      return window;
    }
    throw new VirtioError("VALUE_RANGE", {
      message: `the device-specific configuration structure has ${room} bytes`,
      path: "pci.config",
      value: offset,
      hint: "stay inside the structure",
    });
  }

  /** True when the common configuration that the device shows reaches to the end of the field. */
  #has(field: CommonField): boolean {
    const { offset, width } = COMMON[field];
    return offset + width <= this.#open().common.length;
  }

  #open(): Opened {
    if (this.#opened !== undefined) return this.#opened;
    throw new VirtioError("DRIVER_STATE", {
      message: "the device is not open",
      path: "pci",
      hint: "call open first",
    });
  }

  async #config(field: keyof typeof HEADER): Promise<number> {
    const { offset, width } = HEADER[field];
    return this.#bus.configRead(offset, width);
  }

  #read(field: CommonField): MaybePromise<number> {
    const { common } = this.#open();
    const { offset, width } = COMMON[field];
    return this.#bus.barRead(common.bar, common.offset + offset, width);
  }

  #write(field: CommonField, value: number): MaybePromise<void> {
    const { common } = this.#open();
    const { offset, width } = COMMON[field];
    return this.#bus.barWrite(common.bar, common.offset + offset, width, value);
  }

  async #writeAddress(
    field: "queue_desc" | "queue_driver" | "queue_device",
    address: number,
  ): Promise<void> {
    const { common } = this.#open();
    const at = common.offset + COMMON[field].offset;
    await this.#bus.barWrite(common.bar, at, DWORD, address % WORD);
    await this.#bus.barWrite(common.bar, at + DWORD, DWORD, Math.floor(address / WORD));
  }
}

function checkDialect(dialect: string): void {
  if (dialect === "detect" || Object.hasOwn(DIALECTS, dialect)) return;
  throw new VirtioError("TRANSPORT_OPTIONS", {
    message: "there is no such dialect of administration commands",
    path: "pci.dialect",
    value: dialect,
    hint: `say ${Object.keys(DIALECTS).join(" or ")}, or detect`,
  });
}

function unknown(message: string, field: string, value: number): VirtioError {
  return new VirtioError("DEVICE_UNKNOWN", {
    message,
    path: `pci.${field}`,
    value,
    hint: "look at another function",
  });
}

function unusable(found: Discovery): VirtioError {
  const reasons = found.passedOver.map(({ at, why }) => `0x${at.toString(16)}: ${why}`);
  const missing = ["common", "notify", "isr"].filter((name) => !(name in found.structures));
  return new VirtioError("DEVICE_UNKNOWN", {
    message: found.modern
      ? `the device has no usable structure: ${missing.join(", ")}`
      : "the device has no virtio capability; it is a legacy device",
    path: "pci.capabilities",
    value: reasons.join("; "),
    hint: found.modern ? "assign its BARs, or pass assignBarsAt" : "use a legacy driver",
  });
}

function unavailable(message: string, value: unknown): VirtioError {
  return new VirtioError("ADMIN_QUEUE_UNAVAILABLE", {
    message,
    path: "pci.admin_queue_index",
    value,
    hint: "the device has no administration virtqueue; do without",
  });
}
