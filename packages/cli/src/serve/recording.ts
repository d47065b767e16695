/**
 * The record of an owner: its trace, headed by what it was made from, so that a replay makes the
 * same one. Of what its members' own drivers do it has what answers of management commands depend
 * on: which members are plugged in, and which are in use.
 */
import {
  type MemberEvent,
  STATUS,
  type TraceEvent,
  type TraceSink,
  VirtioError,
} from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import {
  pciReplayTarget,
  type ReplayFunction,
  recordedEntropy,
  TraceFile,
} from "@virtio-admin/fixtures";
import { ReplayGuest, type ReplayMode, type ReplayTarget, type Trace } from "@virtio-admin/testkit";
import { describeGroup, type GroupDescription } from "../group/description.ts";
import { makeDevices } from "./devices.ts";
import { provisionMembers } from "./provisioning.ts";

/** What a served owner was made from, as the header of its record says. */
export interface ServedOwner {
  /** Always `serve`. */
  readonly made_by: "serve";
  /** True for an owner that tolerates nothing. */
  readonly strict: boolean;
  /** The description of its group: the document of a file. */
  readonly group: unknown;
}

/** A member, as far as a record has it. */
export type MemberState = Omit<MemberEvent, "op">;

/** Writes a trace to a file, up to what a replay reads; then, or when it fails, it ends. */
export class Recording implements TraceSink {
  readonly #file: TraceFile;
  readonly #members: () => Iterable<MemberState>;
  /** Members that are not as they were at first. */
  readonly #told = new Map<number, MemberState>();

  /**
   * Writes the header. `members` are asked what has become of them whenever the owner's driver
   * writes a register; `ended` hears why the record ends before {@link close}.
   *
   * @throws VirtioError `TRACE_FORMAT` when the file cannot be written
   */
  constructor(
    file: string,
    made: ServedOwner,
    members: () => Iterable<MemberState>,
    ended: (why: string) => void,
  ) {
    this.#members = members;
    this.#file = new TraceFile(file, { transport: "pci", device: made }, ended);
  }

  /** See {@link TraceSink.emit}. */
  emit(event: TraceEvent): void {
    // A command is carried out within such a write.
    if (event.op === "write") this.#tellMembers();
    this.#file.emit(event);
  }

  /** Ends it. */
  close(): void {
    this.#file.close();
  }

  #tellMembers(): void {
    for (const state of this.#members()) {
      const { member, plugged, in_use } = state;
      const before = this.#told.get(member);
      if ((before?.plugged ?? false) === plugged && (before?.in_use ?? false) === in_use) continue;
      this.#told.set(member, state);
      this.#file.emit({ op: "member", ...state });
    }
  }
}

/** What the header of a trace says of a served owner; `undefined` when it speaks of none. */
export function servedOwnerOf({ device }: Trace): ServedOwner | undefined {
  if (typeof device !== "object" || device === null) return undefined;
  const { made_by: by, strict, group } = device as Readonly<Record<string, unknown>>;
  if (by !== "serve" || typeof strict !== "boolean") return undefined;
  return { made_by: by, strict, group };
}

/** How a record of a served owner is replayed: in the mode it was recorded in, on the same owner. */
export function servedReplayTarget(made: ServedOwner): ReplayTarget {
  return pciReplayTarget((trace, mode) => functionOf(trace, mode, made));
}

function functionOf(trace: Trace, mode: ReplayMode, { group }: ServedOwner): ReplayFunction {
  const description = descriptionOf(trace, group);
  const guest = new ReplayGuest();
  const plugged = new Set<number>();
  const made = makeDevices(description, {
    strict: mode === "strict",
    memoryOf: () => guest.memory,
    isPlugged: (id) => plugged.has(id),
    ...(description.owner.device === "entropy"
      ? { ownerModel: createEntropy({ source: recordedEntropy(trace) }) }
      : {}),
  });
  provisionMembers(made.group, description);
  const device = made.devices.get("owner");
  const pci = made.functions.get("owner");
  if (device === undefined || pci === undefined) throw malformed(trace, "no owner", undefined);
  return {
    device,
    guest,
    pci,
    member: (line) => {
      if (line.plugged) plugged.add(line.member);
      else plugged.delete(line.member);
      const member = made.devices.get(line.member);
      if (!line.inUse) member?.reset();
      else if (member?.status === 0) member.writeStatus(STATUS.ACKNOWLEDGE);
    },
  };
}

function descriptionOf(trace: Trace, document: unknown): GroupDescription {
  const description = describeGroup(document, (path, message) => {
    throw malformed(trace, message, path.join("."));
  });
  if (description.transport === "pci") return description;
  throw malformed(trace, "what is served is on pci", description.transport);
}

function malformed({ file }: Trace, message: string, value: unknown): VirtioError {
  return new VirtioError("TRACE_FORMAT", {
    message: `its header describes no group: ${message}`,
    path: `${file}:1.device.group`,
    value,
  });
}
