/** Addresses as text: the panel and its state, behind the `#`. */

/** The panels, in their order. */
export const PANELS = ["maps", "group", "way"] as const;

/** The name of a panel. */
export type PanelName = (typeof PANELS)[number];

/** An address: a panel and its state. */
export interface Address {
  /** Which panel. */
  readonly panel: PanelName;
  /** Its state by name. */
  readonly values: ReadonlyMap<string, string>;
}

/** The longest address that is read: whoever made a longer one did not do it here. */
const LONGEST = 1 << 16;

/** Reads what is behind the `#`; anything is an address. */
export function parseAddress(hash: string): Address {
  const text = hash.replace(/^#/, "").slice(0, LONGEST);
  const [name = "", query = ""] = text.split("?", 2);
  const panel = PANELS.find((each) => each === name) ?? "maps";
  return { panel, values: new Map(new URLSearchParams(query)) };
}

/** The same the other way round. */
export function formatAddress({ panel, values }: Address): string {
  const query = new URLSearchParams([...values]).toString();
  return `#${panel}${query === "" ? "" : `?${query}`}`;
}
