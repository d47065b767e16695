/** A strip of bytes to scale, as buttons on a grid of four columns. */

import { gridOf, type Piece } from "./grid.ts";
import { memo } from "./memo.ts";
import { hex, type MapField, type Strip } from "./strips.ts";

/** How a field stands out. */
export interface Marks {
  /** The field that is looked at. */
  readonly current: string | undefined;
  /** Those that are the same thing on another transport. */
  readonly same: ReadonlySet<string>;
  /** What differs, by key: `added`, `changed`. */
  readonly differs: ReadonlyMap<string, string>;
  /** The one that the tabulator comes to. */
  readonly stop: string | undefined;
}

interface StripViewProps {
  readonly strip: Strip;
  readonly marks: Marks;
}

/** One strip; whoever has it listens for what happens to its buttons, by their `data-key`. */
export function StripView({ strip, marks }: StripViewProps) {
  const { key, name, head, gate } = strip;
  const { rows, pieces, shared } = memo(gridOf, strip);
  return (
    <div class="strip" data-admin={strip.admin}>
      {head !== undefined && (
        <KeyButton
          class="command"
          itemKey={key}
          marks={marks}
          label={`${name} ${head}${gate === undefined ? "" : `, ${gate}`}`}
        >
          <b>{name}</b> <span>{head}</span>
        </KeyButton>
      )}
      {rows.length > 0 && (
        <div class="grid">
          {rows.map(({ offset, rows: count }, row) => (
            <span key={offset} class="offset" aria-hidden="true" style={{ gridRow: row + 1 }}>
              {hex(offset, 3)}
              {count > 1 && <i> ×{count}</i>}
            </span>
          ))}
          {pieces.map((piece) => (
            <PieceView
              key={`${piece.row}.${piece.column}`}
              piece={piece}
              marks={marks}
              isFolded={rows.slice(piece.row, piece.row + piece.rowSpan).some((r) => r.rows > 1)}
            />
          ))}
        </div>
      )}
      {shared.map((field) => (
        <KeyButton
          key={field.key}
          class="shared"
          itemKey={field.key}
          marks={marks}
          label={`${hex(field.offset, 3)} ${field.name} shares bytes, ${labelOf(field)}`}
        >
          {hex(field.offset, 3)} {field.name} <i>shares bytes</i>
        </KeyButton>
      ))}
    </div>
  );
}

function PieceView({
  piece,
  marks,
  isFolded,
}: {
  readonly piece: Piece;
  readonly marks: Marks;
  readonly isFolded: boolean;
}) {
  const { field, named, row, rowSpan, column, columnSpan } = piece;
  const style = {
    gridRow: `${row + 1} / span ${rowSpan}`,
    gridColumn: `${column + 2} / span ${columnSpan}`,
  };
  if (field === undefined) {
    return <span class="gap" aria-hidden="true" data-folded={isFolded} style={style} />;
  }
  if (!named) {
    return (
      <span
        class="piece"
        aria-hidden="true"
        data-of={field.key}
        data-admin={field.admin}
        data-current={marks.current === field.key}
        data-same={marks.same.has(field.key)}
        data-differs={marks.differs.get(field.key)}
        style={style}
      />
    );
  }
  return (
    <KeyButton
      class="piece"
      itemKey={field.key}
      marks={marks}
      label={labelOf(field)}
      isAdmin={field.admin}
      access={columnSpan > 1 ? field.access : undefined}
      style={style}
    >
      <span class="name">{field.name}</span>
    </KeyButton>
  );
}

function labelOf({ name, offset, type, access, gate, admin }: MapField): string {
  const parts = [name, `offset ${hex(offset, 3)}`, type, access, gate, admin ? "admin" : undefined];
  return parts.filter((part) => part !== undefined).join(", ");
}

interface KeyButtonProps {
  readonly class: string;
  readonly itemKey: string;
  readonly marks: Marks;
  readonly label: string;
  readonly isAdmin?: boolean;
  readonly access?: string | undefined;
  readonly style?: { readonly gridRow: string; readonly gridColumn: string };
  // biome-ignore lint/suspicious/noExplicitAny: children of any kind
  readonly children?: any;
}

function KeyButton(props: KeyButtonProps) {
  const { class: name, itemKey, marks, label, isAdmin, access, style, children } = props;
  const differs = marks.differs.get(itemKey);
  return (
    <button
      type="button"
      class={name}
      data-key={itemKey}
      data-admin={isAdmin}
      data-access={access}
      data-current={marks.current === itemKey}
      data-same={marks.same.has(itemKey)}
      data-differs={differs}
      tabIndex={marks.stop === itemKey ? 0 : -1}
      aria-label={differs === undefined ? label : `${label}, ${differs}`}
      aria-pressed={marks.current === itemKey}
      style={style}
    >
      {children}
    </button>
  );
}
