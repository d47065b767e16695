/** A device of ours behind a subchannel, with what its driver does counted, and recorded. */
import type { GuestMemory, TraceEvent, TraceSink, VirtioDevice } from "@virtio-admin/core";
import type { BlockStorage } from "@virtio-admin/devices";
import {
  type DeviceDescription,
  makeDescribedDevice,
  type SeededStream,
} from "@virtio-admin/fixtures";
import { CcwDevice, type CcwDeviceInit } from "@virtio-admin/transport-ccw";
import type { Recorder } from "../recorder.ts";
import { type Counted, count, nothingCounted, type ServedDevice } from "./function.ts";

/** A channel command that was executed. */
export type ChannelEvent = Extract<TraceEvent, { op: "ccw" }>;

/** What is made. */
export interface ChannelDeviceInit {
  /** The device. */
  readonly device: ServedDevice;
  /** What its transport is told besides. */
  readonly options?: Pick<
    CcwDeviceInit,
    "layout" | "maxRevision" | "offerAdminBelowRevision3" | "tolerateShortConfig"
  >;
  /** What an entropy device gives out. */
  readonly stream?: SeededStream;
  /** What a block device stores in. */
  readonly storage?: BlockStorage;
  /** Keeps what the driver does; nothing unless given. A replay knows nothing of `options`. */
  readonly recorder?: Recorder;
}

/** A device that was made. */
export interface ChannelDevice {
  /** Its device half. */
  readonly subchannel: CcwDevice;
  /** The device itself. */
  readonly device: VirtioDevice;
  /** What happened so far. */
  readonly counted: Counted;
  /** The channel commands in their order. */
  readonly commands: readonly ChannelEvent[];
  /** Ends the recording. */
  close(): void;
}

/** Makes a device in the memory of its driver. */
export function makeChannelDevice(
  { device: given, options = {}, stream, storage, recorder }: ChannelDeviceInit,
  memory: GuestMemory,
  subchannelId: number,
): ChannelDevice {
  const description: DeviceDescription = {
    made_by: "peers",
    ...given,
    ...(stream === undefined ? {} : { seed: stream.seed }),
  };
  const counted = nothingCounted();
  const commands: ChannelEvent[] = [];
  const record = recorder?.open({ transport: "ccw", device: description });
  const trace: TraceSink = {
    emit: (event) => {
      count(counted, event);
      if (event.op === "ccw") commands.push(event);
      record?.emit(event);
    },
  };
  const device = makeDescribedDevice(description, {
    memory,
    trace,
    ...(stream === undefined ? {} : { source: stream.source }),
    ...(storage === undefined ? {} : { storage }),
  });
  return {
    subchannel: new CcwDevice({ device, subchannelId, ...options }),
    device,
    counted,
    commands,
    close: () => record?.close(),
  };
}
