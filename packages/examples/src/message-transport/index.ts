/**
 * A transport of a stranger's: virtio over messages, after the shape of the virtio-msg draft,
 * written against the public packages alone. Copy the folder to begin one of your own.
 *
 * **What gates the place of the administration virtqueues.** `admin_vq_start` and `admin_vq_count`
 * stand in the answer to GET_DEVICE_INFO, which a driver asks for before it knows any feature. Here
 * they are 0 and 0 until VIRTIO_F_ADMIN_VQ is negotiated, as on every other transport, and a driver
 * asks again after FEATURES_OK. The rest of the answer never changes. A place that is told early
 * would be one that a driver without the feature could use, and one that changes its meaning with
 * a feature the driver may yet leave out.
 */
export { loopbackBus, type MessageBus } from "./bus.ts";
export { MESSAGE_RESERVED_FEATURES, MessageDevice, type MessageDeviceInit } from "./device.ts";
export { MessageDriver, type MessageDriverInit } from "./driver.ts";
export { messageFixture } from "./fixture.ts";
export {
  DEFAULT_MESSAGE_LIMIT,
  DEVICE_INFO,
  EVENTS,
  MESSAGE_HEADER,
  MESSAGE_IDS,
  MESSAGE_LAYOUTS,
  REQUESTS,
  type RequestName,
  SMALLEST_MESSAGE_LIMIT,
  VQUEUE,
} from "./layout.ts";
export { DISCARD_REASONS, type DiscardReason } from "./message.ts";
export { MESSAGE_TRANSPORT, type MessageTransportOptions, messageTransport } from "./plugin.ts";
