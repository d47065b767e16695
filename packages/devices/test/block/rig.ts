import {
  accessors,
  bringUp,
  type DeviceModel,
  type DriverQueueHandle,
  FEATURE,
  MemorySink,
  RING_FEATURES,
  VirtioDevice,
} from "@virtio-admin/core";
import {
  BLOCK_DEVICE_ID,
  BLOCK_DRIVER_FEATURES,
  type BlockInit,
  type BlockStorage,
  createBlock,
  memoryStorage,
  SECTOR_SIZE,
  VIRTIO_BLK_REQ,
} from "@virtio-admin/devices";
import { DirectTransport, makeMemory } from "../../../core/test/direct-transport.ts";

export const MEMORY_LENGTH = 0x40_0000;

export interface SetUpOptions {
  readonly init?: Partial<BlockInit>;
  readonly model?: DeviceModel;
  readonly features?: readonly number[];
  readonly ringFeatures?: readonly number[];
  readonly queues?: number;
  readonly queueSize?: number;
}

/** A block device of 64 sectors unless given, brought up by its driver's core. */
export async function setUp(options: SetUpOptions = {}) {
  const storage = options.init?.storage ?? memoryStorage(64 * SECTOR_SIZE);
  const model = options.model ?? createBlock({ ...options.init, storage });
  const { memory, dma } = makeMemory(MEMORY_LENGTH);
  const trace = new MemorySink();
  const features = [...RING_FEATURES, FEATURE.VIRTIO_F_RING_PACKED, FEATURE.VIRTIO_F_IN_ORDER];
  const core = new VirtioDevice({ model, memory, trace, features });
  const transport = new DirectTransport(core, dma);
  const up = () =>
    bringUp(transport, {
      deviceId: BLOCK_DEVICE_ID,
      features: options.features ?? BLOCK_DRIVER_FEATURES,
      ringFeatures: options.ringFeatures ?? RING_FEATURES,
      queues: Array.from({ length: options.queues ?? 1 }, (_, index) => ({
        index,
        size: options.queueSize ?? 64,
      })),
    });
  return { storage, core, memory, dma, trace, transport, up, device: await up() };
}

export type SetUp = Awaited<ReturnType<typeof setUp>>;

const REQ = accessors(VIRTIO_BLK_REQ);

/** The bytes of a request header. */
export function header(type: number, sector: number | bigint): Uint8Array {
  const bytes = new Uint8Array(VIRTIO_BLK_REQ.size);
  const view = new DataView(bytes.buffer);
  REQ.type.set(view, 0, type);
  REQ.sector.setBig(view, 0, BigInt(sector));
  return bytes;
}

/** Cuts `length` bytes into pieces of the sizes in `cuts`, which repeat; at least one piece. */
function pieces(length: number, cuts: readonly number[]): number[] {
  const found: number[] = [];
  for (let left = length, i = 0; left > 0; i++) {
    const piece = Math.min(left, cuts.length === 0 ? left : (cuts[i % cuts.length] as number));
    found.push(piece);
    left -= piece;
  }
  return found;
}

export interface RawRequest {
  readonly readable: Uint8Array;
  /** How many writable bytes there are. */
  readonly writable: number;
  readonly readableCuts?: readonly number[];
  readonly writableCuts?: readonly number[];
}

export interface RawAnswer {
  /** The writable bytes; untouched ones are 0xee. */
  readonly bytes: Uint8Array;
  readonly used: number;
  readonly status: number | undefined;
}

/** Puts requests of any form into a queue, each segment on its own, far from the others. */
export class RawDriver {
  readonly handle: DriverQueueHandle;
  readonly #rig: Pick<SetUp, "memory" | "dma">;
  readonly #pending = new Map<number, (used: number) => void>();

  constructor(rig: Pick<SetUp, "memory" | "dma">, handle: DriverQueueHandle) {
    this.#rig = rig;
    this.handle = handle;
    handle.onUsed = () => {
      for (let id = handle.reap(); id >= 0; id = handle.reap()) {
        const done = this.#pending.get(id);
        this.#pending.delete(id);
        done?.(handle.queue.usedLength);
      }
    };
  }

  /** Makes a request available; the promise is its answer. */
  send(request: RawRequest): Promise<RawAnswer> {
    const { memory, dma } = this.#rig;
    const readable = pieces(request.readable.length, request.readableCuts ?? []);
    const writable = pieces(request.writable, request.writableCuts ?? []);
    const lengths = [...readable, ...writable];
    const blocks = lengths.map((length) => dma.allocate(length, 1));
    let at = 0;
    readable.forEach((length, i) => {
      memory.write(blocks[i]!.address, request.readable.subarray(at, at + length));
      at += length;
    });
    writable.forEach((length, i) => {
      memory.write(blocks[readable.length + i]!.address, new Uint8Array(length).fill(0xee));
    });
    return new Promise((resolve, reject) => {
      const addresses = blocks.map(({ address }) => address);
      const id = this.handle.queue.add(addresses, lengths, lengths.length, readable.length);
      if (id < 0) {
        reject(new Error("no room in the queue"));
        return;
      }
      this.#pending.set(id, (used) => {
        const bytes = new Uint8Array(request.writable);
        let to = 0;
        writable.forEach((length, i) => {
          memory.read(blocks[readable.length + i]!.address, bytes.subarray(to, to + length));
          to += length;
        });
        for (const block of blocks) block.free();
        resolve({ bytes, used, status: bytes.at(-1) });
      });
      this.handle.notify();
    });
  }
}

/** Concatenates byte arrays. */
export function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** `sectors` sectors whose every byte tells its place. */
export function pattern(sectors: number, stamp = 1): Uint8Array {
  return Uint8Array.from(
    { length: sectors * SECTOR_SIZE },
    (_, i) => (i * 7 + (i >> 8) + stamp) & 0xff,
  );
}

export interface HeldOperation {
  readonly op: "read" | "write" | "flush";
  readonly offset: number;
  readonly length: number;
  /** Carries the operation out and settles it. */
  readonly complete: () => Promise<void>;
  /** Settles it with an error. */
  readonly fail: () => Promise<void>;
}

/** Storage whose operations wait for the test. */
export function heldStorage(bytes: Uint8Array) {
  const inner = memoryStorage(bytes);
  const held: HeldOperation[] = [];
  const hold = (op: HeldOperation["op"], offset: number, length: number, work: () => void) =>
    new Promise<void>((resolve, reject) => {
      const settle = async (end: () => void) => {
        held.splice(held.indexOf(entry), 1);
        end();
        await new Promise((later) => setTimeout(later, 0));
      };
      const entry: HeldOperation = {
        op,
        offset,
        length,
        complete: () =>
          settle(() => {
            work();
            resolve();
          }),
        fail: () => settle(() => reject(new Error("the disk failed"))),
      };
      held.push(entry);
    });
  const storage: BlockStorage = {
    length: bytes.length,
    read: (offset, target) => hold("read", offset, target.length, () => inner.read(offset, target)),
    write: (offset, source) =>
      hold("write", offset, source.length, () => inner.write(offset, source)),
    flush: () => hold("flush", 0, 0, () => inner.flush()),
  };
  return { storage, held };
}
