/** What a device shows to the consumers of its queues. */
import type { GuestMemory } from "../memory/types.ts";
import type { TraceSink } from "../trace/types.ts";
import type { DeviceQueue } from "../virtqueue/types.ts";
import type { FeatureSet } from "./features.ts";
import type { DeviceOperation } from "./operation.ts";
import type { DeviceHost } from "./types.ts";

/** One device as its consumers see it: an object without closures. */
export class ConsumerHost implements DeviceHost {
  readonly #operation: DeviceOperation;

  constructor(operation: DeviceOperation) {
    this.#operation = operation;
  }

  /** See {@link DeviceHost.memory}. */
  get memory(): GuestMemory {
    return this.#operation.queues.memory;
  }

  /** See {@link DeviceHost.trace}. */
  get trace(): TraceSink | undefined {
    return this.#operation.trace;
  }

  /** See {@link DeviceHost.adminQueueBase}. */
  get adminQueueBase(): number {
    return this.#operation.queues.adminBase;
  }

  /** See {@link DeviceHost.features}. */
  get features(): FeatureSet {
    return this.#operation.negotiation.inForce;
  }

  /** See {@link DeviceHost.running}. A device that is about to stop lets its consumers finish. */
  get running(): boolean {
    return this.#operation.running && !this.#operation.mode.stopped;
  }

  /** See {@link DeviceHost.queue}. */
  queue(index: number): DeviceQueue | undefined {
    return this.running ? this.#operation.queues.at(index)?.queue : undefined;
  }

  /** See {@link DeviceHost.publish}. */
  publish(index: number): void {
    this.#operation.publish(index);
  }

  /** See {@link DeviceHost.revisit}. */
  revisit(index: number): void {
    const slot = this.#operation.queues.at(index);
    if (slot !== undefined) this.#operation.visit(slot);
  }

  /** See {@link DeviceHost.checkDefect}. */
  checkDefect(index: number): boolean {
    const slot = this.#operation.queues.at(index);
    return slot !== undefined && this.#operation.checkDefect(slot);
  }

  /** See {@link DeviceHost.needsReset}. */
  needsReset(why: string): void {
    this.#operation.needsReset(why);
  }

  /** See {@link DeviceHost.configChanged}. */
  configChanged(): void {
    this.#operation.configChanged();
  }
}
