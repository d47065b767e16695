/** Snapshots of an owner with its groups: taken, written, read and restored. */
export {
  decodeSnapshot,
  encodeSnapshot,
  SNAPSHOT_FORMAT,
  SNAPSHOT_LENGTH_LIMIT,
} from "./codec.ts";
export { fingerprint, layoutFingerprint } from "./fingerprint.ts";
export { type RestoreOptions, restoreSnapshot } from "./restore.ts";
export { takeSnapshot } from "./take.ts";
export {
  type GroupSnapshot,
  type GroupState,
  type MemberState,
  SNAPSHOT_VERSION,
  type SnapshotAdmin,
  type SnapshotOwner,
} from "./types.ts";
