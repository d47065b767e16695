export {
  CHANGE_CLASSES,
  type ChangeClass,
  gravest,
  isAtLeast,
  type LayoutChange,
} from "./changes.ts";
export { diffLayouts } from "./diff.ts";
export {
  changeText,
  countChanges,
  renderDiffMarkdown,
  sortedChanges,
  summaryOf,
} from "./render.ts";
