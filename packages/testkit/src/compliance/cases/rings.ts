/** Split rings, from the driver's end: notifications, framing, and rings that are broken. */
import { FEATURE, STATUS } from "@virtio-admin/core";
import type { BenchQueue, DeviceBench } from "../device-bench.ts";
import { RUNNING_STATUS } from "../device-bench.ts";
import { expectEqual, expectTrue } from "../expect.ts";
import { concat, DESCRIPTOR } from "../hand-ring.ts";
import type { ComplianceCase } from "../types.ts";
import { deviceCase } from "./define.ts";

const { next: NEXT, write: WRITE, indirect: INDIRECT } = DESCRIPTOR;
const QUEUE_SIZE = 8;

/** One way to break a ring, and what stands in the ring then. */
interface BrokenRing {
  readonly id: string;
  readonly title: string;
  readonly clauses: readonly string[];
  readonly without?: readonly number[];
  readonly breakIt: (queue: BenchQueue) => void;
}

const BROKEN_RINGS: readonly BrokenRing[] = [
  {
    id: "head-range",
    title: "names a descriptor outside the table",
    clauses: [],
    breakIt: ({ ring }) => ring.offer(QUEUE_SIZE),
  },
  {
    id: "index-jump",
    title: "makes more entries available than it has",
    clauses: ["split-avail-driver-1"],
    breakIt: ({ ring }) => {
      for (let i = 0; i <= QUEUE_SIZE; i++) ring.offer(0);
    },
  },
  {
    id: "chain-loop",
    title: "has a chain that loops",
    clauses: ["split-desc-driver-2"],
    breakIt: ({ ring }) => {
      const { address } = ring.allocate(8);
      ring.writeDescriptor(0, { address, length: 8, flags: NEXT, next: 1 });
      ring.writeDescriptor(1, { address, length: 8, flags: NEXT, next: 0 });
      ring.offer(0);
    },
  },
  {
    id: "next-range",
    title: "has a chain that leads out of the table",
    clauses: [],
    breakIt: ({ ring }) => {
      const { address } = ring.allocate(8);
      ring.writeDescriptor(0, { address, length: 8, flags: NEXT, next: QUEUE_SIZE });
      ring.offer(0);
    },
  },
  {
    id: "readable-after-writable",
    title: "has a readable element behind a writable one",
    clauses: ["split-framing-driver-1"],
    breakIt: ({ ring }) => {
      const { address } = ring.allocate(8);
      ring.writeDescriptor(0, { address, length: 8, flags: WRITE | NEXT, next: 1 });
      ring.writeDescriptor(1, { address, length: 8, flags: 0 });
      ring.offer(0);
    },
  },
  {
    id: "buffer-unmapped",
    title: "has a buffer outside memory",
    clauses: [],
    breakIt: ({ ring }) => {
      ring.writeDescriptor(0, { address: 0x1000, length: 8, flags: WRITE });
      ring.offer(0);
    },
  },
  {
    id: "head-outstanding",
    title: "makes a buffer available twice at once",
    clauses: [],
    breakIt: ({ ring }) => {
      const { address } = ring.allocate(8);
      ring.writeDescriptor(0, { address, length: 8, flags: WRITE });
      ring.offer(0);
      ring.offer(0);
    },
  },
  {
    id: "indirect-nested",
    title: "has an indirect descriptor in an indirect table",
    clauses: ["split-indirect-driver-2"],
    breakIt: ({ ring }) => {
      const inner = ring.indirectTable([
        { address: ring.allocate(8).address, length: 8, flags: 0 },
      ]);
      const outer = ring.indirectTable([{ address: inner.address, length: 16, flags: INDIRECT }]);
      ring.writeDescriptor(0, { address: outer.address, length: 16, flags: INDIRECT });
      ring.offer(0);
    },
  },
  {
    id: "indirect-not-negotiated",
    title: "has an indirect descriptor without VIRTIO_F_INDIRECT_DESC",
    clauses: ["split-indirect-driver-1"],
    without: [FEATURE.VIRTIO_F_INDIRECT_DESC, FEATURE.VIRTIO_F_EVENT_IDX],
    breakIt: ({ ring }) => {
      const table = ring.indirectTable([
        { address: ring.allocate(8).address, length: 8, flags: 0 },
      ]);
      ring.writeDescriptor(0, { address: table.address, length: 16, flags: INDIRECT });
      ring.offer(0);
    },
  },
];

