/** Which layouts are shown and compared, as the address says. */
import { computed, type ReadonlySignal, signal } from "@preact/signals";
import type { Layout } from "@virtio-admin/core";
import { CCW_REFERENCE_LAYOUT } from "@virtio-admin/transport-ccw";
import { MMIO_REFERENCE_LAYOUT } from "@virtio-admin/transport-mmio";
import { VIRTIO_PCI_COMMON_CFG_LAYOUT } from "@virtio-admin/transport-pci";
import { setValues, valueAt } from "../shell/address.ts";
import { packText, unpackText } from "../shell/packed-text.ts";
import { TRANSPORT_NAMES, TRANSPORTS, type TransportName } from "../transports.ts";
import { type Difference, differencesOf } from "./differences.ts";
import { homeOf, type OwnLayout, readOwnLayout } from "./own-layout.ts";
import { type Strip, stripsOf } from "./strips.ts";

/** How the reader's own layout is named in an address. */
export const OWN = "own";
const NONE = "";
/** A layout that is longer when it is packed is shown, and not in the address. */
const LONGEST_PACKED = 60_000;

const FIRST: Readonly<Record<TransportName, Layout>> = {
  pci: VIRTIO_PCI_COMMON_CFG_LAYOUT,
  mmio: MMIO_REFERENCE_LAYOUT,
  ccw: CCW_REFERENCE_LAYOUT,
};

/** The reader's own layout, once it is unpacked. */
export const own = signal<OwnLayout | undefined>(undefined);
/** The name of its file, where it was read in this page. */
export const ownName = signal<string | undefined>(undefined);
let unpacked: string | undefined;

/** Takes a file of the reader's. What is good goes into the address. */
export async function takeOwn(name: string, text: string): Promise<void> {
  const read = readOwnLayout(text);
  own.value = read;
  ownName.value = name;
  if (read.layout === undefined) return;
  unpacked = await packText(text);
  const home = homeOf(read.layout);
  // The reader's is shown, against what was shown before.
  const before = shownName(home);
  setValues({
    [OWN]: unpacked.length > LONGEST_PACKED ? undefined : unpacked,
    [home]: OWN,
    [`${home}Vs`]: before === OWN ? FIRST[home].name : before,
    on: home,
    at: undefined,
  });
}

/** Refuses a file that was not even read. */
export function refuseOwn(name: string, message: string): void {
  ownName.value = name;
  own.value = {
    findings: [{ severity: "error", path: "file", message }],
  };
}

/** Takes the layout that the address has. */
export async function takeOwnOfAddress(): Promise<void> {
  const packed = valueAt(OWN);
  if (packed === undefined || packed === unpacked) return;
  unpacked = packed;
  const text = await unpackText(packed);
  if (text === undefined) refuseOwn("the address", "it is no layout that was packed here");
  else own.value = readOwnLayout(text);
}

/** The layouts that a transport can show. */
export function layoutsOf(transport: TransportName): readonly Layout[] {
  return TRANSPORTS[transport].description.layouts;
}

/** Whether the reader's own layout belongs to this transport. */
export function hasOwn(transport: TransportName): boolean {
  const layout = own.value?.layout;
  return layout !== undefined && homeOf(layout) === transport;
}

/** The name of the layout that is shown. */
export function shownName(transport: TransportName): string {
  const name = valueAt(transport);
  if (name === OWN) return OWN;
  return layoutNamed(transport, name)?.name ?? FIRST[transport].name;
}

/** The name of the layout that it is compared with; empty for none. */
export function comparedName(transport: TransportName): string {
  const name = valueAt(`${transport}Vs`);
  if (name === OWN && hasOwn(transport)) return OWN;
  return layoutNamed(transport, name)?.name ?? NONE;
}

function layoutNamed(transport: TransportName, name: string | undefined): Layout | undefined {
  if (name === OWN) return hasOwn(transport) ? own.value?.layout : undefined;
  return layoutsOf(transport).find((each) => each.name === name);
}

/** What a column shows. */
export interface Column {
  /** The transport. */
  readonly transport: TransportName;
  /** The layout. */
  readonly layout: Layout;
  /** Its strips. */
  readonly strips: readonly Strip[];
  /** The layout that it is compared with. */
  readonly compared: Layout | undefined;
  /** What differs from that. */
  readonly differences: readonly Difference[];
  /** Every key that can be looked at, in order. */
  readonly keys: readonly string[];
}

function columnOf(transport: TransportName): Column {
  const layout = layoutNamed(transport, shownName(transport)) ?? FIRST[transport];
  const compared = layoutNamed(transport, comparedName(transport));
  const strips = stripsOf(layout);
  return {
    transport,
    layout,
    strips,
    compared,
    differences: compared === undefined ? [] : differencesOf(compared, layout),
    keys: strips.flatMap(({ key, head, fields }) => [
      ...(head === undefined ? [] : [key]),
      ...fields.map((field) => field.key),
    ]),
  };
}

/** The three columns. */
export const columns: ReadonlySignal<readonly Column[]> = computed(() =>
  TRANSPORT_NAMES.map(columnOf),
);

/** A field of a transport. */
export interface Place {
  /** The transport. */
  readonly transport: TransportName;
  /** The key of the field or command. */
  readonly key: string;
}

/** The field that the reader chose, as the address says. */
export const chosen: ReadonlySignal<Place | undefined> = computed(() => {
  const text = valueAt("at") ?? "";
  const cut = text.indexOf("/");
  const transport = TRANSPORT_NAMES.find((each) => each === text.slice(0, cut));
  const key = text.slice(cut + 1);
  const column = columns.value.find((each) => each.transport === transport);
  return transport !== undefined && column?.keys.includes(key) ? { transport, key } : undefined;
});

/** The field that the mouse is over. */
export const hovered = signal<Place | undefined>(undefined);

/** Chooses a field. */
export function choose({ transport, key }: Place): void {
  setValues({ at: `${transport}/${key}` });
}
