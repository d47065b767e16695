/**
 * Programs that use virtio-admin as its consumers do: one file each, to be read, run and copied.
 *
 * @packageDocumentation
 */
export { firstCommand } from "./first-command.ts";
export { injected } from "./injected.ts";
export { ownCommandFamily } from "./own-command-family.ts";
export { ownDeviceType } from "./own-device-type.ts";
export { ownLayout } from "./own-layout.ts";
export { traceACommand } from "./trace-a-command.ts";
export { twoThreads } from "./two-threads.ts";
export { vmmRegisters } from "./vmm-registers.ts";
