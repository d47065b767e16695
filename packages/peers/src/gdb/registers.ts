/** The numbers of the registers of an s390x processor, in the order of QEMU's description. */

/** The first half of the program-status word. */
export const PSW_MASK = 0;
/** The second half: the address of the next instruction. */
export const PSW_ADDRESS = 1;
/** The first of 16 general registers. */
export const GPR = 2;

/** A mask of the PSW: the addressing mode of 64 bits, and nothing enabled. */
export const PSW_DISABLED = 0x0000_0001_8000_0000n;

const CONDITION_CODE_AT = 44n;

/** The condition code in a mask of the PSW. */
export function conditionCodeOf(mask: bigint): number {
  return Number((mask >> CONDITION_CODE_AT) & 3n);
}
