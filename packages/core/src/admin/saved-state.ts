/** What of an owner's administration commands goes into a snapshot. */

/** The command lists of one group type. Opcodes are ascending. */
export interface SavedLists {
  /** The group type; 0 for the one list of proposal-v5. */
  readonly groupType: number;
  /** The opcodes that LIST_QUERY has reported. */
  readonly supported: readonly number[];
  /** The opcodes that the driver may send. */
  readonly used: readonly number[];
  /** True when LIST_USE has settled them. */
  readonly settled: boolean;
}

/** What a command family saved. */
export interface SavedFamily {
  /** The name of the family. */
  readonly name: string;
  /** Its state. */
  readonly state: unknown;
}

/** The state of an `AdminExecutor`, as JSON. */
export interface AdminState {
  /** The wire format: `virtio-1.4`, or `proposal-v5`, which is a reconstruction. */
  readonly dialect: string;
  /** The lists of every group type; in proposal-v5 there is one. */
  readonly lists: readonly SavedLists[];
  /** The families that save anything. */
  readonly families: readonly SavedFamily[];
}
