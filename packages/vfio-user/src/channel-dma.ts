/**
 * The client's memory by DMA_READ and DMA_WRITE: commands of the server, for whose replies it waits,
 * within a bound.
 */
import { accessors } from "@virtio-admin/core";
import { type Channel, closeAll } from "./channel.ts";
import type { DmaMessages } from "./dma-memory.ts";
import { TRANSFER_LIMIT } from "./limits.ts";
import { commandMessage, NOTHING } from "./message.ts";
import { VFIO_USER_COMMAND, VFIO_USER_DMA_ACCESS_LAYOUT } from "./protocol.ts";

const { dmaRead, dmaWrite } = VFIO_USER_COMMAND;
const DMA = accessors(VFIO_USER_DMA_ACCESS_LAYOUT);
const DMA_BYTES = VFIO_USER_DMA_ACCESS_LAYOUT.size;
const IDS = 0x10000;

/** Reaches a client's memory through its channel. */
export class ChannelDma implements DmaMessages {
  /** The most bytes that the client reads or writes at once. */
  longest: number = TRANSFER_LIMIT;
  readonly #channel: Channel;
  readonly #timeout: number;
  readonly #before: () => void;
  #nextId = 0;
  #deadline: number | undefined;
  #givenUp = false;

  /**
   * Waits at most `timeout` milliseconds in one turn of the event loop, then closes the channel.
   * `before` is called before a command goes out.
   */
  constructor(channel: Channel, timeout: number, before: () => void) {
    this.#channel = channel;
    this.#timeout = timeout;
    this.#before = before;
  }

  /** What begins now may wait again, though a wait was given up. */
  begin(): void {
    this.#givenUp = false;
  }

  /** See {@link DmaMessages.read}. */
  read(address: number, target: Uint8Array): boolean {
    return this.#inPieces(target.length, (at, count) => {
      const data = this.#ask(dmaRead, address + at, count, NOTHING);
      if (data === undefined) return false;
      target.set(data, at);
      return true;
    });
  }

  /** See {@link DmaMessages.write}. */
  write(address: number, source: Uint8Array): boolean {
    return this.#inPieces(source.length, (at, count) => {
      const data = source.subarray(at, at + count);
      return this.#ask(dmaWrite, address + at, count, data) !== undefined;
    });
  }

  #inPieces(length: number, move: (at: number, count: number) => boolean): boolean {
    const { longest } = this;
    for (let at = 0; at < length; at += longest) {
      if (!move(at, Math.min(longest, length - at))) return false;
    }
    return true;
  }

  /** One access by message; the data of the reply, or `undefined` when it failed. */
  #ask(command: number, address: number, count: number, data: Uint8Array): Uint8Array | undefined {
    if (this.#givenUp) return undefined;
    // A client may have to wait for its write before it serves its memory.
    this.#before();
    const id = this.#takeId();
    const body = new Uint8Array(DMA_BYTES + data.length);
    const view = new DataView(body.buffer);
    DMA.address.setNumber(view, 0, address);
    DMA.count.setNumber(view, 0, count);
    body.set(data, DMA_BYTES);
    const bytes = commandMessage(id, command, body);
    const reply = this.#channel.exchange(bytes, id, command, this.#untilWhen());
    if (reply === undefined) {
      this.#giveUp();
      return undefined;
    }
    closeAll(reply.fds);
    if (reply.error !== undefined) return undefined;
    const answered = new DataView(reply.body.buffer);
    const isRead = command === dmaRead;
    const fits = isRead
      ? reply.body.length === DMA_BYTES + count && DMA.count.getNumber(answered, 0) === count
      : // In the text the count of this reply has 4 bytes, in QEMU 8.
        reply.body.length >= DMA_BYTES - 4 && DMA.count.getLow(padded(reply.body), 0) === count;
    if (!fits || DMA.address.getNumber(answered, 0) !== address) {
      this.#channel.close("a reply that does not fit its DMA command");
      return undefined;
    }
    return reply.body.subarray(DMA_BYTES);
  }

  #takeId(): number {
    // There are far fewer of these than ids.
    while (this.#channel.isAbandoned(this.#nextId)) this.#nextId = (this.#nextId + 1) % IDS;
    const id = this.#nextId;
    this.#nextId = (id + 1) % IDS;
    return id;
  }

  /** What comes next may have to come before anything else is waited for. */
  #giveUp(): void {
    this.#givenUp = true;
    setImmediate(() => this.begin());
  }

  /** The bound is for everything that happens before the event loop has its turn again. */
  #untilWhen(): number {
    if (this.#deadline === undefined) {
      this.#deadline = performance.now() + this.#timeout;
      setImmediate(() => {
        this.#deadline = undefined;
      });
    }
    return this.#deadline;
  }
}

/** A body with enough zeros behind it for the fixed part of a DMA access. */
function padded(body: Uint8Array): DataView {
  const bytes = new Uint8Array(Math.max(body.length, DMA_BYTES));
  bytes.set(body);
  return new DataView(bytes.buffer);
}
