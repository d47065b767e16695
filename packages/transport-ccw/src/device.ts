/**
 * The device half of virtio over channel I/O: what a VMM calls when the guest starts a channel
 * program on the subchannel, or notifies by DIAGNOSE 0x500.
 *
 * What the text leaves open, and what happens here:
 * - The device is non-transitional: revision 0 is rejected, and so is every virtio command before
 *   a revision was selected. Selecting the selected revision again is no change and succeeds.
 * - WRITE_STATUS that sets FEATURES_OK sets no other bit: a device that refuses the features must
 *   leave the status as it was, and could not take the other bits back.
 * - WRITE_STATUS without DEVICE_NEEDS_RESET, which the device may have set since the driver looked,
 *   sets the driver's bits; with that bit or a reserved one that is not set, it is rejected.
 * - Address 0 in SET_IND, SET_CONF_IND, or as the area in SET_IND_ADAPTER, takes the indicators
 *   away; drivers do that when they go. A block of zeros in SET_VQ, which they send for every queue
 *   after a reset, succeeds and does nothing. SET_VQ of an enabled queue is rejected: one queue
 *   cannot be stopped on this transport.
 */
import {
  accessors,
  type CommandLayout,
  type CommandTable,
  commandTable,
  type DevicePort,
  FEATURE,
  fromHex,
  layoutFingerprint,
  notifiedPosition,
  notifiedQueue,
  refuseState,
  type TransportFacingDevice,
  toHex,
  VirtioError,
} from "@virtio-admin/core";
import { type BoundLayout, bindLayout, reservedFeaturesOf } from "./binding.ts";
import { type ChannelOperation, type ExecutedCommand, runChannelProgram } from "./channel.ts";
import { type ChannelEnding, CONDITION_CODE, SENSE_LENGTH } from "./channel-layout.ts";
import { DeviceIndicators, type DueInterrupt, HIGHEST_SUBCLASS } from "./indicators.ts";
import {
  CCW_BASIC_LAYOUT,
  CCW_REFERENCE_LAYOUT,
  CONTROL_UNIT_TYPE,
  highestRevision,
  LOWEST_REVISION,
  NOTIFY_SUBCODE,
  SENSE_ID_DATA,
} from "./layout.ts";
import { makeOperations, type OperationFactory } from "./operations.ts";
import { placesOf, type SavedCcw, savedCcw, saveIndicators } from "./saved-state.ts";

/** An interrupt of the device, for the machine to deliver. */
export type CcwInterrupt =
  | {
      /** An I/O interrupt of the subchannel. */
      readonly kind: "subchannel";
      /** Whose it is. */
      readonly subchannelId: number;
      /** How the program ended; absent when the interrupt is unsolicited (look at indicators). */
      readonly ending?: ChannelEnding;
    }
  | {
      /** An adapter interrupt: look at the summary indicators of this subclass. */
      readonly kind: "adapter";
      /** The interruption subclass, 0..7. */
      readonly subclass: number;
    };

/** What a CCW device half is made from. */
export interface CcwDeviceInit {
  /** The device behind the subchannel; this transport connects itself to it. */
  readonly device: TransportFacingDevice;
  /** The channel commands; {@link CCW_REFERENCE_LAYOUT} by default. */
  readonly layout?: CommandLayout;
  /** The highest revision that the driver can select; the layout's highest by default. */
  readonly maxRevision?: number;
  /** The subchannel identification word; 0x10000 (subchannel 0) by default. */
  readonly subchannelId?: number;
  /** What a notification returns as host cookie, not negative; derived from the subchannel by default. */
  readonly hostCookie?: number;
  /**
   * Accepts READ_CONF and WRITE_CONF with a data area shorter than the configuration space and
   * without suppressed length checks, against the text (tolerance T4: Linux sends them). False by
   * default.
   */
  readonly tolerateShortConfig?: boolean;
  /**
   * Offers VIRTIO_F_ADMIN_VQ also while a revision below that of READ_ADMIN_VQ is selected,
   * against the reference layout: to test drivers with. False by default.
   */
  readonly offerAdminBelowRevision3?: boolean;
  /** Takes interrupts; see {@link CcwDevice.onInterrupt}. */
  readonly onInterrupt?: (interrupt: CcwInterrupt) => void;
}

