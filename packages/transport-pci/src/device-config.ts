/**
 * The device-specific configuration of one function as its driver accesses it, and the generation
 * that tells of changes (section "Device-specific configuration").
 */
import type { TransportFacingDevice } from "@virtio-admin/core";
import { unitOf } from "./bar-space.ts";
import type { SavedGeneration } from "./saved-state.ts";

/** The configuration of the device behind one function. */
export class DeviceConfig {
  readonly #device: TransportFacingDevice;
  #generation = 0;
  #seenGeneration: number;

  constructor(device: TransportFacingDevice) {
    this.#device = device;
    this.#seenGeneration = device.configGeneration;
  }

  /** What config_generation reads. */
  get generation(): number {
    return this.#generation;
  }

  /** Reads 1, 2 or 4 bytes, little-endian. */
  read(offset: number, size: number): number {
    // A change shows in config_generation when the driver reads, so that it cannot wrap unseen.
    const generation = this.#device.configGeneration;
    if (generation !== this.#seenGeneration) {
      this.#seenGeneration = generation;
      this.#generation = (this.#generation + 1) & 0xff;
    }
    const unit = unitOf(0);
    this.#device.readConfig(offset, unit.subarray(0, size));
    return new DataView(unit.buffer).getUint32(0, true);
  }

  /** Writes 1, 2 or 4 bytes, little-endian. */
  write(offset: number, size: number, value: number): void {
    this.#device.writeConfig(offset, unitOf(value).subarray(0, size));
  }

  /** The generation for a snapshot. */
  save(): SavedGeneration {
    return { config_generation: this.#generation, of: this.#seenGeneration };
  }

  /** Puts a saved generation in place; without one, that of a function that has no such window. */
  put(saved: SavedGeneration | undefined): void {
    this.#generation = saved?.config_generation ?? 0;
    this.#seenGeneration = saved?.of ?? 0;
  }
}
