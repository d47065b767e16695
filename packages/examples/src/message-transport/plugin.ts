/** Virtio over messages as a plug-in. */
import type { TransportPlugin } from "@virtio-admin/core";
import { loopbackBus } from "./bus.ts";
import { MESSAGE_RESERVED_FEATURES, MESSAGE_TRANSPORT_NAME, MessageDevice } from "./device.ts";
import { MessageDriver } from "./driver.ts";
import { DEFAULT_MESSAGE_LIMIT, DEVICE_INFO, MESSAGE_LAYOUTS } from "./layout.ts";

/** What can be chosen about a message transport. */
export interface MessageTransportOptions {
  /** The longest message of the bus, in bytes with the header; {@link DEFAULT_MESSAGE_LIMIT}. */
  readonly limit?: number;
}

/** Makes the plug-in for a bus. */
export function messageTransport(options: MessageTransportOptions = {}): TransportPlugin {
  const { limit = DEFAULT_MESSAGE_LIMIT } = options;
  const { admin_vq_start, admin_vq_count } = DEVICE_INFO.fields;
  return {
    description: {
      name: MESSAGE_TRANSPORT_NAME,
      title: "Virtio Over Messages (a sketch)",
      layouts: MESSAGE_LAYOUTS,
      adminQueueLocation: `answer to GET_DEVICE_INFO, offsets ${admin_vq_start.offset} and ${admin_vq_count.offset}`,
      adminQueueForm: `${admin_vq_start.type}, ${admin_vq_count.type}`,
      adminQueueGate: "VIRTIO_F_ADMIN_VQ negotiated",
      adminQueueStatus: "sketch",
      groupTypes: ["Self", "platform (private)"],
      interrupts: "messages EVENT_USED and EVENT_CONFIG",
      queueReset: "message RESET_VQUEUE",
      reservedFeatures: MESSAGE_RESERVED_FEATURES,
    },
    loopback: (device, { dma }) => {
      const bus = loopbackBus(new MessageDevice({ device, limit }));
      return { driver: new MessageDriver({ bus, dma }), close: () => bus.onEvent(undefined) };
    },
  };
}

/** Virtio over messages of the default size. */
export const MESSAGE_TRANSPORT: TransportPlugin = messageTransport();
