/**
 * The way of one command that is really sent: from the driver's memory through the ring, the
 * notification and the executor, and back. The bytes are read from guest memory at each step.
 */
import {
  type AdminCommand,
  AdminCommandError,
  type AdminQueuePort,
  type AdminRequest,
  type DriverQueue,
  type DriverTransport,
  encode,
  FEATURE,
  FEATURES_DATA,
  FEATURES_SET,
  LIST_QUERY,
  LIST_USE,
  MGMT_ATTRS_GET,
  MSIX_COUNT_DATA,
  MSIX_COUNT_GET,
  MSIX_COUNT_SET,
  type QueueAddresses,
  struct,
  type TraceEvent,
  VIRTQ_AVAIL,
  VIRTQ_DESC,
  VIRTQ_USED,
  VIRTQ_USED_ELEM,
} from "@virtio-admin/core";
import { Bench } from "../group/bench.ts";
import type { TransportName } from "../transports.ts";
import { TraceContext } from "./context.ts";
import { answerBlock, type Moment, momentOf, requestBlock } from "./moments.ts";
import { type Block, blockOf } from "./spans.ts";

/** A command that can be followed. */
export interface LiveCommand {
  /** How it is chosen. */
  readonly name: string;
  /** What it is about. */
  readonly doc: string;
  /** What is sent to a group of this type. */
  readonly request: (group: number) => AdminRequest;
}

const UNKNOWN_OPCODE = 0x7ffe;
const ABSENT_MEMBER = 99;

function declared(
  command: AdminCommand,
  doc: string,
  rest: Omit<AdminRequest, "opcode" | "group"> = {},
): LiveCommand {
  const { opcode, name, result } = command;
  // No answer here is longer than a slot, and a list may be.
  const resultLength = Math.min(result.max, 64);
  return {
    name,
    doc,
    request: (group) => ({ opcode, name, group, resultLength, ...rest }),
  };
}

/** The commands that can be followed, and two that are refused. */
export const LIVE_COMMANDS: readonly LiveCommand[] = [
  declared(MSIX_COUNT_SET, "Gives member 1 five MSI-X vectors.", {
    member: 1,
    data: encode(MSIX_COUNT_DATA, { vectors: 5 }),
  }),
  declared(MSIX_COUNT_GET, "Asks how many MSI-X vectors member 2 has.", { member: 2 }),
  declared(FEATURES_SET, "Switches VIRTIO_F_EVENT_IDX of member 2 off.", {
    member: 2,
    data: encode(FEATURES_DATA, { mask_low: 1n << BigInt(FEATURE.VIRTIO_F_EVENT_IDX) }),
  }),
  declared(MGMT_ATTRS_GET, "Asks what can be managed in the group."),
  declared(LIST_QUERY, "Asks which commands the group has."),
  declared(LIST_USE, "Settles that only the list commands are used.", {
    data: Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0),
  }),
  {
    ...declared(MSIX_COUNT_GET, "Names a member that is not there: refused.", {
      member: ABSENT_MEMBER,
    }),
    name: "absent member",
  },
  {
    name: "unknown opcode",
    doc: "An opcode that no command has: refused.",
    request: (group) => ({ opcode: UNKNOWN_OPCODE, group, resultLength: 8 }),
  },
];

interface Area extends QueueAddresses {
  readonly size: number;
}

interface Added {
  readonly addresses: readonly number[];
  readonly lengths: readonly number[];
  readonly readable: number;
  readonly head: number;
}

const MEMBERS = 3;
/** One element of the array at the end of {@link VIRTQ_AVAIL}. */
const RING_ENTRY = struct(
  "virtq_avail_entry",
  { cite: VIRTQ_AVAIL.cite, doc: "One entry of the available ring." },
  { head: { offset: 0, type: "le16", doc: "The head of a chain of descriptors." } },
);

/** Sends a command on a transport, and answers every moment of its way. */
export async function followCommand(
  transport: TransportName,
  command: LiveCommand,
): Promise<readonly Moment[]> {
  const watch = new Watch();
  const bench = await Bench.open({
    transport,
    members: MEMBERS,
    trace: { emit: (event) => watch.event(event) },
    watchTransport: (driver) => watch.transport(driver),
    watchPort: (port) => watch.port(port),
  });
  try {
    watch.begin(bench);
    const outcome = await bench.client
      .execute(command.request(bench.groupType), { unchecked: true, retry: false })
      .then(({ usedLength }) => `OK, ${usedLength} bytes were written`)
      .catch((error: unknown) => {
        if (error instanceof AdminCommandError)
          return `${error.statusName}, ${error.qualifierName}`;
        throw error;
      });
    return watch.end(outcome);
  } finally {
    await bench.close();
  }
}

