/**
 * The client: a PCI function that a vfio-user server of another process has, as the bus of our own
 * driver half. It owns the memory that the driver and the function share.
 */
import { closeSync } from "node:fs";
import {
  accessors,
  createGuestMemory,
  DmaArena,
  encode,
  hostTimer,
  type RegionMemory,
  VirtioError,
} from "@virtio-admin/core";
import type { PciBus, PciInterrupt } from "@virtio-admin/transport-pci";
import { decodeVersion, encodeVersion, type VfioUserCapabilities } from "./capabilities.ts";
import { Channel, closeAll } from "./channel.ts";
import { ClientMemory, checkMemory, PAGE_BYTES, type VfioUserMemoryInit } from "./client-memory.ts";
import { BODY_LIMIT, TRANSFER_LIMIT } from "./limits.ts";
import { commandMessage, errorMessage, type Message, NOTHING, replyMessage } from "./message.ts";
import { FDS_LIMIT, loadNative, type Native } from "./native.ts";
import {
  ERRNO,
  VFIO_IRQ,
  VFIO_REGION,
  VFIO_USER_COMMAND,
  VFIO_USER_DEVICE_INFO_LAYOUT,
  VFIO_USER_DMA_ACCESS_LAYOUT,
  VFIO_USER_DMA_MAP_LAYOUT,
  VFIO_USER_IRQ_INFO_LAYOUT,
  VFIO_USER_IRQ_SET_LAYOUT,
  VFIO_USER_REGION_ACCESS_LAYOUT,
  VFIO_USER_REGION_INFO_LAYOUT,
  VFIO_USER_VERSION,
} from "./protocol.ts";
import { decodeHolder, VfioUserHeldError } from "./refusal.ts";
import { connectTo } from "./socket.ts";
import { READABLE, type Watch } from "./watch.ts";

/** What a client is made from. */
export interface VfioUserClientInit {
  /** Where the server's socket is. */
  readonly path: string;
  /** The memory of the driver. */
  readonly memory: VfioUserMemoryInit;
  /** How long one command may take, in milliseconds: 5000 unless given. */
  readonly timeout?: number;
}

interface Pending {
  readonly command: number;
  readonly resolve: (body: Uint8Array<ArrayBuffer>) => void;
  readonly reject: (error: VirtioError) => void;
  readonly timer: unknown;
}

interface Interrupt {
  readonly name: PciInterrupt;
  readonly fd: number;
  readonly watch: Watch;
}

const DEVICE = accessors(VFIO_USER_DEVICE_INFO_LAYOUT);
const DEVICE_FLAGS = VFIO_USER_DEVICE_INFO_LAYOUT.fields.flags.bits;
const REGION = accessors(VFIO_USER_REGION_INFO_LAYOUT);
const IRQ = accessors(VFIO_USER_IRQ_INFO_LAYOUT);
const ACCESS = accessors(VFIO_USER_REGION_ACCESS_LAYOUT);
const DMA = accessors(VFIO_USER_DMA_ACCESS_LAYOUT);
const SET_FLAGS = VFIO_USER_IRQ_SET_LAYOUT.fields.flags.bits;
const MAP_FLAGS = VFIO_USER_DMA_MAP_LAYOUT.fields.flags.bits;
const ACCESS_BYTES = VFIO_USER_REGION_ACCESS_LAYOUT.size;
const DMA_BYTES = VFIO_USER_DMA_ACCESS_LAYOUT.size;
const DEFAULT_TIMEOUT = 5000;
const IDS = 0x10000;
const VECTORS_LIMIT = 2048;

/** A PCI function behind a vfio-user socket; see {@link VfioUserClient.connect}. */
export class VfioUserClient implements PciBus {
  /** The memory that driver and function share. */
  readonly memory: RegionMemory;
  /** Allocates all of {@link memory}, for the driver half. */
  readonly dma: DmaArena;
  /** Resolves when the connection is gone: with why, or nothing when {@link close} was called. */
  readonly closed: Promise<VirtioError | undefined>;

