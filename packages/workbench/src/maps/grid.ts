/**
 * Strips to scale: four bytes a row, every byte as wide as any other. A long run of rows that one
 * field or nobody has is folded into one, which says so.
 */
import type { MapField, Strip } from "./strips.ts";

/** The bytes of a row. */
export const ROW_BYTES = 4;
/** Rows alike at the beginning and end of a run that stay as they are. */
const KEPT = 1;
/** The fewest rows that are folded. */
const LEAST_FOLDED = 3;

/** A row of the grid. */
export interface GridRow {
  /** The offset of its first byte. */
  readonly offset: number;
  /** How many rows it stands for: 1, or more when it is folded. */
  readonly rows: number;
}

/** A rectangle of the grid; rows and columns from 0. */
export interface Piece {
  /** The field that has it; `undefined` for bytes that nobody has. */
  readonly field: MapField | undefined;
  /** True for the one piece of a field that has its name. */
  readonly named: boolean;
  /** The first row. */
  readonly row: number;
  /** How many rows. */
  readonly rowSpan: number;
  /** The first column, which is a byte. */
  readonly column: number;
  /** How many columns. */
  readonly columnSpan: number;
}

/** A strip, laid out. */
export interface Grid {
  /** The rows from the top. */
  readonly rows: readonly GridRow[];
  /** The pieces; together they fill the rows, the last row up to the end of the strip. */
  readonly pieces: readonly Piece[];
  /** Fields that share bytes with a piece: what is left of a union. */
  readonly shared: readonly MapField[];
}

interface Run {
  readonly from: number;
  readonly to: number;
  readonly field: MapField | undefined;
}

/** Lays a strip out. */
export function gridOf({ fields, size }: Strip): Grid {
  const runs: Run[] = [];
  const shared: MapField[] = [];
  let at = 0;
  for (const field of fields) {
    // What has no length of its own is shown as one more row.
    const length = field.length > 0 ? field.length : ROW_BYTES;
    if (field.offset < at) {
      shared.push(field);
      continue;
    }
    if (field.offset > at) runs.push({ from: at, to: field.offset, field: undefined });
    at = field.offset + length;
    runs.push({ from: field.offset, to: at, field });
  }
  if (size > at) runs.push({ from: at, to: size, field: undefined });
  const rows = foldedRows(runs, Math.max(at, size));
  const rowOf = (offset: number): number => {
    let low = 0;
    let high = rows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((rows[middle]?.offset ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  };
  return { rows, pieces: runs.flatMap((run) => piecesOf(run, rowOf)), shared };
}

function foldedRows(runs: readonly Run[], size: number): GridRow[] {
  const rows: GridRow[] = [];
  let at = 0;
  const plainUpTo = (end: number): void => {
    for (; at < end; at += ROW_BYTES) rows.push({ offset: at, rows: 1 });
  };
  for (const { from, to } of runs) {
    const first = Math.ceil(from / ROW_BYTES) + KEPT;
    const last = Math.floor(to / ROW_BYTES) - KEPT;
    if (last - first < LEAST_FOLDED) continue;
    plainUpTo(first * ROW_BYTES);
    rows.push({ offset: at, rows: last - first });
    at = last * ROW_BYTES;
  }
  plainUpTo(size);
  return rows;
}

/** At most three: up to the end of the first row, whole rows, and the beginning of the last. */
function piecesOf({ from, to, field }: Run, rowOf: (offset: number) => number): Piece[] {
  const cuts = [from];
  const head = Math.ceil(from / ROW_BYTES) * ROW_BYTES;
  const tail = Math.floor(to / ROW_BYTES) * ROW_BYTES;
  for (const cut of [head, tail]) if (cut > (cuts.at(-1) ?? 0) && cut < to) cuts.push(cut);
  const pieces = cuts.map((start, i) => {
    const end = cuts[i + 1] ?? to;
    const row = rowOf(start);
    return {
      row,
      rowSpan: rowOf(end - 1) - row + 1,
      column: start % ROW_BYTES,
      columnSpan: Math.min(ROW_BYTES, end - start),
    };
  });
  const area = ({ rowSpan, columnSpan }: (typeof pieces)[number]) => rowSpan * columnSpan;
  const largest = pieces.reduce((best, piece) => (area(piece) > area(best) ? piece : best));
  return pieces.map((piece) => ({ ...piece, field, named: piece === largest }));
}
