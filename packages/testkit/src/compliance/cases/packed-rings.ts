/** Packed rings, from the driver's end: their order, notifications, framing, and broken ones. */
import { FEATURE, RING_FEATURES, STATUS } from "@virtio-admin/core";
import type { ComplianceContext } from "../context.ts";
import { type BenchQueue, type DeviceBench, RUNNING_STATUS } from "../device-bench.ts";
import { expectEqual, expectTrue } from "../expect.ts";
import {
  type HandPackedRing,
  PACKED_DESCRIPTOR,
  PACKED_EVENT,
  PACKED_WRAP,
} from "../hand-packed-ring.ts";
import type { ComplianceCase } from "../types.ts";
import { deviceCase } from "./define.ts";

const {
  next: NEXT,
  write: WRITE,
  indirect: INDIRECT,
  avail: AVAIL,
  used: USED,
} = PACKED_DESCRIPTOR;
const QUEUE_SIZE = 8;
const FEATURES: readonly number[] = [...RING_FEATURES, FEATURE.VIRTIO_F_RING_PACKED];

type PackedQueue = BenchQueue<HandPackedRing>;

/** One way to break a ring, and what stands in the ring then. */
interface BrokenRing {
  readonly id: string;
  readonly title: string;
  readonly clauses: readonly string[];
  readonly without?: readonly number[];
  /** The device is notified after it; `notified` notifies it before, and waits for what it does. */
  readonly breakIt: (ring: HandPackedRing, notified: () => Promise<void>) => void | Promise<void>;
}

const BROKEN_RINGS: readonly BrokenRing[] = [
  {
    id: "list-unavailable",
    title: "shows the first descriptor of a list before the others",
    clauses: ["packed-list-driver-6"],
    breakIt: (ring) => {
      const { address } = ring.allocate(8);
      const list = [NEXT, 0].map((flags) => ({ address, length: 8, flags }));
      ring.offer(list, 0, (bits, i) => (i === 0 ? bits : 0));
    },
  },
  {
    id: "chain-length",
    title: "has a list that does not end",
    clauses: ["packed-list-driver-2"],
    breakIt: (ring) => {
      const { address } = ring.allocate(8);
      ring.offer(new Array(QUEUE_SIZE).fill({ address, length: 8, flags: NEXT }), 0);
    },
  },
  {
    id: "overrun",
    title: "goes on in descriptors that the device holds",
    clauses: ["packed-desc-driver-1"],
    breakIt: async (ring, notified) => {
      const { address } = ring.allocate(8);
      for (let id = 0; id < QUEUE_SIZE; id++) {
        ring.offer([{ address, length: 8, flags: WRITE }], id);
      }
      await notified();
      ring.offer([{ address, length: 8, flags: WRITE }], QUEUE_SIZE);
    },
  },
  {
    id: "readable-after-writable",
    title: "has a readable element behind a writable one",
    clauses: ["packed-list-driver-3"],
    breakIt: (ring) => {
      const { address } = ring.allocate(8);
      const list = [WRITE | NEXT, 0].map((flags) => ({ address, length: 8, flags }));
      ring.offer(list, 0);
    },
  },
  {
    id: "buffer-unmapped",
    title: "has a buffer outside memory",
    clauses: [],
    breakIt: (ring) => ring.offer([{ address: 0x1000, length: 8, flags: WRITE }], 0),
  },
  {
    id: "id-outstanding",
    title: "gives two buffers one id at once",
    clauses: [],
    breakIt: (ring) => {
      const { address } = ring.allocate(8);
      for (let i = 0; i < 2; i++) ring.offer([{ address, length: 8, flags: WRITE }], 3);
    },
  },
  {
    id: "indirect-in-list",
    title: "has an indirect descriptor in a list",
    clauses: ["packed-indirect-driver-4"],
    breakIt: (ring) => {
      const { address } = ring.allocate(8);
      const table = ring.indirectTable([{ address, length: 8, flags: 0 }]);
      const list = [
        { address, length: 8, flags: NEXT },
        { address: table.address, length: 16, flags: INDIRECT },
      ];
      ring.offer(list, 0);
    },
  },
  {
    id: "indirect-not-negotiated",
    title: "has an indirect descriptor without VIRTIO_F_INDIRECT_DESC",
    clauses: ["packed-indirect-driver-1"],
    without: [FEATURE.VIRTIO_F_INDIRECT_DESC, FEATURE.VIRTIO_F_EVENT_IDX],
    breakIt: (ring) => {
      const { address } = ring.allocate(8);
      const table = ring.indirectTable([{ address, length: 8, flags: 0 }]);
      ring.offer([{ address: table.address, length: 16, flags: INDIRECT }], 0);
    },
  },
];

