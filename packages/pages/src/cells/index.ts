/** Every cell, in the order in which they run. */
import { AXE_CELL, KEYBOARD } from "./accessible.ts";
import { GROUP } from "./group.ts";
import { HOSTILE } from "./hostile.ts";
import { FIRST, OFFLINE } from "./load.ts";
import { DIFFERENCES, INSPECTOR, TO_SCALE } from "./maps.ts";
import { PICTURES } from "./pictures.ts";
import { SCRUB } from "./scrub.ts";
import type { Cell } from "./types.ts";
import { LIVE, RECORDED } from "./way.ts";

/** The cells. */
export const CELLS: readonly Cell[] = [
  FIRST,
  OFFLINE,
  TO_SCALE,
  INSPECTOR,
  DIFFERENCES,
  GROUP,
  LIVE,
  RECORDED,
  SCRUB,
  HOSTILE,
  KEYBOARD,
  AXE_CELL,
  PICTURES,
];
