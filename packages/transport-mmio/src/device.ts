/**
 * The device half of virtio over MMIO: what a VMM calls when the guest touches the window.
 *
 * The specification leaves open what happens when a driver breaks its rules. Here: a read of a
 * write-only register, of no register, or in a wrong width answers 0; such a write is ignored.
 */
import {
  type DevicePort,
  FEATURE,
  layoutFingerprint,
  notifiedPosition,
  notifiedQueue,
  type QueueArea,
  type RegisterLayout,
  type TransportFacingDevice,
  VirtioError,
} from "@virtio-admin/core";
import {
  MMIO_INTERRUPT,
  MMIO_MAGIC,
  MMIO_REFERENCE_LAYOUT,
  MMIO_REQUIRED_REGISTERS,
  MMIO_VERSION,
  type MmioRegister,
} from "./layout.ts";
import { type SavedMmio, savedMmio } from "./saved-state.ts";

/** The features that virtio over MMIO never carries, whatever the layout. */
export const MMIO_RESERVED_FEATURES: readonly number[] = [
  FEATURE.VIRTIO_F_SR_IOV,
  FEATURE.VIRTIO_F_NOTIF_CONFIG_DATA,
];

/** What an MMIO device half is made from. */
export interface MmioDeviceInit {
  /** The device behind the window; this transport connects itself to it. */
  readonly device: TransportFacingDevice;
  /** The registers; {@link MMIO_REFERENCE_LAYOUT} by default. */
  readonly layout?: RegisterLayout;
  /** What VendorID reads; 0x1af4 by default. */
  readonly vendorId?: number;
  /** Called when the interrupt line changes: true when it rises. */
  readonly onInterrupt?: (high: boolean) => void;
}

interface Register {
  readonly name: string;
  readonly read: (() => number) | undefined;
  readonly write: ((value: number) => void) | undefined;
}

/** What a register does; which of it a driver may use is the layout's to say. */
interface Behaviour {
  readonly read?: () => number;
  readonly write?: (value: number) => void;
}

const REGISTER_BYTES = 4;
const DEFAULT_VENDOR = 0x1af4;

/** True when the layout says where the administration virtqueues are. */
export function exposesAdminQueues(layout: RegisterLayout): boolean {
  return (
    layout.registers["AdminQueueIndex"] !== undefined &&
    layout.registers["AdminQueueNum"] !== undefined
  );
}

/** What of {@link MMIO_RESERVED_FEATURES}, and VIRTIO_F_ADMIN_VQ, a layout cannot carry. */
export function reservedFeaturesOf(layout: RegisterLayout): readonly number[] {
  return exposesAdminQueues(layout)
    ? MMIO_RESERVED_FEATURES
    : [...MMIO_RESERVED_FEATURES, FEATURE.VIRTIO_F_ADMIN_VQ];
}

/**
 * Checks that a layout has what this transport needs.
 *
 * @throws VirtioError `LAYOUT_INVALID` when a register of virtio 1.4 is missing, or is no 32-bit
 * little-endian register.
 */
export function checkMmioLayout(layout: RegisterLayout): void {
  for (const name of MMIO_REQUIRED_REGISTERS) {
    if (layout.registers[name] === undefined) {
      throw new VirtioError("LAYOUT_INVALID", {
        message: "the layout lacks a register of virtio over MMIO",
        path: `${layout.name}.${name}`,
        hint: "start from MMIO_REFERENCE_LAYOUT and move registers, but keep them all",
      });
    }
  }
  for (const [name, register] of Object.entries(layout.registers)) {
    if (register.count !== undefined) continue;
    if (register.type !== "le32" || register.offset % REGISTER_BYTES !== 0) {
      throw new VirtioError("LAYOUT_INVALID", {
        message: "control registers are 32 bits wide, little-endian and aligned",
        path: `${layout.name}.${name}`,
        value: `${register.type} at ${register.offset}`,
        hint: "declare it as le32 at a multiple of 4",
      });
    }
  }
}

/** The window of one virtio-mmio device. */
export class MmioDevice implements DevicePort {
  /** The transport's name. */
  readonly transport: string = "mmio";
  /** The features that the layout cannot carry. */
  readonly reservedFeatures: readonly number[];
  /** The registers of the window. */
  readonly layout: RegisterLayout;
  /** Called when the interrupt line changes: true when it rises. Must not throw. */
  onInterrupt: ((high: boolean) => void) | undefined;

