/**
 * Checks a value against a JSON Schema, as far as the schema of a group needs it: the schema stays
 * the one place where the format stands, and the first fault is found with its path.
 */

/** The keywords that {@link firstIssue} judges by; a schema with others is not for it. */
export interface Schema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly type?: "object" | "array" | "string" | "integer" | "boolean";
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: false;
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: true;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
}

/** Where in a document something is: keys and indexes from the outside in. */
export type Path = readonly (string | number)[];

/** One fault of a document. */
export interface Issue {
  /** Where it is. */
  readonly path: Path;
  /** What is wrong, in one sentence. */
  readonly message: string;
  /** `key` when the key at the end of the path is at fault, not its value. */
  readonly of?: "key";
}

const REFERENCE = "#/$defs/";
const TYPE_NAMES = {
  object: "a map",
  array: "a list",
  string: "a text",
  integer: "an integer",
  boolean: "true or false",
} as const;

/** The first fault of `value`, or `undefined` when it is as `root` says. */
export function firstIssue(root: Schema, value: unknown): Issue | undefined {
  return issueOf(root, root, value, []);
}

function issueOf(root: Schema, given: Schema, value: unknown, path: Path): Issue | undefined {
  const schema = resolved(root, given);
  const wrong = (message: string): Issue => ({ path, message });
  if (schema.const !== undefined && value !== schema.const) {
    return wrong(`it is ${JSON.stringify(schema.const)}`);
  }
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    return wrong(`it is one of ${schema.enum.join(", ")}`);
  }
  if (schema.type !== undefined && typeOf(value) !== schema.type) {
    return wrong(`it is ${TYPE_NAMES[schema.type]}`);
  }
  if (schema.anyOf !== undefined) return anyIssue(root, schema.anyOf, value, path);
  switch (typeof value) {
    case "number":
      return rangeIssue(schema, value, wrong);
    case "string":
      return textIssue(schema, value, wrong);
    default:
      if (Array.isArray(value)) return listIssue(root, schema, value, path);
      return typeOf(value) === "object" ? mapIssue(root, schema, value, path) : undefined;
  }
}

function resolved(root: Schema, schema: Schema): Schema {
  const { $ref } = schema;
  if ($ref === undefined) return schema;
  const target = $ref.startsWith(REFERENCE)
    ? root.$defs?.[$ref.slice(REFERENCE.length)]
    : undefined;
  if (target === undefined) throw new TypeError(`the schema has no ${$ref}`);
  return target;
}

/** The fault in the branch that the value's type belongs to, if there is one of that type. */
function anyIssue(
  root: Schema,
  branches: readonly Schema[],
  value: unknown,
  path: Path,
): Issue | undefined {
  const types = branches.map((branch) => resolved(root, branch).type);
  const at = types.findIndex((type) => type === undefined || type === typeOf(value));
  const branch = branches[at];
  if (branch !== undefined) return issueOf(root, branch, value, path);
  const names = types.map((type) => (type === undefined ? "" : TYPE_NAMES[type]));
  return { path, message: `it is ${names.join(" or ")}` };
}

function rangeIssue(
  { minimum, maximum }: Schema,
  value: number,
  wrong: (message: string) => Issue,
): Issue | undefined {
  if (minimum !== undefined && value < minimum) return wrong(`it is ${minimum} or more`);
  if (maximum !== undefined && value > maximum) return wrong(`it is ${maximum} or less`);
  return undefined;
}

function textIssue(
  { maxLength, pattern }: Schema,
  value: string,
  wrong: (message: string) => Issue,
): Issue | undefined {
  if (maxLength !== undefined && value.length > maxLength) {
    return wrong(`it has ${maxLength} characters or less`);
  }
  if (pattern !== undefined && !new RegExp(pattern, "u").test(value)) {
    return wrong(`it is of the form ${pattern}`);
  }
  return undefined;
}

function listIssue(
  root: Schema,
  { minItems = 0, maxItems = Number.POSITIVE_INFINITY, uniqueItems, items }: Schema,
  value: readonly unknown[],
  path: Path,
): Issue | undefined {
  if (value.length < minItems) return { path, message: `it has ${minItems} items or more` };
  if (value.length > maxItems) return { path, message: `it has ${maxItems} items or less` };
  const seen = new Set<unknown>();
  for (const [index, item] of value.entries()) {
    const here = [...path, index];
    const issue = items === undefined ? undefined : issueOf(root, items, item, here);
    if (issue !== undefined) return issue;
    if (uniqueItems === true && seen.has(item)) return { path: here, message: "it stands twice" };
    seen.add(item);
  }
  return undefined;
}

function mapIssue(
  root: Schema,
  { properties = {}, required = [], additionalProperties }: Schema,
  value: unknown,
  path: Path,
): Issue | undefined {
  const entries = Object.entries(value as Readonly<Record<string, unknown>>);
  for (const [key, part] of entries) {
    const here = [...path, key];
    const schema = Object.hasOwn(properties, key) ? properties[key] : undefined;
    if (schema !== undefined) {
      const issue = issueOf(root, schema, part, here);
      if (issue !== undefined) return issue;
    } else if (additionalProperties === false) {
      const known = Object.keys(properties).filter((name) => !name.startsWith("$"));
      return { path: here, of: "key", message: `no such key; there are ${known.join(", ")}` };
    }
  }
  const missing = required.find((key) => !entries.some(([name]) => name === key));
  return missing === undefined ? undefined : { path, message: `the key ${missing} is missing` };
}

function typeOf(value: unknown): Schema["type"] {
  if (Number.isInteger(value)) return "integer";
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "boolean";
  if (Array.isArray(value)) return "array";
  return typeof value === "object" && value !== null ? "object" : undefined;
}
