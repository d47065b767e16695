export { entriesOf, type LayoutEntry, type LayoutTable } from "./entries.ts";
export { commandMacro, type HeaderOptions, macroName, renderHeader } from "./header.ts";
export { renderJson, renderYaml } from "./json.ts";
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
export { renderMarkdown } from "./markdown.ts";
export { renderSvg, type SvgOptions, type Theme } from "./svg.ts";
