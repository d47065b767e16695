export {
  type LatexSelection,
  type NormativePlace,
  normativePath,
  renderLatex,
  renderLatexCommands,
  renderLatexConformance,
  renderLatexFields,
  renderLatexNormative,
  renderLatexRegisterRows,
  renderLatexRevisionRows,
  renderLatexStruct,
} from "./latex.ts";
export { latexLabel, latexProse, latexText } from "./latex-text.ts";
