export { type CheckReport, checkLayoutDesign, checkLayoutText } from "./check.ts";
export {
  type ByteRange,
  type FreeCode,
  type FreePlaces,
  type FreeRange,
  freePlaces,
  type Need,
  type Squatter,
} from "./free.ts";
export { NEIGHBOURHOODS, type Neighbourhood, neighbourhoodOf } from "./neighbours.ts";
export {
  CHECK_RULES,
  type CheckFinding,
  type CheckRule,
  type CheckSeverity,
  isRefused,
} from "./rules.ts";
