/** The packed ring alone, as `raw-split` has the split one. */
import { rawRing } from "./raw-split.ts";
import type { Subject } from "./subject.ts";

/** The path `raw-packed`. */
export function rawPacked(atomic = false): Subject {
  return rawRing("packed", atomic);
}
