/** How long messages are, on both sides. */

/** The most bytes of one access, in both directions. */
export const TRANSFER_LIMIT = 0x10_0000;

/** The longest body of a message. */
export const BODY_LIMIT: number = TRANSFER_LIMIT + 4096;
