/** A device that is polled, stopped and moved in any order: every buffer is used, whoever looks for it. */
import {
  bringUp,
  createGuestMemory,
  DmaArena,
  FEATURE,
  restoreSnapshot,
  STATUS,
  takeSnapshot,
  VirtioDevice,
} from "@virtio-admin/core";
import fc from "fast-check";
import { expect, it } from "vitest";
import { DirectTransport, MEMORY_BASE, MEMORY_LENGTH } from "../direct-transport.ts";
import { FillModel } from "./models.ts";

const { VIRTIO_F_EVENT_IDX, VIRTIO_F_RING_PACKED, VIRTIO_F_IN_ORDER, VIRTIO_F_INDIRECT_DESC } =
  FEATURE;
it("polls, stops, resumes, is restored, in any order, and loses no buffer", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.subarray([
        VIRTIO_F_EVENT_IDX,
        VIRTIO_F_RING_PACKED,
        VIRTIO_F_IN_ORDER,
        VIRTIO_F_INDIRECT_DESC,
      ]),
      fc.array(fc.constantFrom("poll", "end", "offer", "stop", "resume", "snap", "reap", "offer"), {
        minLength: 5,
        maxLength: 60,
      }),
      async (features, steps) => {
        const memory = createGuestMemory([
          { base: MEMORY_BASE, bytes: new Uint8Array(MEMORY_LENGTH), concurrent: true },
        ]);
        const dma = new DmaArena(memory, MEMORY_BASE, MEMORY_LENGTH);
        let device = new VirtioDevice({ model: new FillModel(), memory, features });
        const driver = await bringUp(new DirectTransport(device, dma), {
          queues: [{ index: 0 }, { index: 1 }],
        });
        const handle = driver.queue(0);
        const { address } = dma.allocate(8, 8);
        let polling = false;
        let added = 0;
        let used = 0;
        const reap = () => {
          for (let id = handle.reap(); id >= 0; id = handle.reap()) used++;
        };
        for (const step of steps) {
          if (step === "poll") {
            device.poll();
            polling = true;
          } else if (step === "end") {
            device.endPolling();
            polling = false;
          } else if (step === "offer") {
            if (
              added % 2
                ? handle.queue.addPair(address, 4, address + 4, 4) < 0
                : handle.queue.add([address], [4], 1, 0) < 0
            )
              continue;
            added++;
            if (handle.queue.publish()) device.notify(0);
          } else if (step === "stop") await device.stop();
          else if (step === "resume") device.resume();
          else if (step === "reap") reap();
          else {
            const target = new VirtioDevice({ model: new FillModel(), memory, features });
            restoreSnapshot({ device: target }, takeSnapshot({ device }));
            device = target;
            polling = false;
          }
          if (!polling && !device.stopped) {
            reap();
            expect([step, used]).toEqual([step, added]);
          }
          expect(device.status & STATUS.DEVICE_NEEDS_RESET).toBe(0);
        }
        device.resume();
        if (polling) device.poll();
        reap();
        expect(used).toBe(added);
      },
    ),
    { numRuns: 200 },
  );
});
