/** A structure as the members that C needs for it: fields, padding where there are holes, unions. */
import type { AnyStructLayout, Field } from "@virtio-admin/core";
import { bytesOf } from "./wording.ts";

/** One member, in order of its place. */
export type Member =
  | { readonly kind: "field"; readonly field: Field }
  | { readonly kind: "padding"; readonly name: string; readonly bytes: number }
  | {
      /** Fields that share bytes: each in an arm of its own. */
      readonly kind: "union";
      readonly arms: readonly UnionArm[];
    };

/** One reading of the shared bytes: a field, and how many bytes of the union come before it. */
export interface UnionArm {
  /** The field. */
  readonly field: Field;
  /** The bytes between the start of the union and the field. */
  readonly before: number;
  /** The name of those bytes. */
  readonly padding: string;
}

/** The members of a structure; together they take `layout.size` bytes, and the rest. */
export function membersOf(layout: AnyStructLayout): readonly Member[] {
  const members: Member[] = [];
  const rest = layout.rest === undefined ? undefined : layout.fields[layout.rest];
  const names = new Set(Object.keys(layout.fields));
  const paddingAt = (offset: number): string => {
    let name = `padding_${offset.toString(16)}`;
    while (names.has(name)) name = `${name}_`;
    names.add(name);
    return name;
  };
  let end = 0;
  const pad = (until: number) => {
    if (until > end) members.push({ kind: "padding", name: paddingAt(end), bytes: until - end });
    end = Math.max(end, until);
  };
  for (const cluster of clustersOf(layout)) {
    pad(cluster.start);
    const [first] = cluster.fields;
    if (cluster.fields.length === 1 && first !== undefined) {
      members.push({ kind: "field", field: first });
    } else {
      const arms = cluster.fields.map((field) => ({
        field,
        before: field.offset - cluster.start,
        padding: field.offset > cluster.start ? paddingAt(cluster.start) : "",
      }));
      members.push({ kind: "union", arms });
    }
    end = cluster.end;
  }
  pad(layout.size);
  if (rest !== undefined) members.push({ kind: "field", field: rest });
  return members;
}

interface Cluster {
  readonly start: number;
  end: number;
  readonly fields: Field[];
}

/** The fields by place; those that share bytes, also by way of a third, are together. */
function clustersOf(layout: AnyStructLayout): readonly Cluster[] {
  const clusters: Cluster[] = [];
  const sized = Object.values(layout.fields).filter(({ count }) => count !== "rest");
  for (const field of sized.sort((a, b) => a.offset - b.offset)) {
    const end = field.offset + bytesOf(field);
    const last = clusters.at(-1);
    if (last !== undefined && field.offset < last.end) {
      last.fields.push(field);
      last.end = Math.max(last.end, end);
    } else {
      clusters.push({ start: field.offset, end, fields: [field] });
    }
  }
  return clusters;
}
