/**
 * Checks layouts: first whether they are sound, by the rules of the core, then whether they are well made.
 * Whatever it is given, it answers with findings and never throws.
 */
import {
  checkLayout,
  isVirtioError,
  type Layout,
  type LayoutFinding,
  layoutFromJson,
} from "@virtio-admin/core";
import { isVariantDocument, variantDocument } from "../variant/document.ts";
import { checkDesign } from "./design.ts";
import { checkFields } from "./fields.ts";
import { fieldLayouts } from "./places.ts";
import { type CheckFinding, CheckFindings, type CheckRule } from "./rules.ts";
import { documentOf, type Path, pathKeys, type ReadText, readText } from "./text.ts";

/** What a check came to. */
export interface CheckReport {
  /** The layout; `undefined` when an error makes it unusable. */
  readonly layout: Layout | undefined;
  /** What was found: errors first, then warnings, then notes, each in the order of the layout. */
  readonly findings: readonly CheckFinding[];
}

/** Checks a layout that was declared or read, or the parsed JSON of a layout document or a variant. */
export function checkLayoutDesign(layout: unknown): CheckReport {
  return check(documentOf(layout), undefined);
}

/** Checks the text of a file: a layout document or a variant, as JSON or YAML; findings name lines. */
export function checkLayoutText(text: string): CheckReport {
  const read = readText(text);
  const [problem] = read.problems;
  if (problem === undefined) return check(read.value, read);
  const finding: CheckFinding = {
    rule: "text",
    severity: "error",
    path: "layout",
    line: problem.line,
    message: problem.message.split("\n")[0] ?? "",
    remedy: "write it as `virtio-admin layout render NAME --format yaml` does",
  };
  return { layout: undefined, findings: [finding] };
}

function check(value: unknown, source: ReadText | undefined): CheckReport {
  const findings = new CheckFindings();
  try {
    const layout = judge(value, findings);
    return { layout, findings: finish(findings, value, layout, source) };
  } catch (error) {
    // Getters and proxies can throw anything.
    findings.add(refusal("form", "layout", messageOf(error)));
    return { layout: undefined, findings: findings.list };
  }
}

/** The layout, unless something makes it unusable. */
function judge(value: unknown, findings: CheckFindings): Layout | undefined {
  let document = value;
  if (isVariantDocument(value)) {
    try {
      document = variantDocument(value);
    } catch (error) {
      if (!isVirtioError(error)) throw error;
      const path = error.path ?? "variant";
      findings.add({
        ...refusal("variant", path, partOf(error.message, path)),
        remedy: error.hint ?? "",
      });
      return undefined;
    }
  }
  const sound = checkLayout(document);
  for (const finding of sound) findings.add(fromCore(finding));
  if (sound.some(({ severity }) => severity === "error")) return undefined;
  const layout = layoutFromJson(document);
  for (const placed of fieldLayouts(layout)) checkFields(findings, placed);
  checkDesign(findings, layout);
  return layout;
}

const REMEDIES: Readonly<Partial<Record<CheckRule, string>>> = {
  form: "see schema/layout.schema.json of @virtio-admin/core",
  name: "rename one of them",
  code: "take a free code: `virtio-admin layout free` lists them",
  direction: "take a code whose low bits say the direction: 01 write, 10 read, 11 control",
  size: "leave out size, or make it the end of the last field",
  alignment: "move it to a multiple of its width",
  "byte-order": "use a type of the map's byte order",
  reset: "leave it out, or take a wider type",
  bits: "move the bits, or take a wider type",
};

function fromCore({ rule, severity, path, message, value, hint }: LayoutFinding): CheckFinding {
  const got = value === undefined || typeof value === "object" ? "" : ` (got ${textOf(value)})`;
  return {
    rule,
    severity,
    path,
    message: `${message}${got}`,
    remedy: hint ?? REMEDIES[rule] ?? "change it",
  };
}

function textOf(value: unknown): string {
  if (typeof value === "number" && Number.isInteger(value) && value > 9) {
    return `0x${value.toString(16)}`;
  }
  return String(typeof value === "string" ? JSON.stringify(value) : value).slice(0, 80);
}

function refusal(rule: CheckRule, path: string, message: string): CheckFinding {
  return { rule, severity: "error", path, message, remedy: REMEDIES[rule] ?? "change it" };
}

/** The message without the path before it and the hint after it, which stand elsewhere. */
function partOf(message: string, path: string): string {
  const bare = message.startsWith(`${path}: `) ? message.slice(path.length + 2) : message;
  return bare.split("; ")[0] ?? bare;
}

function messageOf(error: unknown): string {
  try {
    return error instanceof Error ? error.message : String(error);
  } catch {
    return "it cannot be read";
  }
}

const ORDER = { error: 0, warning: 1, note: 2 } as const;

/** Sorted, and with the lines of the file. */
function finish(
  { list }: CheckFindings,
  value: unknown,
  layout: Layout | undefined,
  source: ReadText | undefined,
): readonly CheckFinding[] {
  const sorted = [...list].sort((a, b) => ORDER[a.severity] - ORDER[b.severity]);
  if (source === undefined) return sorted;
  const isVariant = isVariantDocument(value);
  return sorted.map((finding) => {
    const keys = pathKeys(finding.path);
    const place = isVariant && layout !== undefined ? keysInVariant(keys, value, layout) : keys;
    const line = source.lineOf(place);
    return line === undefined ? finding : { ...finding, line };
  });
}

/** Where a variant speaks of an entry of the layout that it makes; the file as a whole where it does not. */
function keysInVariant(keys: Path, value: unknown, layout: Layout): Path {
  const [, index, ...rest] = keys;
  const entries = Object.keys(
    layout.kind === "commands"
      ? layout.commands
      : layout.kind === "registers"
        ? layout.registers
        : layout.fields,
  );
  const name = typeof index === "number" ? entries[index] : undefined;
  const { change, add } = value as { change?: object; add?: readonly { name?: unknown }[] };
  if (name === undefined) return [];
  if (change !== undefined && Object.hasOwn(change, name)) return ["change", name, ...rest];
  const added = (add ?? []).findIndex((entry) => entry?.name === name);
  return added < 0 ? [] : ["add", added, ...rest];
}
