export {
  isVariantDocument,
  VARIANT_FORMAT,
  VARIANT_FORMAT_VERSION,
  type VariantChanges,
  type VariantDocument,
  variantDocument,
} from "./document.ts";
export {
  type BrokenRule,
  type TrialFixture,
  type TrialOptions,
  type TrialReport,
  type TrialRun,
  type TrialStep,
  tryLayout,
} from "./try.ts";
