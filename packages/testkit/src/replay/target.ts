/** What a transport has to bring for a replay: a device to put the recorded requests to. */
import type { TransportFacingDevice } from "@virtio-admin/core";
import type { ReplayGuest } from "./guest.ts";
import type { ReplayMode, RequestLine, Trace } from "./types.ts";

/** One answer, as it was recorded and as it is given now. */
export interface ReplayAnswer {
  /** The line on which the recorded answer stands. */
  readonly line: number;
  /** What it is about: `read bar0+0x14`. */
  readonly what: string;
  /** The recorded bytes. */
  readonly recorded: Uint8Array;
  /** The bytes of the device under replay. */
  readonly got: Uint8Array;
}

/** A device under replay, from its reset state on. */
export interface ReplaySession {
  /** The device behind the transport's device half. */
  readonly device: TransportFacingDevice;
  /** The guest, whose memory the device has. */
  readonly guest: ReplayGuest;
  /**
   * Puts one request to the device half and returns what is to be compared. Calls
   * {@link ReplayGuest.prepareQueue} before a request that enables a queue. Must not throw for
   * what the request says.
   */
  perform(request: RequestLine): readonly ReplayAnswer[];
  /**
   * The queue that this request notifies, or `undefined`. Depends on the trace alone: it is asked
   * for every line before the first is performed. A `notify` line is a request where a transport
   * has no other sign of it, and else what a write led to.
   */
  notifies(request: RequestLine): number | undefined;
  /**
   * True when this request sets DRIVER_OK: the device then looks at all of its queues, where a driver
   * may have put buffers already. Depends on the trace alone, as {@link notifies}. Absent where a
   * driver notifies of all of them afterwards.
   */
  starts?(request: RequestLine): boolean;
  /** True when this request itself resets the device, so that a `reset` line beside it is no request. */
  resets(request: RequestLine): boolean;
}

/** Makes devices for traces of one transport. */
export interface ReplayTarget {
  /** The transport's name, as in the traces. */
  readonly transport: string;
  /**
   * Makes the device that a trace was recorded with: identity, window, features and queue sizes
   * are what the trace says.
   *
   * @throws VirtioError `TRACE_FORMAT` when no device can be made of what it says.
   */
  open(trace: Trace, mode: ReplayMode): ReplaySession;
}
