export {
  isVariantDocument,
  VARIANT_FORMAT,
  VARIANT_FORMAT_VERSION,
  type VariantChanges,
  type VariantDocument,
  variantDocument,
} from "./document.ts";
