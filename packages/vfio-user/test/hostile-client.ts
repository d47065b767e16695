/**
 * A seeded client that does what it likes: whole and broken messages, descriptors of every kind,
 * memory full of rings that may mean something, replies that fit and that do not.
 */
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { encode } from "@virtio-admin/core";
import { Random } from "@virtio-admin/testkit";
import { VIRTIO_PCI_COMMON_CFG_LAYOUT } from "@virtio-admin/transport-pci";
import {
  VFIO_REGION,
  VFIO_USER_COMMAND,
  VFIO_USER_DMA_MAP_LAYOUT,
  VFIO_USER_DMA_UNMAP_LAYOUT,
  VFIO_USER_IRQ_SET_LAYOUT,
  VFIO_USER_REGION_ACCESS_LAYOUT,
} from "@virtio-admin/vfio-user";
import { commandMessage } from "../src/message.ts";
import { GONE, loadNative, type Native, WOULD_BLOCK } from "../src/native.ts";
import { connectTo } from "../src/socket.ts";

const COMMANDS = Object.values(VFIO_USER_COMMAND);
const COMMON = VIRTIO_PCI_COMMON_CFG_LAYOUT.fields;
const MEMORY_BYTES = 0x1_0000;
const EDGES = [0, 1, 2, 15, 16, 255, 4096, 0x10000, 0x100000, 0x7fffffff, 0xfffffffe, 0xffffffff];
const WIDE_EDGES = [0, 1, 0x1000, 0x8000, 2 ** 32, 2 ** 53 - 4096, 2 ** 53 - 1];

/** What came of it, so that a run in which nothing happened shows. */
export interface Tally {
  messages: number;
  replies: number;
  refusals: number;
  hangUps: number;
  dmaCommands: number;
  signals: number;
}

export class HostileClient {
  readonly tally: Tally = {
    messages: 0,
    replies: 0,
    refusals: 0,
    hangUps: 0,
    dmaCommands: 0,
    signals: 0,
  };
  readonly #native: Native;
  readonly #path: string;
  readonly #random: Random;
  readonly #folder = mkdtempSync(join(tmpdir(), "hostile-"));
  readonly #eventfds: readonly number[];
  readonly #sealed: number;
  readonly #plain: number;
  readonly #memory: Uint8Array;
  #fd = -1;
  #received: Uint8Array = new Uint8Array(0);
  #script: (() => Uint8Array)[] = [];
  /** How many more messages are sent where the server may take them for the body of one. */
  #left = Number.POSITIVE_INFINITY;
  /** Commands without a reply yet. */
  #outstanding = 0;