/** Packed rings from the driver's end. */
export const PACKED_RING_CASES: readonly ComplianceCase[] = [
  packedCase(
    "packed-exchange",
    "A packed ring is gone round more than once; its bits turn over with each round.",
    ["packed-desc-device-3"],
    async (bench) => {
      const queue = await runWith(bench);
      for (let i = 0; i < 3 * QUEUE_SIZE + 1; i++) await bench.echo(queue, `round ${i % 10}`);
    },
  ),
  packedCase(
    "packed-any-size",
    "The size of a packed ring need not be a power of two.",
    ["pci-common-device-16"],
    async (bench) => {
      for (const size of [1, 3, 5, 7]) {
        const queue = await runWith(bench, undefined, size);
        expectEqual("the size of the queue", bench.device.queueSize(0), size);
        for (let i = 0; i < 2 * size + 1; i++) {
          queue.ring.add([], [1]);
          queue.doorbell.ring();
          await bench.collect(queue);
        }
        await bench.driver.reset();
        queue.ring.free();
      }
    },
  ),
  packedCase(
    "packed-batch",
    "Buffers that were made available together are all used, each once, whatever their lists.",
    ["packed-order-device-1", "packed-list-device-1"],
    async (bench) => {
      const queue = await runWith(bench);
      for (let round = 0; round < 5; round++) {
        const bytes = Uint8Array.of(1, 2, 3, round);
        const buffers = [
          queue.ring.add([bytes], [4]),
          queue.ring.add([bytes.slice(0, 1), bytes.slice(1)], [1, 3]),
        ];
        const entries = await bench.exchange(queue, buffers.length);
        expectEqual(
          "the used ids",
          entries.map(({ id }) => id).sort((a, b) => a - b),
          buffers.map(({ head }) => head).sort((a, b) => a - b),
        );
        for (const buffer of buffers) expectEqual("the answer", buffer.written(), bytes);
      }
    },
  ),
  packedCase(
    "packed-flags",
    "Used buffers are notified of exactly while the driver's flags do not disable it.",
    [],
    async (bench) => {
      const queue = await runWith(bench);
      for (const wanted of [false, true, false, true]) {
        queue.ring.driverEvent = wanted ? PACKED_EVENT.enable : PACKED_EVENT.disable;
        await expectNotified(bench, queue, wanted);
      }
    },
  ),
  packedCase(
    "packed-event",
    "With VIRTIO_F_EVENT_IDX, used buffers are notified of at the descriptor that is waited for.",
    [],
    async (bench) => {
      const queue = await runWith(bench, []);
      // Two descriptors a buffer: the fourth buffer ends the first round.
      queue.ring.driverEvent = PACKED_EVENT.descriptor | 6 | PACKED_WRAP;
      for (const notified of [false, false, false, true, false]) {
        await expectNotified(bench, queue, notified);
      }
      queue.ring.driverEvent = PACKED_EVENT.descriptor | 4;
      for (const notified of [false, true, false, false, false]) {
        await expectNotified(bench, queue, notified);
      }
    },
  ),
  packedCase(
    "packed-device-event",
    "With VIRTIO_F_EVENT_IDX, the device asks for the descriptor that comes next.",
    [],
    async (bench) => {
      const queue = await runWith(bench, []);
      for (let i = 0; i < 6; i++) {
        await bench.echo(queue);
        const asked = PACKED_EVENT.descriptor | queue.ring.position;
        await bench.expectSoon("the device's question", () => queue.ring.deviceEvent === asked);
      }
    },
  ),
  packedCase(
    "packed-indirect",
    "Indirect tables are followed to their end; of their flags the write flag alone counts.",
    [],
    async (bench) => {
      const queue = await runWith(bench);
      const { ring } = queue;
      const source = ring.allocate(8);
      const target = ring.allocate(8);
      const bytes = Uint8Array.of(8, 7, 6, 5, 4, 3, 2, 1);
      bench.write(source.address, bytes);
      const table = ring.indirectTable([
        { address: source.address, length: 3, flags: INDIRECT | USED, id: 77 },
        { address: source.address + 3, length: 5, flags: 0 },
        { address: target.address, length: 8, flags: WRITE | AVAIL },
      ]);
      ring.offer([{ address: table.address, length: 48, flags: INDIRECT | WRITE }], 5);
      const [used] = await bench.exchange(queue);
      expectEqual("the used id", used?.id, 5);
      expectEqual("the used length", used?.length, 8);
      expectEqual("the answer", bench.read(target.address, 8), bytes);
    },
  ),
  packedCase(
    "packed-used-once",
    "A descriptor is written once used, and left alone after that.",
    ["packed-desc-device-4"],
    async (bench) => {
      const queue = await runWith(bench);
      await bench.echo(queue);
      const used = queue.ring.descriptorBytes(0);
      const behind = queue.ring.descriptorBytes(1);
      expectTrue("both bits are set", used[15] === 0x80 && ((used[14] ?? 0) & 0x80) !== 0);
      await bench.echo(queue);
      await bench.echo(queue);
      expectEqual("the used descriptor", queue.ring.descriptorBytes(0), used);
      expectEqual("the descriptor behind it", queue.ring.descriptorBytes(1), behind);
    },
  ),
  packedCase(
    "packed-queue-reset",
    "A packed ring begins anew with the reset of its queue.",
    ["vq-reset-device-1"],
    async (bench, context) => {
      if (!context.carries(FEATURE.VIRTIO_F_RING_RESET)) {
        context.skip(`no single queue is stopped on ${context.transport.name}`);
      }
      const first = await runWith(bench);
      for (let i = 0; i < 6; i++) await bench.echo(first);
      await bench.driver.resetQueue(0);
      const again = await bench.packedQueue(0);
      for (let i = 0; i < 6; i++) await bench.echo(again);
    },
  ),
  ...BROKEN_RINGS.map(({ id, title, clauses, without, breakIt }) =>
    packedCase(
      `packed-broken-${id}`,
      `A packed ring that ${title} ends in DEVICE_NEEDS_RESET; a reset mends it.`,
      ["status-device-3", ...clauses],
      async (bench) => {
        await bench.negotiate(without);
        const queue = await bench.packedQueue(0, QUEUE_SIZE);
        await bench.run(queue);
        bench.model.holds = true;
        await breakIt(queue.ring, () => {
          queue.doorbell.ring();
          return bench.settle();
        });
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
        bench.model.holds = false;
        await bench.echo(await runWith(bench));
      },
    ),
  ),
];

