/** VIRTIO_F_IN_ORDER and VIRTIO_F_NOTIFICATION_DATA, from the driver's end. */
import { FEATURE, type FeatureSet, RING_FEATURES, STATUS } from "@virtio-admin/core";
import type { BenchQueue, BenchRing, DeviceBench } from "../device-bench.ts";
import { expectEqual, expectTrue } from "../expect.ts";
import { HandPackedRing } from "../hand-packed-ring.ts";
import type { HandBuffer, HandRing } from "../hand-ring.ts";
import type { ComplianceCase } from "../types.ts";
import { deviceCase } from "./define.ts";

const QUEUE_SIZE = 8;
const { VIRTIO_F_RING_PACKED, VIRTIO_F_IN_ORDER, VIRTIO_F_NOTIFICATION_DATA } = FEATURE;

type Format = "split" | "packed";
type AnyQueue = BenchQueue<HandRing> | BenchQueue<HandPackedRing>;

const FORMATS: readonly Format[] = ["split", "packed"];

/** Queues in order, and notifications with data, from the driver's end. */
export const IN_ORDER_CASES: readonly ComplianceCase[] = FORMATS.flatMap((format) => [
  formatCase(
    `in-order-${format}`,
    `In order, the buffers of a ${format} ring are used as they were made available, whichever is done first.`,
    ["reserved-features-device-5"],
    format,
    VIRTIO_F_IN_ORDER,
    async (bench, queue) => {
      bench.model.holds = true;
      const bytes = Uint8Array.of(1, 2, 3);
      // One byte more than is written: none of them can do without a used entry of its own.
      const buffers = [1, 2, 3].map(() => queue.ring.add([bytes], [4]));
      queue.doorbell.ring();
      await bench.expectSoon("all are taken", () => bench.model.popped === buffers.length);
      bench.model.releaseLast();
      await bench.settle();
      expectEqual("buffers used before the first", queue.ring.takeUsed(), []);
      bench.model.release();
      const entries = await bench.collect(queue, buffers.length);
      expectEqual(
        "the used ids",
        entries.map(({ id }) => id),
        buffers.map(({ head }) => head),
      );
      for (const buffer of buffers) {
        expectEqual("the answer", buffer.written().subarray(0, 3), bytes);
      }
    },
  ),
  formatCase(
    `in-order-${format}-batch`,
    `In order, an entry of a ${format} ring stands for the buffers before it that are written in full.`,
    ["reserved-features-device-5"],
    format,
    VIRTIO_F_IN_ORDER,
    async (bench, queue) => {
      let total = 0;
      for (let round = 0; round < 6; round++) {
        const bytes = Uint8Array.of(round, 7);
        const buffers = [1, 2, 3].map(() => queue.ring.add([bytes], [2]));
        queue.doorbell.ring();
        total += buffers.length;
        await bench.expectSoon("all are used", () => isUsed(queue, buffers, total));
        for (const buffer of buffers) expectEqual("the answer", buffer.written(), bytes);
      }
    },
  ),
  formatCase(
    `notification-data-${format}`,
    `With notification data, a ${format} ring is served whatever position a notification claims.`,
    [],
    format,
    VIRTIO_F_NOTIFICATION_DATA,
    async (bench, queue) => {
      for (const claim of [0, 1, 0x7fff, 0x8000, 0x8005, 0xffff]) {
        const buffer = queue.ring.add([Uint8Array.of(claim & 0xff)], [1]);
        queue.doorbell.ring(claim);
        const [used] = await bench.collect(queue);
        expectEqual("the used id", used?.id, buffer.head);
        // Nothing new is there, whatever this one claims.
        queue.doorbell.ring(claim ^ 0x1234);
        await bench.settle();
        expectEqual("further used buffers", queue.ring.takeUsed(), []);
      }
      expectEqual("buffers that the device took", bench.model.popped, 6);
      expectEqual("what went wrong on the bus", bench.heard.failures, []);
      expectTrue("the device runs", (bench.device.status & STATUS.DEVICE_NEEDS_RESET) === 0);
    },
  ),
]);

/** True once the rings tell that these are used, the last of `total`; checks every entry on the way. */
function isUsed(queue: AnyQueue, buffers: readonly HandBuffer[], total: number): boolean {
  const { ring } = queue;
  if (ring instanceof HandPackedRing) return isUsedPacked(ring, buffers, total);
  if (ring.usedIndex !== total) return false;
  for (let at = 0; at < buffers.length; ) {
    const { id } = ring.usedEntry(total - buffers.length + at);
    at = lastOfBatch(buffers, at, id) + 1;
  }
  ring.takeUsed();
  return true;
}

function isUsedPacked(
  ring: HandPackedRing,
  buffers: readonly HandBuffer[],
  total: number,
): boolean {
  for (let at = 0; at < buffers.length; ) {
    // Two descriptors a buffer.
    const id = ring.usedIdAt(2 * (total - buffers.length + at));
    if (id === undefined) return false;
    at = lastOfBatch(buffers, at, id) + 1;
  }
  return true;
}

/** The number of the buffer that ends the batch beginning with number `at`, by its id. */
function lastOfBatch(buffers: readonly HandBuffer[], at: number, id: number): number {
  const last = buffers.findIndex(({ head }, i) => i >= at && head === id);
  expectTrue(`the used id ${id} is of a buffer that was not used yet`, last >= 0);
  return last;
}

/** A case about a device that offers one feature more, in front of rings of one format. */
function formatCase(
  id: string,
  title: string,
  clauses: readonly string[],
  format: Format,
  feature: number,
  run: (bench: DeviceBench, queue: AnyQueue) => Promise<void>,
): ComplianceCase {
  return deviceCase(id, title, clauses, async (context) => {
    const wanted = [feature, ...(format === "packed" ? [VIRTIO_F_RING_PACKED] : [])];
    context.needs(wanted);
    const bench = await context.device({ features: [...RING_FEATURES, ...wanted] });
    await negotiate(bench, wanted);
    const queue =
      format === "packed"
        ? await bench.packedQueue(0, QUEUE_SIZE)
        : await bench.queue(0, QUEUE_SIZE);
    await bench.run(queue as BenchQueue<BenchRing>);
    await run(bench, queue);
  });
}

async function negotiate(bench: DeviceBench, wanted: readonly number[]): Promise<FeatureSet> {
  await bench.begin();
  const offered = await bench.driver.readFeatures();
  const features = offered
    .without(FEATURE.VIRTIO_F_EVENT_IDX)
    .intersect(bench.driver.allowedFeatures);
  for (const bit of wanted) expectTrue(`feature ${bit} can be negotiated`, features.has(bit));
  await bench.accept(features);
  return features;
}