/** Looks at a command from the driver's side, and at its events from the device's. */
class Watch {
  readonly #areas = new Map<number, Area>();
  readonly #moments: Moment[] = [];
  /** The events of bring-up, from which the queues and registers are known. */
  readonly #before: TraceEvent[] = [];
  #bench: Bench | undefined;
  #context: TraceContext | undefined;
  #queue: number | undefined;
  #added: Added | undefined;
  #offered = true;
  #usedIndex = 0;

  transport(driver: DriverTransport): DriverTransport {
    const areas = this.#areas;
    return new Proxy(driver, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          if (name === "enableQueue") {
            const [index, size, addresses] = args as Parameters<DriverTransport["enableQueue"]>;
            areas.set(index, { ...addresses, size });
          }
          return value.apply(target, args);
        };
      },
    });
  }

  port(port: AdminQueuePort): AdminQueuePort {
    const watch = this;
    const queue = port.queue;
    const watched: DriverQueue = {
      get size() {
        return queue.size;
      },
      get defect() {
        return queue.defect;
      },
      get free() {
        return queue.free;
      },
      get outstanding() {
        return queue.outstanding;
      },
      get index() {
        return queue.index;
      },
      get usedLength() {
        return queue.usedLength;
      },
      add(addresses, lengths, count, readableCount) {
        const head = queue.add(addresses, lengths, count, readableCount);
        if (head >= 0) {
          watch.#add(port.index, {
            addresses: Array.from(addresses).slice(0, count),
            lengths: Array.from(lengths).slice(0, count),
            readable: readableCount,
            head,
          });
        }
        return head;
      },
      addPair(readable, readableLength, writable, writableLength) {
        const head = queue.addPair(readable, readableLength, writable, writableLength);
        if (head >= 0) {
          watch.#add(port.index, {
            addresses: [readable, writable],
            lengths: [readableLength, writableLength],
            readable: 1,
            head,
          });
        }
        return head;
      },
      publish: () => queue.publish(),
      reap: () => queue.reap(),
      enableNotifications: () => queue.enableNotifications(),
      disableNotifications: () => queue.disableNotifications(),
    };
    return {
      index: port.index,
      queue: watched,
      get onUsed() {
        return port.onUsed;
      },
      set onUsed(listener) {
        port.onUsed = listener;
      },
      get onReset() {
        return port.onReset;
      },
      set onReset(listener) {
        port.onReset = listener;
      },
      notify: () => port.notify(),
    };
  }

  begin(bench: Bench): void {
    this.#bench = bench;
    this.#context = new TraceContext(bench.transport, this.#before);
    this.#before.length = 0;
  }

  /** What the driver finds at last; every moment then. */
  end(outcome: string): readonly Moment[] {
    this.#lookAtUsed();
    const { request, answer } = this.#buffers("The driver's request", "The answer");
    this.#push({
      station: "driver",
      direction: "up",
      title: "The promise settles",
      text: outcome,
      blocks: answer === undefined ? [request] : [answer],
    });
    this.#bench = undefined;
    return this.#moments;
  }

  event(event: TraceEvent): void {
    const context = this.#context;
    if (context === undefined) {
      this.#before.push(event);
      return;
    }
    if (this.#bench === undefined || this.#added === undefined) return;
    if (!this.#offered) {
      this.#offered = true;
      this.#lookAtAvailable();
    }
    this.#lookAtUsed();
    this.#push(momentOf(event, context));
  }

  #add(queue: number, added: Added): void {
    if (this.#bench === undefined) return;
    this.#queue = queue;
    this.#added = added;
    this.#offered = false;
    this.#usedIndex = this.#word(this.#area()?.deviceArea ?? 0, 2);
    const { request, answer } = this.#buffers("The request", "Room for the answer");
    this.#push({
      station: "driver",
      direction: "down",
      title: "The driver writes the command",
      text: `${added.lengths[0]} bytes that the device reads, ${added.lengths[1] ?? 0} bytes that it writes`,
      blocks: answer === undefined ? [request] : [request, answer],
    });
    this.#push({
      station: "ring",
      direction: "down",
      title: "The descriptors name its buffers",
      text: `head ${added.head} of queue ${queue}`,
      blocks: this.#descriptors(added.head),
    });
  }

  #buffers(requestTitle: string, answerTitle: string) {
    const { addresses, lengths } = this.#added as Added;
    const context = this.#context as TraceContext;
    const at = (i: number) => this.#read(addresses[i] ?? 0, lengths[i] ?? 0);
    const request = at(0);
    return {
      request: requestBlock(requestTitle, request, context, addresses[0]),
      answer:
        addresses.length < 2
          ? undefined
          : answerBlock(answerTitle, at(1), request, context, addresses[1]),
    };
  }

  #descriptors(head: number): Block[] {
    const table = this.#area()?.descriptorArea ?? 0;
    const blocks: Block[] = [];
    const flags = VIRTQ_DESC.fields.flags;
    const address = table + head * VIRTQ_DESC.size;
    const bytes = this.#read(address, VIRTQ_DESC.size);
    blocks.push(blockOf(`Descriptor ${head}`, bytes, [VIRTQ_DESC], address));
    const view = new DataView(bytes.buffer);
    const isIndirect = (view.getUint16(flags.offset, true) & flags.bits.indirect.mask) !== 0;
    const from = isIndirect ? Number(view.getBigUint64(0, true)) : table;
    const first = isIndirect ? 0 : view.getUint16(VIRTQ_DESC.fields.next.offset, true);
    const segments = this.#added?.addresses.length ?? 0;
    const rest = isIndirect ? segments : segments - 1;
    let index = first;
    for (let i = 0; i < rest; i++) {
      const at = from + index * VIRTQ_DESC.size;
      const each = this.#read(at, VIRTQ_DESC.size);
      const title = isIndirect ? `Entry ${index} of the indirect table` : `Descriptor ${index}`;
      blocks.push(blockOf(title, each, [VIRTQ_DESC], at));
      index = new DataView(each.buffer).getUint16(VIRTQ_DESC.fields.next.offset, true);
    }
    return blocks;
  }

  #lookAtAvailable(): void {
    const area = this.#area();
    if (area === undefined) return;
    const index = this.#word(area.driverArea, 2);
    const slot = (index - 1 + 0x10000) % area.size;
    const entry = area.driverArea + 4 + 2 * slot;
    this.#push({
      station: "ring",
      direction: "down",
      title: "The available ring offers the head",
      text: `idx is ${index}, and entry ${slot} names head ${this.#word(entry, 0)}`,
      blocks: [
        blockOf("Available ring", this.#read(area.driverArea, 4), [VIRTQ_AVAIL], area.driverArea),
        blockOf(`Entry ${slot}`, this.#read(entry, 2), [RING_ENTRY], entry),
      ],
    });
  }

  #lookAtUsed(): void {
    const area = this.#area();
    if (area === undefined || this.#added === undefined) return;
    const index = this.#word(area.deviceArea, 2);
    if (index === this.#usedIndex) return;
    this.#usedIndex = index;
    const slot = (index - 1 + 0x10000) % area.size;
    const entry = area.deviceArea + 4 + VIRTQ_USED_ELEM.size * slot;
    this.#push({
      station: "ring",
      direction: "up",
      title: "The used ring gives the head back",
      text: `idx is ${index}, entry ${slot}`,
      blocks: [
        blockOf("Used ring", this.#read(area.deviceArea, 4), [VIRTQ_USED], area.deviceArea),
        blockOf(`Entry ${slot}`, this.#read(entry, VIRTQ_USED_ELEM.size), [VIRTQ_USED_ELEM], entry),
      ],
    });
  }

  #area(): Area | undefined {
    return this.#queue === undefined ? undefined : this.#areas.get(this.#queue);
  }

  #word(address: number, at: number): number {
    return new DataView(this.#read(address + at, 2).buffer).getUint16(0, true);
  }

  #read(address: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    this.#bench?.memory.read(address, bytes);
    return bytes;
  }

  #push(moment: Moment): void {
    this.#moments.push(moment);
  }
}
