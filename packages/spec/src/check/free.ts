/** Where there is room: holes of a layout, who is known to be in them, and places to propose. */
import type {
  AnyStructLayout,
  ChannelDirection,
  Field,
  Layout,
  RegisterLayout,
} from "@virtio-admin/core";
import { bytesOf } from "../render/wording.ts";
import { type Neighbourhood, neighbourhoodOf } from "./neighbours.ts";

/** A run of bytes, the end not included. */
export interface ByteRange {
  /** The first byte. */
  readonly start: number;
  /** The byte behind the last. */
  readonly end: number;
}

/** Somebody who is known to use a place. */
export interface Squatter {
  /** The name of the register or command. */
  readonly name: string;
  /** Whose it is. */
  readonly who: string;
  /** The offset or code. */
  readonly at: number;
}

/** A run of bytes that the layout leaves free. */
export interface FreeRange extends ByteRange {
  /** Who is known to use some of it. */
  readonly squatters: readonly Squatter[];
}

/** A command code that the layout leaves free. */
export interface FreeCode {
  /** The code. */
  readonly code: number;
  /** What its low bits say to the channel subsystem. */
  readonly direction: ChannelDirection;
  /** Who is known to use it. */
  readonly squatters: readonly Squatter[];
}

/** What a layout leaves free. */
export interface FreePlaces {
  /** Free bytes by offset; empty for channel commands. */
  readonly ranges: readonly FreeRange[];
  /** Free codes in ascending order; empty for registers and structures. */
  readonly codes: readonly FreeCode[];
  /**
   * Where to put what is needed: offsets (or codes) that nobody is known to use, best first. A run that is
   * long leaves room for what comes next.
   */
  readonly proposals: readonly number[];
}

/** What is to be placed. */
export interface Need {
  /** How many registers or fields one behind the other, or how many commands; 1 when absent. */
  readonly count?: number;
  /** The width of each in bytes; that of the bus for registers, else 4. */
  readonly width?: number;
  /** What the commands do; `read` when absent. */
  readonly direction?: ChannelDirection;
}

const MOST_PROPOSALS = 8;
const DIRECTIONS = [undefined, "write", "read", "control"] as const;

/** What `layout` leaves free, who is known to be there, and where to put what is needed. */
export function freePlaces(layout: Layout, need: Need = {}): FreePlaces {
  const count = Math.max(1, Math.trunc(need.count ?? 1));
  const neighbourhood = neighbourhoodOf(layout);
  if (layout.kind === "commands") {
    const taken = new Set(Object.values(layout.commands).map(({ code }) => code));
    const codes = Array.from({ length: 0x100 }, (_, code) => code).flatMap((code): FreeCode[] => {
      const direction = DIRECTIONS[code & 3];
      if (direction === undefined || taken.has(code)) return [];
      return [{ code, direction, squatters: squattersAt(neighbourhood, code, code + 1) }];
    });
    const family = familyOf(layout);
    const proposals = codes
      .filter(({ direction, squatters }) => {
        return direction === (need.direction ?? "read") && squatters.length === 0;
      })
      .sort((a, b) => Number(family(b.code)) - Number(family(a.code)) || a.code - b.code)
      .map(({ code }) => code)
      .slice(0, Math.max(MOST_PROPOSALS, count));
    return { ranges: [], codes, proposals };
  }
  const ranges = holesOf(layout).map((range) => ({
    ...range,
    squatters: squattersAt(neighbourhood, range.start, range.end),
  }));
  const bus = layout.kind === "registers" ? Math.max(...layout.busWidths) / 8 : 4;
  return {
    ranges,
    codes: [],
    proposals: proposedOffsets(ranges, layout, count, need.width ?? bus),
  };
}

/** True for codes that end in the digit of most of those with the same direction: 0x12, 0x22, 0x32. */
function familyOf(layout: Layout): (code: number) => boolean {
  if (layout.kind !== "commands") return () => false;
  const digits = Object.values(layout.commands).map(({ code }) => code & 0xf);
  return (code) => digits.includes(code & 0xf);
}

/** The bytes that no field takes; in a structure, those up to its size. */
export function holesOf(layout: AnyStructLayout | RegisterLayout): readonly ByteRange[] {
  const fields: Readonly<Record<string, Field>> =
    layout.kind === "registers" ? layout.registers : layout.fields;
  const sorted = Object.values(fields)
    .filter(({ count }) => count !== "rest")
    .sort((a, b) => a.offset - b.offset);
  const holes: ByteRange[] = [];
  let end = 0;
  for (const field of sorted) {
    if (field.offset > end) holes.push({ start: end, end: field.offset });
    end = Math.max(end, field.offset + bytesOf(field));
  }
  if (layout.size > end) holes.push({ start: end, end: layout.size });
  return holes;
}

/** Who is known to be at the bytes or codes from `start` on, `end` not included. */
export function squattersAt(
  neighbourhood: Neighbourhood | undefined,
  start: number,
  end: number,
): readonly Squatter[] {
  return (neighbourhood?.squatters ?? []).flatMap((layout): Squatter[] => {
    if (layout.kind === "commands") {
      return Object.values(layout.commands)
        .filter(({ code }) => code >= start && code < end)
        .map(({ name, code }) => ({ name, who: layout.cite, at: code }));
    }
    const fields: Readonly<Record<string, Field>> =
      layout.kind === "registers" ? layout.registers : layout.fields;
    return Object.values(fields)
      .filter((field) => field.offset < end && start < field.offset + bytesOf(field))
      .map(({ name, offset }) => ({ name, who: layout.cite, at: offset }));
  });
}

function proposedOffsets(
  ranges: readonly FreeRange[],
  layout: AnyStructLayout | RegisterLayout,
  count: number,
  width: number,
): number[] {
  const length = count * width;
  const runs = ranges.flatMap((range) => unoccupied(range, layout));
  const found = runs
    .map(({ start, end }) => ({ start: Math.ceil(start / width) * width, end }))
    .filter(({ start, end }) => end - start >= length)
    .sort((a, b) => b.end - b.start - (a.end - a.start) || a.start - b.start)
    .map(({ start }) => start);
  // A structure grows at its end.
  if (layout.kind === "struct" && layout.rest === undefined) {
    found.push(Math.ceil(layout.size / width) * width);
  }
  return [...new Set(found)].slice(0, MOST_PROPOSALS);
}

/** What of a free range nobody is known to use. */
function unoccupied(range: FreeRange, layout: AnyStructLayout | RegisterLayout): ByteRange[] {
  const runs: ByteRange[] = [];
  let start = range.start;
  const squatted = neighbourhoodOf(layout)?.squatters ?? [];
  const taken = squatted
    .flatMap((other) => (other.kind === "registers" ? Object.values<Field>(other.registers) : []))
    .map((field) => ({ start: field.offset, end: field.offset + bytesOf(field) }))
    .filter((each) => each.start < range.end && range.start < each.end)
    .sort((a, b) => a.start - b.start);
  for (const each of taken) {
    if (each.start > start) runs.push({ start, end: each.start });
    start = Math.max(start, each.end);
  }
  if (start < range.end) runs.push({ start, end: range.end });
  return runs;
}