  readonly #native: Native;
  readonly #timeout: number;
  readonly #channel: Channel;
  readonly #pending = new Map<number, Pending>();
  readonly #backing: ClientMemory;
  readonly #lengths = new Map<number, number>();
  readonly #interrupts: Interrupt[] = [];
  #server: VfioUserCapabilities | undefined;
  #handler: ((interrupt: PciInterrupt) => void) | undefined;
  #intxWaits = false;
  #nextId = 0;
  #closing = false;
  #resetable = false;
  #failure: VirtioError | undefined;
  #resolveClosed: (reason: VirtioError | undefined) => void = () => {};

  private constructor(native: Native, fd: number, init: VfioUserClientInit) {
    this.#native = native;
    this.#timeout = init.timeout ?? DEFAULT_TIMEOUT;
    try {
      this.#backing = ClientMemory.make(native, init.memory);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    const { base = 0, length, shared = true } = init.memory;
    this.memory = createGuestMemory([{ base, bytes: this.#backing.bytes, concurrent: shared }]);
    this.dma = new DmaArena(this.memory, base, length);
    try {
      this.#channel = new Channel(native, fd, BODY_LIMIT, {
        message: (message) => this.#receive(message),
        closed: (reason) => this.#ended(reason),
      });
    } catch (error) {
      closeSync(fd);
      this.#backing.close();
      throw error;
    }
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  /**
   * Connects, agrees on a version, gives the memory to the function and sets up its interrupts.
   *
   * @throws VirtioError `HOST_UNSUPPORTED` where koffi cannot be loaded, or this is no 64-bit
   * little-endian Linux; `TRANSPORT_OPTIONS` and `VALUE_RANGE` for what cannot be; `TRANSPORT` when
   * nobody listens, or the server refuses or answers nonsense, {@link VfioUserHeldError} when it has
   * another client; `DEVICE_UNKNOWN` when it has no PCI function.
   */
  static async connect(init: VfioUserClientInit): Promise<VfioUserClient> {
    checkInit(init);
    const native = await loadNative();
    const client = new VfioUserClient(native, connectTo(native, init.path), init);
    try {
      await client.#open(init.memory);
      return client;
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  /** How many bytes a region has: 0 to 5 are the BARs, 7 is configuration space. */
  regionLength(index: number): number {
    return this.#lengths.get(index) ?? 0;
  }

  /** Reads configuration space, see `PciBus.configRead`. */
  configRead(offset: number, size: number): Promise<number> {
    return this.#read(VFIO_REGION.config, offset, size);
  }

  /** Writes configuration space, see `PciBus.configWrite`. */
  configWrite(offset: number, size: number, value: number): Promise<void> {
    return this.#write(VFIO_REGION.config, offset, size, value);
  }

  /** Reads a BAR, see `PciBus.barRead`. */
  barRead(bar: number, offset: number, size: number): Promise<number> {
    return this.#read(bar, offset, size);
  }

  /** Writes a BAR, see `PciBus.barWrite`. */
  barWrite(bar: number, offset: number, size: number, value: number): Promise<void> {
    return this.#write(bar, offset, size, value);
  }

  /**
   * Names who is interrupted, see `PciBus.onInterrupt`. When the connection is lost, the handler is
   * called once more for every interrupt: whoever looks at the function then learns that it is gone.
   */
  onInterrupt(handler: ((interrupt: PciInterrupt) => void) | undefined): void {
    this.#handler = handler;
    if (handler !== undefined && this.#intxWaits) this.#deliverIntx();
  }

  /** Resets the function. @throws VirtioError `TRANSPORT`, `TRANSPORT_UNSUPPORTED`. */
  async reset(): Promise<void> {
    if (!this.#resetable) {
      throw new VirtioError("TRANSPORT_UNSUPPORTED", {
        message: "the server cannot reset its function",
        path: "vfio-user.reset",
      });
    }
    await this.#request(VFIO_USER_COMMAND.deviceReset, NOTHING);
  }

  /** Hangs up, and gives memory and descriptors back. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#channel.close();
    await this.closed;
  }

  // Connection

  async #open({ base = 0, length }: VfioUserMemoryInit): Promise<void> {
    await this.#agree();
    const body = await this.#request(
      VFIO_USER_COMMAND.deviceGetInfo,
      encode(VFIO_USER_DEVICE_INFO_LAYOUT, { argsz: VFIO_USER_DEVICE_INFO_LAYOUT.size }),
    );
    const flags = DEVICE.flags.get(viewOf(body, VFIO_USER_DEVICE_INFO_LAYOUT.size), 0);
    if ((flags & DEVICE_FLAGS.pci.mask) === 0) {
      throw new VirtioError("DEVICE_UNKNOWN", {
        message: "the server has no PCI function",
        path: "vfio-user.device_info.flags",
        value: flags,
      });
    }
    this.#resetable = (flags & DEVICE_FLAGS.reset.mask) !== 0;
    for (let index = VFIO_REGION.bar0; index <= VFIO_REGION.bar5; index++) {
      await this.#learnRegion(index);
    }
    await this.#learnRegion(VFIO_REGION.config);
    await this.#giveMemory(base, length);
    await this.#setUp(VFIO_IRQ.msix, VECTORS_LIMIT);
    await this.#setUp(VFIO_IRQ.intx, 1);
  }

  async #agree(): Promise<void> {
    const body = await this.#request(
      VFIO_USER_COMMAND.version,
      encodeVersion({
        ...VFIO_USER_VERSION,
        capabilities: {
          maxMsgFds: FDS_LIMIT,
          maxDataXferSize: TRANSFER_LIMIT,
          maxDmaMaps: 1,
          pgsizes: PAGE_BYTES,
          writeMultiple: false,
        },
      }),
    );
    const version = decodeVersion(body);
    if (typeof version === "string") throw nonsense(version, undefined);
    if (version.major !== VFIO_USER_VERSION.major) throw nonsense("its version", version.major);
    this.#server = version.capabilities;
  }

  async #learnRegion(index: number): Promise<void> {
    const { size } = VFIO_USER_REGION_INFO_LAYOUT;
    const body = await this.#request(
      VFIO_USER_COMMAND.deviceGetRegionInfo,
      encode(VFIO_USER_REGION_INFO_LAYOUT, { argsz: size, index }),
    );
    this.#lengths.set(index, REGION.size.getNumber(viewOf(body, size), 0));
  }

  async #giveMemory(base: number, length: number): Promise<void> {
    const body = encode(VFIO_USER_DMA_MAP_LAYOUT, {
      argsz: VFIO_USER_DMA_MAP_LAYOUT.size,
      flags: MAP_FLAGS.readable.mask | MAP_FLAGS.writeable.mask,
      address: base,
      size: length,
    });
    const { fd } = this.#backing;
    const fds = fd === undefined ? [] : [fd];
    await this.#request(VFIO_USER_COMMAND.dmaMap, body, fds);
  }

  /** Gives an eventfd for every interrupt of a type. */
  async #setUp(index: number, limit: number): Promise<void> {
    const { size } = VFIO_USER_IRQ_INFO_LAYOUT;
    const body = await this.#request(
      VFIO_USER_COMMAND.deviceGetIrqInfo,
      encode(VFIO_USER_IRQ_INFO_LAYOUT, { argsz: size, index }),
    );
    const count = Math.min(limit, IRQ.count.get(viewOf(body, size), 0));
    const most = Math.min(FDS_LIMIT, this.#server?.maxMsgFds ?? 1);
    if (most === 0) throw nonsense("it takes no descriptors: max_msg_fds", 0);
    for (let start = 0; start < count; start += most) {
      const fds: number[] = [];
      for (let vector = start; vector < Math.min(count, start + most); vector++) {
        fds.push(this.#makeInterrupt(index === VFIO_IRQ.intx ? "intx" : vector));
      }
      await this.#setIrqs(index, SET_FLAGS.data_eventfd.mask | SET_FLAGS.action_trigger.mask, {
        start,
        fds,
      });
    }
  }

  async #setIrqs(
    index: number,
    flags: number,
    { start = 0, fds = [] }: { readonly start?: number; readonly fds?: readonly number[] },
  ): Promise<void> {
    const { size } = VFIO_USER_IRQ_SET_LAYOUT;
    const count = Math.max(1, fds.length);
    const body = encode(VFIO_USER_IRQ_SET_LAYOUT, { argsz: size, flags, index, start, count });
    await this.#request(VFIO_USER_COMMAND.deviceSetIrqs, body, fds);
  }

  #makeInterrupt(name: PciInterrupt): number {
    const fd = this.#native.eventfd();
    if (fd < 0) {
      throw new VirtioError("TRANSPORT", {
        message: `no eventfd can be made (errno ${-fd})`,
        path: "vfio-user.interrupts",
        hint: "allow this process more open files",
      });
    }
    try {
      const watch = this.#native.watch(fd, READABLE, () => {
        if (this.#native.takeSignal(fd)) this.#interrupted(name);
      });
      this.#interrupts.push({ name, fd, watch });
      return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  #interrupted(name: PciInterrupt): void {
    if (name !== "intx") this.#handler?.(name);
    else if (this.#handler === undefined) this.#intxWaits = true;
    else this.#deliverIntx();
  }

  /** INTx has masked itself; it is unmasked after what the handler asks for by its first access. */
  #deliverIntx(): void {
    this.#intxWaits = false;
    this.#handler?.("intx");
    const flags = SET_FLAGS.data_none.mask | SET_FLAGS.action_unmask.mask;
    this.#setIrqs(VFIO_IRQ.intx, flags, {}).catch(() => {
      // The connection is lost, or closed because of this: `closed` says so.
      this.#channel.close("INTx could not be unmasked");
    });
  }

