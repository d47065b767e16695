/** A PCI function around a small device type, as tests want it. */
import {
  AdminExecutor,
  AdminQueues,
  ConfigSpace,
  createGuestMemory,
  type DeviceHost,
  type DeviceModel,
  DmaArena,
  FEATURE,
  type InterruptListener,
  SelfGroup,
  type TraceEvent,
  VirtioDevice,
  type VirtioDeviceInit,
} from "@virtio-admin/core";
import { PciDevice, type PciDeviceInit } from "@virtio-admin/transport-pci";
import {
  type CommonField,
  MSIX_ENTRY_LAYOUT,
  PCI_HEADER_LAYOUT,
  VIRTIO_PCI_COMMON_CFG_LAYOUT,
} from "../src/layout.ts";

export const MEMORY_BASE = 0x10_0000;
export const MEMORY_LENGTH = 0x10_0000;
export const HEADER = PCI_HEADER_LAYOUT.fields;
export const COMMON = VIRTIO_PCI_COMMON_CFG_LAYOUT.fields;
export const DEVICE_ID = 4;

/** Of the configuration space; its last byte is read-only. */
export const CONFIG_BYTES = Uint8Array.from({ length: 16 }, (_, i) => 0x10 + i);

/** Uses every buffer at once, filled with 0x5a, and writes down which queues were notified. */
export class SampleModel implements DeviceModel {
  readonly name = "sample";
  readonly deviceId = DEVICE_ID;
  readonly features: readonly number[] = [0, 5];
  readonly queues;
  readonly config?: ConfigSpace;
  readonly notified: number[] = [];
  host!: DeviceHost;

  constructor(queueCount: number, config: boolean) {
    this.queues = Array.from({ length: queueCount }, (_, i) => ({ name: `q${i}`, maxSize: 64 }));
    if (config) {
      this.config = new ConfigSpace({
        bytes: CONFIG_BYTES,
        writable: new Uint8Array(CONFIG_BYTES.length - 1).fill(0xff),
      });
    }
  }

  attach(host: DeviceHost): void {
    this.host = host;
  }

  queueNotified(index: number): void {
    this.notified.push(index);
    const queue = this.host.queue(index);
    if (queue === undefined) return;
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      queue.push(chain, queue.write(chain, 0, new Uint8Array(chain.writableLength).fill(0x5a)));
    }
    this.host.publish(index);
  }

  reset(): void {}
}

export interface RigOptions extends Omit<PciDeviceInit, "device"> {
  readonly queues?: number;
  readonly adminQueues?: number;
  /** The device-independent features; those of the device core unless given. */
  readonly features?: readonly number[];
  readonly config?: boolean;
  readonly trace?: boolean;
}

export interface Message {
  readonly vector: number;
  readonly address: number;
  readonly data: number;
}

