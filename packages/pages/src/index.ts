/**
 * The pages of this project in a browser: what is clicked is what the devices do. `npm run pages`
 * runs the cells.
 *
 * @packageDocumentation
 */
export { CELLS } from "./cells/index.ts";
export type { Bench, Cell } from "./cells/types.ts";
export type { Look } from "./look.ts";
export { serveFolder } from "./server.ts";
