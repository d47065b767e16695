/**
 * A group as it is described: an owner, its members, and what is provisioned. The format stands in
 * the schema `@virtio-admin/core/schema/group.schema.json`; here is what its parts say of each other.
 */
import { createRequire } from "node:module";
import { FEATURE_BITS, FeatureSet } from "@virtio-admin/core";
import { type DeviceTypeDescription, type DeviceTypeName, namedFeatures } from "./device-types.ts";
import { firstIssue, type Path, type Schema } from "./schema-check.ts";

/** The MSI-X vectors of the members. */
export interface VectorsDescription {
  /** How many there are for all together. */
  readonly total: number;
  /** The fewest that one member can be given. */
  readonly min: number;
  /** The most that one member can be given. */
  readonly max: number;
  /** How many each has at first. */
  readonly default: number;
}

/** One step of provisioning. */
export interface ProvisionStep {
  /** The member. */
  readonly member: number;
  /** How many MSI-X vectors it is given; absent: as many as it has. */
  readonly vectors?: number;
  /** The features that are switched; absent: none. */
  readonly features?: { readonly set: FeatureSet; readonly clear: FeatureSet };
}

/** An owner, its group, and what is provisioned. */
export interface GroupDescription {
  /** The transport's name. */
  readonly transport: "pci" | "mmio" | "ccw";
  /** The owner: its device type, which is that of the members too, and its queues. */
  readonly owner: DeviceTypeDescription & { readonly adminQueues: number };
  /** The group. */
  readonly group: {
    /** Its type. */
    readonly type: "sr-iov" | "platform";
    /** The identifiers of the members. */
    readonly members: readonly number[];
    /** Their MSI-X vectors; absent: as the transport makes them. */
    readonly msix?: VectorsDescription;
    /** True when drivers from before virtio 1.0 can drive the members, through their owner. */
    readonly transitional?: boolean;
    /** The features that can be switched; absent: all that the members can offer. */
    readonly settable?: FeatureSet;
  };
  /** What the owner sets, in order. */
  readonly provision: readonly ProvisionStep[];
}

type FeatureWords = readonly (string | number)[];

/** A document that the schema has nothing against. */
interface GroupDocument {
  readonly transport: GroupDescription["transport"];
  readonly owner: DeviceTypeDescription & { readonly admin_queues?: number };
  readonly group: {
    readonly type: GroupDescription["group"]["type"];
    readonly members: number | readonly number[];
    readonly msix?: Omit<VectorsDescription, "min"> & { readonly min?: number };
    readonly transitional?: boolean;
    readonly settable?: FeatureWords;
  };
  readonly provision?: readonly {
    readonly member: number;
    readonly vectors?: number;
    readonly features?: { readonly set?: FeatureWords; readonly clear?: FeatureWords };
  }[];
}

const SCHEMA: Schema = createRequire(import.meta.url)(
  "@virtio-admin/core/schema/group.schema.json",
);

/** What becomes of the first fault of a document; it throws. */
export type Refuse = (path: Path, message: string, of?: "key") => never;

/** The group that a document describes; its first fault goes to `refuse`. */
export function describeGroup(value: unknown, refuse: Refuse): GroupDescription {
  const issue = firstIssue(SCHEMA, value);
  if (issue === undefined) return read(value as GroupDocument, refuse);
  return refuse(issue.path, issue.message, issue.of);
}

function read(
  { transport, owner, group, provision = [] }: GroupDocument,
  refuse: Refuse,
): GroupDescription {
  const { device, queues, admin_queues: adminQueues = 1 } = owner;
  const { type, transitional = false, settable } = group;
  if (type === "sr-iov" && transport !== "pci") {
    refuse(["group", "type"], "an SR-IOV group is on pci; elsewhere there are platform groups");
  }
  if (type === "sr-iov" && typeof group.members !== "number") {
    refuse(["group", "members"], "virtual functions are numbered from 1; say how many there are");
  }
  if (queues !== undefined && device !== "block") {
    refuse(["owner", "queues"], "only a block device has several queues", "key");
  }
  if (type !== "sr-iov" && transitional) {
    refuse(["group", "transitional"], "only an SR-IOV group's owner reaches legacy interfaces");
  }
  const members =
    typeof group.members === "number"
      ? Array.from({ length: group.members }, (_, i) => i + 1)
      : group.members;
  const msix = readVectors(group, members.length, refuse);
  const path: Path = ["group", "settable"];
  return {
    transport,
    owner: { device, adminQueues, ...(queues === undefined ? {} : { queues }) },
    group: {
      type,
      members,
      ...(transitional ? { transitional } : {}),
      ...(msix === undefined ? {} : { msix }),
      ...(settable === undefined ? {} : { settable: readFeatures(settable, device, path, refuse) }),
    },
    provision: readSteps(provision, new Set(members), type, device, refuse),
  };
}

function readVectors(
  { type, msix }: GroupDocument["group"],
  members: number,
  refuse: Refuse,
): VectorsDescription | undefined {
  if (msix === undefined) return undefined;
  const path: Path = ["group", "msix"];
  const { total, min = 1, max, default: each } = msix;
  if (type !== "sr-iov") {
    refuse(path, "the members of a platform group have no MSI-X", "key");
  }
  if (min > max) refuse([...path, "min"], `it is no more than max, ${max}`);
  if (each < min || each > max) {
    refuse([...path, "default"], `it is ${min} to ${max}`);
  }
  const least = members * each;
  if (total < least) {
    refuse([...path, "total"], `${members} members have ${each} each: ${least}`);
  }
  return { total, min, max, default: each };
}

function readSteps(
  steps: NonNullable<GroupDocument["provision"]>,
  members: ReadonlySet<number>,
  type: GroupDescription["group"]["type"],
  device: DeviceTypeName,
  refuse: Refuse,
): ProvisionStep[] {
  return steps.map(({ member, vectors, features }, i) => {
    const path: Path = ["provision", i];
    if (!members.has(member)) {
      refuse([...path, "member"], "the group has no such member");
    }
    if (vectors === undefined && features === undefined) {
      refuse(path, "nothing is provisioned; there are vectors and features");
    }
    if (vectors !== undefined && type !== "sr-iov") {
      refuse([...path, "vectors"], "the members of a platform group have no MSI-X", "key");
    }
    const on = readFeatures(features?.set ?? [], device, [...path, "features", "set"], refuse);
    const off = readFeatures(features?.clear ?? [], device, [...path, "features", "clear"], refuse);
    if (!on.intersect(off).isEmpty) {
      refuse([...path, "features"], "a feature is both set and cleared");
    }
    return {
      member,
      ...(vectors === undefined ? {} : { vectors }),
      ...(features === undefined ? {} : { features: { set: on, clear: off } }),
    };
  });
}

function readFeatures(
  words: FeatureWords,
  device: DeviceTypeName,
  path: Path,
  refuse: Refuse,
): FeatureSet {
  const named = namedFeatures(device);
  const bits = words.map((word, i) => {
    const bit = typeof word === "number" ? word : named.get(word);
    if (bit !== undefined) return bit;
    const names = [...named.keys()].join(", ");
    return refuse(
      [...path, i],
      `no feature of that name; there are 0 to ${FEATURE_BITS - 1}, ${names}`,
    );
  });
  return FeatureSet.of(...bits);
}
