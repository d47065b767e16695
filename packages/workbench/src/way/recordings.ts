/** The traces that come with this project: where they are among the files of the page. */

/** A trace to look at. */
export interface Recording {
  /** How the address names it. */
  readonly name: string;
  /** What it is. */
  readonly title: string;
  /** Where it is. */
  readonly url: URL;
}

/** What stock Linux did, as it was recorded. */
export const RECORDINGS: readonly Recording[] = [
  {
    name: "linux-pci",
    title: "Linux 7.3.4 on PCI, with its administration commands",
    url: new URL("../../../fixtures/traces/pci-linux-7.3.4.jsonl", import.meta.url),
  },
  {
    name: "linux-mmio",
    title: "Linux 7.3.4 on MMIO",
    url: new URL("../../../fixtures/traces/mmio-linux-7.3.4.jsonl", import.meta.url),
  },
  {
    name: "linux-ccw",
    title: "Linux 6.12 on CCW",
    url: new URL("../../../fixtures/traces/ccw-linux-6.12.107-s390x.jsonl", import.meta.url),
  },
];
