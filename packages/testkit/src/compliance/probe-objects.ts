/** Capabilities and resource objects of the compliance kit: pools, and users that need a pool. */
import {
  CapabilityFamily,
  type CommandFamily,
  defineCapability,
  defineResourceObjectType,
  deviceCapability,
  outcome,
  ResourceObjectFamily,
  SELF_GROUP,
  struct,
} from "@virtio-admin/core";

const CITE = "the compliance kit";
const NO_ROOM = outcome("ENOSPC", "NORESOURCE");

/** The capability that limits the kit's objects, 8 bytes. Its id is in the second half of a word. */
export const PROBE_CAP = defineCapability({
  id: 0x0861,
  name: "PROBE_CAP",
  layout: struct(
    "probe_cap",
    { cite: CITE, doc: "What the kit's device can." },
    {
      pools: { offset: 0, type: "le16", doc: "How many pools." },
      users: { offset: 2, type: "le16", doc: "How many users." },
      flags: { offset: 4, type: "le32", doc: "Flags." },
    },
  ),
  rules: { pools: "limit", users: "limit", flags: "flags" },
  doc: "What the kit's device can.",
  cite: CITE,
});

/** A capability of a few bytes, which is no multiple of eight. Its id is 0. */
export const PROBE_ODD_CAP = defineCapability({
  id: 0x0000,
  name: "PROBE_ODD_CAP",
  layout: struct(
    "probe_odd_cap",
    { cite: CITE, doc: "Two limits." },
    {
      first: { offset: 0, type: "u8", doc: "A limit." },
      second: { offset: 1, type: "u8", doc: "Another." },
    },
  ),
  rules: { first: "limit", second: "limit" },
  doc: "Two limits.",
  cite: CITE,
});

/** What the kit's device has of {@link PROBE_CAP}. */
export const PROBE_LIMITS = { pools: 4, users: 3, flags: 0x8000_0005 } as const;
/** What it has of {@link PROBE_ODD_CAP}. */
export const PROBE_ODD_LIMITS = { first: 16, second: 9 } as const;

/** A size of a pool that the device has no room for. */
export const TOO_LARGE = 0x1_0000;
/** A size that no pool has. */
export const NO_SIZE = 0xbad;

/** A pool: 8 bytes, of which the first four are its size. */
export const PROBE_POOL = defineResourceObjectType({
  type: 0x0200,
  name: "PROBE_POOL",
  groups: [SELF_GROUP.id],
  layout: struct(
    "probe_pool",
    { cite: CITE, doc: "A pool." },
    {
      size: { offset: 0, type: "le32", doc: "Its size." },
      reserved: { offset: 4, type: "le32", doc: "Reserved." },
    },
  ),
  reserved: ["reserved"],
  capability: PROBE_CAP,
  limits: ({ pools }) => [pools],
  isValid: ({ size }) => size !== NO_SIZE,
  refuse: ({ data }) => (data.size >= TOO_LARGE ? NO_ROOM : undefined),
  doc: "A pool.",
  cite: CITE,
});

/** A user of a pool: 8 bytes, of which the first four are the id of the pool. */
export const PROBE_USER = defineResourceObjectType({
  type: 0x0201,
  name: "PROBE_USER",
  groups: [SELF_GROUP.id],
  layout: struct(
    "probe_user",
    { cite: CITE, doc: "A user." },
    {
      pool: { offset: 0, type: "le32", doc: "The id of its pool." },
      tag: { offset: 4, type: "le32", doc: "Any number." },
    },
  ),
  capability: PROBE_CAP,
  limits: ({ users }) => [users],
  references: ({ pool }) => [{ type: PROBE_POOL.type, id: pool }],
  doc: "A user.",
  cite: CITE,
});

/** The families of one device. */
export function probeObjects(): readonly CommandFamily[] {
  const capabilities = new CapabilityFamily([
    deviceCapability(PROBE_CAP, PROBE_LIMITS),
    deviceCapability(PROBE_ODD_CAP, PROBE_ODD_LIMITS),
  ]);
  const types = [PROBE_POOL, PROBE_USER];
  return [capabilities, new ResourceObjectFamily({ capabilities, types })];
}