/** The device half alone, with what its interrupts did. */
export function makeRig(options: RigOptions = {}) {
  const { queues = 2, adminQueues = 1, config = true, trace = false, features, ...init } = options;
  const bytes = new Uint8Array(MEMORY_LENGTH);
  const memory = createGuestMemory([{ base: MEMORY_BASE, bytes }]);
  const dma = new DmaArena(memory, MEMORY_BASE, MEMORY_LENGTH);
  const model = new SampleModel(queues, config);
  const executor = new AdminExecutor({ groups: [new SelfGroup()] });
  const events: TraceEvent[] = [];
  const deviceInit: VirtioDeviceInit = {
    model,
    memory,
    ...(features === undefined ? {} : { features }),
    ...(adminQueues === 0
      ? {}
      : { admin: new AdminQueues({ executor, count: adminQueues, maxSize: 16 }) }),
    ...(trace ? { trace: { emit: (event: TraceEvent) => void events.push(event) } } : {}),
  };
  const device = new VirtioDevice(deviceInit);
  const messages: Message[] = [];
  const lines: boolean[] = [];
  const pci = new PciDevice({
    device,
    interruptSink: {
      msix: (vector, address, data) => void messages.push({ vector, address, data }),
      intx: (asserted) => void lines.push(asserted),
    },
    ...init,
  });
  const { windows } = pci.placement;
  const at = (field: CommonField) => windows.common.offset + COMMON[field].offset;
  const rig = {
    bytes,
    memory,
    dma,
    model,
    device,
    pci,
    events,
    messages,
    lines,
    windows,
    /** Reads a field of the common configuration in its own width. */
    get: (field: CommonField) => pci.barRead(windows.common.bar, at(field), COMMON[field].width),
    /** Writes a field of the common configuration in its own width. */
    set: (field: CommonField, value: number) =>
      pci.barWrite(windows.common.bar, at(field), COMMON[field].width, value),
    /** Reads a raw place of the common configuration. */
    raw: (offset: number, size: number) =>
      pci.barRead(windows.common.bar, windows.common.offset + offset, size),
    setRaw: (offset: number, size: number, value: number) =>
      pci.barWrite(windows.common.bar, windows.common.offset + offset, size, value),
    isr: () => pci.barRead(windows.isr.bar, windows.isr.offset, 1),
    command: (...bits: (keyof typeof HEADER.command.bits)[]) =>
      pci.configWrite(
        HEADER.command.offset,
        2,
        bits.reduce((mask, bit) => mask | HEADER.command.bits[bit].mask, 0),
      ),
    /** Writes a table entry and unmasks it. */
    entry: (vector: number, address: number, data: number, masked = false) => {
      const { bar, offset } = pci.placement.msix!.table;
      const base = offset + vector * MSIX_ENTRY_LAYOUT.size;
      pci.barWrite(bar, base, 4, address >>> 0);
      pci.barWrite(bar, base + 4, 4, Math.floor(address / 2 ** 32));
      pci.barWrite(bar, base + 8, 4, data);
      pci.barWrite(bar, base + 12, 4, masked ? 1 : 0);
    },
    /** Where the capability with this name begins. */
    capability: (wanted: (at: number) => boolean) => {
      let place = pci.configRead(HEADER.capabilities_pointer.offset, 1);
      while (place !== 0 && !wanted(place)) place = pci.configRead(place + 1, 1);
      return place;
    },
    msixControlAt: () => rig.capability((place) => pci.configRead(place, 1) === 0x11) + 2,
    setMsix: (enable: boolean, mask = false) =>
      pci.configWrite(rig.msixControlAt(), 2, (enable ? 0x8000 : 0) | (mask ? 0x4000 : 0)),
    /** Writes the features and goes as far as FEATURES_OK. */
    negotiate: (features: readonly number[]) => {
      rig.set("device_status", 0);
      rig.set("device_status", 1);
      rig.set("device_status", 3);
      const words = [0, 0];
      for (const bit of [FEATURE.VIRTIO_F_VERSION_1, ...features]) {
        words[bit >>> 5]! |= 1 << (bit & 31);
      }
      words.forEach((word, select) => {
        rig.set("driver_feature_select", select);
        rig.set("driver_feature", word >>> 0);
      });
      rig.set("device_status", 0xb);
      return rig.get("device_status");
    },
    /** Places a split queue of 8 entries in memory and enables it. */
    enable: (queue: number, base = MEMORY_BASE + queue * 0x1000) => {
      rig.set("queue_select", queue);
      rig.set("queue_size", 8);
      rig.setRaw(COMMON.queue_desc.offset, 4, base);
      rig.setRaw(COMMON.queue_driver.offset, 4, base + 0x400);
      rig.setRaw(COMMON.queue_device.offset, 4, base + 0x800);
      rig.set("queue_enable", 1);
      return rig.get("queue_enable");
    },
    /** Makes one buffer of 16 writable bytes available in a queue that {@link enable} placed. */
    offer: (queue: number, base = MEMORY_BASE + queue * 0x1000) => {
      const view = new DataView(bytes.buffer, base - MEMORY_BASE);
      view.setBigUint64(0, BigInt(base + 0xc00), true);
      view.setUint32(8, 16, true);
      view.setUint16(12, 2, true);
      const index = view.getUint16(0x402, true);
      view.setUint16(0x404 + 2 * (index % 8), 0, true);
      view.setUint16(0x402, index + 1, true);
    },
    notify: (queue: number) => {
      const { bar, offset } = windows.notify;
      rig.set("queue_select", queue);
      const address = rig.get("queue_notify_off") * pci.placement.notifyOffMultiplier;
      pci.barWrite(bar, offset + address, 2, queue);
    },
  };
  rig.command("memory_space", "bus_master");
  return rig;
}

export type Rig = ReturnType<typeof makeRig>;

/** A listener that writes down what it hears. */
export function makeListener() {
  const used: (number | undefined)[] = [];
  const failures: unknown[] = [];
  const heard = { used, failures, configuration: 0 };
  const listener: InterruptListener = {
    usedBuffers: (queue) => void used.push(queue),
    configurationChange: () => {
      heard.configuration++;
    },
    failed: (error) => void failures.push(error),
  };
  return { heard, listener };
}
