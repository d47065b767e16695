/**
 * What happened, as data: the events of a command's way through the house. A sink gets them one by
 * one; where none is set, nothing is built. One event is one line of the trace format.
 */

/** The name in the header line of a trace. */
export const TRACE_FORMAT = "virtio-admin-trace";
/** The version in the header line of a trace. */
export const TRACE_VERSION = 1;

/** The first line of a trace. */
export interface TraceHeader {
  /** Always {@link TRACE_FORMAT}. */
  readonly format: typeof TRACE_FORMAT;
  /** Always {@link TRACE_VERSION}. */
  readonly version: typeof TRACE_VERSION;
  /** The transport: `pci`, `mmio`, `ccw`, or another plug-in's name. */
  readonly transport: string;
  /** What the device was made from, where whoever recorded it says so: any JSON, for a replay. */
  readonly device?: unknown;
}

/** One register access of the driver. */
export interface RegisterEvent {
  /** Which way. */
  readonly op: "read" | "write";
  /** PCI: `config` or `bar0`..`bar5`; absent where there is one register space. */
  readonly region?: string;
  /** Byte offset in the region. */
  readonly offset: number;
  /** Width in bytes. */
  readonly size: number;
  /** The bytes in memory order, hex. */
  readonly data: string;
  /** The register's name, where known. */
  readonly name?: string;
}

/** One channel command word that was executed (CCW). */
export interface ChannelEvent {
  /** Always `ccw`. */
  readonly op: "ccw";
  /** The command code. */
  readonly command: number;
  /** Its name, where known. */
  readonly name?: string;
  /** CCW flags. */
  readonly flags: number;
  /** The count field, in bytes. */
  readonly count: number;
  /** The data area after execution, hex. */
  readonly data: string;
  /** Device status and subchannel status of the ending, device status in bits 8..15. */
  readonly status: number;
  /** The residual count. */
  readonly residual: number;
}

/** Something that happened once: a reset, a notification, an interrupt, a change of the mode. */
export interface SignalEvent {
  /** Which. */
  readonly op:
    | "reset"
    | "notify"
    | "interrupt"
    | "needs-reset"
    | "status"
    | "stop"
    | "resume"
    | "parts";
  /**
   * The queue, for `notify`, `interrupt`, and the `reset` of one queue; absent for a configuration
   * interrupt and the reset of a device.
   */
  readonly queue?: number;
  /**
   * Where the driver says that the queue's next buffer will stand, for a `notify` with
   * VIRTIO_F_NOTIFICATION_DATA: `next_off` in bits 0 to 14, `next_wrap` in bit 15.
   */
  readonly next?: number;
  /** The MSI-X vector or indicator bit, for `interrupt`. */
  readonly vector?: number;
  /** The status byte, for `status`. */
  readonly status?: number;
  /**
   * Why, for `needs-reset`, for `parts` that were refused, and for a `status` that was refused or not
   * taken in full.
   */
  readonly why?: string;
}

/** One descriptor of a buffer. */
export interface DescriptorShape {
  /** Its length in bytes. */
  readonly length: number;
  /** True when it is device-writable. */
  readonly writable: boolean;
}

/** One buffer that the device used. */
export interface BufferEvent {
  /** Always `buffer`. */
  readonly op: "buffer";
  /** The index of the queue. */
  readonly queue: number;
  /** The descriptors in order. */
  readonly descriptors: readonly DescriptorShape[];
  /** The device-readable bytes, hex. */
  readonly readable: string;
  /** The used length. */
  readonly used: number;
  /** The bytes that the device wrote, hex. */
  readonly written: string;
}

/** One administration command, from the executor's point of view. */
export interface CommandEvent {
  /** Always `command`. */
  readonly op: "command";
  /** The index of the administration virtqueue it came through; absent for other interfaces. */
  readonly queue?: number;
  /** The opcode. */
  readonly opcode: number;
  /** The command's name, where known. */
  readonly name?: string;
  /** The group type; `dst_type` in proposal-v5. */
  readonly group: number;
  /** The member id; `dst_member_id` in proposal-v5. */
  readonly member: number;
  /** The status that was answered. */
  readonly status: number;
  /** The status qualifier; `command_specific_error` in proposal-v5. */
  readonly qualifier: number;
  /** The label of the dialect, when it is not virtio-1.4: `proposal-v5 (reconstruction)`. */
  readonly dialect?: string;
  /** A tolerance that was needed: `T1`. */
  readonly tolerance?: string;
}

/**
 * What has become of a member, in the trace of its owner: for whoever records an owner, as answers
 * depend on it. No device emits it.
 */
export interface MemberEvent {
  /** Always `member`. */
  readonly op: "member";
  /** Its identifier. */
  readonly member: number;
  /** True while it is plugged into a machine, so that its vectors are not provisioned. */
  readonly plugged: boolean;
  /** True while a driver uses it, so that nothing of it is provisioned. */
  readonly in_use: boolean;
}

/** Any event of a trace. */
export type TraceEvent =
  | RegisterEvent
  | ChannelEvent
  | SignalEvent
  | BufferEvent
  | CommandEvent
  | MemberEvent;

/** Where events go. Must not throw, and must not call back into the device. */
export interface TraceSink {
  /** Takes one event. The sink adds the time. */
  emit(event: TraceEvent): void;
}
