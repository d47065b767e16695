/** Where the sockets are: a directory that is closed to everyone else. */
import { accessSync, constants, mkdirSync, mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, extname, join, resolve } from "node:path";
import { env } from "node:process";
import { VirtioError } from "@virtio-admin/core";
import type { DeviceName } from "./devices.ts";

/** A directory for sockets. */
export interface SocketDirectory {
  /** Its path, absolute. */
  readonly path: string;
  /** Takes it away if it is none that was asked for and there before, and is empty. */
  leave(): void;
}

const OWN = 0o700;
/** What a directory is named after a file by. */
const UNFIT = /[^\w.-]/g;

/**
 * The directory that was asked for; else one of the description's name in the runtime directory of
 * the user; else a temporary one. Whether it is private is looked at when a socket is made there.
 *
 * @throws VirtioError `TRANSPORT_OPTIONS` when there cannot be such a directory
 */
export function openDirectory(asked: string | undefined, file: string): SocketDirectory {
  if (asked !== undefined) {
    const path = resolve(asked);
    const isNew = make(path);
    return { path, leave: () => isNew && remove(path) };
  }
  const runtime = env["XDG_RUNTIME_DIR"];
  if (runtime !== undefined && isWritable(runtime)) {
    const name = basename(file, extname(file)).replace(UNFIT, "_");
    const path = join(resolve(runtime), "virtio-admin", name);
    make(path);
    return { path, leave: () => remove(path) };
  }
  const path = mkdtempSync(join(tmpdir(), "virtio-admin-"));
  return { path, leave: () => remove(path) };
}

/** The name of a device's socket. */
export function socketName(name: DeviceName): string {
  return name === "owner" ? "owner.sock" : `member-${name}.sock`;
}

/** Makes a directory; false when it was there. */
function make(path: string): boolean {
  try {
    return mkdirSync(path, { recursive: true, mode: OWN }) !== undefined;
  } catch (cause) {
    throw new VirtioError("TRANSPORT_OPTIONS", {
      message: `no directory can be made: ${cause instanceof Error ? cause.message : cause}`,
      path: "dir",
      value: path,
      cause,
    });
  }
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function remove(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // Somebody else keeps something in it.
  }
}
