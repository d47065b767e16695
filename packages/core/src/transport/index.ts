export { type ConfigAccess, readConfigFields, writeConfigFields } from "./config-access.ts";
export { Exclusive } from "./exclusive.ts";
export {
  notificationData,
  notifiedPosition,
  notifiedQueue,
  VIRTQ_NOTIFICATION,
} from "./notification.ts";
export {
  type AdminQueuePlace,
  CONFIG_SPACE_LIMIT,
  type DeviceIdentity,
  type DialectPlace,
  type DriverTransport,
  type InterruptListener,
  type LoopbackOptions,
  type LoopbackPair,
  type MaybePromise,
  type QueueDoorbell,
  type TransportDescription,
  type TransportPlugin,
} from "./types.ts";
