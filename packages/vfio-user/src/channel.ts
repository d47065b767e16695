/**
 * A connected socket as messages. A message is received in two steps, its header with descriptors
 * and then its body, as those who send descriptors send them with the header.
 *
 * Bounds: one message is under way in each direction, of a length that is given; what cannot be
 * sent at once is kept, and meanwhile nothing is received. Commands that come while a reply is
 * waited for, and that cannot be served meanwhile, are kept too, {@link BACKLOG_LIMIT} of them and
 * as many bytes as one message may have.
 */
import { closeSync } from "node:fs";
import { HEADER_BYTES, type Header, type Message, NOTHING, readHeader } from "./message.ts";
import { DATA_WITH_FDS_LIMIT, FDS_LIMIT, GONE, type Native, WOULD_BLOCK } from "./native.ts";
import { READABLE, type Watch, WRITABLE } from "./watch.ts";

/** How many messages are served before the event loop has its turn. */
const BURST = 64;
const BACKLOG_LIMIT = 64;
/** How many replies may be missing that nobody waits for any more. */
const ABANDONED_LIMIT = 64;

/**
 * What becomes of a command that comes in while a reply is waited for: it is served, this is kept in
 * its place to be served later, or the wait is given up and it comes next.
 */
export type Meanwhile = "served" | "give up" | Message;

/** What a {@link Channel} calls. */
export interface ChannelListener {
  /** A message came in. Its descriptors are the listener's to close. */
  message(message: Message): void;
  /**
   * A command came in while a reply is waited for. Peers wait too: the reply may not come before this
   * is answered. All commands are kept unless given; `kept` are those that wait already.
   */
  meanwhile?(message: Message, kept: readonly Message[]): Meanwhile;
  /** The channel is closed, from the event loop; `reason` is absent when the peer hung up. */
  closed(reason: string | undefined): void;
}

/** Closes descriptors that nobody wants. */
export function closeAll(fds: readonly number[]): void {
  for (const fd of fds) closeSync(fd);
}

/** Messages over a socket. Takes the descriptor over. */
export class Channel {
  readonly #native: Native;
  readonly #fd: number;
  readonly #longestBody: number;
  readonly #listener: ChannelListener;
  readonly #watch: Watch;
  readonly #headerBytes = new Uint8Array(HEADER_BYTES);
  #headerCount = 0;
  #header: Header | undefined;
  #body: Uint8Array<ArrayBuffer> = NOTHING;
  #bodyCount = 0;
  #fds: number[] = [];
  #outgoing: Uint8Array[] = [];
  #outgoingFds: readonly number[] = [];
  #outgoingBytes = 0;
  #backlog: Message[] = [];
  #backlogBytes = 0;
  /** The commands whose replies nobody waits for any more, by id. */
  readonly #abandoned = new Map<number, number>();
  #exchanged = false;
  #serving = false;
  #open = true;

  /** Begins to receive at once; nothing is delivered before the event loop turns. */
  constructor(native: Native, fd: number, longestBody: number, listener: ChannelListener) {
    this.#native = native;
    this.#fd = fd;
    this.#longestBody = longestBody;
    this.#listener = listener;
    this.#watch = native.watch(fd, READABLE, () => this.#ready());
  }

  /** False once it is closed, or about to be. */
  get open(): boolean {
    return this.#open;
  }