  private constructor(native: Native, path: string, seed: number) {
    this.#native = native;
    this.#path = path;
    this.#random = new Random(seed);
    this.#eventfds = Array.from({ length: 17 }, () => native.eventfd());
    this.#sealed = native.memory(MEMORY_BYTES);
    this.#plain = openSync(join(this.#folder, "plain"), "w+");
    ftruncateSync(this.#plain, MEMORY_BYTES);
    // Memory with which both sides can do anything at any time.
    const at = native.map(this.#sealed, 0, MEMORY_BYTES) as bigint;
    this.#memory = new Uint8Array(native.view(at, MEMORY_BYTES));
  }

  static async make(path: string, seed: number): Promise<HostileClient> {
    return new HostileClient(await loadNative(), path, seed);
  }

  /** Sends this many messages, over as many connections as that takes. */
  async run(messages: number): Promise<void> {
    while (this.tally.messages < messages) {
      if (this.#fd < 0) this.#connect();
      const burst = 1 + this.#random.below(6);
      for (let i = 0; i < burst && this.#fd >= 0; i++) await this.#sendOne();
      await this.#keepUp();
      if (this.#random.oneIn(200) || --this.#left < 0) this.#hangUp();
    }
    this.#hangUp();
  }

  /** Waits for most replies, so that the server sees what is sent; not where none can come. */
  async #keepUp(): Promise<void> {
    const end = performance.now() + 1000;
    do {
      this.#receive();
      await turn();
    } while (
      this.#fd >= 0 &&
      this.#outstanding > 8 &&
      this.#left === Number.POSITIVE_INFINITY &&
      performance.now() < end
    );
  }

  close(): void {
    this.#hangUp();
    for (const fd of [...this.#eventfds, this.#sealed, this.#plain]) closeSync(fd);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #connect(): void {
    this.#fd = connectTo(this.#native, this.#path);
    this.#received = new Uint8Array(0);
    this.#script = [];
    this.#left = Number.POSITIVE_INFINITY;
    this.#outstanding = 1;
    if (!this.#random.oneIn(20)) {
      const json = this.#random.oneIn(4) ? '{"capabilities":{"max_data_xfer_size":64}}\0' : "";
      const body = Uint8Array.from([0, 0, 1, 0, ...Buffer.from(json)]);
      this.#native.send(this.#fd, commandMessage(1, VFIO_USER_COMMAND.version, body));
    }
    if (!this.#random.oneIn(3)) this.#script = this.#bringUp();
  }

  #hangUp(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  async #sendOne(): Promise<void> {
    this.tally.messages += 1;
    this.#scribble();
    const scripted = this.#random.oneIn(8) ? undefined : this.#script.shift();
    const message = scripted?.() ?? this.#anything();
    const fds = this.#descriptors(message, scripted !== undefined);
    const cut = this.#random.oneIn(300) ? this.#random.below(message.length) : message.length;
    const bytes = message.subarray(0, cut);
    const size = new DataView(message.buffer).getUint32(4, true);
    if ((new DataView(message.buffer).getUint32(8, true) & 0x10) === 0) this.#outstanding += 1;
    if (size !== bytes.length) this.#left = Math.min(this.#left, 5);
    for (let at = 0; at < bytes.length && this.#fd >= 0; ) {
      const part = bytes.subarray(at);
      const withFds = at === 0 && fds.length > 0 && part.length <= 3000;
      const count = withFds
        ? this.#native.sendWithFds(this.#fd, part, fds)
        : this.#native.send(this.#fd, part);
      if (count === GONE) {
        this.tally.hangUps += 1;
        this.#hangUp();
      } else if (count === WOULD_BLOCK) {
        this.#receive();
        await turn();
      } else at += count;
    }
  }

  /** Descriptors: what the command wants, mostly. */
  #descriptors(message: Uint8Array, scripted: boolean): number[] {
    const random = this.#random;
    const command = message[2];
    if (scripted && command === VFIO_USER_COMMAND.deviceSetIrqs) return this.#eventfds.slice(0, 1);
    if (random.oneIn(30) && !scripted) {
      const all = [...this.#eventfds, this.#sealed, this.#plain];
      return Array.from({ length: random.below(18) }, () => random.pick(all) ?? 0);
    }
    if (command === VFIO_USER_COMMAND.dmaMap) {
      return random.oneIn(3) ? [] : [random.oneIn(4) ? this.#plain : this.#sealed];
    }
    return command === VFIO_USER_COMMAND.deviceSetIrqs
      ? this.#eventfds.slice(0, random.below(4))
      : [];
  }

  /** A device brought up over rings in the memory, with a slip here and there. */
  #bringUp(): (() => Uint8Array)[] {
    const random = this.#random;
    const common = (
      field: keyof typeof COMMON,
      value: number,
      width: number = COMMON[field].width,
    ) => this.#access(0, COMMON[field].offset, value, width === 8 ? 4 : width);
    const area = (queue: number, part: number) =>
      random.oneIn(20) ? random.below(0x20000) : queue * 0x4000 + part * 0x1000;
    const steps: (() => Uint8Array)[] = [
      () => this.#map(0, MEMORY_BYTES),
      () => this.#useIntx(),
      () => this.#access(VFIO_REGION.config, 4, 6, 2),
      () => common("device_status", 1),
      () => common("device_status", 3),
      () => common("driver_feature_select", 1),
      () => common("driver_feature", 1 | (random.below(2) << 9)),
      () => common("device_status", 0xb),
    ];
    for (const queue of [0, 1]) {
      steps.push(
        () => common("queue_select", queue),
        () => common("queue_size", 8),
        () => common("queue_msix_vector", queue),
        () => common("queue_desc", area(queue, 0)),
        () => common("queue_driver", area(queue, 1)),
        () => common("queue_device", area(queue, 2)),
        () => common("queue_enable", 1),
      );
    }
    steps.push(() => common("device_status", 0xf));
    for (let round = 0; round < 12; round++) {
      steps.push(() => this.#access(0, 0x3000 + 4 * random.below(3), random.below(3), 2));
    }
    return steps;
  }

  /** Puts descriptors and indexes where rings may be, some of which mean something. */
  #scribble(): void {
    const random = this.#random;
    const view = new DataView(this.#memory.buffer);
    const queue = random.below(2) * 0x4000;
    const index = random.below(8);
    view.setBigUint64(
      queue + 16 * index,
      BigInt(random.pick([0x3000, 0x7000, 0xfff0, 0x20000])),
      true,
    );
    view.setUint32(queue + 16 * index + 8, random.pick([0, 1, 24, 64, 0xffffffff]), true);
    view.setUint16(queue + 16 * index + 12, random.below(8), true);
    view.setUint16(queue + 16 * index + 14, random.below(9), true);
    const avail = queue + 0x1000;
    view.setUint16(avail + 4 + 2 * index, random.below(9), true);
    const step = random.oneIn(50) ? random.below(0x10000) : random.below(2);
    view.setUint16(avail + 2, view.getUint16(avail + 2, true) + step, true);
    if (random.oneIn(10)) this.#memory.set(random.bytes(16), random.below(MEMORY_BYTES - 16));
  }

  #access(region: number, offset: number, value: number, count: number): Uint8Array {
    const data = Array.from({ length: count }, (_, i) => (value >>> (8 * i)) & 0xff);
    return this.#command(
      VFIO_USER_COMMAND.regionWrite,
      encode(VFIO_USER_REGION_ACCESS_LAYOUT, { region, offset, count, data }),
    );
  }

  #map(address: number, size: number, flags = 3, offset = 0): Uint8Array {
    const values = { argsz: 32, flags, offset, address, size };
    return this.#command(VFIO_USER_COMMAND.dmaMap, encode(VFIO_USER_DMA_MAP_LAYOUT, values));
  }

  #useIntx(): Uint8Array {
    const values = { argsz: 20, flags: 0x24, index: 0, start: 0, count: 1 };
    const body = encode(VFIO_USER_IRQ_SET_LAYOUT, values);
    return this.#command(VFIO_USER_COMMAND.deviceSetIrqs, body);
  }

  #command(command: number, body: Uint8Array): Uint8Array {
    return commandMessage(this.#random.below(0x10000), command, body);
  }

  /** Any command, with a body that fits, or almost. */
  #anything(): Uint8Array {
    const random = this.#random;
    const edge = (): number => random.pick(EDGES) ?? 0;
    const wide = (): number => random.pick(WIDE_EDGES) ?? 0;
    const command = random.oneIn(20) ? random.below(0x10000) : (random.pick(COMMANDS) ?? 1);
    let body: Uint8Array;
    switch (random.below(7)) {
      case 0:
        body = random.bytes(random.below(64));
        break;
      case 1:
        return this.#broken(
          this.#map(wide(), wide(), random.below(5), random.pick([0, 1, 0x1000])),
        );
      case 2:
        body = encode(VFIO_USER_DMA_UNMAP_LAYOUT, {
          argsz: 24,
          flags: random.below(4),
          address: wide(),
          size: random.pick([MEMORY_BYTES, wide()]),
        });
        return this.#broken(this.#command(VFIO_USER_COMMAND.dmaUnmap, body));
      case 3: {
        const flags = (1 << random.below(4)) | (1 << (3 + random.below(4)));
        const count = random.below(4);
        body = encode(VFIO_USER_IRQ_SET_LAYOUT, {
          argsz: 20,
          flags: random.oneIn(2) ? 0x24 : flags,
          index: random.pick([0, 2, random.below(7)]),
          start: random.oneIn(4) ? edge() : 0,
          count: random.oneIn(8) ? edge() : count,
          data: [...random.bytes(random.oneIn(4) ? count : 0)],
        });
        return this.#broken(this.#command(VFIO_USER_COMMAND.deviceSetIrqs, body));
      }
      case 4: {
        const region = random.pick([0, 0, 0, 1, VFIO_REGION.config, random.below(10)]);
        const count = random.oneIn(8) ? edge() : random.pick([1, 2, 4, 8, 3]);
        const offset = random.oneIn(4) ? wide() : random.below(0x4000);
        body = encode(VFIO_USER_REGION_ACCESS_LAYOUT, { region, offset, count });
        return this.#broken(this.#command(VFIO_USER_COMMAND.regionRead, body));
      }
      case 5: {
        const region = random.pick([0, 0, 1, VFIO_REGION.config]);
        const offset = random.below(random.oneIn(2) ? 0x40 : 0x4000);
        return this.#broken(this.#access(region, offset, random.uint32(), random.pick([1, 2, 4])));
      }
      default:
        body = new Uint8Array(random.pick([0, 8, 16, 20, 24, 32]));
        if (body.length > 0) new DataView(body.buffer).setUint32(0, body.length, true);
        if (body.length > 8) body[8] = random.below(10);
    }
    return this.#broken(this.#command(command, body));
  }

  /** Damages a header now and then. */
  #broken(message: Uint8Array): Uint8Array {
    const random = this.#random;
    const view = new DataView(message.buffer);
    if (random.oneIn(20)) view.setUint32(8, 0x10, true);
    if (random.oneIn(150)) view.setUint32(8, random.uint32(), true);
    if (random.oneIn(150)) view.setUint32(4, random.pick(EDGES) ?? 0, true);
    if (random.oneIn(50) && message.length > 16) {
      message[16 + random.below(message.length - 16)] = random.below(256);
    }
    return message;
  }

