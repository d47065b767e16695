/** Sound layouts of every kind, as anybody could declare them. */
import {
  commands,
  type FieldSpec,
  type Layout,
  registers,
  type ScalarType,
  struct,
} from "@virtio-admin/core";
import fc from "fast-check";

const WIDTHS: Readonly<Record<ScalarType, number>> = {
  u8: 1,
  le16: 2,
  le32: 4,
  le64: 8,
  be16: 2,
  be32: 4,
  be64: 8,
};
const TYPES = Object.keys(WIDTHS) as ScalarType[];

const name = fc.stringMatching(/^[a-zA-Z][a-zA-Z0-9_]{0,12}$/);
const text = fc.string({ minLength: 1, maxLength: 40, unit: "grapheme" });
const gate = fc.option(
  fc.oneof(
    fc.record({ feature: fc.integer({ min: 0, max: 127 }) }),
    fc.record({ revision: fc.integer({ min: 0, max: 0xffff }) }),
  ),
  { nil: undefined },
);

interface Piece {
  readonly name: string;
  readonly type: ScalarType;
  readonly count: number | undefined;
  readonly gap: number;
  readonly doc: string;
  readonly title: string | undefined;
  readonly linux: string | undefined;
  readonly access: "R" | "W" | "RW";
  readonly gate: { feature: number } | { revision: number } | undefined;
  readonly reset: bigint;
  readonly isReset: boolean;
  readonly isRest: boolean;
}

function piece(types: readonly ScalarType[]): fc.Arbitrary<Piece> {
  return fc.record({
    name,
    type: fc.constantFrom(...types),
    count: fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined }),
    gap: fc.nat(3),
    doc: text,
    title: fc.option(text, { nil: undefined }),
    linux: fc.option(name, { nil: undefined }),
    access: fc.constantFrom("R", "W", "RW"),
    gate,
    reset: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    isReset: fc.boolean(),
    isRest: fc.boolean(),
  });
}

function pieces(types: readonly ScalarType[]): fc.Arbitrary<Piece[]> {
  return fc.uniqueArray(piece(types), {
    minLength: 1,
    maxLength: 9,
    selector: (each) => each.name,
  });
}

/** The pieces one behind the other, with gaps, each at a multiple of its width where `isAligned`. */
function specsOf(list: readonly Piece[], isAligned: boolean): Record<string, FieldSpec> {
  let end = 0;
  return Object.fromEntries(
    list.map((each, i) => {
      const { type, count, gap, doc, title, linux, access, isReset } = each;
      const width = WIDTHS[type];
      const from = end + gap * (isAligned ? width : 1);
      const offset = isAligned ? Math.ceil(from / width) * width : from;
      const isRest = each.isRest && i === list.length - 1;
      end = offset + (isRest ? 0 : width * (count ?? 1));
      const reset = BigInt.asUintN(8 * width, each.reset);
      const isScalar = count === undefined && !isRest;
      return [
        each.name,
        {
          offset,
          type,
          access,
          doc,
          ...(isRest ? { count: "rest" as const } : count === undefined ? {} : { count }),
          ...(title === undefined ? {} : { title }),
          ...(linux === undefined ? {} : { linux }),
          ...(each.gate === undefined ? {} : { gate: each.gate }),
          ...(isReset && isScalar
            ? { reset: reset <= Number.MAX_SAFE_INTEGER ? Number(reset) : reset }
            : {}),
        },
      ];
    }),
  );
}

/** Structures, packed and not, with gaps. */
export const structs = fc
  .tuple(name, text, pieces(TYPES), fc.boolean())
  .map(([own, doc, list, isAligned]) =>
    struct(own, { cite: "a test", doc }, specsOf(list, isAligned)),
  );

/** Register maps. */
export const registerMaps = fc
  .tuple(name, text, pieces(TYPES))
  .map(([own, doc, list]) =>
    registers(
      own,
      { cite: "a test", doc, busWidth: [8, 16, 32, 64] },
      specsOf(list, true) as Record<string, FieldSpec & { access: "R" | "W" | "RW" }>,
    ),
  );

const command = fc.record({
  name,
  code: fc.integer({ min: 1, max: 255 }),
  direction: fc.constantFrom("read" as const, "write" as const, "control" as const),
  payload: fc.option(structs, { nil: undefined }),
  gate,
  doc: text,
});

/** Channel commands, some with a payload. */
export const commandSets = fc
  .tuple(
    name,
    text,
    fc.uniqueArray(command, {
      minLength: 1,
      maxLength: 6,
      comparator: (a, b) => a.name === b.name || a.code === b.code,
    }),
    fc.option(name, { nil: undefined }),
  )
  .map(([own, doc, list, prefix]) =>
    commands(
      own,
      { cite: "a test", doc, ...(prefix === undefined ? {} : { prefix }) },
      Object.fromEntries(
        list.map(({ name: each, payload, gate: when, ...spec }) => [
          each,
          {
            ...spec,
            ...(payload === undefined ? {} : { payload }),
            ...(when === undefined ? {} : { gate: when }),
          },
        ]),
      ),
    ),
  );

/** Layouts of any kind. */
export const layouts: fc.Arbitrary<Layout> = fc.oneof(
  structs as fc.Arbitrary<Layout>,
  registerMaps as fc.Arbitrary<Layout>,
  commandSets as fc.Arbitrary<Layout>,
);
