/**
 * The server: PCI functions of this process, each behind a socket of its own, for a VMM such as
 * QEMU (`-device vfio-user-pci`) or for our own driver half in another process.
 *
 * One client at a time is served by a socket; the next one waits, or is refused. Several servers
 * share a process.
 */
import { closeSync } from "node:fs";
import { hostTimer, VirtioError } from "@virtio-admin/core";
import { DmaMemory } from "./dma-memory.ts";
import type { VfioUserFunction } from "./function.ts";
import { loadNative, type Native } from "./native.ts";
import { Poller } from "./poller.ts";
import { Refusal } from "./refusal.ts";
import { type MappingPolicy, Session } from "./session.ts";
import { type ListeningSocket, listenAt } from "./socket.ts";
import { READABLE, type Watch } from "./watch.ts";

/** What a server is made from. */
export interface VfioUserServerInit {
  /**
   * Where its socket is: at most 107 bytes, in a directory that belongs to this user and is closed
   * to all others. A stale socket there is replaced; the new one has mode 0600.
   */
  readonly path: string;
  /**
   * Makes the function for a client that has connected, over the client's memory. It has
   * `vectorMasking: "vmm"` when it has MSI-X: clients keep the table to themselves.
   */
  readonly device: (memory: DmaMemory) => VfioUserFunction;
  /**
   * The memory of whatever client is connected, for a function that is there before its clients:
   * one of a group, say. {@link device} may then give out the same one always, which was reset when
   * the client before was gone. By default each client has a memory of its own.
   */
  readonly memory?: DmaMemory;
  /**
   * Which memory of a client is mapped. `sealed`, by default: what came with a descriptor whose
   * file cannot shrink (a memfd with F_SEAL_SHRINK), as a client that truncates a mapped file ends
   * this process. `all`: whatever came with a descriptor, of a client that is trusted so far.
   * `none`. What is not mapped is reached by messages, slowly.
   */
  readonly mapping?: MappingPolicy;
  /**
   * How long the function may wait for memory that is reached by messages before the event loop
   * has its turn, in milliseconds: 2000 unless given. Past it the connection is closed. The whole
   * process waits.
   */
  readonly dmaTimeout?: number;
  /**
   * For how many milliseconds the function's queues are looked at after the last buffer; 0, by default,
   * for not at all. Meanwhile the driver is told that it need not notify: a buffer then costs no message,
   * and nobody has to wake this process. It keeps a processor busy while a driver is at work; where
   * others want that processor, the looking ends.
   */
  readonly pollTime?: number;
  /**
   * What becomes of a client while there is another: it waits, by default; or it is refused at once,
   * with EBUSY and who the other one is ({@link VfioUserHeldError}).
   */
  readonly whenHeld?: "wait" | "refuse";
  /** Called when a client has connected and its function is there. */
  readonly onConnect?: (device: VfioUserFunction) => void;
  /**
   * Called when a client is gone and its function is reset. `reason` says why the server closed the
   * connection, or that the function could not be made; absent when the client hung up.
   */
  readonly onDisconnect?: (reason: VirtioError | undefined) => void;
}

const DEFAULT_DMA_TIMEOUT = 2000;
const RETRY_AFTER = 100;
const EAGAIN = 11;
/** How many clients are being refused at a time; others wait for it. */
const REFUSALS_LIMIT = 8;

/** Serves one PCI function at a socket. */
export class VfioUserServer {
  /** Where its socket is. */
  readonly path: string;
  readonly #native: Native;
  readonly #init: VfioUserServerInit;
  readonly #socket: ListeningSocket;
  readonly #watch: Watch;
  readonly #refusals = new Set<Refusal>();
  #session: Session | undefined;
  #client = 0;
  #closing: Promise<void> | undefined;
  #closed: (() => void) | undefined;

  private constructor(native: Native, init: VfioUserServerInit) {
    this.path = init.path;
    this.#native = native;
    this.#init = init;
    this.#socket = listenAt(native, init.path);
    try {
      this.#watch = native.watch(this.#socket.fd, READABLE, () => this.#accept());
    } catch (error) {
      this.#socket.close();
      throw error;
    }
  }

