/** Rules about gates, names and neighbours: what makes a sound layout a good one. */
import {
  type ChannelCommand,
  type CommandLayout,
  FEATURE,
  type Field,
  featureName,
  type Layout,
} from "@virtio-admin/core";
import { isKeyword } from "../render/c-names.ts";
import { commandMacro, macroName } from "../render/header.ts";
import { bytesOf, hex, typeText, upperSnake } from "../render/wording.ts";
import { freePlaces, squattersAt } from "./free.ts";
import { type Neighbourhood, neighbourhoodOf } from "./neighbours.ts";
import { entriesAt, fieldLayouts, type PlacedEntry } from "./places.ts";
import type { CheckFindings } from "./rules.ts";

/** Checks gates, names and neighbours of a layout. */
export function checkDesign(findings: CheckFindings, layout: Layout): void {
  const neighbourhood = neighbourhoodOf(layout);
  const all = [
    ...entriesAt(layout),
    ...(layout.kind === "commands" ? fieldLayouts(layout).flatMap(({ entries }) => entries) : []),
  ];
  for (const entry of all) checkGate(findings, entry, neighbourhood);
  if (layout.kind === "commands") checkPayloadGates(findings, layout);
  checkNames(findings, layout);
  for (const placed of fieldLayouts(layout)) {
    if (placed.layout !== layout) checkNames(findings, placed.layout, placed.path);
  }
  if (neighbourhood === undefined) return;
  for (const entry of entriesAt(layout)) {
    if (isRatified(entry, neighbourhood.ratified)) continue;
    checkRatified(findings, entry, neighbourhood);
    checkSquatters(findings, entry, neighbourhood, layout);
    if (entry.command !== undefined) checkCommand(findings, entry.path, entry.command, layout);
  }
  checkMissing(findings, layout, neighbourhood);
}

/** Where the bits of device types end and begin again; between them are the specification's. */
const DEVICE_TYPE_BITS = (bit: number) => bit <= 23 || bit >= 50;

function checkGate(
  findings: CheckFindings,
  { gate, path, name }: PlacedEntry,
  neighbourhood: Neighbourhood | undefined,
): void {
  if (gate?.feature !== undefined) {
    const isNamed = Object.values(FEATURE).some((bit) => bit === gate.feature);
    if (!isNamed && !DEVICE_TYPE_BITS(gate.feature)) {
      findings.add({
        rule: "gate",
        severity: "warning",
        path: `${path}.gate.feature`,
        message: `${name} waits for feature bit ${gate.feature}, which nobody has defined`,
        remedy: "define the bit in the same proposal, or gate it by one of FEATURE in the core",
      });
    }
    if (neighbourhood?.reservedFeatures.includes(gate.feature) === true) {
      findings.add({
        rule: "gate",
        severity: "error",
        path: `${path}.gate.feature`,
        message: `${name} never exists: ${neighbourhood.transport} does not carry ${featureName(gate.feature)}`,
        remedy: "gate it by a feature that the transport can negotiate",
      });
    }
  }
  if (gate?.revision !== undefined && neighbourhood?.hasRevisions === false) {
    findings.add({
      rule: "gate",
      severity: "error",
      path: `${path}.gate.revision`,
      message: `${name} never exists: ${neighbourhood.transport} has no revisions`,
      remedy: "gate it by a feature bit",
    });
  }
}

/** A new command needs a revision, and its payload's fields exist no earlier than it does. */
function checkPayloadGates(findings: CheckFindings, layout: CommandLayout): void {
  for (const [i, { gate, payload }] of Object.values<ChannelCommand>(layout.commands).entries()) {
    const fields = Object.values<Field>(payload?.fields ?? {});
    for (const [j, field] of fields.entries()) {
      const own = field.gate?.revision;
      if (own === undefined || gate?.revision === undefined || own >= gate.revision) continue;
      findings.add({
        rule: "gate",
        severity: "warning",
        path: `layout.commands[${i}].payload.fields[${j}].gate.revision`,
        message: `${field.name} is there from revision ${own}, and its command only from ${gate.revision}`,
        remedy: "leave out the field's revision",
      });
    }
  }
}

function checkCommand(
  findings: CheckFindings,
  path: string,
  command: ChannelCommand,
  layout: Layout,
): void {
  if ((command.code & 3) === 0) {
    findings.add({
      rule: "direction",
      severity: "warning",
      path: `${path}.code`,
      message: `to the channel subsystem the low bits of ${hex(command.code)} say sense, transfer in channel or read backward`,
      remedy: proposal(layout, { direction: command.direction }),
    });
  }
  if (command.gate?.revision === undefined) {
    findings.add({
      rule: "gate",
      severity: "warning",
      path: `${path}.gate`,
      message: `${command.name} is new and belongs to no revision, so that a device of an older one has it too`,
      remedy: `add gate: { revision: ${nextRevision(layout, command)} }: commands outside the selected revision are rejected`,
    });
  }
}

function nextRevision(layout: Layout, except: ChannelCommand): number {
  if (layout.kind !== "commands") return 1;
  const others = Object.values<ChannelCommand>(layout.commands).filter((each) => each !== except);
  return 1 + others.reduce((highest, { gate }) => Math.max(highest, gate?.revision ?? 1), 1);
}

