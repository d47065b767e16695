/**
 * Our devices under the drivers of others, stock Linux in QEMU, and our drivers on the devices of
 * others, QEMU's. `npm run peers` runs the cells.
 *
 * @packageDocumentation
 */

export type { Coverage } from "./cells/coverage.ts";
export { CELLS } from "./cells/index.ts";
export type { Bench, Cell } from "./cells/types.ts";
export { type Covered, coverageMarkdown, coverageOf, coverageTable } from "./coverage-table.ts";
export { type Row, type Totals, table, totals } from "./report.ts";
