/**
 * A device type of one's own: a counter. Every buffer of its only queue brings a le32 that is
 * added, and takes the new count away as le32; the configuration space shows the count, and the
 * driver is told when it changed. What comes from the driver is never trusted to be long enough.
 */
import {
  accessors,
  bringUp,
  ConfigSpace,
  createGuestMemory,
  type DeviceHost,
  type DeviceModel,
  DmaArena,
  type DriverDevice,
  decode,
  type QueueSpec,
  struct,
  VirtioDevice,
} from "@virtio-admin/core";
import { MMIO_TRANSPORT } from "@virtio-admin/transport-mmio";

const GUEST_BASE = 0x8000_0000;
const GUEST_BYTES = 1 << 20;
/** An id that the specification gives to no device type. */
const COUNTER_DEVICE_ID = 0x3f;
const ADDQ = 0;
const NUMBER_BYTES = 4;

const COUNTER_CONFIG = struct(
  "counter_config",
  { cite: "this example", doc: "The configuration space of a counter." },
  { count: { offset: 0, type: "le32", access: "R", doc: "The count, modulo 2^32." } },
);
const CONFIG = accessors(COUNTER_CONFIG);

/**
 * The device half. The count stands in the configuration space alone, so that it is in a snapshot;
 * `checkDeviceType` of the testkit finds nothing wrong with it.
 */
export class Counter implements DeviceModel {
  readonly name = "counter";
  readonly deviceId = COUNTER_DEVICE_ID;
  readonly features: readonly number[] = [];
  readonly queues: readonly QueueSpec[] = [{ name: "addq", maxSize: 16 }];
  readonly config = new ConfigSpace({ bytes: new Uint8Array(COUNTER_CONFIG.size) });
  #host: DeviceHost | undefined;

  attach(host: DeviceHost): void {
    this.#host = host;
  }

  start(): void {
    this.queueNotified(ADDQ);
  }

  queueNotified(index: number): void {
    const host = this.#host;
    const queue = host?.queue(index);
    if (host === undefined || queue === undefined) return;
    const number = new Uint8Array(NUMBER_BYTES);
    const view = new DataView(number.buffer);
    this.config.read(0, number);
    let count = view.getUint32(0, true);
    let used = 0;
    // A driver that never stops adding gets another turn, after the other queues.
    for (; used < queue.size; used++) {
      const chain = queue.pop();
      if (chain === undefined) break;
      // What a short buffer does not bring counts as zero.
      number.fill(0);
      queue.read(chain, 0, number);
      count = (count + view.getUint32(0, true)) >>> 0;
      view.setUint32(0, count, true);
      queue.push(chain, queue.write(chain, 0, number));
    }
    if (used === 0) return;
    this.config.update((bytes) => CONFIG.count.set(bytes, 0, count));
    host.configChanged();
    host.publish(index);
    if (used === queue.size) host.revisit(index);
  }

  reset(): void {
    this.config.update((bytes) => CONFIG.count.set(bytes, 0, 0));
  }
}

/** The driver half: adds a number, resolves to the new count. */
function add(driver: DriverDevice, number: number): Promise<number> {
  const handle = driver.queue(ADDQ);
  const block = driver.dma.allocate(2 * NUMBER_BYTES, NUMBER_BYTES);
  const { address, region } = block;
  const at = address - region.base;
  region.view.setUint32(at, number, true);
  return new Promise((resolve) => {
    handle.onUsed = () => {
      while (handle.reap() >= 0) {
        resolve(region.view.getUint32(at + NUMBER_BYTES, true));
        block.free();
      }
    };
    // Readable segments first, then writable ones.
    handle.queue.add([address, address + NUMBER_BYTES], [NUMBER_BYTES, NUMBER_BYTES], 2, 1);
    handle.notify();
  });
}

/** Runs the example. */
export async function ownDeviceType() {
  const memory = createGuestMemory([{ base: GUEST_BASE, bytes: new Uint8Array(GUEST_BYTES) }]);
  const device = new VirtioDevice({ model: new Counter(), memory });
  const dma = new DmaArena(memory, GUEST_BASE, GUEST_BYTES);
  const pair = MMIO_TRANSPORT.loopback(device, { dma });
  const driver = await bringUp(pair.driver, {
    deviceId: COUNTER_DEVICE_ID,
    queues: [{ index: ADDQ }],
  });
  let told = 0;
  driver.onConfigChange(() => told++);

  const counts = [await add(driver, 40), await add(driver, 2)];
  const config = decode(COUNTER_CONFIG, await driver.config.read(0, COUNTER_CONFIG.size));
  await driver.close();
  pair.close();
  return { counts, config, wasTold: told > 0 };
}

if (process.argv[1]?.endsWith("own-device-type.js")) console.log(await ownDeviceType());
