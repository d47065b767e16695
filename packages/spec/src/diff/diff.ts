/** Two layouts, or two revisions of one, against each other. */
import type { ChannelCommand, CommandLayout, Layout } from "@virtio-admin/core";
import { hex } from "../render/wording.ts";
import { Changes, type LayoutChange } from "./changes.ts";
import { diffCite, diffFields, diffGate, diffProse, ownCite, renamesOf } from "./fields.ts";
import { NewGates } from "./gates.ts";

/**
 * Every change from `before` to `after`, with its class and the reason for it, in the order of `before`, and
 * what is new behind it. The order of declarations is no change.
 */
export function diffLayouts(before: Layout, after: Layout): readonly LayoutChange[] {
  const changes = new Changes();
  diffAny(changes, before.name, before, after);
  return changes.list;
}

function diffAny(changes: Changes, path: string, a: Layout, b: Layout): void {
  if (a.kind !== b.kind) {
    changes.changed(`${path}.kind`, a.kind, b.kind, [
      "breaking",
      "the two have nothing in common but the name",
    ]);
    return;
  }
  diffProse(changes, path, a, b, ["name", "doc", "cite", "label"]);
  if (a.kind === "commands" && b.kind === "commands") {
    diffProse(changes, path, a, b, ["prefix"]);
    diffCommands(changes, path, a, b);
  } else if (a.kind === "registers" && b.kind === "registers") {
    diffProse(changes, path, a, b, ["linux"]);
    diffGate(changes, path, a.gate, b.gate);
    diffBus(changes, path, a.busWidths, b.busWidths);
    if (a.byteOrder !== b.byteOrder) {
      changes.changed(`${path}.byteOrder`, a.byteOrder, b.byteOrder, [
        "editorial",
        "the types of the registers say their order; a change of theirs is listed with them",
      ]);
    }
    diffFields(changes, path, a, b);
  } else if (a.kind === "struct" && b.kind === "struct") {
    diffProse(changes, path, a, b, ["linux"]);
    diffGate(changes, path, a.gate, b.gate);
    diffFields(changes, path, a, b);
  }
}

function diffBus(
  changes: Changes,
  path: string,
  before: readonly number[],
  after: readonly number[],
): void {
  if (before.join() === after.join()) return;
  const isNarrower = before.some((width) => !after.includes(width));
  changes.changed(
    `${path}.busWidth`,
    before.join(", "),
    after.join(", "),
    isNarrower
      ? ["breaking", "a driver of the old layout makes accesses that there are no longer"]
      : ["behavioural", "a driver may make accesses that devices of the old layout do not expect"],
  );
}

function diffCommands(changes: Changes, path: string, a: CommandLayout, b: CommandLayout): void {
  const before = new Map(Object.entries<ChannelCommand>(a.commands));
  const after = new Map(Object.entries<ChannelCommand>(b.commands));
  const renamed = renamesOf(
    before,
    after,
    (x, y) => x.code === y.code && x.direction === y.direction,
  );
  for (const [name, command] of before) {
    const where = `${path}.${name}`;
    const other = renamed.get(name);
    const now = after.get(other ?? name);
    if (other !== undefined) changes.renamed(where, name, other, command.doc === now?.doc);
    if (now === undefined) {
      changes.changed(where, hex(command.code), undefined, [
        "breaking",
        "who issues it is rejected",
      ]);
    } else {
      diffCommand(changes, where, command, now);
      diffCite(changes, where, ownCite(command, a), ownCite(now, b));
    }
  }
  const asked = new NewGates(a);
  const taken = new Set(renamed.values());
  for (const [name, command] of after) {
    if (before.has(name) || taken.has(name)) continue;
    changes.changed(
      `${path}.${name}`,
      undefined,
      hex(command.code),
      command.gate === undefined
        ? ["behavioural", "nothing negotiates it: a driver cannot tell whether a device has it"]
        : asked.has(command.gate)
          ? ["compatible", "only who negotiates it issues it"]
          : [
              "behavioural",
              "what negotiates it is older: a driver cannot tell whether a device has it",
            ],
    );
  }
}

function diffCommand(changes: Changes, path: string, a: ChannelCommand, b: ChannelCommand): void {
  if (a.code !== b.code) {
    changes.changed(`${path}.code`, hex(a.code), hex(b.code), [
      "breaking",
      "who knows the old code issues the old code",
    ]);
  }
  if (a.direction !== b.direction) {
    changes.changed(`${path}.direction`, a.direction, b.direction, [
      "breaking",
      "the channel subsystem moves the data the other way",
    ]);
  }
  diffGate(changes, path, a.gate, b.gate);
  diffProse(changes, path, a, b, ["doc"]);
  if (a.payload !== undefined && b.payload !== undefined) {
    diffAny(changes, `${path}.payload`, a.payload, b.payload);
  } else if (a.payload !== undefined || b.payload !== undefined) {
    changes.changed(
      `${path}.payload`,
      a.payload?.name,
      b.payload?.name,
      b.payload === undefined
        ? ["breaking", "who knows the payload goes on sending or expecting it"]
        : ["behavioural", "data that no layout described has a form"],
    );
  }
}
