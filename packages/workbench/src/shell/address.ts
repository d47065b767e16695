/**
 * The state of the page, as its address has it behind the `#`: `#maps?mmio=virtio_mmio&at=…`. What is
 * not there, is as it is at first.
 */
import { computed, type ReadonlySignal, signal } from "@preact/signals";
import { type Address, formatAddress, type PanelName, parseAddress } from "./address-text.ts";

const current = signal<Address>(parseAddress(location.hash));
/** Where the reader was in the other panels. */
const left = new Map<PanelName, Address>();

/** The address now. */
export const address: ReadonlySignal<Address> = current;

/** The panel now. */
export const panel: ReadonlySignal<PanelName> = computed(() => current.value.panel);

/** A value of the panel now; `undefined` when it is as at first. */
export function valueAt(name: string): string | undefined {
  return current.value.values.get(name);
}

/** Sets values of the panel; `undefined` puts one back. */
export function setValues(changes: Readonly<Record<string, string | undefined>>): void {
  const values = new Map(current.value.values);
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) values.delete(name);
    else values.set(name, value);
  }
  const next = { panel: current.value.panel, values };
  const text = formatAddress(next);
  if (text === formatAddress(current.value)) return;
  // A change within a panel is no page to come back to.
  history.replaceState(null, "", text);
  current.value = next;
}

/** The address of a panel, where the reader left it. */
export function addressOf(name: PanelName): string {
  const there = current.value.panel === name ? current.value : left.get(name);
  return formatAddress(there ?? { panel: name, values: new Map() });
}

addEventListener("hashchange", () => {
  const next = parseAddress(location.hash);
  if (formatAddress(next) === formatAddress(current.value)) return;
  left.set(current.value.panel, current.value);
  current.value = next;
});
