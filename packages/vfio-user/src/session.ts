/**
 * One connection of a server: what the client asks of a PCI function, and how the function reaches
 * the client's memory.
 *
 * A message that cannot be understood closes the connection; a command that cannot be carried out
 * is answered with an errno. The function is reset when the connection ends, whatever ended it,
 * before the client's memory goes.
 *
 * While the function waits for memory by messages, the client may wait for us: QEMU answers no
 * message while one of its processors waits for a register. So whatever runs no part of the function
 * is served meanwhile, reads of registers among it. Writes are answered and carried out afterwards.
 * What has to come after a write that reads could tell of, and a reset, end the wait: the access of
 * memory fails, as it would on a bus that goes away.
 */
import { accessors, encode } from "@virtio-admin/core";
import { decodeVersion, encodeVersion, type VfioUserCapabilities } from "./capabilities.ts";
import { Channel, closeAll, type Meanwhile } from "./channel.ts";
import { ChannelDma } from "./channel-dma.ts";
import { DMA_RANGES_LIMIT, type DmaMemory } from "./dma-memory.ts";
import type { VfioUserFunction } from "./function.ts";
import { InterruptFds } from "./interrupt-fds.ts";
import { BODY_LIMIT, TRANSFER_LIMIT } from "./limits.ts";
import { errorMessage, type Message, NOTHING, replyMessage } from "./message.ts";
import { FDS_LIMIT, type Native } from "./native.ts";
import type { Polled, Poller } from "./poller.ts";
import {
  ERRNO,
  VFIO_IRQ,
  VFIO_REGION,
  VFIO_USER_COMMAND,
  VFIO_USER_DEVICE_INFO_LAYOUT,
  VFIO_USER_DMA_MAP_LAYOUT,
  VFIO_USER_DMA_UNMAP_LAYOUT,
  VFIO_USER_IRQ_INFO_LAYOUT,
  VFIO_USER_IRQ_SET_LAYOUT,
  VFIO_USER_REGION_ACCESS_LAYOUT,
  VFIO_USER_REGION_INFO_LAYOUT,
  VFIO_USER_REGION_IO_FDS_LAYOUT,
  VFIO_USER_VERSION,
  VFIO_USER_VERSION_LAYOUT,
  VFIO_USER_WRITE_MULTI_LAYOUT,
} from "./protocol.ts";
import { RegionWrites, regionLength } from "./region-writes.ts";

/** Which memory of a client is mapped; the rest is reached by messages. */
export type MappingPolicy = "sealed" | "all" | "none";

/** What a session is made from. */
export interface SessionInit {
  readonly native: Native;
  /** The connected socket, which the session takes over. */
  readonly fd: number;
  readonly memory: DmaMemory;
  readonly device: VfioUserFunction;
  readonly mapping: MappingPolicy;
  /** How long the function may wait for the client's memory in one go, in milliseconds. */
  readonly dmaTimeout: number;
  /** For how long its queues are looked at after a buffer, in milliseconds; 0 for not at all. */
  readonly pollTime: number;
  readonly poller: Poller;
  /** Called once, when all is cleared away. */
  readonly ended: (reason: string | undefined) => void;
}

/** What answers a command: the body of the reply, or an errno above 0. */
type Answer = Uint8Array | number;

interface Handler {
  /** The least length of the body. */
  readonly least: number;
  /** True when the body may be longer. */
  readonly open?: boolean;
  /** True when descriptors may come along; the handler closes them. */
  readonly fds?: boolean;
  readonly run: (message: Message, view: DataView) => Answer;
}