  // Accesses

  async #read(region: number, offset: number, size: number): Promise<number> {
    const request = new Uint8Array(ACCESS_BYTES);
    setAccess(request, region, offset, size);
    const body = await this.#request(VFIO_USER_COMMAND.regionRead, request);
    const view = viewOf(body, ACCESS_BYTES + size);
    if (size === 4) return view.getUint32(ACCESS_BYTES, true);
    return size === 2 ? view.getUint16(ACCESS_BYTES, true) : view.getUint8(ACCESS_BYTES);
  }

  async #write(region: number, offset: number, size: number, value: number): Promise<void> {
    const request = new Uint8Array(ACCESS_BYTES + size);
    const view = setAccess(request, region, offset, size);
    if (size === 4) view.setUint32(ACCESS_BYTES, value, true);
    else if (size === 2) view.setUint16(ACCESS_BYTES, value, true);
    else view.setUint8(ACCESS_BYTES, value);
    await this.#request(VFIO_USER_COMMAND.regionWrite, request);
  }

  // Messages

  #request(
    command: number,
    body: Uint8Array,
    fds: readonly number[] = [],
  ): Promise<Uint8Array<ArrayBuffer>> {
    return new Promise((resolve, reject) => {
      if (!this.#channel.open) throw this.#failure ?? lost("it is closed");
      if (this.#pending.size >= IDS) throw lost("too many commands are outstanding");
      while (this.#pending.has(this.#nextId)) this.#nextId = (this.#nextId + 1) % IDS;
      const id = this.#nextId;
      this.#nextId = (id + 1) % IDS;
      const late = (): void => this.#channel.close("the server does not answer in time");
      const timer = hostTimer.set(late, this.#timeout);
      this.#pending.set(id, { command, resolve, reject, timer });
      this.#channel.send(commandMessage(id, command, body), fds);
    });
  }

  #receive(message: Message): void {
    closeAll(message.fds);
    if (!message.reply) {
      const answer = this.#serve(message);
      if (message.silent) return;
      this.#channel.send(
        typeof answer === "number" ? errorMessage(message, answer) : replyMessage(message, answer),
      );
      return;
    }
    const pending = this.#pending.get(message.id);
    if (pending === undefined || pending.command !== message.command) {
      this.#channel.close("a reply that nobody waits for");
      return;
    }
    this.#pending.delete(message.id);
    hostTimer.clear(pending.timer);
    if (message.error === undefined) pending.resolve(message.body);
    else pending.reject(refused(pending.command, message.error, message.body));
  }

  /** Reads or writes the memory for the server. */
  #serve({ command, body }: Message): Uint8Array | number {
    const isRead = command === VFIO_USER_COMMAND.dmaRead;
    if (!isRead && command !== VFIO_USER_COMMAND.dmaWrite) return ERRNO.EOPNOTSUPP;
    if (body.length < DMA_BYTES) return ERRNO.EINVAL;
    const view = new DataView(body.buffer);
    const address = DMA.address.getNumber(view, 0);
    const count = DMA.count.getNumber(view, 0);
    if (count > TRANSFER_LIMIT || body.length !== DMA_BYTES + (isRead ? 0 : count)) {
      return ERRNO.EINVAL;
    }
    if (!isRead) {
      const done = this.memory.write(address, body.subarray(DMA_BYTES));
      return done ? body.subarray(0, DMA_BYTES) : ERRNO.EFAULT;
    }
    const reply = new Uint8Array(DMA_BYTES + count);
    reply.set(body);
    return this.memory.read(address, reply.subarray(DMA_BYTES)) ? reply : ERRNO.EFAULT;
  }

  #ended(reason: string | undefined): void {
    const failure = this.#closing ? undefined : lost(reason ?? "the server hung up");
    this.#failure = failure;
    for (const { reject, timer } of this.#pending.values()) {
      hostTimer.clear(timer);
      reject(failure ?? lost("it is closed"));
    }
    this.#pending.clear();
    for (const { watch, fd } of this.#interrupts) {
      watch.close();
      closeSync(fd);
    }
    this.#backing.close();
    if (failure !== undefined) for (const { name } of this.#interrupts) this.#handler?.(name);
    this.#interrupts.length = 0;
    this.#resolveClosed(failure);
  }
}

