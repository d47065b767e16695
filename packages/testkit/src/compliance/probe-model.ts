/** The device type of the kit: it has what device types can have, and shows what happens to it. */
import {
  type Chain,
  ConfigSpace,
  type DeviceHost,
  type DeviceModel,
  type DeviceQueue,
  type FeatureDependency,
  type FeatureSet,
  type QueueSpec,
  struct,
} from "@virtio-admin/core";

/** The device id of the probe: the last that PCI has a device id for, and no device type has. */
export const PROBE_DEVICE_ID = 0x3f;
/** The largest sizes of the probe's queues. */
export const PROBE_QUEUE_SIZES: readonly number[] = [8, 16, 8];
/** The feature bits of the probe's type, in all four words. */
export const PROBE_FEATURES: readonly number[] = [0, 1, 5, 50, 64, 127];
/** Of these, one that requires another. */
export const PROBE_DEPENDENCY: FeatureDependency = { feature: 1, requires: 0 };
/** A feature bit that the probe refuses when it comes with no other of its type. */
export const PROBE_REFUSES_ALONE = 5;
/** What the probe's configuration space holds after start: two bytes, le16, le32, le64, two le32. */
export const PROBE_CONFIG: Uint8Array = Uint8Array.of(
  ...[0x01, 0x02, 0x34, 0x12, 0x78, 0x56, 0x34, 0x12],
  ...[0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01],
  ...[0, 0, 0, 0, 0xaa, 0xbb, 0xcc, 0xdd],
);
/** What its fields are. */
export const PROBE_CONFIG_LAYOUT = struct(
  "probe_config",
  { cite: "the compliance kit", doc: "Fields of every width." },
  {
    first: { offset: 0, type: "u8", doc: "A byte." },
    second: { offset: 1, type: "u8", doc: "Another." },
    narrow: { offset: 2, type: "le16", doc: "2 bytes." },
    middle: { offset: 4, type: "le32", doc: "4 bytes." },
    wide: { offset: 8, type: "le64", doc: "8 bytes." },
    writable: { offset: 16, type: "le32", doc: "What the driver may write of." },
    last: { offset: 20, type: "le32", doc: "4 more bytes." },
  },
);
/** Where the le32 lies that the driver may write, except for two bytes in its middle. */
export const PROBE_WRITABLE = 16;
const WRITE_MASK = Uint8Array.of(...new Array<number>(PROBE_WRITABLE).fill(0), 0xff, 0, 0, 0xff);

/**
 * Answers each buffer with its own readable bytes, or holds buffers until told to use them.
 */
export class ProbeModel implements DeviceModel {
  readonly name: string = "probe";
  readonly deviceId: number = PROBE_DEVICE_ID;
  readonly features: readonly number[] = PROBE_FEATURES;
  readonly featureDependencies: readonly FeatureDependency[] = [PROBE_DEPENDENCY];
  readonly queues: readonly QueueSpec[] = PROBE_QUEUE_SIZES.map((maxSize, i) => ({
    name: `probeq${i}`,
    maxSize,
  }));
  readonly config: ConfigSpace = new ConfigSpace({
    bytes: PROBE_CONFIG,
    writable: WRITE_MASK,
    layout: PROBE_CONFIG_LAYOUT,
  });

  /** Keeps buffers instead of answering them. */
  holds = false;
  /** How many buffers were popped. */
  popped = 0;
  /** How often it was started. */
  starts = 0;
  /** How often it was reset. */
  resets = 0;
  /** The queues that were reset one at a time. */
  readonly queueResets: number[] = [];
  readonly #held: { index: number; queue: DeviceQueue; chain: Chain }[] = [];
  #host: DeviceHost | undefined;

  /** What the device gave to its model. */
  get host(): DeviceHost {
    if (this.#host === undefined) throw new Error("the probe is not attached");
    return this.#host;
  }

  attach(host: DeviceHost): void {
    this.#host = host;
  }

  start(): void {
    this.starts++;
    this.queues.forEach((_, index) => {
      this.queueNotified(index);
    });
  }

  queueNotified(index: number): void {
    const queue = this.host.queue(index);
    if (queue === undefined) return;
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      this.popped++;
      if (this.holds) this.#held.push({ index, queue, chain });
      else answer(queue, chain);
    }
    if (!this.host.checkDefect(index)) this.host.publish(index);
  }

  /**
   * Answers what was held, also what belongs to a queue that was reset meanwhile: the queue itself
   * has to see to it that nothing comes of that.
   */
  release(): void {
    this.holds = false;
    for (const { index, queue, chain } of this.#held.splice(0)) {
      answer(queue, chain);
      this.host.publish(index);
    }
  }

  /** Answers of what is held what was popped last. */
  releaseLast(): void {
    const last = this.#held.pop();
    if (last === undefined) return;
    answer(last.queue, last.chain);
    this.host.publish(last.index);
  }

  queueReset(index: number): void {
    this.queueResets.push(index);
  }

  refuseFeatures(features: FeatureSet): string | undefined {
    const own = this.features.filter((bit) => features.has(bit));
    return own.length === 1 && own[0] === PROBE_REFUSES_ALONE ? "this feature alone" : undefined;
  }

  reset(): void {
    this.resets++;
    this.holds = false;
  }
}

function answer(queue: DeviceQueue, chain: Chain): void {
  const bytes = new Uint8Array(chain.readableLength);
  queue.read(chain, 0, bytes);
  queue.push(chain, queue.write(chain, 0, bytes));
}
