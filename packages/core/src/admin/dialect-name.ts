/**
 * The wire formats of administration commands: `virtio-1.4` is the ratified one, `proposal-v5` this
 * project's reconstruction of the one that was proposed first. `DIALECTS` tells them apart.
 */
export type DialectName = "virtio-1.4" | "proposal-v5";