  readonly #device: TransportFacingDevice;
  readonly #vendorId: number;
  readonly #registers: (Register | undefined)[] = [];
  readonly #configOffset: number;
  readonly #scratch = new Uint8Array(REGISTER_BYTES);
  readonly #scratchView = new DataView(this.#scratch.buffer);
  #interruptStatus = 0;
  /** What the line was last told. */
  #line = false;
  #deviceFeaturesSel = 0;
  #driverFeaturesSel = 0;
  #queueSel = 0;

  /** Makes the window and connects it to the device. @throws VirtioError `LAYOUT_INVALID` */
  constructor(init: MmioDeviceInit) {
    this.layout = init.layout ?? MMIO_REFERENCE_LAYOUT;
    checkMmioLayout(this.layout);
    this.#device = init.device;
    this.#vendorId = init.vendorId ?? DEFAULT_VENDOR;
    this.onInterrupt = init.onInterrupt;
    this.reservedFeatures = reservedFeaturesOf(this.layout);
    this.#configOffset = this.layout.registers["Config"]?.offset ?? this.layout.size;
    const behaviours: Readonly<Record<string, Behaviour>> = this.#behaviours();
    for (const register of Object.values(this.layout.registers)) {
      if (register.count !== undefined) continue;
      const reset = Number(register.reset ?? 0);
      // A register that a spec author adds without behaviour reads its reset value.
      const behaviour = behaviours[register.name] ?? { read: () => reset };
      this.#registers[register.offset / REGISTER_BYTES] = {
        name: register.name,
        read: register.access === "W" ? undefined : behaviour.read,
        write: register.access === "R" ? undefined : behaviour.write,
      };
    }
    init.device.connect(this);
  }

  /** True while the interrupt line is high. */
  get interruptLine(): boolean {
    return this.#interruptStatus !== 0;
  }

  /** Reads `size` bytes (1, 2 or 4) of the window as a little-endian number. */
  read(offset: number, size: number): number {
    let value = 0;
    let name: string | undefined;
    if (offset >= this.#configOffset) {
      name = "Config";
      if (isConfigAccess(offset, size)) {
        this.#scratch.fill(0);
        this.#device.readConfig(offset - this.#configOffset, this.#scratch.subarray(0, size));
        value = this.#scratchView.getUint32(0, true);
      }
    } else if (size === REGISTER_BYTES && offset % REGISTER_BYTES === 0) {
      const register = this.#registers[offset / REGISTER_BYTES];
      name = register?.name;
      value = (register?.read?.() ?? 0) >>> 0;
    }
    this.#emit("read", offset, size, value, name);
    return value;
  }

  /** Writes `size` bytes (1, 2 or 4) of the window, little-endian. */
  write(offset: number, size: number, value: number): void {
    const isConfig = offset >= this.#configOffset;
    const register = isConfig ? undefined : this.#registers[offset / REGISTER_BYTES];
    this.#emit("write", offset, size, value, isConfig ? "Config" : register?.name);
    if (isConfig) {
      if (!isConfigAccess(offset, size)) return;
      this.#scratchView.setUint32(0, value, true);
      this.#device.writeConfig(offset - this.#configOffset, this.#scratch.slice(0, size));
    } else if (size === REGISTER_BYTES) {
      register?.write?.(value >>> 0);
    }
  }

  /** Part of {@link DevicePort}: a used buffer notification. */
  usedBuffers(_queue: number): void {
    this.#raise(MMIO_INTERRUPT.usedBuffer);
  }

  /** Part of {@link DevicePort}: a configuration change notification. */
  configurationChange(): void {
    this.#raise(MMIO_INTERRUPT.configurationChange);
  }

  /** Part of {@link DevicePort}: the transport's own registers go back to their reset values. */
  deviceReset(): void {
    this.#deviceFeaturesSel = 0;
    this.#driverFeaturesSel = 0;
    this.#queueSel = 0;
    this.#lower(this.#interruptStatus);
  }

  /** Part of {@link DevicePort}: the selectors, and the events that are not acknowledged. */
  save(): SavedMmio {
    return {
      layout: layoutFingerprint(this.layout),
      DeviceFeaturesSel: this.#deviceFeaturesSel,
      DriverFeaturesSel: this.#driverFeaturesSel,
      QueueSel: this.#queueSel,
      InterruptStatus: this.#interruptStatus,
    };
  }

  /** Part of {@link DevicePort}. @throws VirtioError `SNAPSHOT` for another layout, or no registers */
  restore(value: unknown, path: string): () => void {
    const saved = savedMmio(this.layout)(value, path);
    return () => {
      this.#deviceFeaturesSel = saved.DeviceFeaturesSel;
      this.#driverFeaturesSel = saved.DriverFeaturesSel;
      this.#queueSel = saved.QueueSel;
      this.#interruptStatus = saved.InterruptStatus;
    };
  }

  /** Part of {@link DevicePort}: the line follows the events that came with a restore. */
  restored(): void {
    this.#updateLine();
  }

  #raise(event: number): void {
    this.#interruptStatus |= event;
    this.#updateLine();
  }

  #lower(events: number): void {
    this.#interruptStatus &= ~events;
    this.#updateLine();
  }

  #updateLine(): void {
    const high = this.#interruptStatus !== 0;
    if (high === this.#line) return;
    this.#line = high;
    this.onInterrupt?.(high);
  }

  /** What each register does; which of them exist, and where, the layout says. */
  #behaviours(): Readonly<Record<MmioRegister, Behaviour>> {
    const device = this.#device;
    const address = (area: QueueArea, half: 0 | 1): Behaviour => ({
      write: (value) => device.setQueueAddress(this.#queueSel, area, half, value),
    });
    const absent: Behaviour = { read: () => 0xffffffff };
    return {
      MagicValue: { read: () => MMIO_MAGIC },
      Version: { read: () => MMIO_VERSION },
      DeviceID: { read: () => device.deviceId },
      VendorID: { read: () => this.#vendorId },
      DeviceFeatures: { read: () => device.offeredFeatures.word(this.#deviceFeaturesSel) },
      DeviceFeaturesSel: {
        write: (value) => {
          this.#deviceFeaturesSel = value;
        },
      },
      DriverFeatures: {
        write: (value) => device.writeDriverFeatures(this.#driverFeaturesSel, value),
      },
      DriverFeaturesSel: {
        write: (value) => {
          this.#driverFeaturesSel = value;
        },
      },
      QueueSel: {
        write: (value) => {
          this.#queueSel = value;
        },
      },
      QueueSizeMax: { read: () => device.queueSizeMax(this.#queueSel) },
      QueueSize: { write: (value) => device.setQueueSize(this.#queueSel, value) },
      QueueReady: {
        read: () => (device.queueEnabled(this.#queueSel) ? 1 : 0),
        write: (value) => {
          if (value === 1) device.enableQueue(this.#queueSel);
          else if (value === 0) device.resetQueue(this.#queueSel);
        },
      },
      QueueNotify: {
        write: (value) => {
          if (!device.negotiated(FEATURE.VIRTIO_F_NOTIFICATION_DATA)) device.notify(value);
          else device.notify(notifiedQueue(value), notifiedPosition(value));
        },
      },
      InterruptStatus: { read: () => this.#interruptStatus },
      InterruptACK: { write: (value) => this.#lower(value) },
      Status: {
        read: () => device.status,
        write: (value) => {
          if (value <= 0xff) device.writeStatus(value);
        },
      },
      QueueDescLow: address("descriptorArea", 0),
      QueueDescHigh: address("descriptorArea", 1),
      QueueDriverLow: address("driverArea", 0),
      QueueDriverHigh: address("driverArea", 1),
      QueueDeviceLow: address("deviceArea", 0),
      QueueDeviceHigh: address("deviceArea", 1),
      SHMSel: {},
      SHMLenLow: absent,
      SHMLenHigh: absent,
      SHMBaseLow: absent,
      SHMBaseHigh: absent,
      QueueReset: {
        // A queue reset is complete before the write returns, so a driver never reads 1.
        read: () => 0,
        write: (value) => {
          if (value === 1 && device.negotiated(FEATURE.VIRTIO_F_RING_RESET)) {
            device.resetQueue(this.#queueSel);
          }
        },
      },
      ConfigGeneration: { read: () => device.configGeneration },
      Config: {},
      AdminQueueIndex: { read: () => device.adminQueueIndex },
      AdminQueueNum: { read: () => device.adminQueueNum },
    };
  }

  #emit(op: "read" | "write", offset: number, size: number, value: number, name?: string): void {
    const trace = this.#device.trace;
    if (trace === undefined) return;
    let data = "";
    for (let i = 0; i < size && i < REGISTER_BYTES; i++) {
      data += ((value >>> (8 * i)) & 0xff).toString(16).padStart(2, "0");
    }
    trace.emit({ op, offset, size, data, ...(name === undefined ? {} : { name }) });
  }
}

/** The widths in which a driver may access the configuration space, each aligned. */
function isConfigAccess(offset: number, size: number): boolean {
  return (size === 1 || size === 2 || size === 4) && offset % size === 0;
}
