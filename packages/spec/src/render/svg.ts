/// <reference path="./bit-field.d.ts" />
/**
 * Diagrams of layouts as SVG, drawn by the library `bit-field`: a structure in lanes of 4 bytes, lowest
 * byte first; a register map with a lane for each register, highest bit first, and a gap for every hole.
 */
import {
  type AnyStructLayout,
  type CommandLayout,
  type Field,
  type FieldBits,
  featureName,
  type Gate,
  type Layout,
  type RegisterLayout,
} from "@virtio-admin/core";
import { type Run, render } from "bit-field";
import onml from "onml";
import { bytesOf, gateText, hex, offsetDigits, typeText } from "./wording.ts";

/** The colours of a diagram. */
export type Theme = "light" | "dark";

/** How a diagram looks. */
export interface SvgOptions {
  /** `light` when absent. */
  readonly theme?: Theme;
}

interface Palette {
  readonly paper: string;
  readonly ink: string;
  readonly line: string;
}

const PALETTES: Readonly<Record<Theme, Palette>> = {
  light: { paper: "#ffffff", ink: "#1f2328", line: "#59636e" },
  dark: { paper: "#0d1117", ink: "#e6edf3", line: "#9198a1" },
};

/** Colours of bit-field: what a feature or a revision gates, and what has no name. */
const GATED = 7;
const UNNAMED = 5;

const WIDTH = 960;
const LEFT = 84;
const RIGHT = 250;
const LANE_BYTES = 4;
const FONT = 13;
const LANE_HEIGHT = 40;
const TITLE_HEIGHT = 34;
/** An array longer than this is drawn shorter, with its length in brackets. */
const LONGEST_RUN = 16;
/** About how wide a character is. */
const CHARACTER = 7.2;

/** A row of a diagram, before it is drawn. */
interface Lane {
  readonly label: string;
  readonly note: string;
  readonly runs: readonly Run[];
}

/** The diagram of a layout; of channel commands, their payloads one below the other. */
export function renderSvg(layout: Layout, options: SvgOptions = {}): string {
  const palette = PALETTES[options.theme ?? "light"];
  const blocks =
    layout.kind === "commands"
      ? commandBlocks(layout, palette)
      : [block(headingOf(layout), layout, palette)];
  let height = 0;
  const body = blocks.map(({ tree, height: own }) => {
    const placed = ["g", { transform: `translate(0,${height})` }, ...tree];
    height += own;
    return placed;
  });
  const svg = [
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      width: WIDTH,
      height,
      viewBox: `0 0 ${WIDTH} ${height}`,
      fill: palette.ink,
      role: "img",
    },
    ["title", {}, xml(`${layout.name}: ${layout.doc}`)],
    ["rect", { width: WIDTH, height, fill: palette.paper, stroke: "none" }],
    ...body,
  ];
  return `${onml.stringify(svg, 1).trim()}\n`;
}

function headingOf(layout: AnyStructLayout | RegisterLayout): string {
  const rest = layout.rest === undefined ? "" : " and the rest";
  return `${layout.name}, ${layout.size} ${layout.size === 1 ? "byte" : "bytes"}${rest}`;
}

function commandBlocks(layout: CommandLayout, palette: Palette) {
  return Object.values(layout.commands).map((command) => {
    const gate = gateText(command.gate);
    const about = `${layout.prefix ?? ""}${command.name} ${hex(command.code)}, ${command.direction}${gate === "" ? "" : `, ${gate}`}`;
    if (command.payload === undefined) return heading(`${about}: no payload described`, palette);
    return block(`${about}: ${headingOf(command.payload)}`, command.payload, palette);
  });
}

function heading(text: string, palette: Palette) {
  const tree = [
    [
      "text",
      {
        x: LEFT,
        y: 22,
        "font-family": "sans-serif",
        "font-size": FONT + 1,
        "font-weight": "bold",
        fill: palette.ink,
      },
      xml(text),
    ],
  ];
  return { tree, height: TITLE_HEIGHT };
}

