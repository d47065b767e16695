/**
 * The system calls that Node.js does not have, through koffi, which is loaded when it is first
 * needed: sockets that pass descriptors, mapped memory, eventfds, and libuv's wait for a
 * descriptor. Every call is one that cannot block, but for {@link Native.waitFor}.
 */
import { closeSync, fstatSync, readlinkSync } from "node:fs";
import { endianness } from "node:os";
import { arch, platform } from "node:process";
import { isMainThread } from "node:worker_threads";
import { VirtioError } from "@virtio-admin/core";
import type { Koffi, Pointer } from "./koffi.ts";
import { makeWatcher, READABLE, type Watcher, WRITABLE } from "./watch.ts";

/** What {@link Native.receive} answers when nothing is there yet. */
export const WOULD_BLOCK = -1;
/** What {@link Native.receive} and {@link Native.send} answer when the peer is gone. */
export const GONE = -2;

/** The most descriptors that are taken with one message. */
export const FDS_LIMIT = 16;

/** The longest path that a socket's address has room for, in bytes. */
export const SOCKET_PATH_LIMIT = 107;

const ARCHITECTURES: readonly string[] = ["x64", "arm64", "riscv64", "loong64"];

// Linux, the same on all of these architectures.
const AF_UNIX = 1;
const SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 0o4000 | 0o2000000;
const ACCEPT_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const MSG_CTRUNC = 8;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const SO_PEERCRED = 17;
/** `struct ucred`: pid, uid and gid. */
const UCRED_BYTES = 12;
const POLLIN = 1;
const POLLOUT = 4;
const POLLERR_HUP = 8 | 16;
const EINTR = 4;
const EAGAIN = 11;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_SHARED_FIXED = 1 | 0x10;
const MAP_PRIVATE_ANONYMOUS_NORESERVE = 0x2 | 0x20 | 0x4000;
const MAP_PRIVATE_FIXED_ANONYMOUS_NORESERVE = MAP_PRIVATE_ANONYMOUS_NORESERVE | 0x10;
const MAP_FAILED = 2n ** 64n - 1n;
const MFD_CLOEXEC_ALLOW_SEALING = 3;
const EFD_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
const F_ADD_SEALS = 1033;
const F_GET_SEALS = 1034;
const F_SEAL_SEAL_SHRINK_GROW = 7;
const F_SEAL_SHRINK = 2;

// One block of native memory, used within a call and never across two.
const MSGHDR_AT = 0;
const MSGHDR_BYTES = 56;
const IOVEC_AT = 64;
const CONTROL_AT = 128;
const CONTROL_HEADER = 16;
const CONTROL_BYTES = CONTROL_HEADER + 4 * FDS_LIMIT;
const DATA_AT = 512;
/** The longest message that is sent with descriptors, and the longest piece received with them. */
export const DATA_WITH_FDS_LIMIT = 3584;
const SCRATCH_BYTES = DATA_AT + DATA_WITH_FDS_LIMIT;

/** What came in with one {@link Native.receiveWithFds}. */
export interface Received {
  /** How many bytes; {@link WOULD_BLOCK} or {@link GONE}. 0 never: that is {@link GONE}. */
  readonly count: number;
  /** The descriptors, close-on-exec; they belong to the caller. */
  readonly fds: readonly number[];
  /** True when there were more descriptors than fit; the kernel has closed those. */
  readonly truncated: boolean;
}