/** What DIAGNOSE 0x500 returns when there is no such subchannel or queue, or another subcode. */
export const NOTIFY_REFUSED = -22;

const DEFAULT_SUBCHANNEL = 0x10000;
const WORD = 2 ** 32;
const QUEUE_INDEX_MASK = 0xffff;
const NOTHING = new Uint8Array(0);
const NO_SENSE = new Uint8Array(SENSE_LENGTH);
const BASIC = CCW_BASIC_LAYOUT.commands;
const senseId = accessors(SENSE_ID_DATA);
/** One for each subclass, so that an interrupt allocates nothing. */
const ADAPTER_INTERRUPTS: readonly CcwInterrupt[] = Array.from(
  { length: HIGHEST_SUBCLASS + 1 },
  (_, subclass) => ({ kind: "adapter", subclass }),
);

/** The device half of one virtio-ccw proxy device. */
export class CcwDevice implements DevicePort {
  /** The transport's name. */
  readonly transport: string = "ccw";
  /** The features that the layout cannot carry. */
  readonly reservedFeatures: readonly number[];
  /** The channel commands. */
  readonly layout: CommandLayout;
  /** The subchannel identification word. */
  readonly subchannelId: number;
  /** Takes interrupts from now on, or `undefined` for nobody. Must not throw. */
  onInterrupt: ((interrupt: CcwInterrupt) => void) | undefined;

  readonly #device: TransportFacingDevice;
  readonly #table: CommandTable;
  readonly #bound: BoundLayout;
  readonly #indicators: DeviceIndicators;
  readonly #operations: Readonly<Record<string, OperationFactory>>;
  readonly #maxRevision: number;
  readonly #adminRevision: number;
  readonly #cookie: number;
  readonly #unsolicited: CcwInterrupt;
  #enabled = true;
  #revision: number | undefined;
  #sense: Uint8Array = NO_SENSE;
  #interruptPending = false;

