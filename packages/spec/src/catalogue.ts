/** Every layout of the project by its name, from where each is declared. */
import * as core from "@virtio-admin/core";
import { isLayout, type Layout, VirtioError } from "@virtio-admin/core";
import * as ccw from "@virtio-admin/transport-ccw";
import * as mmio from "@virtio-admin/transport-mmio";
import * as pci from "@virtio-admin/transport-pci";

/** The layouts that a package exports, alone or in a list, and the payloads of their commands. */
function layoutsOf(exports: Readonly<Record<string, unknown>>): Layout[] {
  return Object.values(exports)
    .flat()
    .filter(isLayout)
    .flatMap((layout) => [layout, ...payloadsOf(layout)]);
}

/** The payloads of channel commands; nothing for the other kinds. */
function payloadsOf(layout: Layout): Layout[] {
  if (layout.kind !== "commands") return [];
  return Object.values(layout.commands).flatMap(({ payload }) => payload ?? []);
}

/**
 * Every layout by its name: the register maps and channel commands of the transports first, then
 * structures, those of MMIO and channel I/O before those of PCI and of the core.
 */
export const LAYOUT_CATALOGUE: ReadonlyMap<string, Layout> = new Map(
  [mmio, ccw, pci, core]
    .flatMap(layoutsOf)
    .sort((a, b) => Number(a.kind === "struct") - Number(b.kind === "struct"))
    .map((layout) => [layout.name, layout]),
);

/**
 * The layout of that name.
 *
 * @throws VirtioError `LAYOUT_UNKNOWN_NAME` when there is none
 */
export function layoutNamed(name: string): Layout {
  const found = LAYOUT_CATALOGUE.get(name);
  if (found !== undefined) return found;
  throw new VirtioError("LAYOUT_UNKNOWN_NAME", {
    message: "there is no layout of that name",
    path: "layout",
    value: name,
    hint: nearest(name),
  });
}

function nearest(name: string): string {
  const wanted = name.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
  const close = [...LAYOUT_CATALOGUE.keys()].filter((known) => {
    const plain = known.replaceAll("_", "");
    return wanted.length > 2 && (plain.includes(wanted) || wanted.includes(plain));
  });
  return close.length === 0
    ? "`virtio-admin layout show` lists them"
    : `did you mean ${close.slice(0, 5).join(", ")}?`;
}
