/**
 * Declared accessors against libraries of npm that describe bytes too, decoding the 24 bytes that
 * begin every administration command: opcode, group type, 12 reserved bytes, member id. Each library
 * as its own documentation uses it. A library that makes an object for each header is measured so:
 * that is what its users have.
 */
import { createRequire } from "node:module";
import { ADMIN_COMMAND_HEADER, accessors } from "@virtio-admin/core";
import { quantile } from "./pairs.ts";
import { nanoseconds } from "./subject.ts";

/** How long a library takes for one header, and against our accessors. */
export interface CodecLibrary {
  /** Its name and version. */
  readonly name: string;
  /** Nanoseconds for one header. */
  readonly ns: number;
  /** Its time ÷ ours, of neighbouring slices. */
  readonly over_ours: number;
}

const HEADERS = 256;
const SLICES = 31;
const WARM_UP = 5;
const HIGH = 2 ** 32;

type Decode = (bytes: Buffer) => number;

const header = accessors(ADMIN_COMMAND_HEADER);
const { size } = ADMIN_COMMAND_HEADER;
const require = createRequire(import.meta.url);

function ours(bytes: Buffer): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let sum = 0;
  for (let at = 0; at < bytes.length; at += size) {
    sum += header.opcode.get(view, at) + header.group_type.get(view, at);
    sum += header.group_member_id.getNumber(view, at);
  }
  return sum;
}

/** Its declarations are not found where its exports say. */
interface BinaryParser {
  endianness(order: "little"): BinaryParser;
  uint16(name: string): BinaryParser;
  uint32(name: string): BinaryParser;
  seek(bytes: number): BinaryParser;
  parse(
    bytes: Buffer,
  ): Readonly<Record<"opcode" | "group_type" | "member_low" | "member_high", number>>;
}

async function binaryParser(): Promise<Decode> {
  const name = "binary-parser";
  const { Parser } = (await import(name)) as { Parser: new () => BinaryParser };
  const parser = new Parser()
    .endianness("little")
    .uint16("opcode")
    .uint16("group_type")
    .seek(12)
    .uint32("member_low")
    .uint32("member_high");
  return (bytes) => {
    let sum = 0;
    for (let at = 0; at < bytes.length; at += size) {
      const parsed = parser.parse(bytes.subarray(at, at + size));
      sum += parsed.opcode + parsed.group_type + parsed.member_high * HIGH + parsed.member_low;
    }
    return sum;
  };
}

async function typedStruct(): Promise<Decode> {
  const { Struct } = await import("typed-struct");
  const Header = new Struct("Header")
    .UInt16LE("opcode")
    .UInt16LE("group_type")
    .Buffer("reserved", 12)
    .UInt32LE("member_low")
    .UInt32LE("member_high")
    .compile();
  return (bytes) => {
    let sum = 0;
    for (let at = 0; at < bytes.length; at += size) {
      const parsed = new Header(bytes.subarray(at, at + size));
      sum += parsed.opcode + parsed.group_type + parsed.member_high * HIGH + parsed.member_low;
    }
    return sum;
  };
}

interface Restructure {
  readonly Struct: new (fields: object) => { decode(stream: unknown): Record<string, number> };
  readonly DecodeStream: new (bytes: Uint8Array) => unknown;
  readonly Reserved: new (type: unknown, count: number) => unknown;
  readonly uint8: unknown;
  readonly uint16le: unknown;
  readonly uint32le: unknown;
}

async function restructure(): Promise<Decode> {
  const name = "restructure";
  const r = (await import(name)) as Restructure;
  const Header = new r.Struct({
    opcode: r.uint16le,
    group_type: r.uint16le,
    reserved: new r.Reserved(r.uint8, 12),
    member_low: r.uint32le,
    member_high: r.uint32le,
  });
  return (bytes) => {
    const stream = new r.DecodeStream(bytes);
    let sum = 0;
    for (let at = 0; at < bytes.length; at += size) {
      const { opcode = 0, group_type = 0, member_low = 0, member_high = 0 } = Header.decode(stream);
      sum += opcode + group_type + member_high * HIGH + member_low;
    }
    return sum;
  };
}

const LIBRARIES: Readonly<Record<string, () => Promise<Decode>>> = {
  "binary-parser": binaryParser,
  "typed-struct": typedStruct,
  restructure,
};

/** Measures every library, slice by slice in turns with our accessors. */
export async function measureCodecLibraries(
  slices: number = SLICES,
): Promise<readonly CodecLibrary[]> {
  const bytes = sampleHeaders();
  const wanted = ours(bytes);
  const found: CodecLibrary[] = [];
  for (const [name, make] of Object.entries(LIBRARIES)) {
    const decode = await make();
    if (decode(bytes) !== wanted) throw new Error(`${name} decodes something else`);
    for (let i = 0; i < WARM_UP; i++) {
      slice(decode, bytes);
      slice(ours, bytes);
    }
    const times: number[] = [];
    const ratios: number[] = [];
    for (let i = 0; i < slices; i++) {
      const theirs = slice(decode, bytes);
      times.push(theirs);
      ratios.push(theirs / slice(ours, bytes));
    }
    const { version } = require(manifestOf(name)) as { version: string };
    found.push({
      name: `${name} ${version}`,
      ns: quantile(times, 0.5),
      over_ours: quantile(ratios, 0.5),
    });
  }
  return found;
}

/** A package need not let its manifest be imported by name. */
function manifestOf(name: string): string {
  const paths = require.resolve.paths(name) ?? [];
  const { existsSync } = require("node:fs") as typeof import("node:fs");
  const places = paths.map((path) => `${path}/${name}/package.json`);
  return places.find((place) => existsSync(place)) ?? `${name}/package.json`;
}

const ROUNDS = 4;
let sink = 0;

function slice(decode: Decode, bytes: Buffer): number {
  const from = nanoseconds();
  for (let round = 0; round < ROUNDS; round++) sink += decode(bytes);
  if (Number.isNaN(sink)) throw new Error("a header decoded to no number");
  return (nanoseconds() - from) / (ROUNDS * HEADERS);
}

function sampleHeaders(): Buffer {
  const bytes = Buffer.alloc(HEADERS * size);
  for (let at = 0; at < bytes.length; at += size) {
    bytes.writeUInt16LE((at * 7) & 0xffff, at);
    bytes.writeUInt16LE(1, at + 2);
    bytes.writeUInt32LE((at * 3) >>> 0, at + 16);
  }
  return bytes;
}