  /** Takes in what came, and answers what is asked. */
  #receive(): void {
    for (const fd of this.#eventfds) if (this.#native.takeSignal(fd)) this.tally.signals += 1;
    const part = new Uint8Array(0x1_0000);
    while (this.#fd >= 0) {
      const count = this.#native.receive(this.#fd, part);
      if (count === WOULD_BLOCK) break;
      if (count === GONE) {
        this.tally.hangUps += 1;
        this.#hangUp();
        return;
      }
      this.#received = Buffer.concat([this.#received, part.subarray(0, count)]);
      this.#take();
    }
  }

  #take(): void {
    for (;;) {
      const bytes = this.#received;
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      if (bytes.length < 16 || bytes.length < view.getUint32(4, true)) return;
      const size = view.getUint32(4, true);
      const flags = view.getUint32(8, true);
      const message = bytes.slice(0, size);
      this.#received = bytes.slice(size);
      if ((flags & 1) === 0) {
        this.#answer(message);
        continue;
      }
      this.#outstanding -= 1;
      if ((flags & 0x20) !== 0) this.tally.refusals += 1;
      else this.tally.replies += 1;
    }
  }

  /** Answers DMA_READ and DMA_WRITE, mostly as one should. */
  #answer(command: Uint8Array): void {
    this.tally.dmaCommands += 1;
    const random = this.#random;
    if (random.oneIn(400)) return;
    const asked = new DataView(command.buffer, command.byteOffset, command.length);
    const address = Number(asked.getBigUint64(16, true));
    const count = Number(asked.getBigUint64(24, true));
    const isRead = asked.getUint16(2, true) === VFIO_USER_COMMAND.dmaRead;
    const data = isRead ? this.#memory.slice(address, address + count) : new Uint8Array(0);
    if (!isRead && address + count <= MEMORY_BYTES) {
      this.#memory.set(command.subarray(32, 32 + count), address);
    }
    const reply = new Uint8Array(32 + (isRead ? count : 0));
    reply.set(command.subarray(0, 32));
    reply.set(data, 32);
    const view = new DataView(reply.buffer);
    view.setUint32(4, reply.length, true);
    view.setUint32(8, random.oneIn(100) ? 0x21 : 1, true);
    if (random.oneIn(300)) reply[random.below(reply.length)] = random.below(256);
    if (random.oneIn(300)) this.#native.send(this.#fd, reply);
    this.#native.send(this.#fd, reply);
  }
}
