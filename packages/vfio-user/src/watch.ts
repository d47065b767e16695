/**
 * libuv's own wait for a descriptor, which Node.js keeps to itself. Its callback only notes what to
 * do: the work is done by `setImmediate`, in the same turn of the loop, where Node.js has all of
 * its state in order (microtasks, uncaught exceptions).
 */
import { VirtioError } from "@virtio-admin/core";
import type { Koffi, Pointer } from "./koffi.ts";

const UV_POLL = 8;

/** What a {@link Watcher} waits for: something to read, or the end of the peer. */
export const READABLE = 1;
/** Room to write. */
export const WRITABLE = 2;

/** A descriptor that the event loop waits for. */
export interface Watch {
  /** Waits for these from now on, {@link READABLE} and {@link WRITABLE} or'ed; 0 for neither. */
  update(events: number): void;
  /** Stops waiting; the descriptor may be closed then. */
  close(): void;
}

/** Calls `ready` from the event loop whenever `events`, or the end of the peer, are there. */
export type Watcher = (fd: number, events: number, ready: () => void) => Watch;

/** Looks libuv's calls up. */
export function makeWatcher(koffi: Koffi): Watcher {
  const own = koffi.load(null);
  const uv = {
    loop: own.func("void *uv_default_loop()")(),
    handleSize: own.func("size_t uv_handle_size(int)"),
    init: own.func("int uv_poll_init(void *, void *, int)"),
    start: own.func("int uv_poll_start(void *, int, void *)"),
    stop: own.func("int uv_poll_stop(void *)"),
    close: own.func("void uv_close(void *, void *)"),
  };
  const size = Number(uv.handleSize(UV_POLL));
  const watched = new Map<Pointer, () => void>();
  const onReady = koffi.register(
    (handle: Pointer) => {
      setImmediate(() => watched.get(handle)?.());
    },
    koffi.pointer(koffi.proto("void virtio_admin_poll_cb(void *handle, int status, int events)")),
  );
  const onClosed = koffi.register(
    (handle: Pointer) => {
      // Not here: libuv is not done with the handle before its callback returns.
      setImmediate(() => koffi.free(handle));
    },
    koffi.pointer(koffi.proto("void virtio_admin_close_cb(void *handle)")),
  );
  return (fd, events, ready) => {
    const handle: Pointer = koffi.alloc("uint8_t", size);
    const failed = uv.init(uv.loop, handle, fd);
    if (failed !== 0) {
      koffi.free(handle);
      throw new VirtioError("TRANSPORT", {
        message: "the event loop cannot wait for the descriptor",
        path: "vfio-user.descriptor",
        value: failed,
      });
    }
    let now = 0;
    const update = (wanted: number): void => {
      if (wanted === now || !watched.has(handle)) return;
      now = wanted;
      if (wanted === 0) uv.stop(handle);
      else uv.start(handle, wanted, onReady);
    };
    watched.set(handle, ready);
    update(events);
    return {
      update,
      close: () => {
        if (watched.delete(handle)) uv.close(handle, onClosed);
      },
    };
  };
}
