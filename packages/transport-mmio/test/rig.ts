/** What the tests of this package share: a window with one device behind it. */
import {
  AdminExecutor,
  AdminQueues,
  ConfigSpace,
  createGuestMemory,
  type DeviceHost,
  type DeviceModel,
  DmaArena,
  MemorySink,
  type RegisterLayout,
  SelfGroup,
  VirtioDevice,
} from "@virtio-admin/core";
import {
  loopbackBus,
  MMIO_REFERENCE_LAYOUT,
  type MmioBus,
  MmioDevice,
  MmioDriver,
} from "@virtio-admin/transport-mmio";

export const MEMORY_BASE = 0x10000;
export const MEMORY_LENGTH = 0x40000;
export const CONFIG = Uint8Array.of(0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88);

/** Two queues, a configuration space of eight bytes of which the last four can be written. */
export class IdleModel implements DeviceModel {
  readonly name = "idle";
  readonly deviceId = 42;
  readonly features = [0, 50];
  readonly queues = [
    { name: "q0", maxSize: 16 },
    { name: "q1", maxSize: 8 },
  ];
  readonly config = new ConfigSpace({
    bytes: CONFIG,
    writable: Uint8Array.of(0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff),
  });
  readonly notified: number[] = [];
  host!: DeviceHost;

  attach(host: DeviceHost): void {
    this.host = host;
  }
  queueNotified(index: number): void {
    this.notified.push(index);
  }
  reset(): void {}
}

export interface RigOptions {
  readonly layout?: RegisterLayout;
  readonly adminQueues?: number;
  readonly vendorId?: number;
  readonly features?: readonly number[];
}

export function rig(options: RigOptions = {}) {
  const layout: RegisterLayout = options.layout ?? MMIO_REFERENCE_LAYOUT;
  const memory = createGuestMemory([{ base: MEMORY_BASE, bytes: new Uint8Array(MEMORY_LENGTH) }]);
  const model = new IdleModel();
  const trace = new MemorySink();
  const count = options.adminQueues ?? 1;
  const executor = new AdminExecutor({ groups: [new SelfGroup()] });
  const device = new VirtioDevice({
    model,
    memory,
    trace,
    ...(options.features === undefined ? {} : { features: options.features }),
    ...(count === 0 ? {} : { admin: new AdminQueues({ executor, count, maxSize: 8 }) }),
  });
  const lines: boolean[] = [];
  const window = new MmioDevice({
    device,
    layout,
    onInterrupt: (high) => lines.push(high),
    ...(options.vendorId === undefined ? {} : { vendorId: options.vendorId }),
  });
  const offset = (name: string) => {
    const register = layout.registers[name];
    if (register === undefined) throw new Error(`no register ${name}`);
    return register.offset;
  };
  const read = (name: string) => window.read(offset(name), 4);
  const write = (name: string, value: number) => window.write(offset(name), 4, value);
  /** As far as FEATURES_OK, with these words of features. */
  const negotiate = (...words: readonly number[]) => {
    for (const status of [0, 1, 3]) write("Status", status);
    words.forEach((word, i) => {
      write("DriverFeaturesSel", i);
      write("DriverFeatures", word);
    });
    write("Status", 0x0b);
  };
  const driver = (bus: MmioBus = loopbackBus(window)) =>
    new MmioDriver({ bus, layout, dma: new DmaArena(memory, MEMORY_BASE, MEMORY_LENGTH) });
  return { memory, model, device, window, trace, lines, offset, read, write, negotiate, driver };
}

/** VIRTIO_F_VERSION_1 and VIRTIO_F_ADMIN_VQ in the second word. */
export const WITH_ADMIN = [0, 0x201] as const;
/** VIRTIO_F_VERSION_1 and VIRTIO_F_RING_RESET in the second word. */
export const WITH_RING_RESET = [0, 0x101] as const;
