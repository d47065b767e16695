/**
 * Where stock drivers and the text disagree, and what a device may put up with. The default is
 * none: a tolerance is switched on by whoever serves such a driver.
 */

/** One declared departure from the text. */
export interface Tolerance {
  /** Its id, in traces and reports. */
  readonly id: string;
  /** What drivers do. */
  readonly practice: string;
  /** What the text asks of the device then. */
  readonly text: string;
  /** What the device does when the tolerance is on. */
  readonly effect: string;
  /** The section that says so. */
  readonly cite: string;
  /** True when the device behaves the same with and without it, so that there is nothing to switch. */
  readonly needless: boolean;
}

const COMMANDS =
  "Basic Facilities of a Virtio Device / Device groups / Group administration commands";

/** Every tolerance. */
export const TOLERANCES: Readonly<Record<ToleranceId | "T3" | "T4", Tolerance>> = {
  T1: {
    id: "T1",
    practice:
      "Linux sends LIST_QUERY and LIST_USE for the SR-IOV group at probe, while VF Enable is clear or the device has no SR-IOV capability.",
    text: "EINVAL with INVALID_GROUP.",
    effect:
      "LIST_QUERY and LIST_USE for group type 1 are answered as if the group existed; every other command of the type still fails.",
    cite: COMMANDS,
    needless: false,
  },
  T2: {
    id: "T2",
    practice:
      "Linux looks for the capability commands in the list of the SR-IOV group, and then sends them for the Self group, for which it never sends LIST_USE.",
    text: "EINVAL with INVALID_OPCODE.",
    effect:
      "The list of group type 1 holds the capability commands too, and until a LIST_USE for the Self group they are legal there.",
    cite: COMMANDS,
    needless: false,
  },
  T3: {
    id: "T3",
    practice: "Linux sends parts whose lengths are no multiple of 8.",
    text: "The driver must not; the device serves any length.",
    effect: "None is needed: any length is served.",
    cite: "Basic Facilities of a Virtio Device / Administration virtqueues",
    needless: true,
  },
  T4: {
    id: "T4",
    practice:
      "Over channel I/O, Linux reads and writes the configuration space only as far as the field it wants, without suppressing length checks.",
    text: "The complete configuration space is transmitted; the device presents incorrect length.",
    effect:
      "READ_CONF and WRITE_CONF of a part succeed. Switched on at the device half of the transport.",
    cite: "Virtio Over Channel I/O / Device Configuration",
    needless: false,
  },
};

/** The id of a tolerance that an executor can be given. */
export type ToleranceId = "T1" | "T2";

/** The tolerances that are on; absent means off. */
export type Tolerances = Readonly<Partial<Record<ToleranceId, boolean>>>;

/** No tolerance: what the text says. The default everywhere. */
export const STRICT: Tolerances = {};

/** Every tolerance: what stock Linux needs. */
export const TOLERANT: Tolerances = { T1: true, T2: true };

/** The name of the command family that tolerance T2 is about. */
export const CAPABILITY_FAMILY_NAME = "capabilities";
