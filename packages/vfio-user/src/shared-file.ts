/** A file that is mapped here and in another process: memory that both of them see. */
import { closeSync, ftruncateSync, openSync } from "node:fs";
import { VirtioError } from "@virtio-admin/core";
import { PAGE_BYTES } from "./client-memory.ts";
import { Mapping, PIECE_BYTES } from "./mapping.ts";
import { loadNative } from "./native.ts";

/** A mapped file. */
export interface SharedFile {
  /** Its bytes, as they are in the file and in every other mapping of it. */
  readonly bytes: Uint8Array;
  /** Ends the mapping; views that are left see zeros. The file stays. */
  close(): void;
}

const OWNER_ONLY = 0o600;

/**
 * Makes a file of zeros that only its owner reaches, where none is, and maps it. Nobody may shrink
 * it while it is mapped: accesses beyond its end would end this process.
 *
 * @param length in bytes, a multiple of 4096 up to 2^30
 * @throws VirtioError `VALUE_RANGE` for another length; `HOST_UNSUPPORTED` where koffi cannot be
 * loaded; `MEMORY_EXHAUSTED` when the file cannot be mapped; what the file system says when there
 * is a file, or none can be made
 */
export async function mapSharedFile(path: string, length: number): Promise<SharedFile> {
  const isWhole = Number.isInteger(length) && length > 0 && length % PAGE_BYTES === 0;
  if (!isWhole || length > PIECE_BYTES) {
    throw new VirtioError("VALUE_RANGE", {
      message: `the length is a multiple of ${PAGE_BYTES} up to 2^30`,
      path: "length",
      value: length,
    });
  }
  const native = await loadNative();
  const fd = openSync(path, "wx+", OWNER_ONLY);
  try {
    ftruncateSync(fd, length);
    const mapping = Mapping.make(native, fd, 0, length);
    if (typeof mapping === "number") {
      throw new VirtioError("MEMORY_EXHAUSTED", {
        message: `the file cannot be mapped (errno ${mapping})`,
        path: "length",
        value: length,
      });
    }
    return { bytes: mapping.piece(0), close: () => mapping.end() };
  } finally {
    closeSync(fd);
  }
}
