/** Random histories of a device, with a snapshot after every step or none: nobody can tell. */
import {
  DmaArena,
  decodeSnapshot,
  encodeSnapshot,
  FEATURE,
  isVirtioError,
  restoreSnapshot,
  takeSnapshot,
} from "@virtio-admin/core";
import fc from "fast-check";
import { expect, it } from "vitest";
import {
  BASE,
  DeviceSide,
  DriverSide,
  type Filler,
  LENGTH,
  negotiate,
  setDriverOk,
} from "./rig.ts";

const { VIRTIO_F_EVENT_IDX, VIRTIO_F_IN_ORDER, VIRTIO_F_RING_PACKED, VIRTIO_F_RING_RESET } =
  FEATURE;

type Step =
  | { readonly op: "offer"; readonly queue: number; readonly notify: boolean }
  | { readonly op: "reap" | "move" }
  | { readonly op: "mode"; readonly mode: Filler["mode"] }
  | { readonly op: "config"; readonly value: number }
  | { readonly op: "change"; readonly value: number }
  | { readonly op: "disable" | "enable"; readonly queue: number }
  | { readonly op: "reset queue"; readonly queue: number };

const queue = fc.nat(1);
const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ op: fc.constant("offer" as const), queue, notify: fc.boolean() }),
    },
    { weight: 3, arbitrary: fc.constant({ op: "reap" as const }) },
    { weight: 4, arbitrary: fc.constant({ op: "move" as const }) },
    fc.record({
      op: fc.constant("mode" as const),
      mode: fc.constantFrom("serve" as const, "no publish" as const, "nothing" as const),
    }),
    fc.record({ op: fc.constantFrom("config" as const, "change" as const), value: fc.nat(255) }),
    fc.record({ op: fc.constantFrom("disable" as const, "enable" as const), queue }),
    fc.record({ op: fc.constant("reset queue" as const), queue }),
  ) as fc.Arbitrary<Step>,
  { maxLength: 60 },
);

it("a device that was moved at any step serves its driver to the last buffer", () => {
  fc.assert(
    fc.property(steps, fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()), (history, flags) => {
      const [eventIdx, packed, inOrder] = flags;
      let side = new DeviceSide({ packed, inOrder });
      const arena = new DmaArena(side.memory, BASE, LENGTH);
      const bits = [
        VIRTIO_F_RING_RESET,
        ...(eventIdx ? [VIRTIO_F_EVENT_IDX] : []),
        ...(packed ? [VIRTIO_F_RING_PACKED] : []),
        ...(inOrder ? [VIRTIO_F_IN_ORDER] : []),
      ];
      negotiate(side.device, ...bits);
      const format = { eventIdx, packed, inOrder };
      const queues = [0, 1].map((i) => new DriverSide(side.device, i, arena, format));
      setDriverOk(side.device);
      const offered = [0, 0];
      const reaped = [0, 0];
      const reap = (i: number) => {
        reaped[i]! += queues[i]!.reap();
      };
      for (const step of history) {
        const { device, model } = side;
        if (step.op === "offer") {
          if (queues[step.queue]!.queue.free === 0) continue;
          queues[step.queue]!.offer(new Uint8Array(0), 4);
          offered[step.queue]!++;
          if (step.notify) device.notify(step.queue);
        } else if (step.op === "reap") {
          [0, 1].forEach(reap);
        } else if (step.op === "mode") {
          model.mode = step.mode;
        } else if (step.op === "config") {
          device.writeConfig(2, Uint8Array.of(step.value));
        } else if (step.op === "change") {
          model.config.update((_, bytes) => {
            bytes[0] = step.value;
          });
          model.host.configChanged();
        } else if (step.op === "disable" || step.op === "enable") {
          const ring = model.host.queue(step.queue)!;
          if (step.op === "disable") ring.disableNotifications();
          else ring.enableNotifications();
        } else if (step.op === "reset queue") {
          device.resetQueue(step.queue);
          queues[step.queue] = new DriverSide(device, step.queue, arena, format);
          offered[step.queue] = 0;
          reaped[step.queue] = 0;
        } else {
          const snapshot = takeSnapshot(side);
          const target = new DeviceSide({ memory: side.memory, packed, inOrder });
          target.model.mode = "nothing";
          restoreSnapshot(target, decodeSnapshot(encodeSnapshot(snapshot)));
          target.model.mode = model.mode;
          // All but what has gone out meanwhile is as it was.
          const rings = snapshot.device.queues.map(({ ring, ...registers }) =>
            ring === undefined
              ? registers
              : { ...registers, ring: { ...ring, publishedIndex: ring.index, interrupt: false } },
          );
          expect(takeSnapshot(target)).toEqual({
            ...snapshot,
            device: { ...snapshot.device, queues: rings },
          });
          side = target;
        }
      }
      side.model.mode = "serve";
      for (const i of [0, 1]) {
        side.device.notify(i);
        reap(i);
      }
      expect(reaped).toEqual(offered);
      expect(queues.map(({ queue }) => queue.defect)).toEqual([undefined, undefined]);
    }),
    { numRuns: 250 },
  );
});

it("a snapshot can be taken exactly when no buffer is held", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(queue, fc.constantFrom("serve", "hold")), { maxLength: 6 }),
      (work) => {
        const side = new DeviceSide();
        const arena = new DmaArena(side.memory, BASE, LENGTH);
        negotiate(side.device);
        const queues = [0, 1].map((i) => new DriverSide(side.device, i, arena));
        setDriverOk(side.device);
        for (const [i, mode] of work) {
          side.model.mode = mode as Filler["mode"];
          queues[i]!.offer(new Uint8Array(0), 4);
          side.device.notify(i);
        }
        const holding = [0, 1].filter((i) => side.model.host.queue(i)!.outstanding > 0);
        let path: string | undefined;
        try {
          takeSnapshot(side);
        } catch (error) {
          if (!isVirtioError(error, "SNAPSHOT_BUSY")) throw error;
          path = error.path;
        }
        expect(path).toBe(holding.length === 0 ? undefined : `device.queues[${holding[0]}]`);
      },
    ),
    { numRuns: 50 },
  );
});