const MAP = accessors(VFIO_USER_DMA_MAP_LAYOUT);
const MAP_FLAGS = VFIO_USER_DMA_MAP_LAYOUT.fields.flags.bits;
const UNMAP = accessors(VFIO_USER_DMA_UNMAP_LAYOUT);
const UNMAP_FLAGS = VFIO_USER_DMA_UNMAP_LAYOUT.fields.flags.bits;
const DEVICE = accessors(VFIO_USER_DEVICE_INFO_LAYOUT);
const DEVICE_FLAGS = VFIO_USER_DEVICE_INFO_LAYOUT.fields.flags.bits;
const REGION = accessors(VFIO_USER_REGION_INFO_LAYOUT);
const REGION_FLAGS = VFIO_USER_REGION_INFO_LAYOUT.fields.flags.bits;
const IRQ = accessors(VFIO_USER_IRQ_INFO_LAYOUT);
const IRQ_FLAGS = VFIO_USER_IRQ_INFO_LAYOUT.fields.flags.bits;
const ACCESS = accessors(VFIO_USER_REGION_ACCESS_LAYOUT);
/** What is mapped begins and ends at pages; the rest is reached by messages. */
const PAGE_BYTES = 4096;
const ACCESS_BYTES = VFIO_USER_REGION_ACCESS_LAYOUT.size;

/** One client of one function. */
export class Session implements Polled {
  /** See {@link Polled.pollTime}. */
  readonly pollTime: number;
  readonly #init: SessionInit;
  readonly #device: VfioUserFunction;
  readonly #memory: DmaMemory;
  readonly #channel: Channel;
  readonly #interrupts: InterruptFds;
  readonly #messages: ChannelDma;
  readonly #handlers: ReadonlyMap<number, Handler>;
  readonly #writes: RegionWrites;
  #peer: VfioUserCapabilities | undefined;
  /** Answers the write that is being carried out, unless it is answered already. */
  #answer: (() => void) | undefined;

