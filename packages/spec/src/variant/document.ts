/**
 * A variant as a file: what becomes of a base layout, in a few lines, instead of the whole of it.
 *
 * ```yaml
 * format: virtio-admin.layout-variant
 * version: 1
 * base: virtio_mmio_admin
 * name: virtio_mmio_elsewhere
 * change:
 *   AdminQueueIndex: { offset: 0x0e8 }
 * add:
 *   - { name: AdminQueueDepth, offset: 0x0f0, type: le32, access: R, doc: The largest size. }
 * remove: [QueueReset]
 * ```
 */
import {
  isLayout,
  type Layout,
  type LayoutDocument,
  layoutToJson,
  VirtioError,
} from "@virtio-admin/core";
import { layoutNamed } from "../catalogue.ts";

/** What the member `format` of a variant says. */
export const VARIANT_FORMAT = "virtio-admin.layout-variant";

/** What the member `version` of a variant says. */
export const VARIANT_FORMAT_VERSION = 1;

/** What becomes of a list of fields, registers or commands. */
export interface VariantChanges {
  /**
   * Members that an entry of the base has from now on, by the name of the entry; a member that is null is
   * taken away. The `payload` of a command is a {@link VariantChanges} of its own.
   */
  readonly change?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Entries that the base does not have, as in a layout document. */
  readonly add?: readonly unknown[];
  /** The names of entries that are taken away. */
  readonly remove?: readonly string[];
}

/** A variant as a file has it. */
export interface VariantDocument extends VariantChanges {
  /** Where the schema is; ignored. */
  readonly $schema?: string;
  /** Always {@link VARIANT_FORMAT}. */
  readonly format: typeof VARIANT_FORMAT;
  /** Always {@link VARIANT_FORMAT_VERSION}. */
  readonly version: typeof VARIANT_FORMAT_VERSION;
  /** The name of the layout that it begins with. */
  readonly base: string;
  /** The name of what it makes; that of the base when absent. */
  readonly name?: string;
  /** What it is, in one sentence; that of the base when absent. */
  readonly doc?: string;
  /** Where it comes from; that of the base when absent. */
  readonly cite?: string;
}

/** True for the document of a variant, whatever else it says. */
export function isVariantDocument(value: unknown): boolean {
  return isObject(value) && value["format"] === VARIANT_FORMAT;
}

type Members = Readonly<Record<string, unknown>>;
type Editable = Record<string, unknown>;

const HEAD = ["$schema", "format", "version", "base", "name", "doc", "cite"];
const CHANGES = ["change", "add", "remove"];
/** What of a base's entry is another entry when it is changed. */
const FIXED = ["name"];
/** More than a layout takes: what looks for names among entries is not asked for as many squared. */
const MOST_CHANGES = 1024;
const OWN = { configurable: true, enumerable: true, writable: true };

/**
 * The layout document that a variant makes of its base. Whether that is sound is for
 * `layoutFromJson` and `checkLayoutText` to say.
 *
 * @param variant the parsed file; nothing about it is taken for granted
 * @param base the layout to begin with in place of the one that it names
 * @throws VirtioError `LAYOUT_JSON` with the path when it is no variant, names what the base does not have,
 * or adds what it has; `LAYOUT_UNKNOWN_NAME` when there is no such base
 */
export function variantDocument(variant: unknown, base?: Layout): LayoutDocument {
  const members = object(variant, "variant");
  known(members, [...HEAD, ...CHANGES], "variant");
  if (members["format"] !== VARIANT_FORMAT) {
    throw refuse("variant.format", `the format is "${VARIANT_FORMAT}"`, members["format"]);
  }
  if (members["version"] !== VARIANT_FORMAT_VERSION) {
    throw refuse("variant.version", `the version is ${VARIANT_FORMAT_VERSION}`, members["version"]);
  }
  const named = members["base"];
  if (typeof named !== "string") {
    throw refuse("variant.base", "the base is the name of a layout", named);
  }
  const document: Editable = copied(layoutToJson(base ?? layoutNamed(named)));
  for (const member of ["name", "doc", "cite"]) {
    if (members[member] !== undefined) document[member] = members[member];
  }
  // A changed layout may be larger; its size follows from its fields unless they leave room.
  edit(document, members, "variant");
  return document as unknown as LayoutDocument;
}