function checkNames(findings: CheckFindings, layout: Layout, path = "layout"): void {
  const spelled = new Map<string, string>();
  const macros = new Map<string, string>();
  for (const entry of entriesAt(layout, path)) {
    const { name } = entry;
    const plain = upperSnake(name).replaceAll("_", "");
    const other = spelled.get(plain);
    if (other !== undefined) {
      collide(
        findings,
        `${entry.path}.name`,
        `${name} is ${other} in another spelling`,
        "rename one",
      );
    }
    spelled.set(plain, name);
    const macro = macroOf(layout, entry);
    const owner = macros.get(macro);
    if (owner !== undefined && owner !== other) {
      const place = entry.field?.linux === macro ? "linux" : "name";
      const message = `as a macro, ${name} and ${owner} are both ${macro}`;
      collide(findings, `${entry.path}.${place}`, message, "rename one, or change its `linux`");
    }
    macros.set(macro, name);
    if (layout.kind === "struct" && isKeyword(name)) {
      findings.add({
        rule: "keyword",
        severity: "note",
        path: `${entry.path}.name`,
        message: `${name} is a word that C or C++ keeps for itself`,
        remedy: `the header calls it ${name}_; a longer name needs no such care`,
      });
    }
  }
}

function macroOf(layout: Layout, { name, field }: PlacedEntry): string {
  if (layout.kind === "commands") return commandMacro(layout, name);
  if (field === undefined) return upperSnake(name);
  return layout.kind === "registers" ? macroName(layout, field) : (field.linux ?? `.${name}`);
}

function collide(findings: CheckFindings, path: string, message: string, remedy: string): void {
  findings.add({ rule: "name-collision", severity: "warning", path, message, remedy });
}

/** True when virtio 1.4 has it there, in that form. */
function isRatified({ name, field, command }: PlacedEntry, ratified: Layout): boolean {
  const known = entriesAt(ratified).find((entry) => entry.name === name);
  if (known === undefined) return false;
  if (command !== undefined) return known.command?.code === command.code;
  return (
    field !== undefined &&
    known.field?.offset === field.offset &&
    known.field.type === field.type &&
    known.field.count === field.count &&
    known.field.access === field.access
  );
}

/** What virtio 1.4 has under that name, in another place or form; and who it has at that place. */
function checkRatified(
  findings: CheckFindings,
  entry: PlacedEntry,
  { ratified, transport }: Neighbourhood,
): void {
  const known = entriesAt(ratified).find(({ name }) => name === entry.name);
  if (known !== undefined) {
    findings.add({
      rule: "ratified",
      severity: "warning",
      path: entry.path,
      message: `virtio 1.4 has ${entry.name} as ${formOf(known)}, and drivers of ${transport} look for it there`,
      remedy: `put it back to ${formOf(known)}, and add something new beside it`,
    });
  }
  const taken = entriesAt(ratified).find(
    (other) => other.name !== entry.name && sharesPlace(entry, other),
  );
  if (taken !== undefined) {
    findings.add({
      rule: "ratified",
      severity: "warning",
      path: entry.command === undefined ? `${entry.path}.offset` : `${entry.path}.code`,
      message: `virtio 1.4 has ${taken.name} at ${formOf(taken)}, where ${entry.name} is`,
      remedy: "`virtio-admin layout free` lists places that nobody has",
    });
  }
}

function formOf({ field, command }: PlacedEntry): string {
  if (command !== undefined) return hex(command.code);
  if (field === undefined) return "nothing";
  return `${typeText(field)} ${field.access ?? ""} at ${hex(field.offset, 3)}`;
}

function sharesPlace(a: PlacedEntry, b: PlacedEntry): boolean {
  if (a.command !== undefined && b.command !== undefined) return a.command.code === b.command.code;
  if (a.field === undefined || b.field === undefined) return false;
  return (
    a.field.offset < b.field.offset + bytesOf(b.field) &&
    b.field.offset < a.field.offset + bytesOf(a.field)
  );
}

function checkMissing(findings: CheckFindings, layout: Layout, { ratified }: Neighbourhood): void {
  const names = new Set(entriesAt(layout).map(({ name }) => name));
  const list = layout.kind === "commands" ? "commands" : "registers";
  for (const { name } of entriesAt(ratified)) {
    if (names.has(name)) continue;
    findings.add({
      rule: "ratified",
      severity: "warning",
      path: `layout.${list}`,
      message: `${name} of virtio 1.4 is missing`,
      remedy: "add it as virtio 1.4 has it: drivers look for it",
    });
  }
}

function checkSquatters(
  findings: CheckFindings,
  entry: PlacedEntry,
  neighbourhood: Neighbourhood,
  layout: Layout,
): void {
  const { field, command } = entry;
  const start = command?.code ?? field?.offset ?? 0;
  const end =
    command === undefined ? start + (field === undefined ? 0 : bytesOf(field)) : start + 1;
  for (const { name, who, at } of squattersAt(neighbourhood, start, end)) {
    const place = command === undefined ? hex(at, 3) : hex(at);
    findings.add({
      rule: "squatter",
      severity: "warning",
      path: `${entry.path}.${command === undefined ? "offset" : "code"}`,
      message: `${entry.name} is where ${name} is known to be, at ${place} (${who})`,
      remedy: proposal(layout, command === undefined ? {} : { direction: command.direction }),
    });
  }
}

function proposal(layout: Layout, need: Parameters<typeof freePlaces>[1]): string {
  const { proposals } = freePlaces(layout, need);
  const digits = layout.kind === "commands" ? 2 : 3;
  if (proposals.length === 0) return "there is no free place left";
  return `nobody is known to use ${proposals
    .slice(0, 3)
    .map((at) => hex(at, digits))
    .join(", ")}`;
}