  /** Sends a message after those that wait; `fds` stay the caller's. False when it is closed. */
  send(bytes: Uint8Array, fds: readonly number[] = []): boolean {
    if (!this.#open) return false;
    if (fds.length > 0) {
      // Descriptors do not wait: they would have to be kept open.
      if (this.#outgoing.length > 0 || bytes.length > DATA_WITH_FDS_LIMIT) {
        this.close("a message with descriptors cannot be sent now");
        return false;
      }
      this.#outgoingFds = fds;
    }
    this.#outgoing.push(bytes);
    this.#outgoingBytes += bytes.length;
    this.#flush();
    if (this.#outgoingFds.length > 0) {
      this.#outgoingFds = [];
      if (this.#open) this.close("a message with descriptors cannot be sent now");
    }
    if (this.#outgoingBytes > 2 * (this.#longestBody + HEADER_BYTES)) {
      this.close("the peer does not receive what it is sent");
    }
    return this.#open;
  }

  /** True while the reply to a command with this id, which nobody waits for, may still come. */
  isAbandoned(id: number): boolean {
    return this.#abandoned.has(id);
  }

  /**
   * Sends a command and blocks until its reply is there, or `deadline` (of `performance.now()`) has
   * passed: then the channel is closed. What becomes of commands that come in between is for
   * {@link ChannelListener.meanwhile} to say.
   *
   * @returns the reply; `undefined` when there is none, or the wait was given up
   */
  exchange(bytes: Uint8Array, id: number, command: number, deadline: number): Message | undefined {
    this.#exchanged = true;
    this.send(bytes);
    while (this.#open) {
      const left = deadline - performance.now();
      if (left <= 0) return this.#end("the peer does not answer in time");
      const message = this.#next();
      if (message === undefined) {
        if (!this.#open) return undefined;
        const events = this.#outgoing.length > 0 ? READABLE | WRITABLE : READABLE;
        this.#native.waitFor(this.#fd, events, left);
        this.#flush();
      } else if (message.reply) {
        if (message.id === id && message.command === command) return message;
        closeAll(message.fds);
        this.close("a reply that nobody waits for");
      } else {
        const then = this.#listener.meanwhile?.(message, this.#backlog) ?? message;
        if (then === "give up") {
          this.#keep(message);
          this.#abandon(id, command);
          return undefined;
        }
        if (then !== "served") this.#keep(then);
      }
    }
    return undefined;
  }

  /** Closes the socket; {@link ChannelListener.closed} is called from the event loop. */
  close(reason?: string): void {
    if (!this.#open) return;
    this.#open = false;
    this.#watch.close();
    closeSync(this.#fd);
    closeAll(this.#fds);
    for (const { fds } of this.#backlog) closeAll(fds);
    this.#fds = [];
    this.#backlog = [];
    this.#outgoing = [];
    setImmediate(() => this.#listener.closed(reason));
  }

  #ready(): void {
    if (this.#serving || !this.#open) return;
    this.#serving = true;
    try {
      this.#flush();
      for (let served = 0; served < BURST; served++) {
        if (!this.#open || this.#outgoing.length > 0) break;
        const kept = this.#backlog.shift();
        this.#backlogBytes -= kept?.body.length ?? 0;
        const message = kept ?? this.#next();
        if (message === undefined) break;
        this.#exchanged = false;
        this.#listener.message(message);
        // What waited for replies has had this turn.
        if (this.#exchanged) break;
      }
    } finally {
      this.#serving = false;
      if (this.#open) {
        this.#await();
        if (this.#backlog.length > 0) setImmediate(() => this.#ready());
      }
    }
  }

  #await(): void {
    this.#watch.update(this.#outgoing.length > 0 ? WRITABLE : READABLE);
  }

  #abandon(id: number, command: number): void {
    this.#abandoned.set(id, command);
    if (this.#abandoned.size > ABANDONED_LIMIT) this.close("the peer does not answer");
  }

  #keep(message: Message): void {
    if (!this.#open) {
      closeAll(message.fds);
      return;
    }
    this.#backlog.push(message);
    this.#backlogBytes += message.body.length;
    if (this.#backlog.length > BACKLOG_LIMIT || this.#backlogBytes > this.#longestBody) {
      this.close("the peer sends too much before it answers");
    } else if (this.#backlog.length === 1) setImmediate(() => this.#ready());
  }

  #flush(): void {
    for (let bytes = this.#outgoing[0]; bytes !== undefined; bytes = this.#outgoing[0]) {
      const fds = this.#outgoingFds;
      const count =
        fds.length > 0
          ? this.#native.sendWithFds(this.#fd, bytes, fds)
          : this.#native.send(this.#fd, bytes);
      if (count === GONE) {
        this.close();
        return;
      }
      if (count === WOULD_BLOCK) break;
      this.#outgoingFds = [];
      this.#outgoingBytes -= count;
      if (count < bytes.length) this.#outgoing[0] = bytes.subarray(count);
      else this.#outgoing.shift();
    }
    this.#await();
  }

  /** The next message that somebody wants, when all of it is there. */
  #next(): Message | undefined {
    for (;;) {
      const message = this.#receive();
      if (message?.reply !== true || this.#abandoned.get(message.id) !== message.command) {
        return message;
      }
      this.#abandoned.delete(message.id);
      closeAll(message.fds);
    }
  }

  /** The next message, when all of it is there. */
  #receive(): Message | undefined {
    while (this.#header === undefined) {
      const part = this.#headerBytes.subarray(this.#headerCount);
      const { count, fds, truncated } = this.#native.receiveWithFds(this.#fd, part);
      this.#fds.push(...fds);
      if (count === WOULD_BLOCK) return undefined;
      if (count === GONE) return this.#end(this.#headerCount > 0 ? "half a header" : undefined);
      if (truncated || this.#fds.length > FDS_LIMIT) {
        return this.#end("a message with too many descriptors");
      }
      this.#headerCount += count;
      if (this.#headerCount < HEADER_BYTES) continue;
      const header = readHeader(this.#headerBytes, this.#longestBody);
      if (typeof header === "string") return this.#end(header);
      this.#header = header;
      this.#body = header.length === 0 ? NOTHING : new Uint8Array(header.length);
      this.#bodyCount = 0;
    }
    while (this.#bodyCount < this.#body.length) {
      const count = this.#native.receive(this.#fd, this.#body.subarray(this.#bodyCount));
      if (count === WOULD_BLOCK) return undefined;
      if (count === GONE) return this.#end("half a message");
      this.#bodyCount += count;
    }
    const { length: _, ...header } = this.#header;
    const message: Message = { ...header, body: this.#body, fds: this.#fds };
    this.#header = undefined;
    this.#headerCount = 0;
    this.#body = NOTHING;
    this.#fds = [];
    return message;
  }

  #end(reason: string | undefined): undefined {
    this.close(reason);
    return undefined;
  }
}
