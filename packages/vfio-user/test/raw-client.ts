/** A client of bytes and descriptors, which says whatever a test wants. */

import { closeSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { encode } from "@virtio-admin/core";
import {
  VFIO_USER_COMMAND,
  VFIO_USER_DMA_MAP_LAYOUT,
  VFIO_USER_IRQ_SET_LAYOUT,
  VFIO_USER_REGION_ACCESS_LAYOUT,
} from "@virtio-admin/vfio-user";
import { commandMessage } from "../src/message.ts";
import { GONE, loadNative, type Native } from "../src/native.ts";
import { connectTo } from "../src/socket.ts";

/** What came back: the errno of a failure, or the body. */
export interface Answer {
  /** What it answers, or asks for. */
  readonly command: number;
  /** False for a command of the server. */
  readonly reply: boolean;
  readonly errno: number | undefined;
  readonly body: Uint8Array;
}

export class RawClient {
  readonly native: Native;
  readonly fd: number;
  #received: Uint8Array = new Uint8Array(0);
  #gone = false;
  #id = 0;

  private constructor(native: Native, fd: number) {
    this.native = native;
    this.fd = fd;
  }

  static async connect(path: string): Promise<RawClient> {
    const native = await loadNative();
    return new RawClient(native, connectTo(native, path));
  }

  /** Connects and agrees on a version. */
  static async open(path: string): Promise<RawClient> {
    const client = await RawClient.connect(path);
    await client.ask(VFIO_USER_COMMAND.version, new Uint8Array([0, 0, 1, 0]));
    return client;
  }

  /** Sends bytes as they are, as far as the socket takes them; false when the server is gone. */
  send(bytes: Uint8Array, fds: readonly number[] = []): boolean {
    const count =
      fds.length > 0
        ? this.native.sendWithFds(this.fd, bytes, fds)
        : this.native.send(this.fd, bytes);
    return count !== GONE;
  }

  /** Sends a command and waits for its reply; `undefined` when the server hangs up. */
  async ask(
    command: number,
    body: Uint8Array,
    fds: readonly number[] = [],
  ): Promise<Answer | undefined> {
    this.#id = (this.#id + 1) & 0xffff;
    this.send(commandMessage(this.#id, command, body), fds);
    return this.reply();
  }

  /** The next message of the server; `undefined` when it hangs up. */
  async reply(): Promise<Answer | undefined> {
    for (;;) {
      const view = new DataView(this.#received.buffer, this.#received.byteOffset);
      if (this.#received.length >= 16 && this.#received.length >= view.getUint32(4, true)) {
        const size = view.getUint32(4, true);
        const body = this.#received.slice(16, size);
        const errno = (view.getUint32(8, true) & 0x20) === 0 ? undefined : view.getUint32(12, true);
        this.#received = this.#received.slice(size);
        const reply = (view.getUint32(8, true) & 1) !== 0;
        return { command: view.getUint16(2, true), reply, errno, body };
      }
      if (this.#gone) return undefined;
      this.drain();
      await turn();
    }
  }

  /** Takes in what is there. */
  drain(): void {
    const part = new Uint8Array(0x1_0000);
    for (;;) {
      const count = this.native.receive(this.fd, part);
      if (count === GONE) this.#gone = true;
      if (count <= 0) return;
      this.#received = Uint8Array.from([...this.#received, ...part.subarray(0, count)]);
    }
  }

  /** Forgets what came in; true when the server has hung up. */
  discard(): boolean {
    this.drain();
    this.#received = new Uint8Array(0);
    return this.#gone;
  }

  map(address: number, size: number, fds: readonly number[], flags = 3, offset = 0) {
    const values = { argsz: 32, flags, offset, address, size };
    return this.ask(VFIO_USER_COMMAND.dmaMap, encode(VFIO_USER_DMA_MAP_LAYOUT, values), fds);
  }

  setIrqs(
    values: { flags: number; index: number; start?: number; count?: number; data?: number[] },
    fds: readonly number[] = [],
  ) {
    const body = encode(VFIO_USER_IRQ_SET_LAYOUT, { argsz: 20, ...values });
    return this.ask(VFIO_USER_COMMAND.deviceSetIrqs, body, fds);
  }

  read(region: number, offset: number | bigint, count: number) {
    const body = encode(VFIO_USER_REGION_ACCESS_LAYOUT, { region, offset, count });
    return this.ask(VFIO_USER_COMMAND.regionRead, body);
  }

  write(region: number, offset: number | bigint, data: readonly number[], count = data.length) {
    const body = encode(VFIO_USER_REGION_ACCESS_LAYOUT, { region, offset, count, data });
    return this.ask(VFIO_USER_COMMAND.regionWrite, body);
  }

  close(): void {
    closeSync(this.fd);
  }
}
