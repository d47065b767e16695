/** The numbers of the registers of an s390x processor, in the order of QEMU's description. */

/** The first half of the program-status word. */
export const PSW_MASK = 0;
/** The second half: the address of the next instruction. */
export const PSW_ADDRESS = 1;
/** The first of 16 general registers. */
export const GPR = 2;
