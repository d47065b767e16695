/** A device in a worker that nobody steers: ours, or one that is worked by hand. */
import { FEATURE, type GuestMemory, RING_FEATURES, VirtioDevice } from "@virtio-admin/core";
import {
  type AvailableBuffer,
  fence,
  HandDeviceQueue,
  HandPackedDeviceQueue,
  PACKED_EVENT,
  ProbeModel,
  ScriptedDevice,
} from "@virtio-admin/testkit";
import { MmioDevice } from "@virtio-admin/transport-mmio";
import { serveThread } from "../src/index.ts";
import { passes, passesPacked, QUEUE, type Unattended } from "./unattended.ts";

const RING_AT = 4;

await serveThread(({ memory, data }) => {
  const { ours, packed } = data as Unattended;
  const format = packed ? [FEATURE.VIRTIO_F_RING_PACKED] : [];
  if (ours === "device") {
    const model = new ProbeModel();
    const device = new VirtioDevice({ model, memory, features: [...RING_FEATURES, ...format] });
    return new MmioDevice({ device });
  }
  const { VIRTIO_F_VERSION_1, VIRTIO_F_EVENT_IDX } = FEATURE;
  const features = [VIRTIO_F_VERSION_1, VIRTIO_F_EVENT_IDX, ...format];
  const device = new ScriptedDevice(memory, { features, queueSizes: [QUEUE.size] });
  let serve: (() => void) | undefined;
  device.onNotify = () => {
    serve ??= packed ? packedByHand(device, memory) : splitByHand(device, memory);
    serve();
  };
  return new MmioDevice({ device });
});

/** Answers whatever is there, asks to be told of the next, and looks once more. */
function splitByHand(device: ScriptedDevice, memory: GuestMemory): () => void {
  const areas = device.areas(QUEUE.index);
  const queue = new HandDeviceQueue(memory, areas, QUEUE.size);
  const usedEvent = new Uint8Array(2);
  let taken = 0;
  return () => {
    for (;;) {
      const buffers = queue.take();
      if (buffers.length === 0) {
        queue.availableEvent = taken;
        fence();
        if (queue.availableIndex === taken) return;
        continue;
      }
      for (const buffer of buffers) {
        queue.fill(buffer, answerTo(buffer));
        queue.use(buffer.head, buffer.readable.length);
      }
      const before = taken;
      taken = (taken + buffers.length) & 0xffff;
      fence();
      memory.read(areas.driverArea + RING_AT + 2 * QUEUE.size, usedEvent);
      const event = (usedEvent[0] ?? 0) | ((usedEvent[1] ?? 0) << 8);
      if (passes(event, taken, before)) device.interrupt(QUEUE.index);
    }
  };
}

function packedByHand(device: ScriptedDevice, memory: GuestMemory): () => void {
  const queue = new HandPackedDeviceQueue(memory, device.areas(QUEUE.index), QUEUE.size);
  let asks = false;
  return () => {
    for (;;) {
      const buffers = queue.take();
      if (buffers.length === 0) {
        if (asks) return;
        queue.deviceEvent = PACKED_EVENT.descriptor | queue.position;
        fence();
        asks = true;
        continue;
      }
      asks = false;
      for (const buffer of buffers) {
        queue.fill(buffer, answerTo(buffer));
        queue.use(buffer.head, buffer.readable.length);
      }
      fence();
      // Two descriptors a buffer; whatever is available was taken.
      const written = 2 * buffers.length;
      if (passesPacked(queue.driverEvent, queue.position, written)) device.interrupt(QUEUE.index);
    }
  };
}

/** The bytes that came, each turned over. */
function answerTo({ readable }: AvailableBuffer): Uint8Array {
  return readable.map((byte) => ~byte);
}
