/** Hostile peers: a driver and a device that break the rules, over any transport. */
export { HOSTILE_CLASSES } from "./classes.ts";
export { hostileDevice } from "./hostile-device.ts";
export { hostileDriver } from "./hostile-driver.ts";
export type { HostileOptions, HostilePeer, RingFormat } from "./types.ts";
