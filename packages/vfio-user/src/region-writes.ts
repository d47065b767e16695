/** The regions of a function, and what messages write to them. */
import { accessors } from "@virtio-admin/core";
import type { VfioUserFunction } from "./function.ts";
import { TRANSFER_LIMIT } from "./limits.ts";
import type { Message } from "./message.ts";
import {
  ERRNO,
  VFIO_REGION,
  VFIO_USER_COMMAND,
  VFIO_USER_REGION_ACCESS_LAYOUT,
  VFIO_USER_WRITE_MULTI_LAYOUT,
  VFIO_USER_WRITE_ONE_LAYOUT,
} from "./protocol.ts";

const ACCESS = accessors(VFIO_USER_REGION_ACCESS_LAYOUT);
const ACCESS_BYTES = VFIO_USER_REGION_ACCESS_LAYOUT.size;
const MULTI = accessors(VFIO_USER_WRITE_MULTI_LAYOUT);
const MULTI_BYTES = VFIO_USER_WRITE_MULTI_LAYOUT.size;
const ONE = accessors(VFIO_USER_WRITE_ONE_LAYOUT);
const ONE_BYTES = VFIO_USER_WRITE_ONE_LAYOUT.size;
/** A notification with VIRTIO_F_NOTIFICATION_DATA, and how many bytes of it name the queue. */
const NOTIFICATION_DATA_BYTES = 4;
const QUEUE_BYTES = 2;
const ONE_DATA_BYTES = VFIO_USER_WRITE_ONE_LAYOUT.fields.data.count;

/** A run of bytes of a region. */
export interface RegionRange {
  readonly region: number;
  readonly offset: number;
  readonly count: number;
}

/** A write of a region, checked. */
export interface RegionWrite {
  readonly region: number;
  readonly offset: number;
  readonly data: Uint8Array;
}

/** The writes of one message, checked, and the body of its reply. */
export interface MessageWrites {
  readonly reply: Uint8Array;
  readonly writes: readonly RegionWrite[];
}

/** The bytes of a region; 0 when it is not there. */
export function regionLength(device: VfioUserFunction, region: number): number {
  if (region === VFIO_REGION.config) return device.placement.configSize;
  return region <= VFIO_REGION.bar5 ? device.barLength(region) : 0;
}

/** Reads messages that write to the regions of a function. */
export class RegionWrites {
  readonly #device: VfioUserFunction;

  /** Nothing is written here. */
  constructor(device: VfioUserFunction) {
    this.#device = device;
  }

  /** True for at least one byte, all of the region. */
  isInside({ region, offset, count }: RegionRange): boolean {
    return (
      count > 0 && count <= TRANSFER_LIMIT && offset + count <= regionLength(this.#device, region)
    );
  }

  /** What a message writes, whose fixed part is there; or an errno. */
  of(message: Message): MessageWrites | number {
    const view = new DataView(message.body.buffer);
    switch (message.command) {
      case VFIO_USER_COMMAND.regionWrite:
        return this.#one(message.body, view);
      case VFIO_USER_COMMAND.regionWriteMulti:
        return this.#many(message.body, view);
      default:
        return ERRNO.EOPNOTSUPP;
    }
  }

  /** True for writes of notifications alone: no register tells of them. */
  notifies(message: Message): boolean {
    const found = this.of(message);
    return typeof found !== "number" && this.areNotifications(found.writes);
  }

  /** See {@link notifies}. */
  areNotifications(writes: readonly RegionWrite[]): boolean {
    const { bar, offset: first, length } = this.#device.placement.windows.notify;
    return writes.every(
      ({ region, offset, data }) =>
        region === bar && offset >= first && offset + data.length <= first + length,
    );
  }

  /**
   * True for two messages of notifications that notify of the same queues. Where the next buffer will
   * stand, which the upper half of 32 bits claims, nothing depends on.
   */
  notifiesAlike(message: Message, other: Message): boolean {
    const [one, two] = [this.of(message), this.of(other)];
    if (typeof one === "number" || typeof two === "number") return false;
    return (
      one.writes.length === two.writes.length &&
      one.writes.every(({ region, offset, data }, i) => {
        const twin = two.writes[i];
        const named = data.length === NOTIFICATION_DATA_BYTES ? QUEUE_BYTES : data.length;
        return (
          twin?.region === region &&
          twin.offset === offset &&
          twin.data.length === data.length &&
          data.subarray(0, named).every((byte, at) => byte === twin.data[at])
        );
      })
    );
  }

  #one(body: Uint8Array, view: DataView): MessageWrites | number {
    const region = ACCESS.region.get(view, 0);
    const offset = ACCESS.offset.getNumber(view, 0);
    const count = ACCESS.count.get(view, 0);
    const data = body.subarray(ACCESS_BYTES);
    if (data.length !== count || !this.isInside({ region, offset, count })) return ERRNO.EINVAL;
    return { reply: body.subarray(0, ACCESS_BYTES), writes: [{ region, offset, data }] };
  }

  #many(body: Uint8Array, view: DataView): MessageWrites | number {
    if (body.length !== MULTI_BYTES + MULTI.wr_cnt.getNumber(view, 0) * ONE_BYTES) {
      return ERRNO.EINVAL;
    }
    const writes: RegionWrite[] = [];
    for (let at = MULTI_BYTES; at < body.length; at += ONE_BYTES) {
      const region = ONE.region.get(view, at);
      const offset = ONE.offset.getNumber(view, at);
      const count = ONE.count.get(view, at);
      if (count > ONE_DATA_BYTES || !this.isInside({ region, offset, count })) return ERRNO.EINVAL;
      const from = at + ONE.data.offset;
      writes.push({ region, offset, data: body.subarray(from, from + count) });
    }
    return { reply: body.subarray(0, MULTI_BYTES), writes };
  }
}