  /**
   * Makes the device half, its subchannel enabled and no revision selected, and connects it to the
   * device.
   *
   * @throws VirtioError `LAYOUT_INVALID` for a layout that lacks what virtio 1.4 has;
   * `TRANSPORT_OPTIONS` for a revision the layout does not speak of, or a negative cookie.
   */
  constructor(init: CcwDeviceInit) {
    this.layout = init.layout ?? CCW_REFERENCE_LAYOUT;
    this.#bound = bindLayout(this.layout);
    this.#table = commandTable(this.layout);
    const highest = highestRevision(this.layout);
    this.#maxRevision = init.maxRevision ?? highest;
    checkOption("maxRevision", this.#maxRevision, LOWEST_REVISION, highest);
    this.subchannelId = init.subchannelId ?? DEFAULT_SUBCHANNEL;
    checkOption("subchannelId", this.subchannelId, 0, WORD - 1);
    this.#cookie = init.hostCookie ?? (this.subchannelId & QUEUE_INDEX_MASK) + 1;
    checkOption("hostCookie", this.#cookie, 0, Number.MAX_SAFE_INTEGER);
    this.#adminRevision =
      init.offerAdminBelowRevision3 === true
        ? LOWEST_REVISION
        : (this.#bound.admin?.gate?.revision ?? LOWEST_REVISION);
    this.onInterrupt = init.onInterrupt;
    this.#unsolicited = { kind: "subchannel", subchannelId: this.subchannelId };
    this.reservedFeatures = reservedFeaturesOf(this.layout);
    this.#device = init.device;
    this.#indicators = new DeviceIndicators(init.device.memory);
    this.#operations = makeOperations({
      device: init.device,
      bound: this.#bound,
      indicators: this.#indicators,
      tolerateShortConfig: init.tolerateShortConfig ?? false,
      selectRevision: (revision) => this.#selectRevision(revision),
    });
    init.device.connect(this);
    this.#withhold();
  }

  /** The selected revision, or `undefined` while none is. */
  get revision(): number | undefined {
    return this.#revision;
  }

  /** True while the subchannel is enabled. */
  get enabled(): boolean {
    return this.#enabled;
  }

  /** True while an unsolicited interrupt was raised and not accepted. */
  get interruptPending(): boolean {
    return this.#interruptPending;
  }

  /**
   * Enables or disables the subchannel (MODIFY SUBCHANNEL). Either way the revision is unset; the
   * virtio device itself is left as it is. An instruction that modifies something else of the
   * subchannel changes nothing here.
   */
  modifySubchannel(enabled: boolean): void {
    if (enabled === this.#enabled) return;
    this.#enabled = enabled;
    this.#revision = undefined;
    this.#interruptPending = false;
    this.#withhold();
  }

  /** The machine took the unsolicited interrupt: the next change raises another. */
  acceptInterrupt(): void {
    this.#interruptPending = false;
  }

  /**
   * Runs the channel program of an operation request block (START SUBCHANNEL) to its end. Also
   * raises the interrupt that goes with the ending.
   *
   * @param orb the bytes of the block, as they lie in guest memory
   * @returns how it ended; whatever the program says, nothing is thrown
   */
  startSubchannel(orb: Uint8Array): ChannelEnding {
    if (!this.#enabled) return notOperational();
    const ending = runChannelProgram(this.#device.memory, orb, {
      operation: (command) => this.#operation(command),
      executed: this.#device.trace === undefined ? undefined : this.#trace,
    });
    if (ending.sense.length > 0) this.#sense = ending.sense;
    this.onInterrupt?.({ kind: "subchannel", subchannelId: this.subchannelId, ending });
    return ending;
  }

  /**
   * An available buffer notification (DIAGNOSE 0x500).
   *
   * @param subcode GPR 1; only 3 is served
   * @param subchannelId GPR 2; bits above the low 32 are ignored
   * @param data GPR 3, its low 32 bits: the queue index, or with VIRTIO_F_NOTIFICATION_DATA the
   * index and the position that `VIRTQ_NOTIFICATION` describes
   * @param _cookie GPR 4: a hint that this device does not need
   * @returns what GPR 2 gets: the host cookie, or {@link NOTIFY_REFUSED}
   */
  diagnose500(
    subcode: number,
    subchannelId: number | bigint,
    data: number,
    _cookie: number,
  ): number {
    const id =
      typeof subchannelId === "bigint" ? Number(subchannelId & 0xffffffffn) : subchannelId >>> 0;
    if (subcode !== NOTIFY_SUBCODE || id !== this.subchannelId || !this.#enabled) {
      return NOTIFY_REFUSED;
    }
    const device = this.#device;
    const carriesData = device.negotiated(FEATURE.VIRTIO_F_NOTIFICATION_DATA);
    const queue = carriesData ? notifiedQueue(data) : data;
    if (device.queueSizeMax(queue) === 0) return NOTIFY_REFUSED;
    if (carriesData) device.notify(queue, notifiedPosition(data));
    else device.notify(queue);
    return this.#cookie;
  }

  /** Part of {@link DevicePort}: sets the queue's indicator bit and interrupts. */
  usedBuffers(queue: number): void {
    // Only a queue that was set up has a bit, whatever a consumer of queues claims.
    if (this.#device.queueEnabled(queue)) this.#interrupt(this.#indicators.signalQueue(queue));
  }

  /** Part of {@link DevicePort}: sets the configuration indicator and interrupts. */
  configurationChange(): void {
    this.#interrupt(this.#indicators.signalConfiguration());
  }

  /** Part of {@link DevicePort}: forgets the indicators; the revision stays. */
  deviceReset(): void {
    this.#indicators.reset();
    this.#interruptPending = false;
  }

  /** Part of {@link DevicePort}: what is kept between channel programs. */
  save(): SavedCcw {
    const revision = this.#revision;
    return {
      layout: layoutFingerprint(this.layout),
      subchannelId: this.subchannelId,
      enabled: this.#enabled,
      ...(revision === undefined ? {} : { revision }),
      sense: toHex(this.#sense),
      interruptPending: this.#interruptPending,
      indicators: saveIndicators(this.#indicators.places),
    };
  }

  /**
   * Part of {@link DevicePort}.
   *
   * @throws VirtioError `SNAPSHOT` for another subchannel or layout, a revision that cannot be
   * selected, or indicators outside guest memory
   */
  restore(value: unknown, path: string): () => void {
    const saved = savedCcw({
      layout: this.layout,
      subchannelId: this.subchannelId,
      maxRevision: this.#maxRevision,
    })(value, path);
    const places = placesOf(saved.indicators);
    const wrong = this.#indicators.refusal(places);
    if (wrong !== undefined) {
      throw refuseState(`${path}.indicators.${wrong}`, "indicators cannot lie there", {
        value: saved.indicators[wrong],
      });
    }
    return () => {
      this.#enabled = saved.enabled;
      this.#revision = saved.revision;
      this.#sense = fromHex(saved.sense) ?? NO_SENSE;
      this.#interruptPending = saved.interruptPending;
      this.#indicators.places = places;
      this.#withhold();
    };
  }

  /**
   * Part of {@link DevicePort}: what was raised and may not have reached the driver is raised again.
   * A driver takes an interrupt too many for what it is, a reason to look at the indicators.
   */
  restored(): void {
    if (this.#interruptPending) this.onInterrupt?.(this.#unsolicited);
    if (this.#enabled && this.#indicators.isAdapterDue) this.#interruptAdapter();
  }

  #interrupt(due: DueInterrupt): void {
    if (due === "none" || !this.#enabled) return;
    if (due === "adapter") {
      this.#interruptAdapter();
    } else if (!this.#interruptPending) {
      this.#interruptPending = true;
      this.onInterrupt?.(this.#unsolicited);
    }
  }

  #interruptAdapter(): void {
    const interrupt = ADAPTER_INTERRUPTS[this.#indicators.adapter?.subclass ?? 0];
    if (interrupt !== undefined) this.onInterrupt?.(interrupt);
  }

  #selectRevision(revision: number): boolean {
    if (this.#revision !== undefined) return revision === this.#revision;
    if (revision < LOWEST_REVISION || revision > this.#maxRevision) return false;
    this.#revision = revision;
    this.#withhold();
    return true;
  }

  /** VIRTIO_F_ADMIN_VQ is not offered while its command is out of the driver's reach. */
  #withhold(): void {
    const reachable = (this.#revision ?? 0) >= this.#adminRevision;
    this.#device.withholdFeatures(reachable ? [] : [FEATURE.VIRTIO_F_ADMIN_VQ]);
  }

  #operation(code: number): ChannelOperation | undefined {
    const keepsSense = code === BASIC.SENSE.code || code === BASIC.NOP.code;
    const sense = this.#sense;
    if (!keepsSense) this.#sense = NO_SENSE;
    switch (code) {
      case BASIC.NOP.code:
        return basicRead(BASIC.NOP.name, NOTHING);
      case BASIC.SENSE.code:
        return basicRead(BASIC.SENSE.name, sense);
      case BASIC.SENSE_ID.code:
        return basicRead(BASIC.SENSE_ID.name, this.#identity());
    }
    const command = this.#table.at(code);
    if (command === undefined) return undefined;
    if (code !== this.#bound.commands.SET_VIRTIO_REV.code) {
      if (this.#revision === undefined) return undefined;
      if ((command.gate?.revision ?? LOWEST_REVISION) > this.#revision) return undefined;
    }
    return this.#operations[command.name]?.();
  }

  /** The answer to SENSE ID. */
  #identity(): Uint8Array {
    const bytes = new Uint8Array(SENSE_ID_DATA.size);
    const view = new DataView(bytes.buffer);
    senseId.reserved.set(view, 0, Number(SENSE_ID_DATA.fields.reserved.reset));
    senseId.cu_type.set(view, 0, CONTROL_UNIT_TYPE);
    senseId.cu_model.set(view, 0, this.#device.deviceId);
    return bytes;
  }

  readonly #trace = (executed: ExecutedCommand): void => {
    const { command, name, flags, count, data, status, residual } = executed;
    this.#device.trace?.emit({
      op: "ccw",
      command,
      ...(name === undefined ? {} : { name }),
      flags,
      count,
      data: toHex(data),
      status,
      residual,
    });
  };
}

/** A basic command: it returns `bytes`, or moves nothing when there are none. */
function basicRead(name: string, bytes: Uint8Array): ChannelOperation {
  return { name, length: bytes.length, input: 0, output: bytes.length > 0, run: () => bytes };
}

function notOperational(): ChannelEnding {
  return {
    conditionCode: CONDITION_CODE.NOT_OPERATIONAL,
    deviceStatus: 0,
    subchannelStatus: 0,
    residual: 0,
    ccwAddress: 0,
    sense: NOTHING,
  };
}

function checkOption(path: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new VirtioError("TRANSPORT_OPTIONS", {
    path: `ccw.${path}`,
    message: `it is a whole number from ${least} to ${most}`,
    value,
  });
}
