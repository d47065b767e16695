/** A layout as text that an author edits: JSON or YAML, as `schema/layout.schema.json` of the core has it. */
import { type Layout, layoutToJson } from "@virtio-admin/core";
import { Document, isScalar, visit } from "yaml";

/** The layout's document as JSON with a line feed at the end; `readLayoutText` reads it back. */
export function renderJson(layout: Layout): string {
  return `${JSON.stringify(layoutToJson(layout), null, 2)}\n`;
}

/** The members that are written in hexadecimal digits where the form allows it. */
const PLACES: ReadonlySet<unknown> = new Set(["offset", "code", "size", "reset"]);

/** The layout's document as YAML; offsets, codes, sizes and reset values in hexadecimal digits. */
export function renderYaml(layout: Layout): string {
  const document = new Document(layoutToJson(layout), { aliasDuplicateObjects: false });
  visit(document, {
    Pair: (_, { key, value }) => {
      if (!isScalar(key) || !isScalar(value) || !PLACES.has(key.value)) return;
      if (typeof value.value === "number") value.format = "HEX";
    },
  });
  return document.toString({ lineWidth: 100 });
}
