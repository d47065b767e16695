/**
 * Reads snapshots that anybody may have made: every member once, into a copy of exactly the form
 * that is declared, or not at all. Whether an owner can take it, restore.ts asks.
 */
import type { AdminState, SavedFamily, SavedLists } from "../admin/saved-state.ts";
import { copyJson } from "../device/json-copy.ts";
import {
  type DeviceState,
  refuseState,
  type SavedConfig,
  type SavedLegacy,
  type SavedQueue,
  type SavedRing,
} from "../device/saved-state.ts";
import {
  type GroupSnapshot,
  type GroupState,
  type MemberState,
  SNAPSHOT_VERSION,
} from "./types.ts";

const U8 = 0xff;
const U16 = 0xffff;
const U32 = 0xffff_ffff;
const QUEUE_SIZE = 0x8000;
const MSIX_VECTORS = 2048;
const NAME_LENGTH = 256;
const NOT_HEX = /[^0-9a-f]/;
const FEATURES = /^0x(?:0|[1-9a-f][0-9a-f]{0,31})$/;
const ADDRESS = /^0x(?:0|[1-9a-f][0-9a-f]{0,15})$/;
const ANY = /^/;

/** Reads the value of a member; `path` is where it stands. */
type Reader<T> = (value: unknown, path: string) => T;

/** A reader for each member; those in `optional` may be absent. */
type Readers<T> = { readonly [Name in keyof T]-?: Reader<NonNullable<T[Name]>> };

/**
 * A copy of a snapshot of the right form.
 *
 * @throws VirtioError `SNAPSHOT` with the path of what is wrong
 */
export function readSnapshot(value: unknown): GroupSnapshot {
  return snapshot(value, "");
}

const int =
  (least: number, most: number): Reader<number> =>
  (value, path) => {
    const isInt = typeof value === "number" && Number.isInteger(value);
    if (isInt && value >= least && value <= most && !Object.is(value, -0)) return value;
    throw refuseState(path, `not an integer from ${least} to ${most}`, { value });
  };

const text =
  (form: RegExp, what: string, most: number = Number.POSITIVE_INFINITY): Reader<string> =>
  (value, path) => {
    if (typeof value === "string" && value.length <= most && form.test(value)) return value;
    throw refuseState(path, `not ${what}`, { value });
  };

const bytes: Reader<string> = (value, path) => {
  if (typeof value === "string" && value.length % 2 === 0 && !NOT_HEX.test(value)) return value;
  throw refuseState(path, "not bytes of two lower-case digits each", { value });
};

const bool: Reader<boolean> = (value, path) => {
  if (typeof value === "boolean") return value;
  throw refuseState(path, "neither true nor false", { value });
};

const onlyTrue: Reader<true> = (value, path) => {
  if (value === true) return value;
  throw refuseState(path, "present, and not true", { value });
};

const list =
  <T>(read: Reader<T>): Reader<readonly T[]> =>
  (value, path) => {
    if (!Array.isArray(value)) throw refuseState(path, "not a list", { value });
    return Array.from(value as readonly unknown[], (item, i) => read(item, `${path}[${i}]`));
  };

const ascending: Reader<readonly number[]> = (value, path) => {
  const items = list(int(0, U16))(value, path);
  items.forEach((item, i) => {
    if (i > 0 && item <= (items[i - 1] ?? 0)) {
      throw refuseState(`${path}[${i}]`, "not more than the one before", { value: item });
    }
  });
  return items;
};

function object<T>(readers: Readers<T>, optional: readonly (keyof T & string)[] = []): Reader<T> {
  const names = Object.keys(readers) as (keyof T & string)[];
  return (value, path) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw refuseState(path === "" ? "snapshot" : path, "not an object", { value });
    }
    const at = (name: string) => (path === "" ? name : `${path}.${name}`);
    const members = new Map<string, unknown>(Object.entries(value));
    for (const name of members.keys()) {
      if (!Object.hasOwn(readers, name)) throw refuseState(at(name), "no such member is known");
    }
    const found: [string, unknown][] = [];
    for (const name of names) {
      const member = members.get(name);
      if (member !== undefined) found.push([name, readers[name](member, at(name))]);
      else if (!optional.includes(name)) throw refuseState(at(name), "the member is missing");
    }
    return Object.fromEntries(found) as T;
  };
}

const address = text(ADDRESS, "an address of 64 bits as 0x and lower-case digits");
const features = text(FEATURES, "128 feature bits as 0x and lower-case digits");
const name = text(ANY, `a name of at most ${NAME_LENGTH} characters`, NAME_LENGTH);

const ring = object<SavedRing>({
  index: int(0, U16),
  publishedIndex: int(0, U16),
  notifications: bool,
  interrupt: bool,
});

const queue = object<SavedQueue>(
  {
    size: int(1, QUEUE_SIZE),
    descriptorArea: address,
    driverArea: address,
    deviceArea: address,
    ring,
  },
  ["ring"],
);

const config = object<SavedConfig>({
  bytes,
  generation: int(0, U32),
  toldGeneration: int(0, U32),
});

const device = object<DeviceState>(
  {
    deviceId: int(1, U16),
    status: int(0, U8),
    legacy: object<SavedLegacy>({ inUse: bool }),
    driverFeatures: features,
    configurationDue: bool,
    stopped: onlyTrue,
    config,
    queues: list(queue),
    model: copyJson as Reader<NonNullable<unknown>>,
    transport: name,
    port: copyJson as Reader<NonNullable<unknown>>,
  },
  ["legacy", "stopped", "config", "model", "transport", "port"],
);

const admin = object<AdminState>({
  dialect: name,
  lists: list(
    object<SavedLists>({
      groupType: int(0, U16),
      supported: ascending,
      used: ascending,
      settled: bool,
    }),
  ),
  families: list(object<SavedFamily>({ name, state: copyJson as Reader<NonNullable<unknown>> })),
});

const member = object<MemberState>(
  {
    id: int(0, Number.MAX_SAFE_INTEGER),
    offeredFeatures: features,
    msixVectors: int(1, MSIX_VECTORS),
    device,
  },
  ["msixVectors", "device"],
);

const group = object<GroupState>(
  {
    type: int(0, U16),
    exists: bool,
    state: copyJson as Reader<NonNullable<unknown>>,
    members: list(member),
  },
  ["state"],
);

const snapshot = object<GroupSnapshot>(
  {
    version: (value, path) => {
      if (value === SNAPSHOT_VERSION) return SNAPSHOT_VERSION;
      const message = `only version ${SNAPSHOT_VERSION} can be read`;
      throw refuseState(path, message, { value });
    },
    device,
    admin,
    groups: list(group),
  },
  ["admin"],
);