/** Notifications, framing, and broken rings. */
export const RING_CASES: readonly ComplianceCase[] = [
  deviceCase(
    "ring-interrupt-flag",
    "Without VIRTIO_F_EVENT_IDX, used buffers are notified of exactly while flags are 0.",
    ["split-used-notification-device-2", "split-used-notification-device-3"],
    async (context) => {
      const bench = await context.device();
      const queue = await bench.runWith(0);
      queue.ring.usedEvent = 0xffff;
      for (const flags of [1, 0, 1, 0]) {
        queue.ring.availableFlags = flags;
        await expectNotified(bench, queue, flags === 0);
      }
      expectEqual("the flags of the used ring", queue.ring.usedFlags, 0);
    },
  ),
  deviceCase(
    "ring-used-event",
    "With VIRTIO_F_EVENT_IDX, used buffers are notified of at used_event alone; flags are nothing.",
    ["split-used-notification-device-4", "split-used-notification-device-5"],
    async (context) => {
      const bench = await context.device();
      await bench.negotiate([]);
      const queue = await bench.queue(0);
      await bench.run(queue);
      queue.ring.availableFlags = 1;
      queue.ring.usedEvent = 2;
      for (const notified of [false, false, true, false]) {
        await expectNotified(bench, queue, notified);
      }
    },
  ),
  deviceCase(
    "ring-avail-event",
    "With VIRTIO_F_EVENT_IDX, the device asks by avail_event for the buffer that comes next.",
    ["split-avail-notification-device-3", "split-avail-notification-device-4"],
    async (context) => {
      const bench = await context.device();
      await bench.negotiate([]);
      const queue = await bench.queue(0);
      await bench.run(queue);
      for (let i = 1; i <= 3; i++) {
        await bench.echo(queue);
        await bench.expectSoon("avail_event", () => queue.ring.availableEvent === i);
      }
      expectEqual("the flags of the used ring", queue.ring.usedFlags, 0);
    },
  ),
  deviceCase(
    "ring-batch",
    "Buffers that were made available together are all used, each once.",
    ["split-used-device-1", "split-used-device-2"],
    async (context) => {
      const bench = await context.device();
      const queue = await bench.runWith(0);
      const buffers = [1, 2, 3, 4].map((n) => queue.ring.add([new Uint8Array(n).fill(n)], [n]));
      const entries = await bench.exchange(queue, buffers.length);
      expectEqual(
        "the used ids",
        entries.map(({ id }) => id).sort((a, b) => a - b),
        buffers.map(({ head }) => head).sort((a, b) => a - b),
      );
      buffers.forEach((buffer, i) => {
        expectEqual("the answer", buffer.written(), new Uint8Array(i + 1).fill(i + 1));
      });
      await bench.settle();
      expectEqual("the used index", queue.ring.usedIndex, buffers.length);
    },
  ),
  deviceCase(
    "ring-framing",
    "How a buffer is cut into descriptors makes no difference.",
    ["split-framing-device-1"],
    async (context) => {
      const bench = await context.device();
      const queue = await bench.runWith(0);
      const bytes = Uint8Array.of(1, 2, 3, 4, 5, 6);
      const cuts: readonly (readonly [readonly Uint8Array[], readonly number[]])[] = [
        [[bytes], [6]],
        [
          [bytes.slice(0, 1), bytes.slice(1, 2), bytes.slice(2)],
          [1, 5],
        ],
        [
          [bytes.slice(0, 5), bytes.slice(5)],
          [1, 1, 1, 3],
        ],
        [
          [bytes.slice(0, 3), bytes.slice(3)],
          [2, 10],
        ],
      ];
      for (const [readable, writable] of cuts) {
        const buffer = queue.ring.add(readable, writable);
        const [used] = await bench.exchange(queue);
        expectEqual("the used length", used?.length, bytes.length);
        expectEqual("the answer", buffer.written().slice(0, bytes.length), bytes);
      }
    },
  ),
  deviceCase(
    "ring-short-room",
    "The device writes no more than there is room for, and says how much it wrote.",
    ["split-used-device-2", "split-desc-device-1"],
    async (context) => {
      const bench = await context.device();
      const queue = await bench.runWith(0);
      const buffer = queue.ring.add([Uint8Array.of(1, 2, 3, 4)], [3]);
      const [used] = await bench.exchange(queue);
      expectEqual("the used length", used?.length, 3);
      expectEqual("the answer", buffer.written(), Uint8Array.of(1, 2, 3));
      queue.ring.add([Uint8Array.of(1, 2, 3, 4)], []);
      const [nothing] = await bench.exchange(queue);
      expectEqual("the used length without room", nothing?.length, 0);
    },
  ),
  deviceCase(
    "ring-table-untouched",
    "The device does not write to the descriptor table or to readable buffers.",
    ["split-desc-device-1", "split-desc-device-3"],
    async (context) => {
      const bench = await context.device();
      const queue = await bench.runWith(0);
      const readable = queue.ring.allocate(8);
      const writable = queue.ring.allocate(8);
      bench.write(readable.address, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
      queue.ring.writeDescriptor(3, { address: readable.address, length: 8, flags: NEXT, next: 5 });
      queue.ring.writeDescriptor(5, { address: writable.address, length: 8, flags: WRITE });
      const before = queue.ring.descriptorBytes();
      queue.ring.offer(3);
      queue.ring.publish();
      await bench.exchange(queue);
      expectEqual("the descriptor table", queue.ring.descriptorBytes(), before);
      const after = bench.read(readable.address, 8);
      expectEqual("the readable buffer", after, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    },
  ),
  deviceCase(
    "ring-indirect",
    "Indirect tables are followed, alone and behind plain descriptors; their write flag is nothing.",
    ["split-indirect-device-1", "split-indirect-device-2"],
    async (context) => {
      const bench = await context.device();
      const queue = await bench.runWith(0);
      const source = queue.ring.allocate(8);
      const target = queue.ring.allocate(8);
      const bytes = Uint8Array.of(8, 7, 6, 5, 4, 3, 2, 1);
      bench.write(source.address, bytes);
      const table = queue.ring.indirectTable([
        { address: source.address + 4, length: 4, flags: NEXT, next: 1 },
        { address: target.address, length: 8, flags: WRITE },
      ]);
      const whole = { address: table.address, length: 32, flags: INDIRECT | WRITE };
      queue.ring.writeDescriptor(2, whole);
      queue.ring.writeDescriptor(4, { address: source.address, length: 4, flags: NEXT, next: 2 });
      for (const [head, expected] of [
        [2, bytes.slice(4)],
        [4, bytes],
      ] as const) {
        queue.ring.offer(head);
        queue.ring.publish();
        const [used] = await bench.exchange(queue);
        expectEqual("the used length", used?.length, expected.length);
        const answer = bench.read(target.address, expected.length);
        expectEqual("the answer", answer, expected);
      }
    },
  ),
  deviceCase(
    "ring-large-buffer",
    "A buffer of many pages is served as a whole.",
    ["split-framing-device-1"],
    async (context) => {
      const bench = await context.device();
      const queue = await bench.runWith(0);
      const part = Uint8Array.from({ length: 0x5000 }, (_, i) => i * 7);
      const buffer = queue.ring.add([part, part], [2 * part.length]);
      const [used] = await bench.exchange(queue);
      expectEqual("the used length", used?.length, 2 * part.length);
      expectTrue("the answer is what was sent", sameBytes(buffer.written(), concat([part, part])));
    },
  ),
  ...BROKEN_RINGS.map(({ id, title, clauses, without, breakIt }) =>
    deviceCase(
      `ring-broken-${id}`,
      `A ring that ${title} ends in DEVICE_NEEDS_RESET; a reset mends it.`,
      ["status-device-3", "status-device-4", ...clauses],
      async (context) => {
        const bench = await context.device();
        await bench.negotiate(without);
        const queue = await bench.queue(0, QUEUE_SIZE);
        const other = await bench.queue(1);
        await bench.run(queue, other);
        bench.model.holds = true;
        breakIt(queue);
        queue.ring.publish();
        queue.doorbell.ring();
        await bench.expectSoon(
          "DEVICE_NEEDS_RESET",
          () => (bench.device.status & STATUS.DEVICE_NEEDS_RESET) !== 0,
        );
        expectEqual(
          "the status",
          await bench.driver.readStatus(),
          RUNNING_STATUS | STATUS.DEVICE_NEEDS_RESET,
        );
        await bench.expectSoon("the configuration interrupt", () => bench.heard.configuration > 0);
        bench.model.holds = false;
        other.ring.add([Uint8Array.of(1)], [1]);
        other.doorbell.ring();
        await bench.settle();
        expectEqual("the used index of another queue", other.ring.usedIndex, 0);
        await bench.echo(await bench.runWith(0));
      },
    ),
  ),
];

async function expectNotified(
  bench: DeviceBench,
  queue: BenchQueue,
  notified: boolean,
): Promise<void> {
  await bench.forget();
  await bench.echo(queue);
  if (notified)
    await bench.expectSoon("the used buffer notification", () => bench.toldOf(queue.index));
  await bench.settle();
  expectEqual("the driver was notified", bench.heard.used.length > 0, notified);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
