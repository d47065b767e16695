/** A physical function with virtual functions in one guest memory, built alike as often as wanted. */
import { createHash } from "node:crypto";
import {
  AdminExecutor,
  AdminQueues,
  type CommandFamily,
  ConfigSpace,
  createGuestMemory,
  type DeviceHost,
  type DeviceModel,
  decodeSnapshot,
  encodeSnapshot,
  FEATURE,
  type GroupSnapshot,
  MANAGEMENT_FAMILY,
  type RegionMemory,
  restoreSnapshot,
  SelfGroup,
  takeSnapshot,
  VirtioDevice,
} from "@virtio-admin/core";
import {
  type CommonField,
  MSIX_CAPABILITY_LAYOUT,
  MSIX_ENTRY_LAYOUT,
  PCI_EXPRESS_CAPABILITY_LAYOUT,
  PCI_HEADER_LAYOUT,
  PciDevice,
  type PciDeviceInit,
  SRIOV_CAPABILITY_LAYOUT,
  SriovGroup,
  type SriovGroupInit,
  VIRTIO_PCI_COMMON_CFG_LAYOUT,
} from "@virtio-admin/transport-pci";

export const BASE = 0x10_0000;
export const LENGTH = 0x1_0000;
export const QUEUES = 2;
export const RING = 8;
export const VFS = 3;
export const SRIOV_AT = 0x100;
/** Queue, function and buffer each have a page; the rings of a queue lie in it. */
const PAGE = 0x1000;
const COMMON = VIRTIO_PCI_COMMON_CFG_LAYOUT.fields;
const HEADER = PCI_HEADER_LAYOUT.fields;

/** Fills buffers with the first byte that its driver can write in the configuration. */
export class Filler implements DeviceModel {
  readonly name = "filler";
  readonly deviceId = 4;
  readonly features: readonly number[] = [0];
  readonly queues = Array.from({ length: QUEUES }, (_, i) => ({ name: `q${i}`, maxSize: RING }));
  readonly config = new ConfigSpace({
    bytes: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    writable: Uint8Array.of(0, 0, 0, 0, 0xff, 0x0f),
  });
  host!: DeviceHost;

  attach(host: DeviceHost): void {
    this.host = host;
  }

  queueNotified(index: number): void {
    const queue = this.host.queue(index);
    if (queue === undefined) return;
    const fill = new Uint8Array(1);
    this.config.read(4, fill);
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      const bytes = new Uint8Array(chain.writableLength).fill(fill[0]!);
      queue.push(chain, queue.write(chain, 0, bytes));
    }
    if (!this.host.checkDefect(index)) this.host.publish(index);
  }

  reset(): void {}

  /** Changes a byte that only the device writes, and tells the driver. */
  change(value: number): void {
    this.config.update((_, bytes) => {
      bytes[0] = value;
    });
    this.host.configChanged();
  }
}

export interface HostOptions {
  readonly memory?: RegionMemory;
  readonly owner?: Omit<PciDeviceInit, "device" | "sriov" | "interruptSink">;
  readonly group?: Partial<SriovGroupInit>;
  /** The command families; management unless given. */
  readonly families?: readonly CommandFamily[];
}

/** One host: device halves, and what they sent. */
export class Host {
  readonly memory: RegionMemory;
  /** By the number of their functions. */
  readonly models: Filler[] = [];
  readonly devices: VirtioDevice[] = [];
  readonly group: SriovGroup;
  readonly executor: AdminExecutor;
  readonly device: VirtioDevice;
  readonly pf: PciDevice;
  /** MSI-X messages in their order. */
  readonly messages: string[] = [];
  /** The level of each INTx line that ever changed. */
  readonly lines = new Map<number, boolean>();
  /** How often the group told of a change. */
  changes = 0;

  constructor({ memory, owner, group, families = [MANAGEMENT_FAMILY] }: HostOptions = {}) {
    this.memory = memory ?? createGuestMemory([{ base: BASE, bytes: new Uint8Array(LENGTH) }]);
    this.group = new SriovGroup({
      totalVfs: VFS,
      makeDevice: (id) => this.#makeDevice(id),
      msix: { vectors: 3, max: 4, total: 11 },
      interruptSink: (id) => this.#sink(id),
      ...group,
    });
    this.group.onChange = () => {
      this.changes++;
    };
    this.executor = new AdminExecutor({
      groups: [new SelfGroup(), this.group],
      families,
    });
    const admin = new AdminQueues({ executor: this.executor, maxSize: RING });
    this.device = this.#makeDevice(0, admin);
    this.pf = new PciDevice({
      device: this.device,
      sriov: this.group,
      interruptSink: this.#sink(0),
      ...owner,
    });
  }

