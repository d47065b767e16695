/** Device types for tests: they do little, and write down what they are told. */
import type {
  AdminFacility,
  Chain,
  ConfigSpace,
  DeviceHost,
  DeviceModel,
  DeviceQueue,
  FeatureDependency,
  FeatureSet,
} from "@virtio-admin/core";

/** Uses every buffer, filled with 0x5a. */
export class FillModel implements DeviceModel {
  readonly name: string = "fill";
  readonly deviceId = 4;
  features: readonly number[] = [0, 1];
  featureDependencies: readonly FeatureDependency[] = [{ feature: 1, requires: 0 }];
  queues = [
    { name: "first", maxSize: 8 },
    { name: "second", maxSize: 8 },
  ];
  readonly config?: ConfigSpace;
  readonly calls: string[] = [];
  host!: DeviceHost;
  /** Runs first in every call of `queueNotified`. */
  onNotified: ((index: number) => void) | undefined;

  constructor(config?: ConfigSpace) {
    if (config !== undefined) this.config = config;
  }

  attach(host: DeviceHost): void {
    this.host = host;
  }

  start(): void {
    this.calls.push("start");
  }

  queueNotified(index: number): void {
    this.calls.push(`notified ${index}`);
    this.onNotified?.(index);
    const queue = this.host.queue(index);
    if (queue === undefined) return;
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      const bytes = new Uint8Array(chain.writableLength).fill(0x5a);
      queue.push(chain, queue.write(chain, 0, bytes));
    }
    this.host.publish(index);
  }

  queueReset(index: number): void {
    this.calls.push(`reset ${index}`);
  }

  reset(): void {
    this.calls.push("reset");
  }

  refuseFeatures(_features: FeatureSet): string | undefined {
    return undefined;
  }
}

/** Administration virtqueues that note their notifications. */
export class NotingAdmin implements AdminFacility {
  readonly queueCount: number;
  readonly maxSize = 16;
  readonly calls: string[] = [];

  constructor(queueCount: number) {
    this.queueCount = queueCount;
  }

  attach(): void {
    this.calls.push("attach");
  }

  queueNotified(index: number): void {
    this.calls.push(`notified ${index}`);
  }

  reset(): void {
    this.calls.push("reset");
  }
}

/** Keeps what it pops until it is told to use it. */
export class HoldModel extends FillModel {
  readonly held: { readonly index: number; readonly queue: DeviceQueue; readonly chain: Chain }[] =
    [];
  /** The most buffers that it pops in one visit. */
  most = Number.POSITIVE_INFINITY;
  /** Gives everything back, unused, when the device is to stop. */
  givesBack = false;

  override queueNotified(index: number): void {
    this.calls.push(`notified ${index}`);
    this.onNotified?.(index);
    const queue = this.host.queue(index);
    if (queue === undefined) return;
    for (let i = 0; i < this.most; i++) {
      const chain = queue.pop();
      if (chain === undefined) break;
      this.held.push({ index, queue, chain });
    }
    this.host.publish(index);
  }

  stopping(): void {
    this.calls.push("stopping");
    if (this.givesBack) while (this.held.length > 0) this.use(0);
  }

  /** Uses the buffer that was popped first, with this many bytes. */
  use(length = 4): void {
    const { index, queue, chain } = this.held.shift()!;
    queue.push(chain, queue.write(chain, 0, new Uint8Array(length).fill(0x5a)));
    this.host.publish(index);
  }

  override reset(): void {
    this.held.length = 0;
    super.reset();
  }
}
