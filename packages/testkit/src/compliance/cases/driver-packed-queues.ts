/** Packed virtqueues from the driver's end, in front of a device that may break every rule. */
import { type DriverDevice, FEATURE } from "@virtio-admin/core";
import type { ComplianceContext } from "../context.ts";
import type { DriverBench } from "../driver-bench.ts";
import { expectEqual, expectTrue } from "../expect.ts";
import type { HandPackedDeviceQueue } from "../hand-packed-device-queue.ts";
import { PACKED_EVENT, PACKED_WRAP } from "../hand-packed-ring.ts";
import { SCRIPTED_FEATURES } from "../scripted-device.ts";
import type { ComplianceCase } from "../types.ts";
import { BROKEN_USED, expectDistrust } from "./broken-used.ts";
import { driverCase } from "./define.ts";

const PACKED = [...SCRIPTED_FEATURES, FEATURE.VIRTIO_F_RING_PACKED];
const WITH_EVENT_IDX = [...PACKED, FEATURE.VIRTIO_F_EVENT_IDX];

/** Packed virtqueues from the driver's end. */
export const DRIVER_PACKED_QUEUE_CASES: readonly ComplianceCase[] = [
  packedCase(
    "driver-packed-exchange",
    "Buffers reach the device as they were added, and come back, over many rounds of a packed ring.",
    ["reserved-features-driver-6", "packed-publish-driver-1", "packed-list-driver-3"],
    PACKED,
    async ({ bench, driven, queue }) => {
      const handle = driven.queue(0);
      const source = bench.dma.allocate(16, 8);
      const target = bench.dma.allocate(16, 8);
      bench.dma.memory.write(source.address, Uint8Array.of(1, 2, 3, 4, 5, 6));
      const used: number[] = [];
      handle.onUsed = () => {
        for (let id = handle.reap(); id >= 0; id = handle.reap()) used.push(id);
      };
      for (let round = 0; round < 20; round++) {
        const segments = [source.address, source.address + 4, target.address];
        const id = handle.queue.add(segments, [4, 2, 8], 3, 2);
        handle.notify();
        await bench.expectSoon(
          "the notification",
          () => bench.device.count("notify") === round + 1,
        );
        const [buffer] = queue.take();
        if (buffer === undefined) return expectTrue("a buffer is available", false);
        expectEqual("the readable bytes", buffer.readable, Uint8Array.of(1, 2, 3, 4, 5, 6));
        expectEqual("the id", buffer.head, id);
        queue.fill(buffer, Uint8Array.of(round, 9, 9));
        queue.use(buffer.head, 3);
        bench.device.interrupt(0);
        await bench.expectSoon("the buffer is reaped", () => used.length === round + 1);
        expectEqual("its id", used.at(-1), id);
        expectEqual("its used length", handle.queue.usedLength, 3);
      }
    },
  ),
  packedCase(
    "driver-packed-order",
    "Buffers that come back in another order are told apart by their ids.",
    ["packed-order-device-2"],
    PACKED,
    async ({ bench, driven, queue }) => {
      const handle = driven.queue(0);
      const { address } = bench.dma.allocate(16, 8);
      const used: [number, number][] = [];
      handle.onUsed = () => {
        for (let id = handle.reap(); id >= 0; id = handle.reap()) {
          used.push([id, handle.queue.usedLength]);
        }
      };
      for (let round = 0; round < 6; round++) {
        const ids = [1, 2, 1].map((count) =>
          handle.queue.add(new Array(count).fill(address), new Array(count).fill(8), count, 0),
        );
        handle.notify();
        await bench.settle();
        expectEqual(
          "the buffers that are available",
          queue.take().map(({ head }) => head),
          ids,
        );
        const back = [ids[1], ids[2], ids[0]].map((id) => id ?? -1);
        for (const id of back) queue.use(id, id);
        used.length = 0;
        bench.device.interrupt(0);
        await bench.expectSoon("all are reaped", () => used.length === back.length);
        expectEqual(
          "what was reaped",
          used,
          back.map((id) => [id, id]),
        );
      }
    },
  ),
  packedCase(
    "driver-packed-flags",
    "The device is notified exactly while its flags do not disable it.",
    ["packed-notify-driver-1"],
    PACKED,
    async ({ bench, driven, queue }) => {
      const handle = driven.queue(0);
      const { address } = bench.dma.allocate(8, 8);
      let expected = 0;
      for (const wanted of [false, true, false, true]) {
        queue.deviceEvent = wanted ? PACKED_EVENT.enable : PACKED_EVENT.disable;
        handle.queue.add([address], [8], 1, 0);
        handle.notify();
        if (wanted) expected++;
        await bench.settle();
        expectEqual("notifications", bench.device.count("notify"), expected);
      }
    },
  ),
  packedCase(
    "driver-packed-event",
    "With VIRTIO_F_EVENT_IDX, the device is notified at the descriptor that it waits for.",
    ["packed-notify-driver-1"],
    WITH_EVENT_IDX,
    async ({ bench, driven, queue }) => {
      const handle = driven.queue(0);
      const { address } = bench.dma.allocate(8, 8);
      queue.deviceEvent = PACKED_EVENT.descriptor | 2 | PACKED_WRAP;
      for (const expected of [0, 0, 1, 1]) {
        handle.queue.add([address], [8], 1, 0);
        handle.notify();
        await bench.settle();
        expectEqual("notifications", bench.device.count("notify"), expected);
      }
    },
  ),
  packedCase(
    "driver-packed-asks",
    "With VIRTIO_F_EVENT_IDX, the driver asks for the used descriptor that comes next.",
    [],
    WITH_EVENT_IDX,
    async ({ bench, driven, queue }) => {
      const handle = driven.queue(0);
      const { address } = bench.dma.allocate(8, 8);
      for (let i = 0; i < 10; i++) {
        const id = handle.queue.add([address], [8], 1, 0);
        handle.notify();
        queue.take();
        queue.use(id, 0);
        expectEqual("the id", handle.reap(), id);
        expectEqual("no other", handle.reap(), -1);
        const asked = PACKED_EVENT.descriptor | queue.position;
        expectEqual("the driver's question", queue.driverEvent, asked);
      }
    },
  ),
  ...BROKEN_USED.map(({ id, title, breakIt }) =>
    packedCase(
      `driver-packed-used-${id}`,
      `A used descriptor that ${title} fails the device, with FAILED, and is not believed.`,
      ["init-driver-6"],
      PACKED,
      ({ bench, driven, queue }) => expectDistrust(bench, driven, queue, breakIt),
    ),
  ),
];

interface Running {
  readonly bench: DriverBench;
  readonly driven: DriverDevice;
  readonly queue: HandPackedDeviceQueue;
}

/** A case about a driver whose device offers these features, VIRTIO_F_RING_PACKED among them. */
function packedCase(
  id: string,
  title: string,
  clauses: readonly string[],
  features: readonly number[],
  run: (running: Running) => Promise<void>,
): ComplianceCase {
  return driverCase(id, title, clauses, async (context: ComplianceContext) => {
    if (!context.carries(FEATURE.VIRTIO_F_RING_PACKED)) {
      context.skip(`this ${context.transport.name} transport carries split rings alone`);
    }
    const bench = context.driver({ features });
    const driven = await bench.bringUp();
    expectTrue("the rings are packed", driven.features.has(FEATURE.VIRTIO_F_RING_PACKED));
    await run({ bench, driven, queue: bench.packedQueue(0) });
  });
}