  #makeDevice(id: number, admin?: AdminQueues): VirtioDevice {
    const model = new Filler();
    this.models[id] = model;
    const { memory } = this;
    const device = new VirtioDevice({
      model,
      memory,
      ...(admin === undefined ? {} : { admin }),
    });
    this.devices[id] = device;
    return device;
  }

  #sink(id: number) {
    return {
      msix: (vector: number, address: number, data: number) =>
        void this.messages.push(`${id}: ${vector} ${address.toString(16)} ${data}`),
      intx: (asserted: boolean) => void this.lines.set(id, asserted),
    };
  }

  /** Function 0 is the physical one; `undefined` for one that there is not. */
  function(id: number): PciDevice | undefined {
    return id === 0 ? this.pf : this.group.function(id);
  }

  /** One command straight to the executor: status, qualifier and what follows. */
  command(opcode: number, member: number, data: readonly number[] = []): string {
    const request = new Uint8Array(24 + data.length);
    const view = new DataView(request.buffer);
    view.setUint16(0, opcode, true);
    view.setUint16(2, 1, true);
    view.setUint32(16, member, true);
    request.set(data, 24);
    const response = new Uint8Array(64);
    const written = this.executor.execute(request, response);
    if (typeof written !== "number") throw new Error("the command waits");
    return Buffer.from(response.subarray(0, written)).toString("hex");
  }

  /** Everything about it that can be seen, its own saved state and guest memory included. */
  all(): unknown {
    return [
      takeSnapshot(this),
      memoryOf(this.memory),
      [...this.messages],
      [...this.lines],
      this.changes,
      this.pf.interruptLine,
      [0, 1, 2, 3].map((id) => {
        const pci = this.function(id);
        const bytes = new Uint8Array(0x180);
        pci?.configReadBytes(0, bytes);
        return [pci?.memorySpace, pci?.barAddress(0), pci?.msixVectors, hex(bytes)];
      }),
      this.group.msix?.free,
      this.executor.used(1),
    ];
  }
}

/** A new host with guest memory as it is; what the old one sent goes on. */
export function move(from: Host, options: HostOptions = {}): Host {
  const bytes = Uint8Array.from(encodeSnapshot(takeSnapshot(from)), (char) => char.charCodeAt(0));
  return arrive(from, decodeSnapshot(bytes), options);
}

/** A new host that takes a snapshot of another. */
export function arrive(from: Host, snapshot: GroupSnapshot, options: HostOptions = {}): Host {
  const memory = createGuestMemory([{ base: BASE, bytes: memoryBytes(from.memory) }]);
  const host = new Host({ ...options, memory });
  host.messages.push(...from.messages);
  for (const [id, level] of from.lines) if (!level) host.lines.set(id, level);
  restoreSnapshot(host, snapshot);
  return host;
}

/** What every queue of a host is served with when it goes on elsewhere: the same here. */
export function revisit(host: Host): void {
  const { memberCount } = host.group;
  for (const id of [...Array.from({ length: memberCount }, (_, i) => i + 1), 0]) {
    const pci = host.function(id);
    const device = host.devices[id];
    // The owner has an administration virtqueue besides.
    for (let queue = 0; queue <= QUEUES; queue++) {
      if (device?.queueEnabled(queue) && !pci?.holdsBack(queue)) device.notify(queue);
    }
  }
}

export function memoryBytes(memory: RegionMemory): Uint8Array {
  const bytes = new Uint8Array(LENGTH);
  memory.read(BASE, bytes);
  return bytes;
}

export const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
/** Guest memory, in short. */
export const memoryOf = (memory: RegionMemory) =>
  createHash("sha256").update(memoryBytes(memory)).digest("hex");

/** What a driver does to the registers of one function, by hand. */
export class Hand {
  readonly #host: () => Host;
  readonly id: number;

  constructor(id: number, host: () => Host) {
    this.id = id;
    this.#host = host;
  }

  get pci(): PciDevice {
    const pci = this.#host().function(this.id);
    if (pci === undefined) throw new Error(`there is no function ${this.id}`);
    return pci;
  }

  get(field: CommonField): number {
    return this.pci.barRead(0, COMMON[field].offset, COMMON[field].width);
  }

  set(field: CommonField, value: number): void {
    this.pci.barWrite(0, COMMON[field].offset, COMMON[field].width, value);
  }

  command(...bits: (keyof typeof HEADER.command.bits)[]): void {
    const value = bits.reduce((mask, bit) => mask | HEADER.command.bits[bit].mask, 0);
    this.pci.configWrite(HEADER.command.offset, 2, value);
  }

  /** Where the capability with this id is. */
  capability(id: number): number {
    let at = this.pci.configRead(HEADER.capabilities_pointer.offset, 1);
    while (at !== 0 && this.pci.configRead(at, 1) !== id) at = this.pci.configRead(at + 1, 1);
    return at;
  }

  msix(enable: boolean, functionMask = false): void {
    const at = this.capability(0x11) + MSIX_CAPABILITY_LAYOUT.fields.message_control.offset;
    this.pci.configWrite(at, 2, (enable ? 0x8000 : 0) | (functionMask ? 0x4000 : 0));
  }

