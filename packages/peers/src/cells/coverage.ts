/** What a cell exercises, for the table of all that is covered. */

/** One thing that a cell exercises. */
export interface Coverage {
  /** The transport. */
  readonly transport: "pci" | "mmio" | "ccw";
  /** Whose driver is on whose device. */
  readonly direction: "linux-on-ours" | "ours-on-qemu";
  /** The device type. */
  readonly deviceType: "entropy" | "block";
  /** What of it: `bring-up`, `EVENT_IDX`. */
  readonly feature: string;
}
