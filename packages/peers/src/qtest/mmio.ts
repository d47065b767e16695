/** A window of virtio-mmio registers of a machine under qtest, as the bus of our driver half. */
import { VirtioError } from "@virtio-admin/core";
import { MMIO_MAGIC, MMIO_RATIFIED_LAYOUT, type MmioBus } from "@virtio-admin/transport-mmio";
import type { MmioBoard } from "./boards.ts";
import type { AccessSize, QtestClient } from "./client.ts";

const { MagicValue, DeviceID } = MMIO_RATIFIED_LAYOUT.registers;

/** One window. Its interrupt line is the only one of the machine that anything is connected to. */
export class QtestMmioBus implements MmioBus {
  /** Where it is. */
  readonly base: number;
  readonly #client: QtestClient;
  readonly #high = new Set<number>();
  #handler: (() => void) | undefined;

  private constructor(client: QtestClient, base: number) {
    this.#client = client;
    this.base = base;
    client.onLine = (line, high) => {
      if (!high) this.#high.delete(line);
      else {
        this.#high.add(line);
        this.#handler?.();
      }
    };
  }

  /** Finds the window that has a device. @throws VirtioError `DEVICE_UNKNOWN` where none has */
  static async find(client: QtestClient, { windows }: MmioBoard): Promise<QtestMmioBus> {
    const { base, stride, count } = windows;
    for (let i = 0; i < count; i++) {
      const window = base + i * stride;
      const magic = await client.read(window + offsetOf(MagicValue), 4);
      const device = await client.read(window + offsetOf(DeviceID), 4);
      if (magic === MMIO_MAGIC && device !== 0) return new QtestMmioBus(client, window);
    }
    throw new VirtioError("DEVICE_UNKNOWN", {
      message: `no device in ${count} windows`,
      path: "qtest.windows",
      value: base,
    });
  }

  /** True while the interrupt line is high. */
  get asserted(): boolean {
    return this.#high.size > 0;
  }

  /** See `MmioBus.read`. */
  read(offset: number, size: number): Promise<number> {
    return this.#client.read(this.base + offset, size as AccessSize);
  }

  /** See `MmioBus.write`. */
  write(offset: number, size: number, value: number): Promise<void> {
    return this.#client.write(this.base + offset, size as AccessSize, value);
  }

  /** See `MmioBus.onInterrupt`. */
  onInterrupt(handler: (() => void) | undefined): void {
    this.#handler = handler;
    if (this.#high.size > 0) handler?.();
  }
}

function offsetOf(register: { readonly offset: number } | undefined): number {
  return register?.offset ?? Number.NaN;
}