/** Applies changes to the list of a document, or of a payload. */
function edit(document: Editable, changes: Members, path: string): void {
  const list = ["registers", "commands", "fields"].find((name) => name in document) ?? "fields";
  let entries = document[list] as Editable[];
  const size = document["size"];
  const before = endOf(entries);
  for (const [name, change] of Object.entries(object(changes["change"] ?? {}, `${path}.change`))) {
    const where = `${path}.change.${name}`;
    const entry = entries.find((each) => each["name"] === name);
    if (entry === undefined) throw refuse(where, "the base has no such entry", undefined, entries);
    changeEntry(entry, object(change, where), where);
  }
  for (const [i, name] of array(changes["remove"], `${path}.remove`).entries()) {
    const kept = entries.filter((each) => each["name"] !== name);
    if (kept.length === entries.length) {
      throw refuse(`${path}.remove[${i}]`, "the base has no such entry", name, entries);
    }
    entries = kept;
  }
  for (const [i, entry] of array(changes["add"], `${path}.add`).entries()) {
    const where = `${path}.add[${i}]`;
    const added = object(entry, where);
    if (entries.some((each) => each["name"] === added["name"])) {
      throw refuse(`${where}.name`, "the base has an entry of that name", added["name"]);
    }
    entries.push({ ...added });
  }
  document[list] = ordered(entries);
  // Where the size was the end of the last field, it still is.
  if (typeof size === "number" && size === before) document["size"] = endOf(entries);
}

/** A field that takes the rest has no end of its own. */
function endOf(entries: readonly Editable[]): number {
  return entries.reduce((end, { offset, type, count }) => {
    const bits = Number(/\d+$/.exec(String(type))?.[0] ?? 0);
    const copies = count === "rest" ? 0 : typeof count === "number" ? count : 1;
    return typeof offset === "number" ? Math.max(end, offset + (bits / 8) * copies) : end;
  }, 0);
}

/** By offset where all have one; what shares a place stays in its order. Commands stay as they are. */
function ordered(entries: readonly Editable[]): Editable[] {
  const place = (entry: Editable) => entry["offset"];
  if (!entries.every((entry) => typeof place(entry) === "number")) return [...entries];
  return [...entries].sort((a, b) => Number(place(a)) - Number(place(b)));
}

function changeEntry(entry: Editable, change: Members, where: string): void {
  for (const [member, value] of Object.entries(change)) {
    if (FIXED.includes(member)) {
      throw refuse(
        `${where}.${member}`,
        "an entry keeps its name; remove it and add another",
        value,
      );
    }
    if (value === null) delete entry[member];
    else if (
      member === "payload" &&
      isObject(value) &&
      isObject(entry["payload"]) &&
      isEdit(value)
    ) {
      known(value, CHANGES, `${where}.payload`);
      edit(entry["payload"] as Editable, value, `${where}.payload`);
    } else {
      // Whatever the member is called, it is one of the entry's own.
      Object.defineProperty(entry, member, { ...OWN, value });
    }
  }
}

function isEdit(payload: Members): boolean {
  return CHANGES.some((name) => Object.hasOwn(payload, name));
}

function known(members: Members, names: readonly string[], path: string): void {
  for (const name of Object.keys(members)) {
    if (!names.includes(name)) {
      throw refuse(`${path}.${name.slice(0, 64)}`, "there is no such member", undefined);
    }
  }
}

function object(value: unknown, path: string): Members {
  if (isObject(value)) return value;
  throw refuse(path, "an object is needed", value);
}

function array(value: unknown, path: string): readonly unknown[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw refuse(path, "a list is needed", value);
  if (value.length > MOST_CHANGES) {
    throw refuse(path, `a list has at most ${MOST_CHANGES} members`, value.length);
  }
  return value;
}

function isObject(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !isLayout(value);
}

function copied(document: LayoutDocument): Editable {
  return JSON.parse(JSON.stringify(document));
}

function refuse(
  path: string,
  message: string,
  value: unknown,
  entries: readonly Editable[] = [],
): VirtioError {
  const names = entries.map(({ name }) => name);
  return new VirtioError("LAYOUT_JSON", {
    message,
    path,
    ...(value === undefined ? {} : { value }),
    hint:
      names.length === 0
        ? "see schema/variant.schema.json of @virtio-admin/spec"
        : `the base has ${names.join(", ")}`,
  });
}
