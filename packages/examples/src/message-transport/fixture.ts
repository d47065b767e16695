/** Virtio over messages as the testkit wants it: the bus, open to lies and pokes. */
import { encode } from "@virtio-admin/core";
import type { Random, TransportFixture } from "@virtio-admin/testkit";
import { loopbackBus, type MessageBus } from "./bus.ts";
import { MessageDevice } from "./device.ts";
import { MessageDriver } from "./driver.ts";
import { EVENTS, MESSAGE_HEADER, REQUESTS } from "./layout.ts";
import { writeMessage } from "./message.ts";
import { type MessageTransportOptions, messageTransport } from "./plugin.ts";

/** Makes the fixture of virtio over messages. */
export function messageFixture(options: MessageTransportOptions = {}): TransportFixture {
  return {
    plugin: messageTransport(options),
    connect: (device, { dma, lie }) => {
      const end = new MessageDevice({ device, ...options });
      const honest = loopbackBus(end);
      const bus = lie === undefined ? honest : lyingBus(honest, (byte) => lie(byte, 1));
      return {
        driver: new MessageDriver({ bus, dma }),
        poke: (random) => {
          end.receive(hostileMessage(random));
        },
        refused: end.discards,
        close: () => honest.onEvent(undefined),
      };
    },
  };
}

/** A bus that changes every byte on its way to the driver. */
function lyingBus(bus: MessageBus, lie: (byte: number) => number): MessageBus {
  const changed = (bytes: Uint8Array) => bytes.map(lie);
  return {
    ...bus,
    request: async (message) => {
      const answer = await bus.request(message);
      return answer === undefined ? undefined : changed(answer);
    },
    onEvent: (handler) => bus.onEvent(handler && ((event) => handler(changed(event)))),
  };
}

const KNOWN = [
  ...Object.values(REQUESTS).map(({ id, request }) => ({ id, layout: request, token: 1 })),
  { id: EVENTS.EVENT_AVAIL.id, layout: EVENTS.EVENT_AVAIL.payload, token: 0 },
] as const;
/** Values that fields tell apart: statuses, counts, indexes and their limits. */
const TELLING = [0, 1, 2, 3, 4, 8, 0x0b, 0x0f, 0x10, 0x80, 0x100, 0xffff, 0x10000, 0xffffffff];
const MOST_NOISE = 600;

/** A message that is mostly sound, and wrong somewhere in most of the ways that there are. */
export function hostileMessage(random: Random): Uint8Array {
  if (random.oneIn(16)) return random.bytes(random.below(MOST_NOISE));
  const known = random.pick(KNOWN) ?? KNOWN[0];
  const extra = random.oneIn(4) ? random.below(MOST_NOISE) : 4 * random.below(3);
  const size = known.layout?.size ?? 0;
  const length = random.oneIn(2) ? size : size + extra;
  const payload = new Uint8Array(length);
  const view = new DataView(payload.buffer);
  for (let at = 0; at + 4 <= length; at += 4) {
    const value = random.oneIn(4) ? random.uint32() : (random.pick(TELLING) ?? 0);
    view.setUint32(at, value, true);
  }
  const bytes = writeMessage(
    {
      isAnswer: random.oneIn(16),
      id: random.oneIn(8) ? random.below(0x100) : known.id,
      token: random.oneIn(8) ? random.below(0x10000) : known.token,
      payload,
    },
    random.oneIn(16) ? random.below(0x10000) : 0,
  );
  if (random.oneIn(8))
    bytes.set(encode(MESSAGE_HEADER, { msg_size: random.below(0x10000) }).subarray(6), 6);
  return random.oneIn(8) ? bytes.subarray(0, random.below(bytes.length)) : bytes;
}