  /**
   * Makes the socket and waits for clients.
   *
   * @throws VirtioError `HOST_UNSUPPORTED` where koffi cannot be loaded, or this is no 64-bit
   * little-endian Linux; `TRANSPORT_OPTIONS` for a path that cannot be, or a directory that is open
   * to others; `TRANSPORT` when another server listens there; `VALUE_RANGE` for a time that is none.
   */
  static async listen(init: VfioUserServerInit): Promise<VfioUserServer> {
    const { dmaTimeout = DEFAULT_DMA_TIMEOUT, pollTime = 0 } = init;
    if (!Number.isFinite(dmaTimeout) || dmaTimeout <= 0) {
      throw new VirtioError("VALUE_RANGE", {
        message: "a time to wait is a number of milliseconds above 0",
        path: "dmaTimeout",
        value: dmaTimeout,
      });
    }
    if (!Number.isFinite(pollTime) || pollTime < 0) {
      throw new VirtioError("VALUE_RANGE", {
        message: "a time to poll is a number of milliseconds, 0 for not at all",
        path: "pollTime",
        value: pollTime,
      });
    }
    return new VfioUserServer(await loadNative(), init);
  }

  /** True while a client is connected. */
  get connected(): boolean {
    return this.#session !== undefined;
  }

  /** The process of the client; `undefined` without one, and where it cannot be told. */
  get clientProcess(): number | undefined {
    return this.#session === undefined || this.#client === 0 ? undefined : this.#client;
  }

  /**
   * Takes the socket away, hangs up on the client, and resolves when its function is reset and its
   * memory and descriptors are given back.
   */
  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#watch.close();
      this.#socket.close();
      for (const refusal of this.#refusals) refusal.close();
      if (this.#session === undefined) resolve();
      else {
        this.#closed = resolve;
        this.#session.close("the server is closed");
      }
    });
    return this.#closing;
  }

  #accept(): void {
    if (this.#closing !== undefined) return;
    const held = this.#session !== undefined;
    if (held && (this.#session?.gone !== false || this.#refusals.size >= REFUSALS_LIMIT)) {
      // Until the session, or a refusal, is over.
      this.#watch.update(0);
      return;
    }
    const fd = this.#native.accept(this.#socket.fd);
    if (fd === -EAGAIN) return;
    if (fd < 0) {
      // Out of descriptors, most likely: the client waits.
      this.#watch.update(0);
      hostTimer.set(() => this.#await(), RETRY_AFTER);
      return;
    }
    if (held) {
      this.#refuseHeld(fd);
      return;
    }
    const memory = this.#init.memory ?? new DmaMemory();
    let device: VfioUserFunction;
    try {
      device = this.#init.device(memory);
      checkMasking(device);
      this.#session = new Session({
        native: this.#native,
        fd,
        memory,
        device,
        mapping: this.#init.mapping ?? "sealed",
        dmaTimeout: this.#init.dmaTimeout ?? DEFAULT_DMA_TIMEOUT,
        pollTime: this.#init.pollTime ?? 0,
        poller: pollerOf(this.#native),
        ended: (reason) => this.#ended(reason),
      });
    } catch (cause) {
      this.#refuse(fd, cause);
      return;
    }
    this.#client = this.#native.peerProcess(fd);
    this.#await();
    this.#init.onConnect?.(device);
  }

  /** Waits for clients, where there is something to do with them. */
  #await(): void {
    const refuses = this.#init.whenHeld === "refuse" && this.#refusals.size < REFUSALS_LIMIT;
    this.#watch.update(this.#session === undefined || refuses ? READABLE : 0);
  }

  #refuseHeld(fd: number): void {
    try {
      const refusal = new Refusal(this.#native, fd, this.#client, () => {
        this.#refusals.delete(refusal);
        this.#await();
      });
      this.#refusals.add(refusal);
    } catch {
      // No means to tell it why.
      closeSync(fd);
    }
  }

  #refuse(fd: number, cause: unknown): void {
    closeSync(fd);
    this.#init.onDisconnect?.(
      new VirtioError("TRANSPORT", {
        message: "the function for the client could not be made",
        path: "vfio-user.device",
        cause,
      }),
    );
  }

  #ended(reason: string | undefined): void {
    this.#session = undefined;
    this.#closed?.();
    this.#await();
    this.#init.onDisconnect?.(
      reason === undefined
        ? undefined
        : new VirtioError("TRANSPORT", { message: reason, path: "vfio-user.connection" }),
    );
  }
}

let poller: Poller | undefined;

/** One for the process, as there is one event loop. */
function pollerOf(native: Native): Poller {
  poller ??= new Poller(native);
  return poller;
}

function checkMasking(device: VfioUserFunction): void {
  if (device.vectorMasking !== "table") return;
  throw new VirtioError("TRANSPORT_OPTIONS", {
    message: "the function looks at masks in an MSI-X table that clients do not write",
    path: "vectorMasking",
    value: device.vectorMasking,
    hint: 'make it with vectorMasking: "vmm"',
  });
}
