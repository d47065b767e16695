/** Device types for tests: they do little, and write down what they are told. */
import type {
  AdminFacility,
  ConfigSpace,
  DeviceHost,
  DeviceModel,
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
