/** What the tests ask of the device in the worker. */
export const OPCODES = { echo: 0x7100, never: 0x7101, end: 0x7102, later: 0x7103 } as const;

/** How END is to end the thread. */
export const ENDS = { exit: 1, error: 2 } as const;