/** A case about a device that offers VIRTIO_F_RING_PACKED. */
function packedCase(
  id: string,
  title: string,
  clauses: readonly string[],
  run: (bench: DeviceBench, context: ComplianceContext) => Promise<void>,
): ComplianceCase {
  return deviceCase(id, title, clauses, async (context) => {
    if (!context.carries(FEATURE.VIRTIO_F_RING_PACKED)) {
      context.skip(`this ${context.transport.name} transport carries split rings alone`);
    }
    const bench = await context.device({ features: FEATURES });
    await run(bench, context);
  });
}

async function runWith(
  bench: DeviceBench,
  without?: readonly number[],
  size: number = QUEUE_SIZE,
): Promise<PackedQueue> {
  const features = await bench.negotiate(without);
  expectTrue("the rings are packed", features.has(FEATURE.VIRTIO_F_RING_PACKED));
  const queue = await bench.packedQueue(0, size);
  await bench.run(queue);
  return queue;
}

async function expectNotified(
  bench: DeviceBench,
  queue: PackedQueue,
  notified: boolean,
): Promise<void> {
  await bench.forget();
  await bench.echo(queue);
  if (notified)
    await bench.expectSoon("the used buffer notification", () => bench.toldOf(queue.index));
  await bench.settle();
  expectEqual("the driver was notified", bench.heard.used.length > 0, notified);
}
