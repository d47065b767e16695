/**
 * The clause table: each rule that a test or a report can name, in this project's own words, with
 * the section of the specification it comes from.
 */
import { VirtioError } from "../errors.ts";
import { ADMIN_COMMAND_SECTIONS } from "./admin-commands.ts";
import { ADMIN_VIRTQUEUE_SECTIONS } from "./admin-virtqueues.ts";
import { CAPABILITY_SECTIONS } from "./capabilities.ts";
import { CCW_SECTIONS } from "./ccw.ts";
import { CONFIG_SPACE_SECTIONS } from "./config-space.ts";
import { DEVICE_PART_SECTIONS } from "./device-parts.ts";
import { DEVICE_STATUS_SECTIONS } from "./device-status.ts";
import { EXTENSION_SECTIONS } from "./extension.ts";
import { FEATURE_SECTIONS } from "./features.ts";
import { LEGACY_ACCESS_SECTIONS } from "./legacy-access.ts";
import { MMIO_SECTIONS } from "./mmio.ts";
import { PACKED_VIRTQUEUE_SECTIONS } from "./packed-virtqueue.ts";
import { PCI_SECTIONS } from "./pci.ts";
import { RESOURCE_OBJECT_SECTIONS } from "./resource-objects.ts";
import { SPLIT_VIRTQUEUE_SECTIONS } from "./split-virtqueue.ts";
import type { Clause, ClauseFamily, ClauseRole, ClauseScope, ClauseSection } from "./types.ts";
import { VIRTQUEUE_RESET_SECTIONS } from "./virtqueue-reset.ts";

export type {
  Clause,
  ClauseFamily,
  ClauseLevel,
  ClauseRole,
  ClauseScope,
  ClauseSection,
} from "./types.ts";

const SECTIONS: readonly ClauseSection[] = [
  ...ADMIN_COMMAND_SECTIONS,
  ...ADMIN_VIRTQUEUE_SECTIONS,
  ...LEGACY_ACCESS_SECTIONS,
  ...CAPABILITY_SECTIONS,
  ...RESOURCE_OBJECT_SECTIONS,
  ...DEVICE_PART_SECTIONS,
  ...DEVICE_STATUS_SECTIONS,
  ...FEATURE_SECTIONS,
  ...CONFIG_SPACE_SECTIONS,
  ...VIRTQUEUE_RESET_SECTIONS,
  ...SPLIT_VIRTQUEUE_SECTIONS,
  ...PACKED_VIRTQUEUE_SECTIONS,
  ...PCI_SECTIONS,
  ...MMIO_SECTIONS,
  ...CCW_SECTIONS,
  ...EXTENSION_SECTIONS,
];

/** Every section by its slug: its label, its heading and its clauses, in the order of the table. */
export const CLAUSE_SECTIONS: ReadonlyMap<string, ClauseSection> = new Map(
  SECTIONS.map((section) => [section.slug, section]),
);

/** Every clause, section by section, by ordinal within each. */
export const CLAUSES: readonly Clause[] = SECTIONS.flatMap(({ clauses }) => clauses);

const CLAUSE_BY_ID: ReadonlyMap<string, Clause> = new Map(CLAUSES.map((each) => [each.id, each]));

/**
 * The clause with this id.
 *
 * @param id - a slug and an ordinal, such as `admin-cmd-device-3`
 * @throws {@link VirtioError} with code `CLAUSE_UNKNOWN` when no clause has that id
 */
export function clause(id: string): Clause {
  const found = CLAUSE_BY_ID.get(id);
  if (found === undefined) {
    throw new VirtioError("CLAUSE_UNKNOWN", {
      message: "no clause has this id",
      path: "clause.id",
      value: id,
      hint: "the ids are those of CLAUSES: the slug of a section and an ordinal",
    });
  }
  return found;
}

/** What {@link clausesOf} selects by; what is absent selects nothing out. */
export interface ClauseFilter {
  /** Who is bound. */
  readonly role?: ClauseRole;
  /** Where the clause belongs. */
  readonly scope?: ClauseScope;
  /** The separable part it is about. */
  readonly family?: ClauseFamily;
}

/** The clauses that match every property of the filter, in the order of {@link CLAUSES}. */
export function clausesOf({ role, scope, family }: ClauseFilter): readonly Clause[] {
  return CLAUSES.filter(
    (each) =>
      (role === undefined || each.role === role) &&
      (scope === undefined || each.scope === scope) &&
      (family === undefined || each.family === family),
  );
}
