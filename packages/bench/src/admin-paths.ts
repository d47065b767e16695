/**
 * The ring with more and more of the house on it: the executor, the synchronous client, one promise
 * a command. One process plays both halves; a notification is a call.
 */
import {
  ADMIN_COMMAND_HEADER,
  type AdminBatch,
  AdminChannel,
  AdminClient,
  AdminExecutor,
  type AdminQueuePort,
  AdminQueues,
  accessors,
  createDeviceQueue,
  type DeviceHost,
  DmaArena,
  type DriverQueue,
  FeatureSet,
  type GuestMemory,
  LIST_QUERY,
  SELF_GROUP,
  SelfGroup,
} from "@virtio-admin/core";
import { measuredRing, rawSplit, reapAll, ringPlace, submit } from "./raw-split.ts";
import { MEMORY_BYTES, nanoseconds, RING_SIZE, type Subject, WRITABLE_BYTES } from "./subject.ts";

const header = accessors(ADMIN_COMMAND_HEADER);
const RESULT_BYTES = WRITABLE_BYTES - 8;
const DMA_AT = 1 << 17;

/** An owner's administration virtqueue in its memory, without the registers of a transport. */
export interface Owner {
  readonly memory: GuestMemory;
  readonly driver: DriverQueue;
  /** Tells the owner that buffers are available. */
  notify(): void;
  /** Called when the driver is to be interrupted. */
  onUsed: (() => void) | undefined;
}

/** An owner that carries the commands of its Self group out, or what `executor` knows. */
export function measuredOwner(
  atomic: boolean,
  executor: AdminExecutor = new AdminExecutor({ groups: [new SelfGroup()] }),
): Owner {
  const { memory, driver } = measuredRing(atomic);
  const init = { size: RING_SIZE, memory, eventIdx: false, indirect: false, atomic };
  const device = createDeviceQueue({ ...init, ...ringPlace(RING_SIZE) });
  const queues = new AdminQueues({ executor });
  const owner: Owner = { memory, driver, notify: () => queues.queueNotified(0), onUsed: undefined };
  const host: DeviceHost = {
    memory,
    features: FeatureSet.EMPTY,
    adminQueueBase: 0,
    running: true,
    trace: undefined,
    queue: () => device,
    publish: () => {
      if (device.publish()) owner.onUsed?.();
    },
    revisit: () => queues.queueNotified(0),
    checkDefect: () => device.defect !== undefined,
    needsReset: (why) => {
      throw new Error(why);
    },
    configChanged: () => undefined,
  };
  queues.attach(host);
  return owner;
}

function portOf(owner: Owner): AdminQueuePort {
  return {
    index: 0,
    queue: owner.driver,
    get onUsed() {
      return owner.onUsed;
    },
    set onUsed(listener) {
      owner.onUsed = listener;
    },
    notify() {
      if (owner.driver.publish()) owner.notify();
    },
  };
}

function dmaOf(memory: GuestMemory): DmaArena {
  return new DmaArena(memory, DMA_AT, MEMORY_BYTES - DMA_AT);
}

/** The path `command-executor`: buffers written by hand, LIST_QUERY carried out by the executor. */
export function commandExecutor(): Subject {
  const owner = measuredOwner(false);
  const { driver, memory } = owner;
  const region = memory.find(0, MEMORY_BYTES);
  if (region === undefined) throw new Error("the memory is one region");
  return {
    path: "command-executor",
    slice(outstanding, rounds) {
      const from = nanoseconds();
      for (let round = 0; round < rounds; round++) {
        submit(driver, outstanding, (slot) => {
          header.opcode.set(region.view, slot, LIST_QUERY.opcode);
          header.group_type.set(region.view, slot, SELF_GROUP.id);
        });
        owner.notify();
        reapAll(driver, outstanding);
      }
      return (nanoseconds() - from) / (rounds * outstanding);
    },
  };
}

/** The synchronous client over the owner's queue. */
export function channelOf(owner: Owner): AdminChannel {
  return new AdminChannel(portOf(owner), dmaOf(owner.memory));
}

/** The client over an owner's queue. */
export function clientOf(owner: Owner): AdminClient {
  return new AdminClient([portOf(owner)], dmaOf(owner.memory));
}