  entry(vector: number, data: number, masked = false): void {
    const at = vector * MSIX_ENTRY_LAYOUT.size;
    this.pci.barWrite(1, at, 4, 0xfee0_0000 + 0x1000 * this.id);
    this.pci.barWrite(1, at + 4, 4, 1);
    this.pci.barWrite(1, at + 8, 4, data);
    this.pci.barWrite(1, at + 12, 4, masked ? 1 : 0);
  }

  mask(vector: number, masked: boolean): void {
    this.pci.barWrite(1, vector * MSIX_ENTRY_LAYOUT.size + 12, 4, masked ? 1 : 0);
  }

  pending(): number {
    return this.pci.barRead(1, 0x800, 4);
  }

  isr(): number {
    return this.pci.barRead(0, 0x1000, 1);
  }

  readConfig(offset: number): number {
    return this.pci.barRead(0, 0x2000 + offset, 1);
  }

  writeConfig(offset: number, value: number): void {
    this.pci.barWrite(0, 0x2000 + offset, 1, value);
  }

  flr(): void {
    const at = this.capability(0x10) + PCI_EXPRESS_CAPABILITY_LAYOUT.fields.device_control.offset;
    this.pci.configWrite(at, 2, 0x8000);
  }

  /** NumVFs, and VF Enable with VF MSE. */
  enableVfs(count: number): void {
    const { num_vfs, control } = SRIOV_CAPABILITY_LAYOUT.fields;
    this.pci.configWrite(SRIOV_AT + num_vfs.offset, 2, count);
    this.pci.configWrite(SRIOV_AT + control.offset, 2, count === 0 ? 0 : 9);
  }

  /** As far as FEATURES_OK. */
  negotiate(features: readonly number[] = []): void {
    for (const status of [0, 1, 3]) this.set("device_status", status);
    const words = [0, 0];
    for (const bit of [FEATURE.VIRTIO_F_VERSION_1, ...features]) {
      words[bit >>> 5]! |= 1 << (bit & 31);
    }
    words.forEach((word, select) => {
      this.set("driver_feature_select", select);
      this.set("driver_feature", word >>> 0);
    });
    this.set("device_status", 0xb);
  }

  ringAt(queue: number): number {
    return BASE + (this.id * 3 + queue) * PAGE;
  }

  /** Enables a queue, mapped to a vector, over an empty ring. */
  enable(queue: number, vector = 0xffff): void {
    const base = this.ringAt(queue);
    this.#host().memory.write(base, new Uint8Array(PAGE));
    this.set("queue_select", queue);
    this.set("queue_msix_vector", vector);
    for (const [field, at] of [
      ["queue_desc", base],
      ["queue_driver", base + 0x400],
      ["queue_device", base + 0x800],
    ] as const) {
      this.pci.barWrite(0, COMMON[field].offset, 4, at);
      this.pci.barWrite(0, COMMON[field].offset + 4, 4, 0);
    }
    this.set("queue_enable", 1);
  }

  /** Up to DRIVER_OK, MSI-X in use: vector 0 for the configuration, 1 and 2 for queues. */
  bringUp(features: readonly number[] = []): void {
    this.command("memory_space", "bus_master");
    this.negotiate(features);
    this.msix(true);
    for (const vector of [0, 1, 2]) this.entry(vector, 0x20 + vector);
    this.set("config_msix_vector", 0);
    this.enable(0, 1);
    this.enable(1, 2);
    this.set("device_status", 0xf);
  }

  /** Makes one buffer of 4 bytes available. */
  offer(queue: number): void {
    const base = this.ringAt(queue);
    const { memory } = this.#host();
    const descriptor = new DataView(new ArrayBuffer(16));
    descriptor.setUint32(0, base + 0xc00, true);
    descriptor.setUint32(8, 4, true);
    descriptor.setUint16(12, 2, true);
    memory.write(base, new Uint8Array(descriptor.buffer));
    const index = this.#half(base + 0x402);
    memory.write(base + 0x404 + 2 * (index % RING), Uint8Array.of(0, 0));
    memory.write(base + 0x402, Uint8Array.of((index + 1) & 0xff, ((index + 1) >> 8) & 0xff));
  }

  notify(queue: number): void {
    this.set("queue_select", queue);
    const { offset } = this.pci.placement.windows.notify;
    this.pci.barWrite(0, offset + 4 * this.get("queue_notify_off"), 2, queue);
  }

  /** How many buffers were used, and what the last one holds. */
  used(queue: number): readonly [number, number] {
    const base = this.ringAt(queue);
    return [this.#half(base + 0x802), this.#half(base + 0xc00) & 0xff];
  }

  #half(address: number): number {
    const bytes = new Uint8Array(2);
    this.#host().memory.read(address, bytes);
    return bytes[0]! | (bytes[1]! << 8);
  }
}
