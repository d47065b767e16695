/** VIRTIO_F_IN_ORDER and VIRTIO_F_NOTIFICATION_DATA, from the driver's end of a scripted device. */
import { type DriverDevice, FEATURE, VIRTQ_DESC } from "@virtio-admin/core";
import type { DriverBench } from "../driver-bench.ts";
import { expectEqual, expectTrue } from "../expect.ts";
import type { HandDeviceQueue } from "../hand-device-queue.ts";
import type { HandPackedDeviceQueue } from "../hand-packed-device-queue.ts";
import { SCRIPTED_FEATURES } from "../scripted-device.ts";
import type { ComplianceCase } from "../types.ts";
import { expectDistrust } from "./broken-used.ts";
import { driverCase } from "./define.ts";

const { VIRTIO_F_RING_PACKED, VIRTIO_F_IN_ORDER, VIRTIO_F_NOTIFICATION_DATA } = FEATURE;
const QUEUE_SIZE = 8;
const NEXT = VIRTQ_DESC.fields.flags.bits.next.mask;

type Format = "split" | "packed";
type HandQueue = HandDeviceQueue | HandPackedDeviceQueue;

interface Running {
  readonly bench: DriverBench;
  readonly driven: DriverDevice;
  readonly queue: HandQueue;
}

const FORMATS: readonly Format[] = ["split", "packed"];

/** Queues in order, and notifications with data, from the driver's end. */
export const DRIVER_IN_ORDER_CASES: readonly ComplianceCase[] = [
  ...FORMATS.flatMap((format) => [
    formatCase(
      `driver-in-order-${format}`,
      `In order, one used entry of a ${format} ring gives back all buffers before it, written in full.`,
      [],
      format,
      [VIRTIO_F_IN_ORDER],
      async ({ bench, driven, queue }) => {
        const handle = driven.queue(0);
        const { address } = bench.dma.allocate(16, 8);
        for (let round = 0; round < 6; round++) {
          const lengths = [4, 5, 6];
          const ids = lengths.map((length) => handle.queue.add([address], [length], 1, 0));
          handle.notify();
          const taken = queue.take().map(({ head }) => head);
          expectEqual("the buffers that are available", taken, ids);
          queue.useBatch(taken, 1);
          const reaped: [number, number][] = [];
          for (let id = handle.reap(); id >= 0; id = handle.reap()) {
            reaped.push([id, handle.queue.usedLength]);
          }
          expectEqual(
            "what was reaped",
            reaped,
            ids.map((id, i) => [id, i < 2 ? lengths[i] : 1]),
          );
        }
        expectEqual("free descriptors", handle.queue.free, QUEUE_SIZE);
      },
    ),
    formatCase(
      `driver-notification-data-${format}`,
      `With notification data, a notification names where the next buffer of a ${format} ring will stand.`,
      format === "split"
        ? ["driver-notification-2", "mmio-notify-driver-2", "ccw-notify-2"]
        : ["driver-notification-3", "packed-desc-driver-3"],
      format,
      [VIRTIO_F_NOTIFICATION_DATA],
      async ({ bench, driven, queue }) => {
        const handle = driven.queue(0);
        const { address } = bench.dma.allocate(16, 8);
        let added = 0;
        const expected: number[] = [];
        for (let round = 0; round < 9; round++) {
          const count = 1 + (round % 3);
          const list = new Array<number>(count).fill(address);
          const id = handle.queue.add(list, new Array(count).fill(4), count, count);
          handle.notify();
          added += format === "packed" ? count : 1;
          expected.push(positionOf(format, added));
          await bench.expectSoon("the notification", () => claims(bench).length === round + 1);
          queue.take();
          queue.use(id, 0);
          expectEqual("the buffer", handle.reap(), id);
        }
        expectEqual("the positions that notifications name", claims(bench), expected);
      },
    ),
  ]),
  formatCase(
    "driver-in-order-table",
    "In order, descriptors are taken round the table, each chained to the one behind it.",
    ["split-desc-driver-3"],
    "split",
    [VIRTIO_F_IN_ORDER],
    async ({ bench, driven, queue }) => {
      const handle = driven.queue(0);
      const { address } = bench.dma.allocate(16, 8);
      let first = 0;
      for (let round = 0; round < 6; round++) {
        const heads = [3, 2].map((count) =>
          handle.queue.add(new Array(count).fill(address), new Array(count).fill(4), count, count),
        );
        handle.notify();
        expectEqual("the heads", heads, [first, (first + 3) % QUEUE_SIZE]);
        for (const at of [first, first + 1, first + 3]) {
          const slot = at % QUEUE_SIZE;
          const [flags, next] = flagsAndNext(bench, slot);
          expectEqual(`the next flag of descriptor ${slot}`, (flags ?? 0) & NEXT, NEXT);
          expectEqual(`the descriptor after ${slot}`, next, (slot + 1) % QUEUE_SIZE);
        }
        queue.take();
        for (const head of heads) queue.use(head, 0);
        while (handle.reap() >= 0);
        first = (first + 5) % QUEUE_SIZE;
      }
    },
  ),
  formatCase(
    "driver-in-order-violated",
    "In order, a used entry for a later buffer fails the device, with FAILED, and is not believed.",
    ["reserved-features-device-5", "init-driver-6"],
    "split",
    [VIRTIO_F_IN_ORDER],
    ({ bench, driven, queue }) => {
      const { address } = bench.dma.allocate(8, 8);
      const handle = driven.queue(0);
      handle.queue.add([address], [8], 1, 0);
      handle.notify();
      return expectDistrust(bench, driven, queue, (_, later) => queue.use(later, 0));
    },
  ),
];

function positionOf(format: Format, added: number): number {
  if (format === "split") return added;
  return (added % QUEUE_SIZE) | (Math.floor(added / QUEUE_SIZE) % 2 === 0 ? 0x8000 : 0);
}

/** What notifications said of where the next buffer will stand. */
function claims(bench: DriverBench): number[] {
  return bench.device.calls.flatMap(({ op, value }) => (op === "notify" ? [value] : []));
}

/** The flags and the next field of one descriptor of queue 0. */
function flagsAndNext(bench: DriverBench, slot: number): number[] {
  const bytes = new Uint8Array(4);
  const at = bench.device.areas(0).descriptorArea + VIRTQ_DESC.size * slot;
  bench.dma.memory.read(at + VIRTQ_DESC.fields.flags.offset, bytes);
  const view = new DataView(bytes.buffer);
  return [view.getUint16(0, true), view.getUint16(2, true)];
}

/** A case about a driver whose device offers these features, in front of rings of one format. */
function formatCase(
  id: string,
  title: string,
  clauses: readonly string[],
  format: Format,
  features: readonly number[],
  run: (running: Running) => Promise<void>,
): ComplianceCase {
  return driverCase(id, title, clauses, async (context) => {
    const wanted = [...features, ...(format === "packed" ? [VIRTIO_F_RING_PACKED] : [])];
    context.needs(wanted);
    const bench = context.driver({ features: [...SCRIPTED_FEATURES, ...wanted] });
    const driven = await bench.bringUp();
    for (const bit of wanted) expectTrue(`feature ${bit} is accepted`, driven.features.has(bit));
    const queue = format === "packed" ? bench.packedQueue(0) : bench.queue(0);
    await run({ bench, driven, queue });
  });
}
