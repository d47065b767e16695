/**
 * The documents of the site that are made from declarations: the clauses, the layouts, the commands
 * and the transports. Written as Markdown, for typedoc to put beside the guides.
 */
import * as core from "@virtio-admin/core";
import {
  type AdminCommand,
  CAP_ID_LIST_QUERY,
  CLAUSE_SECTIONS,
  type Clause,
  type ClauseSection,
  DEVICE_CAP_GET,
  DEVICE_PARTS_COMMANDS,
  DRIVER_CAP_SET,
  isLayout,
  type Layout,
  LEGACY_ACCESS_FAMILY,
  type LengthRange,
  LIST_FAMILY,
  MANAGEMENT_FAMILY,
  PLATFORM_GROUP,
  resourceObjectCommands,
  SELF_GROUP,
  SR_IOV_GROUP,
  type TransportPlugin,
} from "@virtio-admin/core";
import { CCW_TRANSPORT } from "@virtio-admin/transport-ccw";
import { MMIO_TRANSPORT } from "@virtio-admin/transport-mmio";
import { PCI_TRANSPORT } from "@virtio-admin/transport-pci";
import { type MapField, stripsOf } from "@virtio-admin/workbench";

/** The transports, in the order of the specification. */
export const TRANSPORTS: readonly TransportPlugin[] = [
  PCI_TRANSPORT,
  MMIO_TRANSPORT,
  CCW_TRANSPORT,
];

const GROUPS = [SELF_GROUP, SR_IOV_GROUP, PLATFORM_GROUP];

/** The documents by file name. */
export function documents(): ReadonlyMap<string, string> {
  return new Map([
    ["clauses.md", clauses()],
    ["commands.md", commands()],
    ["layouts.md", layouts()],
  ]);
}

/** A table of the transports, as they describe themselves. */
export function transportTable(): string {
  const cell = (text: string) => text.replaceAll("|", "\\|");
  const rows: readonly (readonly [string, (each: TransportPlugin["description"]) => string])[] = [
    ["`admin_queue_index`", (each) => each.adminQueueLocation],
    ["form", (each) => each.adminQueueForm],
    ["gate", (each) => each.adminQueueGate],
    ["status", (each) => each.adminQueueStatus],
    ["group types", (each) => each.groupTypes.join(", ")],
    ["interrupts", (each) => each.interrupts],
    ["one queue is stopped by", (each) => each.queueReset],
  ];
  return table(
    ["", ...TRANSPORTS.map(({ description }) => description.title)],
    rows.map(([name, of]) => [name, ...TRANSPORTS.map(({ description }) => cell(of(description)))]),
  );
}

function clauses(): string {
  const sections = [...CLAUSE_SECTIONS.values()];
  const count = sections.reduce((sum, section) => sum + section.clauses.length, 0);
  return document(
    "Clauses",
    `${count} rules in ${sections.length} sections: what the specification says of what is here, and what this project says
beyond it, in this project's words. Tests and reports name them by these ids; the label is that of the section in the
sources of the specification.`,
    sections.map(clauseSection),
  );
}

function clauseSection({ slug, title, label, clauses: rules }: ClauseSection): string {
  const [first] = rules;
  const where = first?.file === undefined ? "" : `, \`${first.file}\``;
  return [
    heading(2, slug, `${title} (${slug})`),
    `\`${label}\`${where}`,
    table(["Clause", "Who", "Force", "Rule"], rules.map(clauseRow)),
  ].join("\n\n");
}

function clauseRow({ id, role, level, text, family }: Clause): string[] {
  const part = family === undefined ? "" : ` *(${family})*`;
  return [`<a id="${id}"></a>\`${id}\``, role, level.replace("-", " "), `${plain(text)}${part}`];
}

function allCommands(): readonly AdminCommand[] {
  return [
    ...LIST_FAMILY.commands,
    ...LEGACY_ACCESS_FAMILY.commands,
    CAP_ID_LIST_QUERY,
    DEVICE_CAP_GET,
    DRIVER_CAP_SET,
    ...Object.values(resourceObjectCommands()),
    ...DEVICE_PARTS_COMMANDS,
    ...MANAGEMENT_FAMILY.commands,
  ].toSorted((a, b) => a.opcode - b.opcode);
}