function block(title: string, layout: AnyStructLayout | RegisterLayout, palette: Palette) {
  const lanes = layout.kind === "registers" ? registerLanes(layout) : structLanes(layout);
  const head = heading(title, palette);
  const top = 20;
  const bits = 8 * LANE_BYTES;
  const drawn = render(
    lanes.flatMap(({ runs }) => runs.map((run) => ({ ...run }))),
    {
      lanes: lanes.length,
      bits: bits * lanes.length,
      hspace: WIDTH,
      vspace: LANE_HEIGHT + top + 4,
      fontsize: FONT,
      fontfamily: "sans-serif",
      compact: true,
      // Memory is read from its lowest byte on, a register from its highest bit.
      vflip: layout.kind === "struct",
      hflip: true,
      margin: { left: LEFT, right: RIGHT, top, bottom: 4 },
      label: { left: lanes.map(({ label }) => label), right: lanes.map(({ note }) => note || " ") },
    },
  );
  const inner = drawn.slice(2).map((node) => recoloured(node, palette));
  const height = top + LANE_HEIGHT * lanes.length + 16;
  return {
    tree: [...head.tree, ["g", { transform: `translate(0,${head.height})` }, ...inner]],
    height: head.height + height,
  };
}

/** What bit-field draws in black, in the colour of the palette. */
function recoloured(node: unknown, palette: Palette): unknown {
  if (!Array.isArray(node)) return typeof node === "string" ? node : String(node);
  return node.map((part: unknown) => {
    if (Array.isArray(part)) return recoloured(part, palette);
    if (typeof part !== "object" || part === null) return part;
    const attributes: Record<string, unknown> = { ...part };
    if (attributes["stroke"] === "black") attributes["stroke"] = palette.line;
    // The name of a field is no attribute of SVG.
    delete attributes["field"];
    return attributes;
  });
}

function registerLanes(layout: RegisterLayout): Lane[] {
  const digits = offsetDigits(layout);
  const lanes: Lane[] = [];
  let end = 0;
  for (const register of Object.values<Field>(layout.registers).sort(
    (a, b) => a.offset - b.offset,
  )) {
    if (register.offset > end) lanes.push(hole(end, register.offset, digits));
    const notes = [register.access ?? "", gateNote(register.gate)].filter((note) => note !== "");
    lanes.push({
      label: `${hex(register.offset, digits)}${register.count === "rest" ? "+" : ""}`,
      note: notes.join(", "),
      runs: registerRuns(register),
    });
    end = Math.max(end, register.offset + bytesOf(register));
  }
  return lanes;
}

function hole(start: number, end: number, digits: number): Lane {
  const last = end - 1;
  return {
    label: hex(start, digits),
    note: `free to ${hex(last, digits)}`,
    runs: [{ bits: 8 * LANE_BYTES }],
  };
}

/** The bits of a register from the lowest on; one that is narrower or wider is drawn as a whole lane. */
function registerRuns(register: Field): Run[] {
  const lane = 8 * LANE_BYTES;
  const colour = register.gate === undefined ? {} : { type: GATED };
  const bits = Object.entries<FieldBits>(register.bits).sort(([, a], [, b]) => a.at - b.at);
  const whole = [{ bits: lane, name: fitted(nameOf(register), lane, lane), ...colour }];
  if (bits.length === 0 || 8 * register.width !== lane || register.count !== undefined)
    return whole;
  const runs: Run[] = [];
  let at = 0;
  const blank = (until: number) => {
    if (until <= at) return;
    const takesName = until === lane && until - at >= lane / 4;
    runs.push(
      takesName
        ? { bits: until - at, name: fitted(register.name, until - at, lane), ...colour }
        : { bits: until - at, name: "", type: UNNAMED },
    );
    at = until;
  };
  for (const [name, run] of bits) {
    blank(run.at);
    const width = run.width === 1 ? 1 : run.width;
    runs.push({ bits: width, name: fitted(name, width, lane), ...colour });
    at = run.at + width;
  }
  blank(lane);
  return runs;
}

function nameOf(field: Field): string {
  return field.count === undefined ? field.name : `${field.name} ${typeText(field)}`;
}

