export { compareWithHeaders, type HeaderComparison, type HeaderVerdict } from "./compare.ts";
