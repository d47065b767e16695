/**
 * A command family of the demonstration, as anyone could write one: HOLD answers its member's id,
 * but not before the demonstration lets it. So commands can be seen outstanding.
 */
import {
  type AdminCommand,
  type CommandFamily,
  type FamilyBinding,
  OUTCOME,
  PLATFORM_GROUP,
} from "@virtio-admin/core";

/** Answers the member id as le64, when it is let. */
export const HOLD: AdminCommand = {
  opcode: 0x0140,
  name: "DEMO_HOLD",
  groups: [PLATFORM_GROUP.id],
  usesMember: true,
  data: { min: 0, max: 0 },
  result: { min: 8, max: 8 },
  clauses: [],
  doc: "Answers the member's id once the device's owner lets it.",
  cite: "this demonstration",
};

/** The family, with its gate. */
export class HoldFamily implements CommandFamily {
  readonly name: string = "demo-hold";
  readonly doc: string = "One command that waits, to have many outstanding.";
  readonly private: boolean = true;
  readonly commands: readonly AdminCommand[] = [HOLD];
  readonly #opened: Promise<void>;
  #open: () => void = () => undefined;
  #held = 0;

  /** Makes the family with its gate closed. */
  constructor() {
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  /** How many handlers have been entered. */
  get held(): number {
    return this.#held;
  }

  /** Lets every command answer. */
  release(): void {
    this.#open();
  }

  /** Part of {@link CommandFamily}. */
  bind(): FamilyBinding {
    return {
      handlers: {
        [HOLD.opcode]: async (call) => {
          this.#held++;
          await this.#opened;
          call.result.setBigUint64(0, BigInt(call.memberId), true);
          return OUTCOME.OK;
        },
      },
    };
  }
}