/** A name in a box of some bits of a lane, cut where it would stand over its neighbours. */
function fitted(name: string, bits: number, lane: number): string {
  const room = Math.floor((((WIDTH - LEFT - RIGHT) / lane) * bits) / CHARACTER);
  if (name.length <= room) return name;
  return room < 3 ? "" : `${name.slice(0, room - 1)}…`;
}

interface Piece {
  readonly name: string;
  readonly note: string;
  readonly start: number;
  /** How many bytes it has, and how many are drawn. */
  readonly bytes: number;
  readonly drawn: number;
  readonly type?: number;
}

function structLanes(layout: AnyStructLayout): Lane[] {
  const digits = offsetDigits(layout);
  const pieces = piecesOf(layout);
  const lanes: { label: string; notes: string[]; runs: Run[]; room: number }[] = [];
  const laneFor = (offset: number) => {
    const last = lanes.at(-1);
    if (last !== undefined && last.room > 0) return last;
    const lane = { label: hex(offset, digits), notes: [], runs: [], room: LANE_BYTES };
    lanes.push(lane);
    return lane;
  };
  for (const piece of pieces) {
    let left = piece.drawn;
    let offset = piece.start;
    for (let part = 0; left > 0; part++) {
      const lane = laneFor(offset);
      const bytes = Math.min(left, lane.room);
      const isLong = piece.drawn > LANE_BYTES && part > 0;
      const name = isLong ? `${piece.name} …` : piece.name;
      lane.runs.push({
        bits: 8 * bytes,
        name: fitted(name, bytes, LANE_BYTES),
        ...(piece.type === undefined ? {} : { type: piece.type }),
      });
      if (part === 0 && piece.note !== "") lane.notes.push(piece.note);
      lane.room -= bytes;
      left -= bytes;
      // What is not drawn lies before the last lane of the piece.
      offset = left <= LANE_BYTES ? piece.start + piece.bytes - left : offset + bytes;
    }
  }
  const last = lanes.at(-1);
  if (last !== undefined && last.room > 0) last.runs.push({ bits: 8 * last.room });
  return lanes.map(({ label, notes, runs }) => ({
    label,
    note: [...new Set(notes)].join("; "),
    runs,
  }));
}

/** The bytes of a structure in order; of fields that share bytes, the first that was declared. */
function piecesOf(layout: AnyStructLayout): Piece[] {
  const pieces: Piece[] = [];
  let end = 0;
  const unnamed = (until: number) => {
    if (until <= end) return;
    const bytes = until - end;
    pieces.push({ name: "", note: "", start: end, bytes, drawn: shortened(bytes), type: UNNAMED });
    end = until;
  };
  const fields = Object.values<Field>(layout.fields).filter(({ overlay }) => !overlay);
  const all = fields.length === 0 ? Object.values<Field>(layout.fields) : fields;
  for (const field of [...all].sort((a, b) => a.offset - b.offset)) {
    if (field.offset < end) continue;
    unnamed(field.offset);
    const isRest = field.count === "rest";
    const bytes = isRest ? LANE_BYTES : bytesOf(field);
    pieces.push({
      name: nameOf(field),
      note: gateNote(field.gate),
      start: field.offset,
      bytes,
      drawn: shortened(bytes),
      ...(field.gate === undefined ? {} : { type: GATED }),
    });
    end = field.offset + (isRest ? 0 : bytes);
  }
  unnamed(layout.size);
  return pieces;
}

/** As many bytes as are drawn: whole lanes are left out of what is long. */
function shortened(bytes: number): number {
  if (bytes <= LONGEST_RUN) return bytes;
  const extra = bytes - LONGEST_RUN;
  return bytes - LANE_BYTES * Math.ceil(extra / LANE_BYTES);
}

/** The condition, short enough for the margin. */
function gateNote(gate: Gate | undefined): string {
  const feature = gate?.feature === undefined ? [] : [featureName(gate.feature)];
  const revision = gate?.revision === undefined ? [] : [`revision ${gate.revision}`];
  return [...feature, ...revision].join(", ");
}

/** onml writes text as it is; XML has no control characters. */
function xml(text: string): string {
  return text
    .replaceAll(/\p{Cc}/gu, " ")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
}
