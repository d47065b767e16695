/** The device that a hostile driver attacks: entropy, a queue that keeps buffers, and commands. */
import {
  type AdminCommand,
  type AdminOutcome,
  type Chain,
  type CommandFamily,
  ConfigSpace,
  type DeviceHost,
  type DeviceModel,
  type FamilyBinding,
  OUTCOME,
  PLATFORM_GROUP,
  SELF_GROUP,
} from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import type { Random } from "../random.ts";

/** The indexes of its queues; the administration virtqueues come after them. */
export const PREY_QUEUE = { entropy: 0, hoard: 1, admin: 2 } as const;
/** The sizes of the queues that all attacks but those on the hoard go to. */
export const SMALL_QUEUE = 16;
/** Large enough for the chains of one queue to exceed the budget of segments. */
export const HOARD_QUEUE = 1024;
/** How many administration virtqueues there are. */
export const PREY_ADMIN_QUEUES = 2;
/** The members of its platform group. */
export const PREY_MEMBERS: readonly number[] = [1, 7];

const CONFIG_BYTES = 16;
const WRITABLE_FROM = 8;

/**
 * An entropy device with a second queue, whose buffers it takes and never uses: what a device
 * holds is limited, and no other queue of it holds more than one.
 */
export function hoardingEntropy(random: Random): DeviceModel {
  const source = (target: Uint8Array): void => {
    for (let i = 0; i < target.length; i++) target[i] = random.uint32() & 0xff;
  };
  const entropy = createEntropy({ source, queueSize: SMALL_QUEUE });
  const writable = new Uint8Array(CONFIG_BYTES).fill(0xff, WRITABLE_FROM);
  let host: DeviceHost | undefined;
  let kept: Chain[] = [];
  return {
    name: entropy.name,
    deviceId: entropy.deviceId,
    features: entropy.features,
    queues: [...entropy.queues, { name: "hoardq", maxSize: HOARD_QUEUE }],
    config: new ConfigSpace({ bytes: new Uint8Array(CONFIG_BYTES).fill(0x5a), writable }),
    attach: (real) => {
      host = real;
      entropy.attach(real);
    },
    start: () => entropy.start?.(),
    queueNotified: (index) => {
      if (index !== PREY_QUEUE.hoard) {
        entropy.queueNotified(index);
        return;
      }
      const queue = host?.queue(index);
      for (let chain = queue?.pop(); chain !== undefined; chain = queue?.pop()) kept.push(chain);
    },
    queueReset: (index) => {
      if (index === PREY_QUEUE.hoard) kept = [];
    },
    reset: () => {
      kept = [];
      entropy.reset();
    },
  };
}

const CITE = "the hostile driver";

/** Commands that reach every check of the executor. */
export const PREY_COMMANDS = {
  /** Takes a le64 below {@link FIELD_LIMIT}, for a member. */
  field: {
    opcode: 0x40,
    name: "PREY_FIELD",
    groups: "any",
    usesMember: true,
    data: { min: 8, max: 8 },
    result: { min: 8, max: 8 },
    clauses: [],
    doc: "Checks one field and answers it.",
    cite: CITE,
  },
  /** Answers when it is let go. */
  later: {
    opcode: 0x41,
    name: "PREY_LATER",
    groups: [SELF_GROUP.id, PLATFORM_GROUP.id],
    usesMember: false,
    data: { min: 0, max: 64 },
    result: { min: 0, max: 64 },
    clauses: [],
    doc: "Waits.",
    cite: CITE,
  },
} as const satisfies Readonly<Record<string, AdminCommand>>;

/** The first value that {@link PREY_COMMANDS.field} refuses. */
export const FIELD_LIMIT = 4;

/** The commands at work. */
export class PreyFamily implements CommandFamily {
  readonly name: string = "prey";
  readonly doc: string = "Commands of the hostile driver.";
  readonly private: boolean = true;
  readonly commands: readonly AdminCommand[] = Object.values(PREY_COMMANDS);
  #waiting: (() => void)[] = [];

  /** How many handlers wait, those of cancelled commands included. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Lets every handler that waits go on. */
  letAllGo(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
  }

  /** Lets the handler that came last go on. */
  letLastGo(): void {
    this.#waiting.pop()?.();
  }

  bind(): FamilyBinding {
    return {
      handlers: {
        [PREY_COMMANDS.field.opcode]: (call) => {
          const value = call.data.getUint32(0, true);
          if (value >= FIELD_LIMIT || call.data.getUint32(4, true) !== 0) {
            return OUTCOME.INVALID_FIELD;
          }
          call.result.setUint32(0, value, true);
          return OUTCOME.OK;
        },
        [PREY_COMMANDS.later.opcode]: async (call): Promise<AdminOutcome> => {
          call.resultLength = call.dataLength;
          await new Promise<void>((resolve) => {
            this.#waiting.push(resolve);
          });
          return OUTCOME.OK;
        },
      },
    };
  }
}
