/** Unix sockets with a path: made for one owner, recognised when stale, connected to. */
import { chmodSync, closeSync, lstatSync, type Stats, statSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { getuid, umask } from "node:process";
import { VirtioError } from "@virtio-admin/core";
import { type Native, SOCKET_PATH_LIMIT } from "./native.ts";

const OWNER_ONLY = 0o600;
const OTHERS_WRITE_OR_SEARCH = 0o077;
const ECONNREFUSED = 111;
const ENOENT = 2;

/** A socket that listens. */
export interface ListeningSocket {
  /** Its descriptor. */
  readonly fd: number;
  /** Closes it, and takes its file away unless another is there by now. */
  close(): void;
}

/**
 * Makes a socket at `path` that listens; a stale one that is there is replaced.
 *
 * @throws VirtioError `TRANSPORT_OPTIONS` when the path is too long, its directory is open to
 * others, or something else is there; `TRANSPORT` when a server listens there, or a call fails.
 */
export function listenAt(native: Native, path: string): ListeningSocket {
  checkLength(path);
  checkDirectory(dirname(path));
  removeStale(native, path);
  const fd = native.socket();
  if (fd < 0) throw failed("no socket can be made", path, fd);
  const before = umask(~OWNER_ONLY & 0o777);
  const bound = native.bind(fd, path);
  umask(before);
  if (bound < 0) {
    closeSync(fd);
    throw failed("the socket cannot be bound", path, bound);
  }
  const made = lstatSync(path);
  const close = (): void => {
    closeSync(fd);
    const there = fileAt(path);
    if (there?.ino === made.ino && there.dev === made.dev) unlinkSync(path);
  };
  try {
    chmodSync(path, OWNER_ONLY);
    const listening = native.listen(fd);
    if (listening < 0) throw failed("the socket cannot listen", path, listening);
  } catch (error) {
    close();
    throw error;
  }
  return { fd, close };
}

/**
 * Connects to the socket at `path`.
 *
 * @throws VirtioError `TRANSPORT_OPTIONS` when the path is too long; `TRANSPORT` when nobody
 * listens there.
 */
export function connectTo(native: Native, path: string): number {
  checkLength(path);
  const fd = native.socket();
  if (fd < 0) throw failed("no socket can be made", path, fd);
  const connected = native.connect(fd, path);
  if (connected >= 0) return fd;
  closeSync(fd);
  throw failed("nobody can be connected to", path, connected);
}

function checkLength(path: string): void {
  if (Buffer.byteLength(path) <= SOCKET_PATH_LIMIT && path !== "" && !path.includes("\0")) return;
  throw new VirtioError("TRANSPORT_OPTIONS", {
    message: `the path of a socket has 1 to ${SOCKET_PATH_LIMIT} bytes`,
    path: "path",
    value: path,
  });
}

function checkDirectory(directory: string): void {
  let found: Stats | undefined;
  try {
    found = statSync(directory);
  } catch {
    found = undefined;
  }
  const own = getuid?.();
  if (
    found?.isDirectory() === true &&
    found.uid === own &&
    (found.mode & OTHERS_WRITE_OR_SEARCH) === 0
  ) {
    return;
  }
  throw new VirtioError("TRANSPORT_OPTIONS", {
    message: "the directory of the socket is not private",
    path: "path",
    value: directory,
    hint: "make a directory of your own, with mode 0700",
  });
}

function removeStale(native: Native, path: string): void {
  const there = fileAt(path);
  if (there === undefined) return;
  if (!there.isSocket()) {
    throw new VirtioError("TRANSPORT_OPTIONS", {
      message: "something that is no socket is there",
      path: "path",
      value: path,
      hint: "choose another path",
    });
  }
  const fd = native.socket();
  if (fd < 0) throw failed("no socket can be made", path, fd);
  const connected = native.connect(fd, path);
  closeSync(fd);
  if (connected === -ECONNREFUSED) unlinkSync(path);
  else if (connected !== -ENOENT) {
    throw failed("another server listens there", path, connected);
  }
}

function fileAt(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

function failed(message: string, path: string, result: number): VirtioError {
  const errno = result < 0 ? ` (errno ${-result})` : "";
  return new VirtioError("TRANSPORT", {
    message: `${message}${errno}`,
    path: "vfio-user.socket",
    value: path,
  });
}
