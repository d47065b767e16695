/**
 * ACPI tables that tell a guest of windows of virtio-mmio registers: a secondary description table
 * (SSDT) whose AML is built here, as it is no more than this (ACPI 6.5, sections 5.2.11, 6.4, 20.2).
 */

/** A window of registers. */
export interface MmioWindow {
  /** Where it begins in the guest's physical memory. */
  readonly base: number;
  /** Its length in bytes. */
  readonly length: number;
  /** The global system interrupt that its line is connected to: level-triggered, active high. */
  readonly interrupt: number;
}

/** The hardware id that Linux' virtio_mmio binds to. */
const HARDWARE_ID = "LNRO0005";
const HEADER_BYTES = 36;
const CHECKSUM_AT = 9;
const REVISION = 2;
const MAKER = { oem: "VADMIN", table: "VMMIO   ", creator: "VADM" } as const;

/** Opcodes of AML, as bytes. */
const AML = {
  zero: [0x00],
  name: [0x08],
  byte: [0x0a],
  string: [0x0d],
  scope: [0x10],
  buffer: [0x11],
  device: [0x5b, 0x82],
} as const;

/** The first bytes of resource descriptors, and their flags. */
const RESOURCE = {
  memory32Fixed: 0x86,
  readWrite: 1,
  interrupt: 0x89,
  /** A consumer, level-triggered, active high, shared. */
  interruptFlags: 0b0000_1001,
  end: 0x79,
} as const;

/** A table with a device for each window, `VR00` and up; at most 16. */
export function virtioMmioTable(windows: readonly MmioWindow[]): Uint8Array {
  const devices = windows.flatMap((window, i) => deviceOf(window, i));
  const body = block(AML.scope, [...text("\\_SB_"), ...devices]);
  const bytes = Uint8Array.from([
    ...text("SSDT"),
    ...le32(HEADER_BYTES + body.length),
    ...[REVISION, 0],
    ...text(MAKER.oem),
    ...text(MAKER.table),
    ...le32(1),
    ...text(MAKER.creator),
    ...le32(1),
    ...body,
  ]);
  // All bytes of a table add up to 0.
  bytes[CHECKSUM_AT] = -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
  return bytes;
}

function deviceOf({ base, length, interrupt }: MmioWindow, index: number): number[] {
  const resources = [
    ...[RESOURCE.memory32Fixed, ...le16(9), RESOURCE.readWrite, ...le32(base), ...le32(length)],
    ...[RESOURCE.interrupt, ...le16(6), RESOURCE.interruptFlags, 1, ...le32(interrupt)],
    // A checksum of 0 is none.
    ...[RESOURCE.end, 0],
  ];
  return block(AML.device, [
    ...text(`VR0${index.toString(16).toUpperCase()}`),
    ...[...AML.name, ...text("_HID"), ...AML.string, ...text(`${HARDWARE_ID}\0`)],
    ...[...AML.name, ...text("_UID"), ...(index === 0 ? AML.zero : [...AML.byte, index])],
    ...[...AML.name, ...text("_CRS")],
    ...block(AML.buffer, [...AML.byte, resources.length, ...resources]),
  ]);
}

/** An opcode whose contents are preceded by their length, which counts itself. */
function block(opcode: readonly number[], contents: readonly number[]): number[] {
  const bytes = [1, 2, 3, 4].find((count) => contents.length + count < lengthLimit(count)) ?? 4;
  const length = contents.length + bytes;
  if (bytes === 1) return [...opcode, length, ...contents];
  // The low four bits stand beside how many bytes follow.
  const first = ((bytes - 1) << 6) | (length & 0xf);
  const rest = Array.from({ length: bytes - 1 }, (_, i) => (length >>> (4 + 8 * i)) & 0xff);
  return [...opcode, first, ...rest, ...contents];
}

/** What a length in so many bytes is below. */
function lengthLimit(bytes: number): number {
  return bytes === 1 ? 1 << 6 : 1 << (4 + 8 * (bytes - 1));
}

function text(characters: string): number[] {
  return [...characters].map((character) => character.charCodeAt(0));
}

function le16(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff];
}

function le32(value: number): number[] {
  return [...le16(value), ...le16(value >>> 16)];
}
