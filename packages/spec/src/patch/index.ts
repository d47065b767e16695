export type { Author } from "./mail.ts";
export { DEFAULT_AUTHOR, type SpecPatch, type SpecSeries, specPatches } from "./series.ts";