  /** Serves a connected client from now on. */
  constructor(init: SessionInit) {
    this.#init = init;
    this.pollTime = init.pollTime;
    this.#device = init.device;
    this.#memory = init.memory;
    this.#writes = new RegionWrites(init.device);
    this.#handlers = this.#makeHandlers();
    this.#interrupts = new InterruptFds(init.native, init.device);
    this.#channel = new Channel(init.native, init.fd, BODY_LIMIT, {
      message: (message) => {
        this.#messages.begin();
        this.#serve(message);
      },
      meanwhile: (message, kept) => this.#meanwhile(message, kept),
      closed: (reason) => this.#end(reason),
    });
    this.#messages = new ChannelDma(this.#channel, init.dmaTimeout, () => this.#answer?.());
    this.#memory.messages = this.#messages;
    this.#device.interruptSink = this.#interrupts;
  }

  /** True when the client is gone, whether or not that was noticed. */
  get gone(): boolean {
    return !this.#channel.open || this.#init.native.hungUp(this.#init.fd);
  }

  /** See {@link Polled.poll}. */
  poll(): boolean {
    this.#messages.begin();
    try {
      return this.#device.poll?.() === true;
    } catch (error) {
      this.#channel.close(`the device threw: ${String(error)}`);
      return false;
    }
  }

  /** See {@link Polled.endPolling}. */
  endPolling(): void {
    this.#messages.begin();
    try {
      this.#device.endPolling?.();
    } catch (error) {
      this.#channel.close(`the device threw: ${String(error)}`);
    }
  }

  /** Ends the connection. */
  close(reason?: string): void {
    this.#channel.close(reason);
  }

  #end(reason: string | undefined): void {
    this.#init.poller.forget(this);
    this.#device.interruptSink = undefined;
    this.#interrupts.close();
    this.#memory.messages = undefined;
    let failed = reason;
    try {
      this.#device.reset();
    } catch (error) {
      failed ??= `the device threw: ${String(error)}`;
    }
    this.#memory.clear();
    this.#init.ended(failed);
  }

  #serve(message: Message): void {
    const handler = this.#handlerOf(message);
    if (handler === undefined) return;
    try {
      const answer = handler.run(message, new DataView(message.body.buffer));
      if (this.#answer === undefined) this.#reply(message, answer);
      else this.#answer();
    } catch (error) {
      this.#channel.close(`the device threw: ${String(error)}`);
    } finally {
      this.#answer = undefined;
    }
  }

  /** What carries a message out; `undefined` when nothing does, and the client knows. */
  #handlerOf(message: Message): Handler | undefined {
    const { command, body, fds } = message;
    if (message.reply) {
      closeAll(fds);
      this.#channel.close("a reply that nobody waits for");
      return undefined;
    }
    if (this.#peer === undefined && command !== VFIO_USER_COMMAND.version) {
      closeAll(fds);
      this.#channel.close("the first message is not VERSION");
      return undefined;
    }
    const handler = this.#handlers.get(command);
    const unfit =
      handler === undefined
        ? ERRNO.EOPNOTSUPP
        : body.length < handler.least ||
            (body.length > handler.least && handler.open !== true) ||
            (fds.length > 0 && handler.fds !== true)
          ? ERRNO.EINVAL
          : 0;
    if (unfit === 0) return handler;
    closeAll(fds);
    this.#reply(message, unfit);
    return undefined;
  }

  /** See {@link ChannelListener.meanwhile}: here the function is at work, and must not be called. */
  #meanwhile(message: Message, kept: readonly Message[]): Meanwhile {
    const { regionWrite, regionWriteMulti, deviceReset } = VFIO_USER_COMMAND;
    const isWrite = message.command === regionWrite || message.command === regionWriteMulti;
    if (isWrite) return this.#writeLater(message, kept);
    const isDue =
      message.command === deviceReset || !kept.every((each) => this.#writes.notifies(each));
    if (isDue) return "give up";
    const handler = this.#handlerOf(message);
    if (handler === undefined) return "served";
    try {
      this.#reply(message, handler.run(message, new DataView(message.body.buffer)));
    } catch (error) {
      this.#channel.close(`the device threw: ${String(error)}`);
    }
    return "served";
  }

  #writeLater(message: Message, kept: readonly Message[]): Meanwhile {
    if (this.#handlerOf(message) === undefined) return "served";
    const found = this.#writes.of(message);
    this.#reply(message, typeof found === "number" ? found : found.reply);
    if (typeof found === "number") return "served";
    // A queue is looked at once however often it was notified: what is kept stays within bounds.
    const again =
      this.#writes.notifies(message) &&
      kept.every((each) => this.#writes.notifies(each)) &&
      kept.some((each) => this.#writes.notifiesAlike(each, message));
    return again ? "served" : { ...message, silent: true };
  }

  #reply(message: Message, answer: Answer): void {
    if (message.silent) return;
    this.#channel.send(
      typeof answer === "number" ? errorMessage(message, answer) : replyMessage(message, answer),
    );
  }

  #makeHandlers(): ReadonlyMap<number, Handler> {
    const command = VFIO_USER_COMMAND;
    const handlers: readonly [number, Handler][] = [
      [
        command.version,
        {
          least: VFIO_USER_VERSION_LAYOUT.size,
          open: true,
          run: ({ body }) => this.#version(body),
        },
      ],
      [
        command.dmaMap,
        {
          least: VFIO_USER_DMA_MAP_LAYOUT.size,
          fds: true,
          run: ({ fds }, view) => this.#map(view, fds),
        },
      ],
      [
        command.dmaUnmap,
        {
          least: VFIO_USER_DMA_UNMAP_LAYOUT.size,
          run: ({ body }, view) => this.#unmap(body, view),
        },
      ],
      [
        command.deviceGetInfo,
        { least: VFIO_USER_DEVICE_INFO_LAYOUT.size, run: (_, view) => this.#deviceInfo(view) },
      ],
      [
        command.deviceGetRegionInfo,
        { least: VFIO_USER_REGION_INFO_LAYOUT.size, run: (_, view) => this.#regionInfo(view) },
      ],
      [
        command.deviceGetRegionIoFds,
        { least: VFIO_USER_REGION_IO_FDS_LAYOUT.size, run: () => ERRNO.EOPNOTSUPP },
      ],
      [
        command.deviceGetIrqInfo,
        { least: VFIO_USER_IRQ_INFO_LAYOUT.size, run: (_, view) => this.#irqInfo(view) },
      ],
      [
        command.deviceSetIrqs,
        {
          least: VFIO_USER_IRQ_SET_LAYOUT.size,
          open: true,
          fds: true,
          run: ({ body, fds }, view) => this.#interrupts.set(body, view, fds) || NOTHING,
        },
      ],
      [
        command.regionRead,
        { least: ACCESS_BYTES, run: ({ body }, view) => this.#regionRead(body, view) },
      ],
      [
        command.regionWrite,
        {
          least: ACCESS_BYTES,
          open: true,
          run: (message) => this.#write(message),
        },
      ],
      [command.deviceReset, { least: 0, run: () => this.#reset() }],
      [
        command.regionWriteMulti,
        {
          least: VFIO_USER_WRITE_MULTI_LAYOUT.size,
          open: true,
          run: (message) => this.#write(message),
        },
      ],
    ];
    return new Map(handlers);
  }

  #version(body: Uint8Array): Answer {
    if (this.#peer !== undefined) return ERRNO.EINVAL;
    const version = decodeVersion(body);
    if (typeof version === "string" || version.major !== VFIO_USER_VERSION.major) {
      this.#channel.close(typeof version === "string" ? version : "a major version of its own");
      return ERRNO.EINVAL;
    }
    this.#peer = version.capabilities;
    this.#messages.longest = Math.min(TRANSFER_LIMIT, version.capabilities.maxDataXferSize);
    return encodeVersion({
      major: VFIO_USER_VERSION.major,
      minor: Math.min(version.minor, VFIO_USER_VERSION.minor),
      capabilities: {
        maxMsgFds: FDS_LIMIT,
        maxDataXferSize: TRANSFER_LIMIT,
        maxDmaMaps: DMA_RANGES_LIMIT,
        pgsizes: PAGE_BYTES,
        writeMultiple: version.capabilities.writeMultiple,
      },
    });
  }

  // Memory

  #map(view: DataView, fds: readonly number[]): Answer {
    try {
      return this.#mapRange(view, fds) || NOTHING;
    } finally {
      closeAll(fds);
    }
  }

  #mapRange(view: DataView, fds: readonly number[]): number {
    const { native, mapping: policy } = this.#init;
    const flags = MAP.flags.get(view, 0);
    const readable = (flags & MAP_FLAGS.readable.mask) !== 0;
    const writable = (flags & MAP_FLAGS.writeable.mask) !== 0;
    const offset = MAP.offset.getNumber(view, 0);
    const base = MAP.address.getNumber(view, 0);
    const length = MAP.size.getNumber(view, 0);
    if (flags >>> 2 !== 0 || fds.length > 1 || length === 0) return ERRNO.EINVAL;
    for (const value of [offset, length, offset + length, base + length]) {
      if (!Number.isSafeInteger(value)) return ERRNO.EINVAL;
    }
    const range = { base, length, readable, writable };
    const added = this.#memory.add(range);
    const [fd] = fds;
    if (added !== 0 || fd === undefined) return added;
    // Who may truncate a mapped file kills whoever touches it; and what is mapped can be written.
    const fit = readable && writable && (policy === "all" || native.cannotShrink(fd));
    const isWhole = [base, length].every((value) => value % PAGE_BYTES === 0);
    if (!fit || policy === "none" || !isWhole) return 0;
    this.#memory.remove(base, length);
    if (offset + length > native.fileLength(fd)) return ERRNO.EINVAL;
    return this.#memory.add(range, { native, fd, offset });
  }

  #unmap(body: Uint8Array, view: DataView): Answer {
    const flags = UNMAP.flags.get(view, 0);
    const base = UNMAP.address.getNumber(view, 0);
    const length = UNMAP.size.getNumber(view, 0);
    if (flags === UNMAP_FLAGS.all.mask) {
      if (base !== 0 || length !== 0) return ERRNO.EINVAL;
      this.#memory.clear();
      return body;
    }
    if (flags !== 0) return ERRNO.EOPNOTSUPP;
    return this.#memory.remove(base, length) || body;
  }

  // Information

  #deviceInfo(view: DataView): Answer {
    const { size } = VFIO_USER_DEVICE_INFO_LAYOUT;
    if (DEVICE.argsz.get(view, 0) < size) return ERRNO.EINVAL;
    return encode(VFIO_USER_DEVICE_INFO_LAYOUT, {
      argsz: size,
      flags: DEVICE_FLAGS.reset.mask | DEVICE_FLAGS.pci.mask,
      num_regions: VFIO_REGION.count,
      num_irqs: VFIO_IRQ.count,
    });
  }

  #regionInfo(view: DataView): Answer {
    const { size } = VFIO_USER_REGION_INFO_LAYOUT;
    const index = REGION.index.get(view, 0);
    if (REGION.argsz.get(view, 0) < size || index >= VFIO_REGION.count) return ERRNO.EINVAL;
    const length = regionLength(this.#device, index);
    return encode(VFIO_USER_REGION_INFO_LAYOUT, {
      argsz: size,
      flags: length === 0 ? 0 : REGION_FLAGS.read.mask | REGION_FLAGS.write.mask,
      index,
      size: length,
    });
  }

  #irqInfo(view: DataView): Answer {
    const { size } = VFIO_USER_IRQ_INFO_LAYOUT;
    const index = IRQ.index.get(view, 0);
    const count = this.#interrupts.count(index);
    if (IRQ.argsz.get(view, 0) < size || count === undefined) return ERRNO.EINVAL;
    const { eventfd, maskable, automasked, noresize } = IRQ_FLAGS;
    const kind = index === VFIO_IRQ.intx ? maskable.mask | automasked.mask : noresize.mask;
    return encode(VFIO_USER_IRQ_INFO_LAYOUT, {
      argsz: size,
      flags: eventfd.mask | kind,
      index,
      count,
    });
  }

  // Regions

  #regionRead(body: Uint8Array, view: DataView): Answer {
    const region = ACCESS.region.get(view, 0);
    const offset = ACCESS.offset.getNumber(view, 0);
    const count = ACCESS.count.get(view, 0);
    if (!this.#writes.isInside({ region, offset, count })) return ERRNO.EINVAL;
    const reply = new Uint8Array(ACCESS_BYTES + count);
    reply.set(body);
    const target = reply.subarray(ACCESS_BYTES);
    if (region === VFIO_REGION.config) this.#device.configReadBytes(offset, target);
    else this.#device.barReadBytes(region, offset, target);
    return reply;
  }

  /** Carries writes out. The reply goes before the first message that the function sends for them. */
  #write(message: Message): Answer {
    const found = this.#writes.of(message);
    if (typeof found === "number") return found;
    const { reply, writes } = found;
    let answered = false;
    this.#answer = () => {
      if (answered) return;
      answered = true;
      this.#reply(message, reply);
    };
    // The next buffer may follow soon: whoever looks for it saves its driver the notification.
    if (this.pollTime > 0 && this.#writes.areNotifications(writes)) this.#init.poller.begin(this);
    for (const { region, offset, data } of writes) {
      if (region === VFIO_REGION.config) this.#device.configWriteBytes(offset, data);
      else this.#device.barWriteBytes(region, offset, data);
    }
    return reply;
  }

  #reset(): Answer {
    this.#device.reset();
    this.#interrupts.deviceReset();
    return NOTHING;
  }
}
