/** The types of koffi that this package uses; koffi itself is loaded in `native.ts`. */

/** What koffi offers. */
export type Koffi = typeof import("koffi").default;

/** The address of native memory. */
export type Pointer = bigint;
