/** The command family of the kit: what commands can do, and a record of what they did. */
import {
  type AdminCommand,
  type AdminOutcome,
  type CommandFamily,
  type FamilyBinding,
  OUTCOME,
  PLATFORM_GROUP,
  SELF_GROUP,
} from "@virtio-admin/core";

const CITE = "the compliance kit";

function command(
  opcode: number,
  name: string,
  doc: string,
  rest: Pick<AdminCommand, "data" | "result"> & Partial<AdminCommand>,
): AdminCommand {
  return { opcode, name, doc, groups: "any", usesMember: false, clauses: [], cite: CITE, ...rest };
}

/** The value that {@link PROBE_COMMANDS.store} refuses. */
export const REFUSED_VALUE = 0xbad;

/** The commands. The first opcode is a multiple of 64: the list of opcodes has a second word. */
export const PROBE_COMMANDS = {
  /** Answers its data, for one member. */
  echo: command(0x40, "PROBE_ECHO", "Answers its data.", {
    usesMember: true,
    data: { min: 8, max: 32 },
    result: { min: 8, max: 32 },
  }),
  /** Keeps a le64; refuses {@link REFUSED_VALUE}. */
  store: command(0x41, "PROBE_STORE", "Keeps a value.", {
    data: { min: 8, max: 8 },
    result: { min: 0, max: 0 },
  }),
  /** Answers the value kept; of no use without store. */
  load: command(0x42, "PROBE_LOAD", "Answers the value that was kept.", {
    data: { min: 0, max: 0 },
    result: { min: 8, max: 8 },
  }),
  /** Keeps a le64, but only once the kit lets it. */
  wait: command(0x43, "PROBE_WAIT", "Keeps a value later.", {
    data: { min: 8, max: 8 },
    result: { min: 8, max: 8 },
  }),
  /** Answers five bytes, for the Self group alone. */
  odd: command(0x44, "PROBE_ODD", "Answers five bytes.", {
    groups: [SELF_GROUP.id],
    data: { min: 0, max: 0 },
    result: { min: 5, max: 5 },
  }),
  /** Answers success only when the device asks nobody to try again. */
  busy: command(0x45, "PROBE_BUSY", "Asks to be tried again, once.", {
    groups: [PLATFORM_GROUP.id, SELF_GROUP.id],
    data: { min: 0, max: 0 },
    result: { min: 0, max: 0 },
  }),
} as const satisfies Readonly<Record<string, AdminCommand>>;

/** What {@link PROBE_COMMANDS.odd} answers. */
export const ODD_RESULT: Uint8Array = Uint8Array.of(1, 2, 3, 4, 5);

/** The family at work, with its state laid open. */
export class ProbeFamily implements CommandFamily {
  readonly name: string = "probe";
  readonly doc: string = "Commands of the compliance kit.";
  readonly private: boolean = true;
  readonly commands: readonly AdminCommand[] = Object.values(PROBE_COMMANDS);

  /** The value kept by store and wait. */
  value = 0n;
  /** The names of the commands whose handlers ran, in order. */
  readonly ran: string[] = [];
  /** How many more times busy asks to be tried again. */
  busy = 0;
  readonly #waiting: (() => void)[] = [];

  /** How many commands wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Lets the first command that waits go on; does nothing when none does. */
  letGo(): void {
    this.#waiting.shift()?.();
  }

  bind(): FamilyBinding {
    const { echo, store, load, wait, odd, busy } = PROBE_COMMANDS;
    return {
      handlers: {
        [echo.opcode]: (call) => {
          this.ran.push("echo");
          call.resultBytes.set(call.dataBytes.subarray(0, echo.result.max));
          call.resultLength = Math.max(echo.result.min, call.dataLength);
          return OUTCOME.OK;
        },
        [store.opcode]: (call) => {
          const value = call.data.getBigUint64(0, true);
          if (value === BigInt(REFUSED_VALUE)) return OUTCOME.INVALID_FIELD;
          this.ran.push("store");
          this.value = value;
          return OUTCOME.OK;
        },
        [load.opcode]: (call) => {
          this.ran.push("load");
          call.result.setBigUint64(0, this.value, true);
          return OUTCOME.OK;
        },
        [wait.opcode]: async (call): Promise<AdminOutcome> => {
          const value = call.data.getBigUint64(0, true);
          await new Promise<void>((resolve) => {
            this.#waiting.push(resolve);
          });
          if (call.cancelled) return OUTCOME.TRY_AGAIN;
          this.ran.push("wait");
          this.value = value;
          call.result.setBigUint64(0, value, true);
          return OUTCOME.OK;
        },
        [odd.opcode]: (call) => {
          this.ran.push("odd");
          call.resultBytes.set(ODD_RESULT);
          return OUTCOME.OK;
        },
        [busy.opcode]: () => {
          if (this.busy-- > 0) return OUTCOME.TRY_AGAIN;
          this.ran.push("busy");
          return OUTCOME.OK;
        },
      },
      refuseList: (_group, uses) =>
        uses(load.opcode) && !uses(store.opcode) ? "load without store" : undefined,
      reset: () => {
        this.value = 0n;
      },
    };
  }
}