function commands(): string {
  return document(
    "Administration commands",
    `Every administration command that both halves have, by its opcode in virtio 1.4. The management commands are this
project's own, and offered only by a device whose maker asks for them. \`virtio-admin commands\` plays scenarios of each.`,
    [
      table(
        ["Opcode", "Command", "Groups", "Data", "Result", "Clauses"],
        allCommands().map((command) => [
          `\`0x${command.opcode.toString(16).padStart(4, "0")}\``,
          `<a id="${command.name.toLowerCase()}"></a>\`${command.name}\`<br>${plain(command.doc)}`,
          groupNames(command),
          part(command.data, command.layouts?.data),
          part(command.result, command.layouts?.result),
          clauseLinks(command),
        ]),
      ),
    ],
  );
}

function clauseLinks({ clauses: ids }: AdminCommand): string {
  if (ids.length === 0) return "none of its own";
  return ids.map((id) => `[${id}](site:documents/Clauses.html#${id})`).join(", ");
}

function groupNames({ groups }: AdminCommand): string {
  if (groups === "any") return "any";
  return groups
    .map((id) => GROUPS.find((group) => group.id === id)?.name ?? `0x${id.toString(16)}`)
    .join(", ");
}

function part({ min, max }: LengthRange, layout: Layout | undefined): string {
  if (max === 0) return "none";
  const number = min === max ? `${min}` : `${min} to ${max}`;
  const bytes = `${number} ${max === 1 ? "byte" : "bytes"}`;
  return layout === undefined
    ? bytes
    : `[\`${layout.name}\`](site:documents/Registers_and_structures.html#${layout.name}), ${bytes}`;
}

function layouts(): string {
  const shown = new Set<string>();
  const parts: string[] = [];
  const add = (title: string, all: readonly Layout[]) => {
    const fresh = all.filter(({ name }) => !shown.has(name));
    for (const { name } of fresh) shown.add(name);
    if (fresh.length > 0) parts.push(heading(2, anchor(title), title), ...fresh.map(layoutSection));
  };
  for (const { description } of TRANSPORTS) add(description.title, description.layouts);
  add("Commands, queues and parts", Object.values<unknown>(core).filter(isLayout));
  return document(
    "Registers and structures",
    `${shown.size} layouts, from their declarations. [The workbench](site:workbench/index.html) draws those of
the transports to scale and compares them.`,
    parts,
  );
}

function layoutSection(layout: Layout): string {
  const strips = stripsOf(layout);
  const blocks = [
    heading(3, layout.name, `\`${layout.name}\``),
    `${plain(layout.doc)} *${plain(layout.cite)}*`,
  ];
  for (const { name, head, gate, doc, fields } of strips) {
    if (head !== undefined) {
      const condition = gate === undefined ? "" : ` Only with ${plain(gate)}.`;
      blocks.push(`**\`${name}\`** ${head}. ${plain(doc)}${condition}`);
    }
    if (fields.length > 0) {
      blocks.push(fieldTable(fields));
    }
  }
  return blocks.join("\n\n");
}

/** The fields; what is not a register has no access mode, and no column for it. */
function fieldTable(fields: readonly MapField[]): string {
  const hasAccess = fields.some(({ access }) => access !== undefined);
  return table(
    ["Offset", "Field", "Type", ...(hasAccess ? ["Access"] : []), "What"],
    fields.map((field) => {
      const { name, offset, type, access, gate, doc } = field;
      const condition = gate === undefined ? "" : ` *Only with ${plain(gate)}.*`;
      return [
        `\`0x${offset.toString(16).padStart(3, "0")}\``,
        `\`${name}\``,
        type,
        ...(hasAccess ? [access ?? ""] : []),
        `${plain(doc)}${condition}${bitNames(field)}`,
      ];
    }),
  );
}

function bitNames({ bits }: MapField): string {
  const named = bits.map(
    ({ name, at, width = 1 }) => `\`${name}\` ${width === 1 ? at : `${at}–${at + width - 1}`}`,
  );
  return named.length === 0 ? "" : ` Bits: ${named.join(", ")}.`;
}

function document(title: string, lead: string, parts: readonly string[]): string {
  return `---\ntitle: ${title}\ngroup: Reference\n---\n\n# ${title}\n\n${[lead, ...parts].join("\n\n")}\n`;
}

function heading(level: number, id: string, text: string): string {
  return `<a id="${id}"></a>\n\n${"#".repeat(level)} ${text}`;
}

function anchor(text: string): string {
  return text.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
}

/** A table of Markdown. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function plain(text: string): string {
  return text
    .replaceAll("|", "\\|")
    .replaceAll("<", "&lt;")
    .replaceAll("_", "\\_")
    .replaceAll("*", "\\*");
}
