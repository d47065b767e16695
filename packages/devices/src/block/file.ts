/**
 * Block storage in a file, for Node.js.
 *
 * @packageDocumentation
 */
// The one file of this package that uses modules of Node.js, and an entry point of its own.
import { type FileHandle, open } from "node:fs/promises";
import { VirtioError } from "@virtio-admin/core";
import type { BlockStorage } from "./storage.ts";

/** How {@link openFileStorage} opens a file. */
export interface FileStorageOptions {
  /** Opens the file for reading only; false unless given. */
  readonly readonly?: boolean;
}

/** Block storage in a file. Its operations are asynchronous, and may be under way side by side. */
export interface FileStorage extends BlockStorage {
  /** See {@link BlockStorage.readonly}. */
  readonly readonly: boolean;
  /** See {@link BlockStorage.read}. Rejects when the file has become shorter. */
  read(offset: number, target: Uint8Array): Promise<void>;
  /** See {@link BlockStorage.write}. The file never grows. */
  write(offset: number, source: Uint8Array): Promise<void>;
  /** See {@link BlockStorage.flush}: what was written is on the disk afterwards (`fsync`). */
  flush(): Promise<void>;
  /** Closes the file once what is under way has settled. Later operations reject. */
  close(): Promise<void>;
}

/**
 * Opens a file as block storage, as long as the file is now. Any length will do; what is no whole
 * sector at its end is out of reach of the device.
 *
 * @throws VirtioError `BLOCK_IO` when the file cannot be opened or is no regular file.
 */
export async function openFileStorage(
  path: string,
  options: FileStorageOptions = {},
): Promise<FileStorage> {
  const readonly = options.readonly ?? false;
  let file: FileHandle | undefined;
  try {
    file = await open(path, readonly ? "r" : "r+");
    const stat = await file.stat();
    if (!stat.isFile()) throw new Error("it is no regular file");
    return new OpenFile(file, stat.size, readonly);
  } catch (cause) {
    await file?.close();
    throw new VirtioError("BLOCK_IO", {
      message: `the file cannot be opened: ${cause instanceof Error ? cause.message : cause}`,
      path: "path",
      value: path,
      hint: "name an existing regular file",
      cause,
    });
  }
}

class OpenFile implements FileStorage {
  readonly length: number;
  readonly readonly: boolean;
  readonly #file: FileHandle;

  constructor(file: FileHandle, length: number, readonly: boolean) {
    this.#file = file;
    this.length = length;
    this.readonly = readonly;
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    this.#check(offset, target.length);
    let at = 0;
    while (at < target.length) {
      const left = target.length - at;
      const { bytesRead } = await this.#file.read(target, at, left, offset + at);
      if (bytesRead === 0) throw failed("the file has become shorter", offset + at);
      at += bytesRead;
    }
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    this.#check(offset, source.length);
    let at = 0;
    while (at < source.length) {
      const left = source.length - at;
      const { bytesWritten } = await this.#file.write(source, at, left, offset + at);
      if (bytesWritten === 0) throw failed("the file takes no more bytes", offset + at);
      at += bytesWritten;
    }
  }

  async flush(): Promise<void> {
    if (!this.readonly) await this.#file.sync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  #check(offset: number, length: number): void {
    if (Number.isSafeInteger(offset) && offset >= 0 && offset + length <= this.length) return;
    throw failed(`the storage has ${this.length} bytes, ${length} more are asked for`, offset);
  }
}

function failed(message: string, offset: number): VirtioError {
  return new VirtioError("BLOCK_IO", { message, path: "offset", value: offset });
}
