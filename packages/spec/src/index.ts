/**
 * The bench of a spec author: text, headers, diagrams, checks, differences and trials of a layout,
 * all from the one declaration.
 *
 * @packageDocumentation
 */
export { LAYOUT_CATALOGUE, layoutNamed } from "./catalogue.ts";
export * from "./check/index.ts";
export * from "./diff/index.ts";
export * from "./lint/index.ts";
export * from "./linux/index.ts";
export * from "./patch/index.ts";
export * from "./render/index.ts";
export * from "./variant/index.ts";
