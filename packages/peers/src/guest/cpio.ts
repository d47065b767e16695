/**
 * Archives in the `newc` format of cpio, which the Linux kernel unpacks as its first file system
 * (Documentation/driver-api/early-userspace/buffer-format.rst).
 */

/** One file of an archive. */
export interface CpioEntry {
  /** Where it is, without a slash at the beginning. Its directories come before it. */
  readonly path: string;
  /** What it is. */
  readonly kind: "directory" | "file" | "link" | "character device";
  /** The permission bits; 0755 unless given. */
  readonly permissions?: number;
  /** The bytes of a file; what a link points at. */
  readonly data?: Uint8Array | string;
  /** Major and minor number of a device. */
  readonly device?: readonly [major: number, minor: number];
}

const MAGIC = "070701";
const TRAILER = "TRAILER!!!";
const HEADER_FIELDS = 13;
const HEADER_BYTES = MAGIC.length + 8 * HEADER_FIELDS;
const ALIGNMENT = 4;
const DEFAULT_PERMISSIONS = 0o755;

const FILE_TYPE = {
  directory: 0o040000,
  file: 0o100000,
  link: 0o120000,
  "character device": 0o020000,
} as const;

const encoder = new TextEncoder();

/** Writes an archive: everything belongs to root and has time 0, so equal input gives equal bytes. */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array {
  const parts = entries.map((entry, i) => {
    const { path, kind, permissions = DEFAULT_PERMISSIONS, data = "", device = [0, 0] } = entry;
    const mode = FILE_TYPE[kind] | permissions;
    return record(
      path,
      i + 1,
      mode,
      typeof data === "string" ? encoder.encode(data) : data,
      device,
    );
  });
  parts.push(record(TRAILER, 0, 0, new Uint8Array(0), [0, 0]));
  const archive = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    archive.set(part, at);
    at += part.length;
  }
  return archive;
}

function record(
  path: string,
  inode: number,
  mode: number,
  data: Uint8Array,
  [major, minor]: readonly [number, number],
): Uint8Array {
  const name = encoder.encode(`${path}\0`);
  // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdev…, namesize, check.
  const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, major, minor, name.length, 0];
  const header = fields.map((field) => field.toString(16).toUpperCase().padStart(8, "0")).join("");
  const dataAt = aligned(HEADER_BYTES + name.length);
  const bytes = new Uint8Array(aligned(dataAt + data.length));
  bytes.set(encoder.encode(MAGIC + header));
  bytes.set(name, HEADER_BYTES);
  bytes.set(data, dataAt);
  return bytes;
}

function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}
