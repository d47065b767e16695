/**
 * v86's VirtQueue, the device half of another emulator in JavaScript, from its npm package. It gets
 * the least it can run on: a processor that is nothing but guest memory.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { measuredRing, reapAll, ringPlace, submit } from "./raw-split.ts";
import { nanoseconds, READABLE_BYTES, RING_SIZE, type Subject, WRITABLE_BYTES } from "./subject.ts";

interface V86Chain {
  get_next_blob(target: Uint8Array): number;
  set_next_blob(source: Uint8Array): number;
}

interface V86Queue {
  desc_addr: number;
  avail_addr: number;
  used_addr: number;
  set_size(size: number): void;
  enable(): void;
  has_request(): boolean;
  pop_request(): V86Chain;
  push_reply(chain: V86Chain): void;
  flush_replies(): void;
}

type V86QueueClass = new (
  processor: unknown,
  device: unknown,
  options: { size_supported: number; notify_offset: number },
) => V86Queue;

interface V86Emulator {
  add_listener(event: string, listener: () => void): void;
  destroy(): Promise<void>;
  readonly v86: {
    readonly cpu: {
      readonly devices: { readonly virtio_9p: { readonly virtio: { queues: V86Queue[] } } };
    };
  };
}

/** The version of v86 that is measured. */
export function v86Version(): string {
  const require = createRequire(import.meta.url);
  return (require("v86/package.json") as { version: string }).version;
}

/** An emulator is made once, only to reach the class of its queues. */
async function queueClass(): Promise<V86QueueClass> {
  const require = createRequire(import.meta.url);
  const build = dirname(require.resolve("v86"));
  const module = (await import(pathToFileURL(join(build, "libv86.mjs")).href)) as {
    V86: new (options: object) => V86Emulator;
  };
  const emulator = new module.V86({
    wasm_path: join(build, "v86.wasm"),
    memory_size: 16 << 20,
    vga_memory_size: 2 << 20,
    filesystem: {},
    autostart: false,
    disable_keyboard: true,
    disable_mouse: true,
    disable_speaker: true,
  });
  await new Promise<void>((resolve) => emulator.add_listener("emulator-loaded", resolve));
  const queue = emulator.v86.cpu.devices.virtio_9p.virtio.queues[0];
  if (queue === undefined) throw new Error("v86 has no virtqueue where its 9p device has one");
  const found = queue.constructor as V86QueueClass;
  await emulator.destroy();
  return found;
}

function processorOver(bytes: Uint8Array) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    read16: (at: number) => view.getUint16(at, true),
    read32s: (at: number) => view.getInt32(at, true),
    write16: (at: number, value: number) => view.setUint16(at, value, true),
    write32: (at: number, value: number) => view.setInt32(at, value, true),
    read_blob: (at: number, length: number) => bytes.subarray(at, at + length),
    write_blob: (source: Uint8Array, at: number) => bytes.set(source, at),
  };
}

/** The reference `v86`: our driver half, v86's device half, the same chain as `raw-split`. */
export async function v86Reference(): Promise<Subject> {
  const VirtQueue = await queueClass();
  const { bytes, driver } = measuredRing(false);
  let interrupts = 0;
  const device = { is_feature_negotiated: () => false, raise_irq: () => interrupts++ };
  const queue = new VirtQueue(processorOver(bytes), device, {
    size_supported: RING_SIZE,
    notify_offset: 0,
  });
  const place = ringPlace(RING_SIZE);
  queue.set_size(RING_SIZE);
  queue.desc_addr = place.descriptorArea;
  queue.avail_addr = place.driverArea;
  queue.used_addr = place.deviceArea;
  const request = new Uint8Array(READABLE_BYTES);
  const requestView = new DataView(request.buffer);
  const response = new Uint8Array(WRITABLE_BYTES);
  const responseView = new DataView(response.buffer);
  return {
    path: "v86",
    slice(outstanding, rounds) {
      const from = nanoseconds();
      for (let round = 0; round < rounds; round++) {
        submit(driver, outstanding);
        while (queue.has_request()) {
          const chain = queue.pop_request();
          chain.get_next_blob(request);
          const sum =
            requestView.getUint32(0, true) +
            requestView.getUint32(16, true) +
            requestView.getUint32(20, true);
          responseView.setUint32(8, sum >>> 0, true);
          chain.set_next_blob(response);
          queue.push_reply(chain);
        }
        queue.flush_replies();
        reapAll(driver, outstanding);
      }
      if (interrupts === 0) throw new Error("v86 did not ask for an interrupt");
      return (nanoseconds() - from) / (rounds * outstanding);
    },
  };
}