/** The path `command-batch`: the client, synchronously, many commands at once. */
export function commandBatch(atomic = false): Subject {
  const batch = clientOf(measuredOwner(atomic)).batch();
  return {
    path: atomic ? "command-batch-atomic" : "command-batch",
    slice(outstanding, rounds) {
      const from = nanoseconds();
      runBatches(batch, outstanding, rounds);
      return (nanoseconds() - from) / (rounds * outstanding);
    },
  };
}

/** Makes so many rounds of so many commands each. */
export type CommandRounds = (outstanding: number, rounds: number) => void;

/** What {@link commandSubjects} are called. */
export type CommandSubjects = Readonly<Record<"raw-split" | "channel" | "batch", CommandRounds>>;

/** The paths without promises, to count what they allocate. */
export function commandSubjects(): CommandSubjects {
  const channel = channelOf(measuredOwner(false));
  const batch = clientOf(measuredOwner(false)).batch();
  const raw = rawSplit();
  return {
    "raw-split": (outstanding, rounds) => void raw.slice(outstanding, rounds),
    channel: (outstanding, rounds) => {
      for (let round = 0; round < rounds; round++) {
        for (let i = 0; i < outstanding; i++) {
          const slot = channel.acquire();
          channel.submit(slot, LIST_QUERY.opcode, SELF_GROUP.id, 0, 0, RESULT_BYTES);
        }
        channel.publish();
        releaseAll(channel, outstanding);
      }
    },
    batch: (outstanding, rounds) => runBatches(batch, outstanding, rounds),
  };
}

/** A function of its own: one that ends is optimized as a whole. */
function runBatches(batch: AdminBatch, outstanding: number, rounds: number): void {
  for (let round = 0; round < rounds; round++) {
    fillBatch(batch, outstanding);
    if (batch.run() !== 0) throw new Error("a command was lost");
    emptyBatch(batch, outstanding);
  }
}

function fillBatch(batch: AdminBatch, outstanding: number): void {
  for (let i = 0; i < outstanding; i++) {
    batch.add(LIST_QUERY.opcode, SELF_GROUP.id, 0, RESULT_BYTES);
  }
}

/** Looks at every answer: each of them succeeded. */
function emptyBatch(batch: AdminBatch, outstanding: number): void {
  if (batch.size !== outstanding) throw new Error("a command found no room");
  for (let place = 0; place < outstanding; place++) {
    if (batch.outcome(place) !== 0) throw new Error("a command failed");
  }
  batch.clear();
}

/** The path `promise-per-batch`: the client, one promise for all commands of a batch. */
export function promisePerBatch(): Subject {
  const batch = clientOf(measuredOwner(false)).batch();
  return {
    path: "promise-per-batch",
    async slice(outstanding, rounds) {
      const from = nanoseconds();
      for (let round = 0; round < rounds; round++) {
        fillBatch(batch, outstanding);
        await batch.send();
        emptyBatch(batch, outstanding);
      }
      return (nanoseconds() - from) / (rounds * outstanding);
    },
  };
}

/** Reaps the answers of `outstanding` commands; each of them succeeded. */
export function releaseAll(channel: AdminChannel, outstanding: number): void {
  let answered = 0;
  for (let slot = channel.reap(); slot >= 0; slot = channel.reap()) {
    if (channel.outcome(slot) !== 0) throw new Error("a command failed");
    channel.release(slot);
    answered++;
  }
  if (answered !== outstanding) throw new Error("a command was lost");
}

/** The path `command-promise`: the typed client, one promise a command. */
export function commandPromise(): Subject {
  const owner = measuredOwner(false);
  const client = clientOf(owner);
  return {
    path: "command-promise",
    slice: (outstanding, rounds) => promiseSlice(client, outstanding, rounds),
  };
}

/** `rounds` batches of `outstanding` LIST_QUERY commands, each waited for with one `Promise.all`. */
export async function promiseSlice(
  client: AdminClient,
  outstanding: number,
  rounds: number,
): Promise<number> {
  const request = {
    opcode: LIST_QUERY.opcode,
    group: SELF_GROUP.id,
    member: 0,
    resultLength: RESULT_BYTES,
  };
  const batch: Promise<unknown>[] = [];
  const from = nanoseconds();
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < outstanding; i++) batch[i] = client.execute(request);
    await Promise.all(batch);
  }
  return (nanoseconds() - from) / (rounds * outstanding);
}
