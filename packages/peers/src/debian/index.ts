/**
 * Debian packages unpacked beside the system, for whoever needs a program that is not installed.
 *
 * @packageDocumentation
 */
export { lockCache } from "../cache.ts";
export { runProgram } from "../program.ts";
export type { Progress } from "./apt-root.ts";
export { completeTrees, type Downloader, unpack } from "./tree.ts";
export { type Pinned, parseSimulation } from "./version.ts";
