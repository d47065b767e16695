/** What a replay works on: a trace as it was read, whatever its shape on disk. */
import type { DescriptorShape } from "@virtio-admin/core";

/** One access of a register: `read` was answered with `data`, `write` brought it. */
export interface AccessLine {
  /** Which way. */
  readonly op: "read" | "write";
  /** Where it stands in the file, from 1. */
  readonly line: number;
  /** PCI: `config` or `bar0`..`bar5`; `undefined` where there is one register space. */
  readonly region: string | undefined;
  /** Byte offset in the region. */
  readonly offset: number;
  /** Width in bytes. */
  readonly size: number;
  /** The bytes in memory order, `size` long. */
  readonly data: Uint8Array;
}

/** The whole device was reset from outside its registers. */
export interface ResetLine {
  /** Always `reset`. */
  readonly op: "reset";
  /** Where it stands in the file, from 1. */
  readonly line: number;
}

/** An available buffer notification; on transports that notify by a register, what a write caused. */
export interface NotifyLine {
  /** Always `notify`. */
  readonly op: "notify";
  /** Where it stands in the file, from 1. */
  readonly line: number;
  /** The index of the queue. */
  readonly queue: number;
}

/** One buffer that was used: its descriptors and readable bytes are the request. */
export interface BufferLine {
  /** Always `buffer`. */
  readonly op: "buffer";
  /** Where it stands in the file, from 1. */
  readonly line: number;
  /** The index of the queue. */
  readonly queue: number;
  /** The descriptors in order, the readable ones first. */
  readonly descriptors: readonly DescriptorShape[];
  /** The device-readable bytes, over all readable descriptors. */
  readonly readable: Uint8Array;
  /** The recorded used length. */
  readonly used: number;
  /** The recorded bytes that the device wrote. */
  readonly written: Uint8Array;
  /**
   * True when the driver was interrupted for its queue before the next request, false when it was
   * not, as it did not want to be; `undefined` where the trace does not say.
   */
  readonly interrupted: boolean | undefined;
}

/** How a channel command ended. */
export interface ChannelEndingLine {
  /** Device status in bits 8 to 15, subchannel status in bits 0 to 7. */
  readonly status: number;
  /** The residual count. */
  readonly residual: number;
}

/** One channel command (CCW). */
export interface ChannelLine {
  /** Always `channel`. */
  readonly op: "channel";
  /** Where it stands in the file, from 1. */
  readonly line: number;
  /** The operation request block, where the trace has it. */
  readonly orb: Uint8Array | undefined;
  /** The command code. */
  readonly command: number;
  /** The flags of the CCW. */
  readonly flags: number;
  /** Its count field, in bytes. */
  readonly count: number;
  /** The first bytes of the data area: after the command when `ending` is there, else before it. */
  readonly data: Uint8Array;
  /** How it ended, where the trace says so. */
  readonly ending: ChannelEndingLine | undefined;
}

/** A line that asks something of the device, or happens to it; all but a `buffer`, which a notification goes with. */
export type RequestLine = AccessLine | ResetLine | NotifyLine | ChannelLine | MemberLine;

/** What has become of a member of the device's group meanwhile. */
export interface MemberLine {
  /** Always `member`. */
  readonly op: "member";
  /** Where it stands in the file, from 1. */
  readonly line: number;
  /** Its identifier. */
  readonly member: number;
  /** True while it is plugged into a machine. */
  readonly plugged: boolean;
  /** True while a driver uses it. */
  readonly inUse: boolean;
}

/** A line of a trace that a replay has a use for. */
export type TraceLine = RequestLine | BufferLine;

/** A trace that was read. */
export interface Trace {
  /** The name of its file, for reports. */
  readonly file: string;
  /** The transport: `pci`, `mmio`, `ccw`, or another plug-in's name. */
  readonly transport: string;
  /**
   * True for the trace format of this project. False for the three older shapes, whose answers come
   * from a recorder that validated nothing.
   */
  readonly headed: boolean;
  /**
   * What the device was made from, where the header says so: whatever JSON, which only those judge
   * who know who recorded it.
   */
  readonly device?: unknown;
  /** What happened, in order. */
  readonly lines: readonly TraceLine[];
}

/** How the device under replay treats what stock drivers do and the text does not allow. */
export type ReplayMode = "strict" | "tolerant";

/** Both modes. */
export const REPLAY_MODES: readonly ReplayMode[] = ["strict", "tolerant"];

/** A recorded answer that a correct device does not give. */
export interface Expectation {
  /** The line of the trace, from 1. */
  readonly line: number;
  /** The mode it holds in; absent for both. */
  readonly mode?: ReplayMode;
  /** The answer of a correct device, as many bytes as it answers. */
  readonly expected: Uint8Array;
  /** Why. */
  readonly reason: string;
}

/** An answer that is not what it should be. */
export interface Mismatch {
  /** The file of the trace. */
  readonly file: string;
  /** The line, from 1. */
  readonly line: number;
  /** The byte in the answer where the difference begins, from 0. */
  readonly offset: number;
  /** What should have been answered: hex in memory order, or a sentence where it is not bytes. */
  readonly expected: string;
  /** What was answered, likewise. */
  readonly got: string;
  /** What the answer is about: `read bar0+0x14`. */
  readonly what: string;
}

/** How a replay went; it went well when there is no mismatch. */
export interface ReplayReport {
  /** The transport of the trace. */
  readonly transport: string;
  /** The file of the trace. */
  readonly file: string;
  /** How the device treated what the text does not allow. */
  readonly mode: ReplayMode;
  /** How many answers were compared. */
  readonly checked: number;
  /** How many of them with an expectation instead of the recorded answer. */
  readonly expectationsUsed: number;
  /** What differed, in the order of the trace. */
  readonly mismatches: readonly Mismatch[];
}
