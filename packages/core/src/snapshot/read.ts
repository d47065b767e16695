/**
 * Reads snapshots that anybody may have made: every member once, into a copy of exactly the form
 * that is declared, or not at all. Whether an owner can take it, restore.ts asks.
 */
import type { AdminState, SavedFamily, SavedLists } from "../admin/saved-state.ts";
import { copyJson } from "../device/json-copy.ts";
import {
  type StateReader,
  savedAddress,
  savedAscending,
  savedBoolean,
  savedBytes,
  savedInteger,
  savedList,
  savedObject,
  savedText,
} from "../device/saved-readers.ts";
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
const FEATURES = /^0x(?:0|[1-9a-f][0-9a-f]{0,31})$/;
const ANY = /^/;

/**
 * A copy of a snapshot of the right form.
 *
 * @throws VirtioError `SNAPSHOT` with the path of what is wrong
 */
export function readSnapshot(value: unknown): GroupSnapshot {
  return snapshot(value, "");
}

/** Reads the version of a snapshot. */
export function readVersion(value: unknown, path: string): typeof SNAPSHOT_VERSION {
  if (value === SNAPSHOT_VERSION) return SNAPSHOT_VERSION;
  throw refuseState(path, `only version ${SNAPSHOT_VERSION} can be read`, {
    value,
    hint: "take the snapshot anew, with a version of this library that writes that one",
  });
}

const onlyTrue: StateReader<true> = (value, path) => {
  if (value === true) return value;
  throw refuseState(path, "present, and not true", { value });
};

const opcodes = savedAscending(savedInteger(0, U16), (opcode) => opcode);
const features = savedText(FEATURES, "128 feature bits as 0x and lower-case digits");
const name = savedText(ANY, `a name of at most ${NAME_LENGTH} characters`, NAME_LENGTH);
const json = copyJson as StateReader<NonNullable<unknown>>;

const ring = savedObject<SavedRing>({
  index: savedInteger(0, U16),
  publishedIndex: savedInteger(0, U16),
  notifications: savedBoolean,
  interrupt: savedBoolean,
});

const queue = savedObject<SavedQueue>(
  {
    size: savedInteger(1, QUEUE_SIZE),
    descriptorArea: savedAddress,
    driverArea: savedAddress,
    deviceArea: savedAddress,
    ring,
  },
  ["ring"],
);

const config = savedObject<SavedConfig>({
  bytes: savedBytes(),
  generation: savedInteger(0, U32),
  toldGeneration: savedInteger(0, U32),
});

const device = savedObject<DeviceState>(
  {
    deviceId: savedInteger(1, U16),
    status: savedInteger(0, U8),
    legacy: savedObject<SavedLegacy>({ inUse: savedBoolean }),
    driverFeatures: features,
    configurationDue: savedBoolean,
    stopped: onlyTrue,
    config,
    queues: savedList(queue),
    model: json,
    transport: name,
    port: json,
  },
  ["legacy", "stopped", "config", "model", "transport", "port"],
);

const admin = savedObject<AdminState>({
  dialect: name,
  lists: savedList(
    savedObject<SavedLists>({
      groupType: savedInteger(0, U16),
      supported: opcodes,
      used: opcodes,
      settled: savedBoolean,
    }),
  ),
  families: savedList(savedObject<SavedFamily>({ name, state: json })),
});

const member = savedObject<MemberState>(
  {
    id: savedInteger(0, Number.MAX_SAFE_INTEGER),
    offeredFeatures: features,
    msixVectors: savedInteger(1, MSIX_VECTORS),
    device,
  },
  ["msixVectors", "device"],
);

const group = savedObject<GroupState>(
  {
    type: savedInteger(0, U16),
    exists: savedBoolean,
    state: json,
    members: savedList(member),
  },
  ["state"],
);

const snapshot = savedObject<GroupSnapshot>(
  {
    version: readVersion,
    device,
    admin,
    groups: savedList(group),
  },
  ["admin"],
);