/** The calls. They answer a negative errno where they fail, unless they say otherwise. */
export interface Native {
  /** Makes a stream socket, not blocking. */
  socket(): number;
  /** Gives a socket its path; the file it makes is for its owner alone. */
  bind(fd: number, path: string): number;
  /** Connects a socket. */
  connect(fd: number, path: string): number;
  /** Lets connections come in. */
  listen(fd: number): number;
  /** Takes a connection, not blocking. */
  accept(fd: number): number;
  /** The process that has connected; 0 when it cannot be told, as from outside of its namespace. */
  peerProcess(fd: number): number;
  /** True when the peer has closed its end. */
  hungUp(fd: number): boolean;
  /** Receives up to `target.length` bytes; {@link WOULD_BLOCK} or {@link GONE} instead of 0. */
  receive(fd: number, target: Uint8Array): number;
  /** Receives up to `target.length` bytes, at most {@link DATA_WITH_FDS_LIMIT}, and descriptors. */
  receiveWithFds(fd: number, target: Uint8Array): Received;
  /** Sends what goes out at once; answers how many bytes, {@link WOULD_BLOCK} or {@link GONE}. */
  send(fd: number, bytes: Uint8Array): number;
  /** As {@link send}, with descriptors, for at most {@link DATA_WITH_FDS_LIMIT} bytes. */
  sendWithFds(fd: number, bytes: Uint8Array, fds: readonly number[]): number;
  /** Blocks until one of `events`, or the end of the peer, is there; false after `milliseconds`. */
  waitFor(fd: number, events: number, milliseconds: number): boolean;
  /** Lets another process run, if one waits for this processor. */
  yieldProcessor(): void;
  /** Calls `ready` from the event loop whenever `events`, or the end of the peer, are there. */
  readonly watch: Watcher;
  /** Makes an eventfd, not blocking. */
  eventfd(): number;
  /** True for a descriptor of an eventfd. */
  isEventfd(fd: number): boolean;
  /** Makes operations of a descriptor not block. */
  setNonBlocking(fd: number): number;
  /** Adds 1 to an eventfd, unless that would block. */
  signal(fd: number): void;
  /** Takes what has been added to an eventfd; false when nothing has. */
  takeSignal(fd: number): boolean;
  /** Makes sealed memory of a fixed length, shareable by its descriptor. */
  memory(length: number): number;
  /** True when the length of the file cannot shrink: mapped memory then stays there. */
  cannotShrink(fd: number): boolean;
  /** The length of a file; 0 when it has none. */
  fileLength(fd: number): number;
  /** Maps a file, shared, to be read and written. */
  map(fd: number, offset: number, length: number): Pointer | number;
  /** Takes addresses for this process, with zeroed private memory. */
  reserve(length: number): Pointer | number;
  /** Maps a file, shared, to be read and written, in the place of what is there. */
  mapAt(at: Pointer, fd: number, offset: number, length: number): number;
  /** Puts zeroed private memory in the place of a mapping. */
  replace(at: Pointer, length: number): boolean;
  /** Gives a mapping's addresses back. */
  unmap(at: Pointer, length: number): void;
  /** The bytes of native memory. */
  view(at: Pointer, length: number): ArrayBuffer;
}

let loading: Promise<Native> | undefined;

/**
 * Loads koffi and looks the calls up, once.
 *
 * @throws VirtioError `HOST_UNSUPPORTED` where that is not possible.
 */
export function loadNative(): Promise<Native> {
  loading ??= load();
  return loading;
}

async function load(): Promise<Native> {
  if (platform !== "linux" || !ARCHITECTURES.includes(arch) || endianness() !== "LE") {
    throw unsupported("vfio-user is for 64-bit, little-endian Linux", `${platform} ${arch}`);
  }
  if (!isMainThread) {
    throw unsupported("vfio-user waits in the event loop of the main thread", "a worker thread");
  }
  try {
    const { default: koffi } = await import("koffi");
    return makeNative(koffi);
  } catch (cause) {
    throw new VirtioError("HOST_UNSUPPORTED", {
      message: "koffi, or a call that is reached through it, cannot be loaded",
      path: "koffi",
      hint: "install koffi with the prebuilt binary of this platform",
      cause,
    });
  }
}

function unsupported(message: string, value: string): VirtioError {
  return new VirtioError("HOST_UNSUPPORTED", { message, path: "host", value });
}

