/**
 * MSI-X of one function: the table, the pending bits, and when a message is sent.
 *
 * A message waits, as a pending bit, while its vector or the function is masked or the function
 * may not master the bus, and is sent once nothing holds it back. Accesses are aligned dwords, as
 * PCI requires; others read 0 and are ignored.
 */
import { accessors, addressFromHex, addressToHex, VirtioError } from "@virtio-admin/core";
import { MSIX_ENTRY_LAYOUT, MSIX_VECTORS_MAX } from "./layout.ts";
import type { SavedMsix } from "./saved-state.ts";

const ENTRY = accessors(MSIX_ENTRY_LAYOUT);
const ENTRY_BYTES = MSIX_ENTRY_LAYOUT.size;
const MASK = MSIX_ENTRY_LAYOUT.fields.vector_control.bits.mask.mask;
const CONTROL_AT = MSIX_ENTRY_LAYOUT.fields.vector_control.offset;
/** Messages are dwords: the low two address bits are always 0. */
const ADDRESS_LOW_MASK = 0xfffffffc;
const DWORD = 4;
/** The pending bits come in units of 64. */
const PENDING_UNIT_BITS = 64;

/** Where the messages of vectors go. */
export interface MsixReceiver {
  /** Sends the message of a vector. Must not throw. */
  message(vector: number, address: number, data: number): void;
}

/**
 * Who holds back a masked vector: the device, which has the table, or the VMM in front of it,
 * which keeps the table away from the device (as VFIO does). Then masks and messages of the table
 * are not looked at.
 */
export type VectorMasking = "table" | "vmm";

/** The bytes that the table of `vectors` entries takes. */
export function msixTableBytes(vectors: number): number {
  return vectors * ENTRY_BYTES;
}

/** The bytes that the pending bits of `vectors` entries take. */
export function msixPendingBytes(vectors: number): number {
  return Math.ceil(vectors / PENDING_UNIT_BITS) * (PENDING_UNIT_BITS / 8);
}

/** The MSI-X table of one function. */
export class MsixTable {
  /** The most vectors that there can be: what the table has room for. */
  readonly capacity: number;
  /** Who holds back masked vectors. */
  readonly masking: VectorMasking;

  #vectors: number;
  readonly #receiver: MsixReceiver;
  /** Absent while all entries are as after a reset. */
  #table: DataView | undefined = undefined;
  /** Absent while nothing has been pending since the last reset. */
  #pending: DataView | undefined = undefined;
  #enabled = false;
  #functionMask = false;
  #busMaster = false;
  #held = false;

  /** @throws VirtioError `VALUE_RANGE` when `vectors` is not 1 to 2048. */
  constructor(vectors: number, receiver: MsixReceiver, masking: VectorMasking = "table") {
    if (!Number.isInteger(vectors) || vectors < 1 || vectors > MSIX_VECTORS_MAX) {
      throw new VirtioError("VALUE_RANGE", {
        message: `an MSI-X table has 1 to ${MSIX_VECTORS_MAX} vectors`,
        path: "msix.vectors",
        value: vectors,
      });
    }
    this.capacity = vectors;
    this.#vectors = vectors;
    this.#receiver = receiver;
    this.masking = masking;
  }

  /** The number of vectors now, 1 to {@link capacity}. */
  get vectors(): number {
    return this.#vectors;
  }

  /**
   * Makes it a table of this many vectors, 1 to {@link capacity}, while MSI-X is off. The entries
   * are as after a reset.
   */
  resize(vectors: number): void {
    this.#vectors = vectors;
    this.#clear();
  }

  /** True while MSI-X Enable is set. */
  get enabled(): boolean {
    return this.#enabled;
  }

  /**
   * Takes over the switches from Message Control and Command. What they held back is sent by the next
   * {@link release}.
   */
  configure(enabled: boolean, functionMask: boolean, busMaster: boolean): void {
    this.#enabled = enabled;
    this.#functionMask = functionMask;
    this.#busMaster = busMaster;
  }

