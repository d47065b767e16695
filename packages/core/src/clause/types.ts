/** Who a clause binds: the device half, the driver half, or the transport as such. */
export type ClauseRole = "device" | "driver" | "transport";

/** The force of a clause, as RFC 2119 words have it. */
export type ClauseLevel = "must" | "must-not" | "should" | "should-not" | "may";

/**
 * Where a clause belongs: administration commands and virtqueues, the basic facilities (status,
 * features, configuration space, notifications, initialization), split or packed virtqueues, one of
 * the transports, or `extension` for what the specification does not say and this project does.
 */
export type ClauseScope =
  | "admin"
  | "basic"
  | "split"
  | "packed"
  | "pci"
  | "mmio"
  | "ccw"
  | "extension";

/** A part that a device can lack as a whole; reports group the clauses of such a part. */
export type ClauseFamily =
  | "legacy-access"
  | "capabilities"
  | "resource-objects"
  | "device-parts"
  | "sr-iov"
  | "platform-group"
  | "management"
  | "proposal-v5";

/** One rule that a test can hold an implementation against. */
export interface Clause {
  /** `<slug>-<ordinal>`: the slug of its section and its number there, from 1, never reused. */
  readonly id: string;
  /**
   * The label of its section in the specification's sources: `devicenormative:` or
   * `drivernormative:` and a path; `sec:` and a path where the rule stands in descriptive text;
   * `extension:` and a path for a rule of this project's own.
   */
  readonly label: string;
  /** The specification's source file that holds the label; absent for scope `extension`. */
  readonly file?: string;
  /** Who is bound by it. */
  readonly role: ClauseRole;
  /** How strongly. */
  readonly level: ClauseLevel;
  /** The rule in one sentence, in this project's own words. */
  readonly text: string;
  /** Where it belongs. */
  readonly scope: ClauseScope;
  /** The separable part it is about; absent for what every implementation needs. */
  readonly family?: ClauseFamily;
}

/** A section of the specification, or of this project's extension, that holds clauses. */
export interface ClauseSection {
  /** The lower-case kebab name that the ids of its clauses begin with. */
  readonly slug: string;
  /** Its full label, see {@link Clause.label}. */
  readonly label: string;
  /** Its heading, without the words that number or classify it. */
  readonly title: string;
  /** Its clauses in the order of their ordinals. */
  readonly clauses: readonly Clause[];
}
