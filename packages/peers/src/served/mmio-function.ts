/**
 * A plain PCI function with a window of virtio-mmio registers in BAR 0: what carries our MMIO device
 * half to a guest over vfio-user. Its interrupt line is INTx.
 */
import { accessors, type TransportFacingDevice } from "@virtio-admin/core";
import { MMIO_RATIFIED_LAYOUT, MmioDevice } from "@virtio-admin/transport-mmio";
import { PCI_HEADER_LAYOUT, type PciInterruptSink } from "@virtio-admin/transport-pci";
import type { VfioUserFunction } from "@virtio-admin/vfio-user";

/** The BAR, in bytes: firmware places it at a multiple of it. */
export const WINDOW_BAR_BYTES = 0x1_0000;

const CONFIG_BYTES = 256;
/** No vendor's, and of no class: nothing but what drives the window is to drive it. */
const IDENTITY = { vendor: 0x1234, device: 0xfffe, baseClass: 0xff } as const;
const HEADER = accessors(PCI_HEADER_LAYOUT);
const BAR_0 = PCI_HEADER_LAYOUT.fields.bar.offset;
const { command, interrupt_line: interruptLine } = PCI_HEADER_LAYOUT.fields;
const INTX_DISABLE = command.bits.interrupt_disable.mask;
const COMMAND_BITS = command.bits.memory_space.mask | command.bits.bus_master.mask | INTX_DISABLE;
const QUEUE_NOTIFY = MMIO_RATIFIED_LAYOUT.registers["QueueNotify"]?.offset ?? 0;
const UNIT_BYTES = 4;

/** The function. */
export class MmioFunction implements VfioUserFunction {
  readonly placement: VfioUserFunction["placement"] = {
    configSize: CONFIG_BYTES,
    identity: { interruptPin: 1 },
    windows: { notify: { bar: 0, offset: QUEUE_NOTIFY, length: UNIT_BYTES } },
  };
  readonly msixVectors = undefined;
  readonly vectorMasking = undefined;
  interruptSink: PciInterruptSink | undefined;
  readonly #device: TransportFacingDevice;
  readonly #window: MmioDevice;
  readonly #config = new Uint8Array(CONFIG_BYTES);
  readonly #view = new DataView(this.#config.buffer);

  /** Connects the window to a device. */
  constructor(device: TransportFacingDevice) {
    this.#device = device;
    this.#window = new MmioDevice({
      device,
      onInterrupt: () => this.interruptSink?.intx(this.interruptLine),
    });
    this.#resetConfig();
  }

  /** Where firmware has placed the window; 0 until it has. */
  get base(): number {
    return this.#view.getUint32(BAR_0, true);
  }

  /** See {@link VfioUserFunction.interruptLine}. */
  get interruptLine(): boolean {
    const disabled = (HEADER.command.get(this.#view, 0) & INTX_DISABLE) !== 0;
    return this.#window.interruptLine && !disabled;
  }

  /** See {@link VfioUserFunction.barLength}. */
  barLength(bar: number): number {
    return bar === 0 ? WINDOW_BAR_BYTES : 0;
  }

  /** See {@link VfioUserFunction.configReadBytes}. */
  configReadBytes(offset: number, target: Uint8Array): void {
    target.set(this.#config.subarray(offset, offset + target.length));
  }

  /** See {@link VfioUserFunction.configWriteBytes}. */
  configWriteBytes(offset: number, source: Uint8Array): void {
    const before = this.interruptLine;
    source.forEach((byte, i) => {
      const at = offset + i;
      const mask = writableBits(at);
      this.#config[at] = ((this.#config[at] ?? 0) & ~mask) | (byte & mask);
    });
    if (this.interruptLine !== before) this.interruptSink?.intx(this.interruptLine);
  }

  /** See {@link VfioUserFunction.barReadBytes}. */
  barReadBytes(_bar: number, offset: number, target: Uint8Array): void {
    inUnits(offset, target.length, (at, size) => {
      const value = this.#window.read(offset + at, size);
      for (let i = 0; i < size; i++) target[at + i] = value >>> (8 * i);
    });
  }

  /** See {@link VfioUserFunction.barWriteBytes}. */
  barWriteBytes(_bar: number, offset: number, source: Uint8Array): void {
    inUnits(offset, source.length, (at, size) => {
      let value = 0;
      for (let i = size - 1; i >= 0; i--) value = value * 0x100 + (source[at + i] ?? 0);
      this.#window.write(offset + at, size, value);
    });
  }

  /** See {@link VfioUserFunction.reset}. */
  reset(): void {
    this.#device.reset();
    this.#resetConfig();
  }

  /** See {@link VfioUserFunction.poll}. */
  poll(): boolean {
    return this.#device.poll();
  }

  /** See {@link VfioUserFunction.endPolling}. */
  endPolling(): void {
    this.#device.endPolling();
  }

  #resetConfig(): void {
    const view = this.#view;
    this.#config.fill(0);
    HEADER.vendor_id.set(view, 0, IDENTITY.vendor);
    HEADER.device_id.set(view, 0, IDENTITY.device);
    HEADER.base_class.set(view, 0, IDENTITY.baseClass);
    HEADER.interrupt_pin.set(view, 0, this.placement.identity.interruptPin);
  }
}

/** Which bits of a byte of configuration space are not read-only. */
function writableBits(at: number): number {
  const byteOf = (value: number, from: number) => (value >>> (8 * (at - from))) & 0xff;
  if (at >= BAR_0 && at < BAR_0 + UNIT_BYTES) return byteOf(-WINDOW_BAR_BYTES, BAR_0);
  if (at >= command.offset && at < command.offset + command.width) {
    return byteOf(COMMAND_BITS, command.offset);
  }
  return at === interruptLine.offset ? 0xff : 0;
}

/** Cuts a run of bytes into aligned accesses of 4, 2 or 1 bytes. */
function inUnits(offset: number, length: number, access: (at: number, size: number) => void): void {
  for (let at = 0; at < length; ) {
    const size = [UNIT_BYTES, 2].find((unit) => (offset + at) % unit === 0 && length - at >= unit);
    access(at, size ?? 1);
    at += size ?? 1;
  }
}
