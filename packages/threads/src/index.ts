/** A device in a worker thread, and its driver in another, over shared memory. */
export { Bell, type Heard } from "./bell.ts";
export { DeviceThread, type DeviceThreadOptions } from "./device-thread.ts";
export { type ServedThread, serveThread } from "./serve.ts";
