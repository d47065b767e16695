/**
 * Declared accessors against DataView code written by hand, on the 24 bytes that begin every
 * administration command. The two take turns, slice by slice, so that a busy machine slows both.
 */
import { ADMIN_COMMAND_HEADER, accessors } from "@virtio-admin/core";

/** What one comparison found. */
export interface CodecRatio {
  /** What was compared. */
  readonly name: "decode" | "encode";
  /** Nanoseconds for one header through the accessors: the median over the slices. */
  readonly accessorNanoseconds: number;
  /** Nanoseconds for one header by hand: the median over the slices. */
  readonly handNanoseconds: number;
  /** The median of the ratios of neighbouring slices, accessors over hand: 1 is as fast. */
  readonly ratio: number;
}

const HEADERS = 1024;
const ROUNDS = 200;
const WARM_UP = 5;
const WORD = 0x1_0000_0000;

const header = accessors(ADMIN_COMMAND_HEADER);
const { size } = ADMIN_COMMAND_HEADER;

function decodeDeclared(view: DataView): number {
  let sum = 0;
  for (let at = 0; at < HEADERS * size; at += size) {
    sum +=
      header.opcode.get(view, at) +
      header.group_type.get(view, at) +
      header.group_member_id.getLow(view, at) +
      header.group_member_id.getHigh(view, at);
  }
  return sum;
}

function decodeByHand(view: DataView): number {
  let sum = 0;
  for (let at = 0; at < HEADERS * size; at += size) {
    sum +=
      view.getUint16(at, true) +
      view.getUint16(at + 2, true) +
      view.getUint32(at + 16, true) +
      view.getUint32(at + 20, true);
  }
  return sum;
}

function encodeDeclared(view: DataView): number {
  for (let at = 0; at < HEADERS * size; at += size) {
    header.opcode.set(view, at, at & 0xffff);
    header.group_type.set(view, at, 1);
    header.group_member_id.setNumber(view, at, at * 3);
  }
  return view.getUint16(size, true);
}

function encodeByHand(view: DataView): number {
  for (let at = 0; at < HEADERS * size; at += size) {
    view.setUint16(at, at & 0xffff, true);
    view.setUint16(at + 2, 1, true);
    view.setUint32(at + 16, at * 3, true);
    view.setUint32(at + 20, (at * 3) / WORD, true);
  }
  return view.getUint16(size, true);
}

/**
 * Measures decoding and encoding of the administration command header.
 *
 * @param slices how many slices each side gets; at least 10
 * @returns one result for each direction
 */
export function measureCodec(slices = 31): readonly CodecRatio[] {
  return [
    compare("decode", decodeDeclared, decodeByHand, slices),
    compare("encode", encodeDeclared, encodeByHand, slices),
  ];
}

type Side = (view: DataView) => number;

function compare(
  name: CodecRatio["name"],
  declared: Side,
  byHand: Side,
  slices: number,
): CodecRatio {
  const view = sampleHeaders();
  if (declared(view) !== byHand(view)) throw new Error(`codec ${name}: the two sides disagree`);
  for (let i = 0; i < WARM_UP; i++) {
    slice(declared, view);
    slice(byHand, view);
  }
  const declaredTimes: number[] = [];
  const handTimes: number[] = [];
  const ratios: number[] = [];
  for (let i = 0; i < Math.max(10, slices); i++) {
    // Who goes first alternates, so that a drift of the clock speed favours neither.
    const first = i % 2 === 0 ? slice(declared, view) : slice(byHand, view);
    const second = i % 2 === 0 ? slice(byHand, view) : slice(declared, view);
    const [ofDeclared, ofHand] = i % 2 === 0 ? [first, second] : [second, first];
    declaredTimes.push(ofDeclared);
    handTimes.push(ofHand);
    ratios.push(ofDeclared / ofHand);
  }
  return {
    name,
    accessorNanoseconds: median(declaredTimes),
    handNanoseconds: median(handTimes),
    ratio: median(ratios),
  };
}

/** What keeps the compiler from dropping the work. */
let sink = 0;

function slice(side: Side, view: DataView): number {
  const start = process.hrtime.bigint();
  for (let round = 0; round < ROUNDS; round++) sink += side(view);
  const elapsed = Number(process.hrtime.bigint() - start);
  if (Number.isNaN(sink)) throw new Error("codec: a header decoded to no number");
  return elapsed / (ROUNDS * HEADERS);
}

function sampleHeaders(): DataView {
  const view = new DataView(new ArrayBuffer(HEADERS * size));
  for (let at = 0; at < view.byteLength; at += 4)
    view.setUint32(at, (at * 2654435761) % WORD, true);
  return view;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}
