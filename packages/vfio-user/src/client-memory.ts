/** The memory that a client's driver and its function share. */
import { closeSync } from "node:fs";
import { VirtioError } from "@virtio-admin/core";
import { Mapping, PIECE_BYTES } from "./mapping.ts";
import type { Native } from "./native.ts";

/** The memory that a client gives to its function. */
export interface VfioUserMemoryInit {
  /** The DMA address of its first byte; 0 unless given. */
  readonly base?: number;
  /** Its length in bytes, a multiple of 4096 up to 1 GiB. */
  readonly length: number;
  /**
   * False to keep it in this process: the server then asks for every access by a message, and waits
   * for it, so that it must not run in this process too. True by default.
   */
  readonly shared?: boolean;
}

/** What addresses and lengths are multiples of. */
export const PAGE_BYTES = 4096;

/** @throws VirtioError `VALUE_RANGE` for memory that cannot be. */
export function checkMemory({ base = 0, length }: VfioUserMemoryInit): void {
  const isPage = (value: number): boolean =>
    Number.isSafeInteger(value) && value >= 0 && value % PAGE_BYTES === 0;
  if (!isPage(length) || length === 0 || length > PIECE_BYTES) {
    throw new VirtioError("VALUE_RANGE", {
      message: `the length is a multiple of ${PAGE_BYTES} up to 2^30`,
      path: "memory.length",
      value: length,
    });
  }
  if (!isPage(base) || base + length > Number.MAX_SAFE_INTEGER) {
    throw new VirtioError("VALUE_RANGE", {
      message: `the base is a multiple of ${PAGE_BYTES} below 2^53`,
      path: "memory.base",
      value: base,
    });
  }
}

/** The bytes, and what the server gets of them. */
export class ClientMemory {
  /** The bytes, zeroed at first. */
  readonly bytes: Uint8Array;
  /** The descriptor to hand over; `undefined` for memory that is not shared. */
  readonly fd: number | undefined;
  readonly #mapping: Mapping | undefined;

  private constructor(bytes: Uint8Array, fd?: number, mapping?: Mapping) {
    this.bytes = bytes;
    this.fd = fd;
    this.#mapping = mapping;
  }

  /** @throws VirtioError `MEMORY_EXHAUSTED` when the host has no memory to share. */
  static make(native: Native, { length, shared = true }: VfioUserMemoryInit): ClientMemory {
    if (!shared) return new ClientMemory(new Uint8Array(length));
    const fd = native.memory(length);
    if (fd < 0) throw exhausted(-fd, length);
    const mapping = Mapping.make(native, fd, 0, length);
    if (typeof mapping !== "number") return new ClientMemory(mapping.piece(0), fd, mapping);
    closeSync(fd);
    throw exhausted(mapping, length);
  }

  /** Gives it back. */
  close(): void {
    this.#mapping?.end();
    if (this.fd !== undefined) closeSync(this.fd);
  }
}

function exhausted(errno: number, length: number): VirtioError {
  return new VirtioError("MEMORY_EXHAUSTED", {
    message: `no shared memory can be made (errno ${errno})`,
    path: "memory.length",
    value: length,
  });
}
