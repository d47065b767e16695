/**
 * The port that the driver half talks through: a bus that carries messages to one device and back.
 * How it does so (a queue in shared memory, a socket, a hypercall) is its own affair, and so is how
 * long it waits for an answer.
 */
import type { MaybePromise } from "@virtio-admin/core";
import type { MessageDevice } from "./device.ts";

/** Carries the messages of one device. */
export interface MessageBus {
  /** The longest message it carries, in bytes with the header. */
  readonly limit: number;
  /**
   * Delivers a request, and the device's answer to it. `undefined` when there is none within the
   * bus's own bound: the device discards what it does not understand.
   */
  request(message: Uint8Array): MaybePromise<Uint8Array | undefined>;
  /** Delivers an event, which nobody answers. The bytes are sent again: a bus leaves them as they are. */
  send(event: Uint8Array): MaybePromise<void>;
  /** Names who is given the events of the device; `undefined` for nobody. */
  onEvent(handler: ((event: Uint8Array) => void) | undefined): void;
}

/** A bus that calls a device half of this process directly. */
export function loopbackBus(device: MessageDevice): MessageBus {
  return {
    limit: device.limit,
    request: (message) => device.receive(message),
    send: (event) => {
      device.receive(event);
    },
    onEvent: (handler) => {
      device.onEvent = handler;
    },
  };
}
