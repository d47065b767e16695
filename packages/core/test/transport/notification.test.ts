import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  accessors,
  decode,
  notificationData,
  notifiedPosition,
  notifiedQueue,
  VIRTQ_NOTIFICATION,
} from "../../src/index.ts";

describe("a notification with data", () => {
  it.each([
    [0, 0, "00000000"],
    [1, 5, "01000500"],
    [0xffff, 0, "ffff0000"],
    [2, 0x7fff, "0200ff7f"],
    [2, 0x8000, "02000080"],
    [0x1234, 0xffff, "3412ffff"],
  ])("of queue %i at position %i is %s", (queue, next, bytes) => {
    const data = notificationData(queue, next);
    const view = new DataView(new ArrayBuffer(VIRTQ_NOTIFICATION.size));
    accessors(VIRTQ_NOTIFICATION).data.set(view, 0, data);
    expect(Buffer.from(view.buffer).toString("hex")).toBe(bytes);
    expect(decode(VIRTQ_NOTIFICATION, new Uint8Array(view.buffer))).toEqual({ data });
    const { vq_index, next_off, next_wrap } = VIRTQ_NOTIFICATION.fields.data.bits;
    const bitsOf = ({ at, mask }: { at: number; mask: number }) => (data & mask) >>> at;
    expect([vq_index, next_off, next_wrap].map(bitsOf)).toEqual([
      queue,
      next & 0x7fff,
      next >>> 15,
    ]);
  });

  it("tells queue and position of any 32 bits, each of 16", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), (data) => {
        const [queue, next] = [notifiedQueue(data), notifiedPosition(data)];
        expect([queue >>> 16, next >>> 16, notificationData(queue, next)]).toEqual([0, 0, data]);
      }),
    );
  });
});
