/**
 * Access to a configuration space through registers: in the widths of its fields, and consistent
 * (section "Device Configuration Space"). For transports whose driver half reads it piece by piece.
 */
import { VirtioError } from "../errors.ts";
import type { MaybePromise } from "./types.ts";

/** How often the configuration is read again because it changed meanwhile. */
const ATTEMPTS = 64;

/** The widths of an access, in bytes. */
type Width = 1 | 2 | 4;

/** The registers of one transport, as {@link readConfigFields} needs them. */
export interface ConfigAccess {
  /** The path of the generation register, for errors: `mmio.ConfigGeneration`. */
  readonly generationPath: string;
  /** Reads the generation. */
  generation(): MaybePromise<number>;
  /** Reads 1, 2 or 4 bytes, little-endian. */
  read(offset: number, width: number): MaybePromise<number>;
  /** Writes 1, 2 or 4 bytes, little-endian. */
  write(offset: number, width: number, value: number): MaybePromise<void>;
}

/**
 * Reads configuration bytes. One aligned field of 2, 4 or 8 bytes is read in its own width, 8 bytes
 * as two halves; anything else byte by byte, as the text asks for byte fields.
 *
 * @throws VirtioError `DEVICE_FAILED` when the configuration never stops changing
 */
export async function readConfigFields(
  access: ConfigAccess,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const width = widthOf(offset, length);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const before = await access.generation();
    for (let at = 0; at < length; at += width) {
      const value = await access.read(offset + at, width);
      if (width === 4) view.setUint32(at, value, true);
      else if (width === 2) view.setUint16(at, value, true);
      else view.setUint8(at, value);
    }
    if ((await access.generation()) === before) return bytes;
  }
  throw new VirtioError("DEVICE_FAILED", {
    message: "the configuration changed during every read",
    path: access.generationPath,
    value: ATTEMPTS,
    hint: "reset the device",
  });
}

/** Writes configuration bytes in the widths of {@link readConfigFields}. */
export async function writeConfigFields(
  access: ConfigAccess,
  offset: number,
  bytes: Uint8Array,
): Promise<void> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const width = widthOf(offset, bytes.length);
  for (let at = 0; at < bytes.length; at += width) {
    let value: number;
    if (width === 4) value = view.getUint32(at, true);
    else if (width === 2) value = view.getUint16(at, true);
    else value = view.getUint8(at);
    await access.write(offset + at, width, value);
  }
}

function widthOf(offset: number, length: number): Width {
  if ((length === 4 || length === 8) && offset % 4 === 0) return 4;
  if (length === 2 && offset % 2 === 0) return 2;
  return 1;
}