function makeNative(koffi: Koffi): Native {
  const own = koffi.load(null);
  const c = {
    socket: own.func("int socket(int, int, int)"),
    bind: own.func("int bind(int, const void *, uint32_t)"),
    connect: own.func("int connect(int, const void *, uint32_t)"),
    listen: own.func("int listen(int, int)"),
    accept4: own.func("int accept4(int, void *, void *, int)"),
    getsockopt: own.func("int getsockopt(int, int, int, void *, void *)"),
    recv: own.func("int64_t recv(int, void *, size_t, int)"),
    recvmsg: own.func("int64_t recvmsg(int, void *, int)"),
    send: own.func("int64_t send(int, const void *, size_t, int)"),
    sendmsg: own.func("int64_t sendmsg(int, const void *, int)"),
    poll: own.func("int poll(void *, unsigned long, int)"),
    schedYield: own.func("int sched_yield()"),
    eventfd: own.func("int eventfd(unsigned int, int)"),
    write: own.func("int64_t write(int, const void *, size_t)"),
    read: own.func("int64_t read(int, void *, size_t)"),
    memfdCreate: own.func("int memfd_create(const char *, unsigned int)"),
    ftruncate: own.func("int ftruncate(int, int64_t)"),
    fcntl: own.func("int fcntl(int, int, int)"),
    mmap: own.func("void *mmap(void *, size_t, int, int, int, int64_t)"),
    munmap: own.func("int munmap(void *, size_t)"),
  };
  const errno = (): number => koffi.errno();
  const checked = (result: number): number => (result < 0 ? -errno() : result);
  /** What a transfer answers: bytes, or why there are none. */
  const transferred = (result: number | bigint): number => {
    const count = Number(result);
    if (count > 0) return count;
    if (count === 0) return GONE;
    const error = errno();
    return error === EAGAIN || error === EINTR ? WOULD_BLOCK : GONE;
  };

  /** What mmap answers. */
  const mapped = (at: Pointer | null): Pointer | number =>
    at === null || BigInt.asUintN(64, BigInt(at)) === MAP_FAILED ? -errno() : at;

  const scratch: Pointer = koffi.alloc("uint8_t", SCRATCH_BYTES);
  const scratchBytes = new Uint8Array(koffi.view(scratch, SCRATCH_BYTES));
  const scratchView = new DataView(scratchBytes.buffer);
  const prepare = (length: number, controlLength: number): void => {
    scratchBytes.fill(0, MSGHDR_AT, MSGHDR_AT + MSGHDR_BYTES);
    scratchView.setBigUint64(IOVEC_AT, scratch + BigInt(DATA_AT), true);
    scratchView.setBigUint64(IOVEC_AT + 8, BigInt(length), true);
    scratchView.setBigUint64(MSGHDR_AT + 16, scratch + BigInt(IOVEC_AT), true);
    scratchView.setBigUint64(MSGHDR_AT + 24, 1n, true);
    scratchView.setBigUint64(MSGHDR_AT + 32, scratch + BigInt(CONTROL_AT), true);
    scratchView.setBigUint64(MSGHDR_AT + 40, BigInt(controlLength), true);
  };
  const descriptors = (): number[] => {
    const fds: number[] = [];
    const length = Number(scratchView.getBigUint64(MSGHDR_AT + 40, true));
    for (let at = 0; at + CONTROL_HEADER <= length; ) {
      const size = Number(scratchView.getBigUint64(CONTROL_AT + at, true));
      if (size < CONTROL_HEADER) break;
      const rights =
        scratchView.getInt32(CONTROL_AT + at + 8, true) === SOL_SOCKET &&
        scratchView.getInt32(CONTROL_AT + at + 12, true) === SCM_RIGHTS;
      const end = Math.min(at + size, length);
      for (let fd = at + CONTROL_HEADER; rights && fd + 4 <= end; fd += 4) {
        fds.push(scratchView.getInt32(CONTROL_AT + fd, true));
      }
      at += Math.ceil(size / 8) * 8;
    }
    return fds;
  };
  const polled = new Uint8Array(8);
  const polledView = new DataView(polled.buffer);
  const pollOnce = (fd: number, events: number, milliseconds: number): boolean => {
    polledView.setInt32(0, fd, true);
    const wanted = (events & READABLE ? POLLIN : 0) | (events & WRITABLE ? POLLOUT : 0);
    polledView.setUint32(4, wanted, true);
    return c.poll(polled, 1, milliseconds) > 0;
  };
  const one = new Uint8Array(new BigUint64Array([1n]).buffer);
  const counter = new Uint8Array(8);

  return {
    socket: () => checked(c.socket(AF_UNIX, SOCK_STREAM_NONBLOCK_CLOEXEC, 0)),
    bind: (fd, path) => checked(c.bind(fd, ...addressOf(path))),
    connect: (fd, path) => checked(c.connect(fd, ...addressOf(path))),
    listen: (fd) => checked(c.listen(fd, 16)),
    accept: (fd) => checked(c.accept4(fd, null, null, ACCEPT_NONBLOCK_CLOEXEC)),
    peerProcess: (fd) => {
      const credentials = new Int32Array(UCRED_BYTES / 4);
      const length = Int32Array.of(UCRED_BYTES);
      const result = c.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length);
      return result < 0 ? 0 : Math.max(0, credentials[0] ?? 0);
    },
    hungUp: (fd) => {
      pollOnce(fd, 0, 0);
      return (polledView.getInt16(6, true) & POLLERR_HUP) !== 0;
    },
    receive: (fd, target) => transferred(c.recv(fd, target, target.length, MSG_DONTWAIT)),
    receiveWithFds: (fd, target) => {
      prepare(Math.min(target.length, DATA_WITH_FDS_LIMIT), CONTROL_BYTES);
      const count = transferred(c.recvmsg(fd, scratch, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
      if (count < 0) return { count, fds: [], truncated: false };
      target.set(scratchBytes.subarray(DATA_AT, DATA_AT + count));
      const flags = scratchView.getInt32(MSGHDR_AT + 48, true);
      return { count, fds: descriptors(), truncated: (flags & MSG_CTRUNC) !== 0 };
    },
    send: (fd, bytes) => transferred(c.send(fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL)),
    sendWithFds: (fd, bytes, fds) => {
      const control = CONTROL_HEADER + 4 * fds.length;
      prepare(bytes.length, fds.length === 0 ? 0 : control);
      scratchBytes.set(bytes, DATA_AT);
      scratchView.setBigUint64(CONTROL_AT, BigInt(control), true);
      scratchView.setInt32(CONTROL_AT + 8, SOL_SOCKET, true);
      scratchView.setInt32(CONTROL_AT + 12, SCM_RIGHTS, true);
      fds.forEach((each, i) => {
        scratchView.setInt32(CONTROL_AT + CONTROL_HEADER + 4 * i, each, true);
      });
      return transferred(c.sendmsg(fd, scratch, MSG_DONTWAIT | MSG_NOSIGNAL));
    },
    waitFor: (fd, events, milliseconds) => {
      const end = performance.now() + milliseconds;
      for (let left = milliseconds; left > 0; left = end - performance.now()) {
        if (pollOnce(fd, events, Math.ceil(left))) return true;
      }
      return pollOnce(fd, events, 0);
    },
    yieldProcessor: () => void c.schedYield(),
    watch: makeWatcher(koffi),
    eventfd: () => checked(c.eventfd(0, EFD_NONBLOCK_CLOEXEC)),
    isEventfd: (fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === "anon_inode:[eventfd]";
      } catch {
        return false;
      }
    },
    setNonBlocking: (fd) => {
      const flags = checked(c.fcntl(fd, F_GETFL, 0));
      return flags < 0 ? flags : checked(c.fcntl(fd, F_SETFL, flags | O_NONBLOCK));
    },
    signal: (fd) => {
      // Whoever shares the eventfd can make it block again: ask first.
      if (pollOnce(fd, WRITABLE, 0)) c.write(fd, one, one.length);
    },
    takeSignal: (fd) => Number(c.read(fd, counter, counter.length)) === counter.length,
    memory: (length) => {
      const fd = checked(c.memfdCreate("virtio-admin", MFD_CLOEXEC_ALLOW_SEALING));
      if (fd < 0) return fd;
      const sized = checked(c.ftruncate(fd, length));
      if (sized < 0) {
        closeSync(fd);
        return sized;
      }
      c.fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL_SHRINK_GROW);
      return fd;
    },
    cannotShrink: (fd) => {
      const seals = c.fcntl(fd, F_GET_SEALS, 0);
      return seals >= 0 && (seals & F_SEAL_SHRINK) !== 0;
    },
    fileLength: (fd) => {
      try {
        return fstatSync(fd).size;
      } catch {
        return 0;
      }
    },
    map: (fd, offset, length) =>
      mapped(c.mmap(null, length, PROT_READ_WRITE, MAP_SHARED, fd, offset)),
    reserve: (length) =>
      mapped(c.mmap(null, length, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS_NORESERVE, -1, 0)),
    mapAt: (at, fd, offset, length) => {
      const there = mapped(c.mmap(at, length, PROT_READ_WRITE, MAP_SHARED_FIXED, fd, offset));
      return typeof there === "number" ? there : 0;
    },
    replace: (at, length) =>
      c.mmap(at, length, PROT_READ_WRITE, MAP_PRIVATE_FIXED_ANONYMOUS_NORESERVE, -1, 0) === at,
    unmap: (at, length) => void c.munmap(at, length),
    view: (at, length) => koffi.view(at, length),
  };
}

function addressOf(path: string): [Uint8Array, number] {
  const bytes = Buffer.from(path);
  const address = new Uint8Array(2 + bytes.length + 1);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(bytes, 2);
  return [address, address.length];
}