function checkInit({ memory, timeout = DEFAULT_TIMEOUT }: VfioUserClientInit): void {
  checkMemory(memory);
  if (Number.isFinite(timeout) && timeout > 0) return;
  throw new VirtioError("VALUE_RANGE", {
    message: "a time to wait is a number of milliseconds above 0",
    path: "timeout",
    value: timeout,
  });
}

function setAccess(bytes: Uint8Array, region: number, offset: number, count: number): DataView {
  const view = new DataView(bytes.buffer);
  ACCESS.offset.setNumber(view, 0, offset);
  ACCESS.region.set(view, 0, region);
  ACCESS.count.set(view, 0, count);
  return view;
}

/** A reply, which has to have this length. */
function viewOf(body: Uint8Array<ArrayBuffer>, length: number): DataView {
  if (body.length < length) throw nonsense("the length of a reply", body.length);
  return new DataView(body.buffer);
}

function nonsense(what: string, value: unknown): VirtioError {
  return new VirtioError("TRANSPORT", {
    message: `the server answers nonsense: ${what}`,
    path: "vfio-user.reply",
    value,
  });
}

function refused(command: number, errno: number, body: Uint8Array): VirtioError {
  if (command === VFIO_USER_COMMAND.version && errno === ERRNO.EBUSY) {
    return new VfioUserHeldError(decodeHolder(body));
  }
  const name = Object.entries(VFIO_USER_COMMAND).find(([, code]) => code === command)?.[0];
  return new VirtioError("TRANSPORT", {
    message: `the server refuses the command ${name ?? command}`,
    path: "vfio-user.errno",
    value: errno,
  });
}

function lost(reason: string): VirtioError {
  return new VirtioError("TRANSPORT", {
    message: `the connection is lost: ${reason}`,
    path: "vfio-user.connection",
  });
}
