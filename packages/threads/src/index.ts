/** A device in a worker thread, and its driver in another, over shared memory. */
export { Bell, type Heard } from "./bell.ts";
export { DeviceThread, type DeviceThreadOptions } from "./device-thread.ts";
export { type ServeBusOptions, type ServedThread, serveBus, serveThread } from "./serve.ts";
export { ThreadBus, type ThreadBusOptions } from "./thread-bus.ts";
