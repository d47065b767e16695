import { createGuestMemory, DmaArena, type RegionMemory } from "../../src/memory/index.ts";
import {
  createDeviceQueue,
  createDriverQueue,
  type DeviceQueue,
  type DriverQueue,
  type QueueInit,
  queueAreaSizes,
} from "../../src/virtqueue/index.ts";

/** What a rig is made from; the defaults make a small queue without optional features. */
export interface RigOptions {
  readonly size?: number;
  readonly eventIdx?: boolean;
  readonly indirect?: boolean;
  readonly packed?: boolean;
  readonly inOrder?: boolean;
  readonly tableEntries?: number;
  readonly atomic?: boolean;
  /** Where both halves start; as after a reset unless given. */
  readonly startIndex?: number;
  readonly memoryLength?: number;
  /** Where memory begins; {@link RIG_BASE}, beyond 2^32, unless given. */
  readonly base?: number;
}

export interface Rig {
  readonly memory: RegionMemory;
  readonly arena: DmaArena;
  readonly init: QueueInit;
  readonly driver: DriverQueue;
  readonly device: DeviceQueue;
  /** Views of the three parts, for looking and for meddling; of a packed ring see `packed.ts`. */
  readonly table: DataView;
  readonly avail: DataView;
  readonly used: DataView;
}

export const RIG_BASE = 0x1_0000_0000;

/** Both halves of one queue over real memory, the driver's half made first. */
export function makeRig(options: RigOptions = {}): Rig {
  const size = options.size ?? 8;
  const base = options.base ?? RIG_BASE;
  const atomic = options.atomic ?? false;
  const length = options.memoryLength ?? 0x10000 + 64 * size;
  const bytes = new Uint8Array(atomic ? new SharedArrayBuffer(length) : new ArrayBuffer(length));
  const memory = createGuestMemory([{ base, bytes }]);
  const arena = new DmaArena(memory, base, length);
  const packed = options.packed ?? false;
  const areas = queueAreaSizes(size, packed);
  const place = (area: { length: number; alignment: number }) =>
    arena.allocate(area.length, area.alignment).address;
  const init: QueueInit = {
    size,
    memory,
    descriptorArea: place(areas.descriptorArea),
    driverArea: place(areas.driverArea),
    deviceArea: place(areas.deviceArea),
    eventIdx: options.eventIdx ?? false,
    indirect: options.indirect ?? false,
    packed,
    inOrder: options.inOrder ?? false,
    atomic,
    ...(options.startIndex === undefined ? {} : { startIndex: options.startIndex }),
  };
  const { tableEntries } = options;
  const driver = createDriverQueue(
    tableEntries === undefined
      ? init
      : { ...init, indirectArea: arena.allocate(tableEntries * 16 * size, 16) },
  );
  const device = createDeviceQueue(init);
  const view = (address: number, count: number) =>
    new DataView(bytes.buffer, address - base, count);
  return {
    memory,
    arena,
    init,
    driver,
    device,
    table: view(init.descriptorArea, areas.descriptorArea.length),
    avail: view(init.driverArea, areas.driverArea.length),
    used: view(init.deviceArea, areas.deviceArea.length),
  };
}