  /** Sends the messages that nothing holds back any more. */
  release(): void {
    if (this.#open) for (let vector = 0; vector < this.vectors; vector++) this.#release(vector);
  }

  /** Holds every message back, whatever the switches say, or ends that. No reset changes it. */
  hold(on: boolean): void {
    this.#held = on;
    this.release();
  }

  /** Sends the message of `vector`, or makes it pending. Ignored for no vector of the table. */
  raise(vector: number): void {
    if (vector < 0 || vector >= this.vectors || !this.#enabled) return;
    if (!this.#open || this.#masked(vector)) this.#setPending(vector, true);
    else this.#send(vector);
  }

  /** True while the message of `vector` waits. */
  isPending(vector: number): boolean {
    if (this.#pending === undefined || vector < 0 || vector >= this.vectors) return false;
    return ((this.#pending.getUint8(vector >>> 3) >>> (vector & 7)) & 1) === 1;
  }

  /** Forgets what waits: after a device reset nothing may be sent for what was before. */
  clearPending(): void {
    if (this.#pending !== undefined) new Uint8Array(this.#pending.buffer).fill(0);
  }

  /** Puts table, pending bits and switches back to their values after a function reset. */
  reset(): void {
    this.#enabled = false;
    this.#functionMask = false;
    this.#busMaster = false;
    this.#clear();
  }

  /** Reads the table; 0 beyond its last vector. */
  read(offset: number, size: number): number {
    if (!this.#isEntry(offset, size)) return 0;
    return this.#table === undefined ? atReset(offset) : this.#table.getUint32(offset, true);
  }

  /** Writes the table; unmasking a vector sends what was pending. */
  write(offset: number, size: number, value: number): void {
    if (!this.#isEntry(offset, size)) return;
    const at = offset % ENTRY_BYTES;
    const kept = at === 0 ? value & ADDRESS_LOW_MASK : at === CONTROL_AT ? value & MASK : value;
    if (this.#table !== undefined || kept !== atReset(offset)) {
      this.#table ??= tableAtReset(this.capacity);
      this.#table.setUint32(offset, kept >>> 0, true);
    }
    if (at === CONTROL_AT && this.#open) this.#release((offset - at) / ENTRY_BYTES);
  }

  /** Reads the pending bits, which no driver writes. */
  readPending(offset: number, size: number): number {
    return this.#pending !== undefined && isDword(offset, size, this.#pending.byteLength)
      ? this.#pending.getUint32(offset, true)
      : 0;
  }

  /** The table and its pending bits; `undefined` when both are as after a reset. */
  save(): SavedMsix | undefined {
    const vectors = Array.from({ length: this.#vectors }, (_, vector) => vector);
    const entries = this.#table;
    const table =
      entries === undefined ? [] : vectors.flatMap((vector) => entryOf(entries, vector));
    const pending = vectors.filter((vector) => this.isPending(vector));
    return table.length + pending.length === 0 ? undefined : { table, pending };
  }

  /** Puts in place what {@link save} told of as many vectors; nothing is sent before {@link release}. */
  put(saved: SavedMsix | undefined): void {
    this.#clear();
    if (saved === undefined) return;
    const entries = tableAtReset(this.capacity);
    if (saved.table.length > 0) this.#table = entries;
    for (const { vector, address, data, masked } of saved.table) {
      const at = vector * ENTRY_BYTES;
      const [low, high] = addressFromHex(address);
      ENTRY.message_address.setLow(entries, at, low);
      ENTRY.message_address.setHigh(entries, at, high);
      ENTRY.message_data.set(entries, at, data);
      ENTRY.vector_control.set(entries, at, masked ? MASK : 0);
    }
    for (const vector of saved.pending) this.#setPending(vector, true);
  }

  #isEntry(offset: number, size: number): boolean {
    return isDword(offset, size, msixTableBytes(this.#vectors));
  }

  #clear(): void {
    this.#table = undefined;
    this.#pending = undefined;
  }

  get #open(): boolean {
    return this.#enabled && !this.#functionMask && this.#busMaster && !this.#held;
  }

  #masked(vector: number): boolean {
    if (this.masking === "vmm") return false;
    if (this.#table === undefined) return true;
    return (ENTRY.vector_control.get(this.#table, vector * ENTRY_BYTES) & MASK) !== 0;
  }

  #release(vector: number): void {
    if (!this.isPending(vector) || this.#masked(vector)) return;
    this.#setPending(vector, false);
    this.#send(vector);
  }

  #setPending(vector: number, pending: boolean): void {
    this.#pending ??= new DataView(new ArrayBuffer(msixPendingBytes(this.capacity)));
    const bit = 1 << (vector & 7);
    const byte = this.#pending.getUint8(vector >>> 3);
    this.#pending.setUint8(vector >>> 3, pending ? byte | bit : byte & ~bit);
  }

  #send(vector: number): void {
    const at = vector * ENTRY_BYTES;
    const table = this.#table;
    const address = table === undefined ? 0 : ENTRY.message_address.getNumber(table, at);
    const data = table === undefined ? 0 : ENTRY.message_data.get(table, at);
    this.#receiver.message(vector, address, data);
  }
}

/** What a dword of the table reads after a reset: every vector is masked. */
function atReset(offset: number): number {
  return offset % ENTRY_BYTES === CONTROL_AT ? MASK : 0;
}

function entryOf(table: DataView, vector: number): SavedMsix["table"] {
  const at = vector * ENTRY_BYTES;
  const low = ENTRY.message_address.getLow(table, at);
  const high = ENTRY.message_address.getHigh(table, at);
  const data = ENTRY.message_data.get(table, at);
  const masked = (ENTRY.vector_control.get(table, at) & MASK) !== 0;
  if (low === 0 && high === 0 && data === 0 && masked) return [];
  return [{ vector, address: addressToHex(low, high), data, masked }];
}

function tableAtReset(vectors: number): DataView {
  const table = new DataView(new ArrayBuffer(msixTableBytes(vectors)));
  for (let vector = 0; vector < vectors; vector++) {
    ENTRY.vector_control.set(table, vector * ENTRY_BYTES, MASK);
  }
  return table;
}

function isDword(offset: number, size: number, length: number): boolean {
  return size === DWORD && offset % DWORD === 0 && offset >= 0 && offset + DWORD <= length;
}
