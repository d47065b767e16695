/** What a driver does by hand in guest memory: rings, and bytes of its own. */
import type { DmaArena, GuestMemory } from "@virtio-admin/core";
import { HandPackedRing } from "./hand-packed-ring.ts";
import { HandRing } from "./hand-ring.ts";

/** The driver's hand in guest memory. */
export interface DriverHand {
  /** Lays out an empty split ring of `size` entries in the run of memory that begins at `base`. */
  ring(size: number, base: number): HandRing;
  /** Lays out an empty packed ring of `size` entries in the run of memory that begins at `base`. */
  packedRing(size: number, base: number): HandPackedRing;
  /** Writes bytes at a guest address. */
  write(address: number, bytes: Uint8Array): void;
  /** The bytes at a guest address. */
  read(address: number, length: number): Uint8Array;
}

/** The driver's hand in memory of this thread. */
export class LocalDriverHand implements DriverHand {
  readonly #memory: GuestMemory;
  readonly #arenas: ReadonlyMap<number, DmaArena>;

  /** Takes rings and buffers from these arenas, each under the base of its run of memory. */
  constructor(memory: GuestMemory, arenas: Iterable<readonly [base: number, arena: DmaArena]>) {
    this.#memory = memory;
    this.#arenas = new Map(arenas);
  }

  ring(size: number, base: number): HandRing {
    return new HandRing(this.#arena(base), size);
  }

  packedRing(size: number, base: number): HandPackedRing {
    return new HandPackedRing(this.#arena(base), size);
  }

  write(address: number, bytes: Uint8Array): void {
    this.#memory.write(address, bytes);
  }

  read(address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.#memory.read(address, bytes);
    return bytes;
  }

  #arena(base: number): DmaArena {
    const arena = this.#arenas.get(base);
    if (arena === undefined) throw new Error(`no run of memory begins at ${base}`);
    return arena;
  }
}
