/** Random histories of a device that is moved by its parts after some steps, beside one that stays. */
import { DmaArena, decodeParts, encodeParts, FEATURE, type RegionMemory } from "@virtio-admin/core";
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
} from "../snapshot/rig.ts";

const { VIRTIO_F_EVENT_IDX, VIRTIO_F_RING_RESET } = FEATURE;

type Step =
  | { readonly op: "offer"; readonly queue: number; readonly notify: boolean }
  | { readonly op: "reap" | "move" | "stop" | "resume" }
  | { readonly op: "mode"; readonly mode: Filler["mode"] }
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
    fc.record({ op: fc.constantFrom("stop" as const, "resume" as const) }),
    fc.record({
      op: fc.constant("mode" as const),
      mode: fc.constantFrom("serve" as const, "no publish" as const, "nothing" as const),
    }),
    fc.record({ op: fc.constant("reset queue" as const), queue }),
  ) as fc.Arbitrary<Step>,
  { maxLength: 60 },
);

const bytesOf = (memory: RegionMemory) => Buffer.from(memory.regions[0]!.bytes).toString("base64");

/** Carries a history out; without `moves` the device stays where it is, and is never stopped. */
function live(history: readonly Step[], eventIdx: boolean, moves: boolean) {
  let side = new DeviceSide();
  const { memory } = side;
  const arena = new DmaArena(memory, BASE, LENGTH);
  negotiate(side.device, VIRTIO_F_RING_RESET, ...(eventIdx ? [VIRTIO_F_EVENT_IDX] : []));
  const queues = [0, 1].map((i) => new DriverSide(side.device, i, arena, { eventIdx }));
  setDriverOk(side.device);
  const offered = [0, 0];
  const reaped = [0, 0];
  const reap = (i: number) => {
    reaped[i]! += queues[i]!.reap();
  };
  const move = () => {
    side.device.stop();
    const before = bytesOf(memory);
    const parts = encodeParts(side.device.readParts());
    const target = new DeviceSide({ memory });
    target.model.mode = side.model.mode;
    target.device.stop();
    target.device.prepareParts(decodeParts(parts)).apply();
    expect([bytesOf(memory), encodeParts(target.device.readParts())]).toEqual([before, parts]);
    side = target;
    side.device.resume();
  };
  for (const step of history) {
    switch (step.op) {
      case "offer":
        // What is never seen used cannot be reaped, so that the room differs between the two.
        if (offered[step.queue]! - reaped[step.queue]! >= 8) break;
        if (queues[step.queue]!.queue.free === 0) break;
        queues[step.queue]!.offer(new Uint8Array(0), 4);
        offered[step.queue]!++;
        if (step.notify) side.device.notify(step.queue);
        break;
      case "reap":
        [0, 1].forEach(reap);
        break;
      case "mode":
        side.model.mode = step.mode;
        break;
      case "move":
        if (moves) move();
        break;
      case "stop":
        if (moves) side.device.stop();
        break;
      case "resume":
        if (moves) side.device.resume();
        break;
      default:
        side.device.resetQueue(step.queue);
        queues[step.queue] = new DriverSide(side.device, step.queue, arena, { eventIdx });
        offered[step.queue] = 0;
        reaped[step.queue] = 0;
    }
  }
  side.device.resume();
  side.model.mode = "serve";
  for (const i of [0, 1]) {
    side.device.notify(i);
    reap(i);
  }
  return {
    answered: [0, 1].map((i) => offered[i] === reaped[i]),
    defects: queues.map(({ queue: half }) => half.defect),
    status: side.device.status,
  };
}

it("a device that is moved at any step serves its driver to the last buffer, as one that stays", () => {
  fc.assert(
    fc.property(steps, fc.boolean(), (history, eventIdx) => {
      const moved = live(history, eventIdx, true);
      expect(moved).toEqual(live(history, eventIdx, false));
      expect(moved).toMatchObject({
        answered: [true, true],
        defects: [undefined, undefined],
        status: 0x0f,
      });
    }),
    { numRuns: 150 },
  );
});
