/**
 * Provisioning the members of a group: one MSIX_COUNT_SET each, through a register mailbox that
 * carries one command at a time, or through administration virtqueues. The device takes its time
 * for each command; it works for its queues at once, and for one queue in order.
 */
import {
  ADMIN_COMMAND_HEADER,
  ADMIN_RESPONSE_HEADER,
  AdminExecutor,
  AdminMailbox,
  accessors,
  type CommandFamily,
  type CommandHandler,
  MANAGEMENT_FAMILY,
  ManagementClient,
  MSIX_COUNT_DATA,
  MSIX_COUNT_SET,
  PLATFORM_GROUP,
  type PlatformGroup,
} from "@virtio-admin/core";
import { PCI_TRANSPORT } from "@virtio-admin/transport-pci";
import { MOST_VECTORS, useAll } from "./measured-groups.ts";
import { clientOver } from "./transport-paths.ts";

/** One way to provision all members of a group. */
export interface Provisioning {
  /** What the commands go through. */
  readonly path: string;
  /** Provisions every member once; resolves with the milliseconds that it took. */
  run(): Promise<number>;
}

const header = accessors(ADMIN_COMMAND_HEADER);
const answer = accessors(ADMIN_RESPONSE_HEADER);
const data = accessors(MSIX_COUNT_DATA);
const REQUEST_BYTES = ADMIN_COMMAND_HEADER.size + MSIX_COUNT_DATA.size;

/**
 * Waits for so many milliseconds, to within a few microseconds. A timer is too coarse and a loop
 * would stop everything else: it looks at the clock once in each turn of the event loop.
 */
export function wait(ms: number): Promise<void> {
  const until = performance.now() + ms;
  return new Promise((resolve) => {
    const look = (): void => {
      if (performance.now() >= until) resolve();
      else setImmediate(look);
    };
    look();
  });
}

/** The management commands of a device that needs `latencyMs` for each. */
function slowFamily(latencyMs: number): CommandFamily {
  if (latencyMs === 0) return MANAGEMENT_FAMILY;
  const slow =
    (handler: CommandHandler): CommandHandler =>
    async (call) => {
      await wait(latencyMs);
      return handler(call);
    };
  return {
    ...MANAGEMENT_FAMILY,
    bind(owner) {
      const binding = MANAGEMENT_FAMILY.bind(owner);
      const handlers = Object.entries(binding.handlers).map(([code, one]) => [code, slow(one)]);
      return { ...binding, handlers: Object.fromEntries(handlers) };
    },
  };
}

function executorOf(group: PlatformGroup, latencyMs: number): AdminExecutor {
  return new AdminExecutor({ groups: [group], families: [slowFamily(latencyMs)] });
}

/** How many vectors a member is to have after that run, from 1. */
export function vectorsOf(member: number, run: number): number {
  return 1 + ((member + run) & (MOST_VECTORS - 1));
}

/** Through a register mailbox: write the request, start, wait for the interrupt, read the answer. */
export function throughMailbox(group: PlatformGroup, latencyMs: number): Provisioning {
  const executor = executorOf(group, latencyMs);
  useAll(executor, PLATFORM_GROUP.id);
  let interrupt: () => void = () => undefined;
  const mailbox = new AdminMailbox({ executor, whenDone: () => interrupt() });
  const request = viewOf(mailbox.request);
  const response = viewOf(mailbox.response);
  let runs = 0;
  return {
    path: "mailbox",
    async run() {
      const from = performance.now();
      runs++;
      for (let member = 1; member <= group.memberCount; member++) {
        header.opcode.set(request, 0, MSIX_COUNT_SET.opcode);
        header.group_type.set(request, 0, PLATFORM_GROUP.id);
        header.group_member_id.setNumber(request, 0, member);
        data.vectors.set(request, ADMIN_COMMAND_HEADER.size, vectorsOf(member, runs));
        mailbox.start(REQUEST_BYTES, ADMIN_RESPONSE_HEADER.size);
        if (mailbox.busy) {
          await new Promise<void>((resolve) => {
            interrupt = resolve;
          });
        }
        if (answer.status.get(response, 0) !== 0) throw new Error("a command failed");
      }
      return performance.now() - from;
    },
  };
}

/** Through `count` administration virtqueues over PCI: all commands at once, a promise for each. */
export async function throughQueues(
  count: number,
  group: PlatformGroup,
  latencyMs: number,
): Promise<Provisioning> {
  const client = await clientOver(PCI_TRANSPORT, executorOf(group, latencyMs), count);
  const management = new ManagementClient(client);
  await management.use(PLATFORM_GROUP.id);
  let runs = 0;
  return {
    path: count === 1 ? "1 queue" : `${count} queues`,
    async run() {
      const from = performance.now();
      runs++;
      const answers: Promise<void>[] = [];
      for (let member = 1; member <= group.memberCount; member++) {
        const vectors = vectorsOf(member, runs);
        answers.push(management.setMsixCount(PLATFORM_GROUP.id, member, vectors));
      }
      await Promise.all(answers);
      return performance.now() - from;
    },
  };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
