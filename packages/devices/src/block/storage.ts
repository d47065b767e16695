/** Where a block device keeps its bytes. */
import { VirtioError } from "@virtio-admin/core";

/**
 * The bytes behind a block device. An operation returns nothing when it is done, or a promise of
 * that; it throws or rejects when it failed, and its request is then answered with `S_IOERR`.
 *
 * Only ranges inside {@link BlockStorage.length} are asked for. A `target` or `source` belongs to
 * the storage until the operation has settled, and to the device afterwards. An operation must
 * settle some time: after a reset the device waits for what it had begun, so that no late write
 * overtakes those of the next driver.
 */
export interface BlockStorage {
  /** How many bytes there are. */
  readonly length: number;
  /** True when writes cannot succeed; the device then offers VIRTIO_BLK_F_RO. */
  readonly readonly?: boolean;
  /** Fills all of `target` with the bytes from `offset` on. */
  read(offset: number, target: Uint8Array): undefined | PromiseLike<unknown>;
  /** Takes all of `source` as the bytes from `offset` on. */
  write(offset: number, source: Uint8Array): undefined | PromiseLike<unknown>;
  /** Commits the writes that are done to what survives a crash. */
  flush(): undefined | PromiseLike<unknown>;
}

/** Block storage in memory; see {@link memoryStorage}. */
export interface MemoryStorage extends BlockStorage {
  /** The bytes themselves. */
  readonly bytes: Uint8Array;
}

/**
 * Makes block storage in memory, synchronous.
 *
 * @param content the bytes, which are used and not copied, or how many zeroed ones to allocate
 * @throws VirtioError `VALUE_RANGE` when the length is no integer from 0 on.
 */
export function memoryStorage(content: Uint8Array | number): MemoryStorage {
  if (typeof content === "number" && !(Number.isSafeInteger(content) && content >= 0)) {
    throw new VirtioError("VALUE_RANGE", {
      message: "a length of storage is an integer from 0 on",
      path: "content",
      value: content,
    });
  }
  const bytes = typeof content === "number" ? new Uint8Array(content) : content;
  return {
    bytes,
    length: bytes.length,
    read(offset, target) {
      target.set(bytes.subarray(offset, offset + target.length));
      return undefined;
    },
    write(offset, source) {
      bytes.set(source, offset);
      return undefined;
    },
    flush: () => undefined,
  };
}
