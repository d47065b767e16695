/** What the hostile driver and the hostile device have in common. */
import type { TransportFixture } from "../fixture.ts";

/** The formats of virtqueues. */
export type RingFormat = "split" | "packed";

/** What a hostile peer is made from. */
export interface HostileOptions {
  /** The transport that both halves speak. */
  readonly fixture: TransportFixture;
  /** The format of the rings; split unless given. */
  readonly rings?: RingFormat;
  /** Where its random numbers start: the same seed takes the same steps. */
  readonly seed: number;
}

/** A peer that breaks the rules on purpose, and checks what comes of it. */
export interface HostilePeer {
  /** Which side it plays. */
  readonly side: "driver" | "device";
  /** How many steps it has taken. A step is one hostile action. */
  readonly steps: number;
  /** How often each class of defect reached its check. */
  readonly counts: ReadonlyMap<string, number>;
  /** What broke an invariant: empty while the halves under test behave. */
  readonly violations: readonly string[];
  /** Takes so many further steps. Never rejects: what is thrown is a violation. */
  run(steps: number): Promise<void>;
  /** Checks what can be checked only at the end, and takes everything apart. */
  close(): Promise<void>;
}
