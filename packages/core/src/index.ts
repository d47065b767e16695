/**
 * virtio device groups, administration commands and administration virtqueues, independent of any
 * transport: layouts, guest memory, virtqueues, the device core, bring-up, groups and commands.
 *
 * @packageDocumentation
 */
export * from "./admin/index.ts";
export * from "./clause/index.ts";
export { hostTimer, type Timer, withDeadline } from "./clock.ts";
export * from "./device/index.ts";
export * from "./driver/index.ts";
export * from "./errors.ts";
export * from "./group/index.ts";
export * from "./layout/index.ts";
export * from "./memory/index.ts";
export * from "./snapshot/index.ts";
export * from "./trace/index.ts";
export * from "./transport/index.ts";
export * from "./virtqueue/index.ts";
