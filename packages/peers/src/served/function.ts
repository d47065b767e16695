/** A PCI function of ours behind a socket, with what its driver does counted. */
import { join } from "node:path";
import {
  AdminExecutor,
  AdminQueues,
  type CommandEvent,
  type CommandFamily,
  type DeviceGroup,
  type DeviceModel,
  type GuestMemory,
  SelfGroup,
  TOLERANT,
  type TraceEvent,
  type TraceSink,
  VirtioDevice,
  type VirtioError,
} from "@virtio-admin/core";
import { PciDevice } from "@virtio-admin/transport-pci";
import { type DmaMemory, VfioUserServer } from "@virtio-admin/vfio-user";
import { privateFolder } from "../cleanup.ts";

/** What an owner has. */
export interface OwnerParts {
  /** Its groups besides Self. */
  readonly groups: readonly DeviceGroup[];
  /** The command families that it serves. */
  readonly families?: readonly CommandFamily[];
}

/** What a function is made from. */
export interface ServedInit {
  /** Makes its device type anew for every client. */
  readonly model: () => DeviceModel;
  /** Makes what its administration virtqueue is for, anew for every client; without, it has none. */
  readonly admin?: () => OwnerParts;
  /** Counts nothing but accesses, which costs nearly nothing: for measurements. */
  readonly quiet?: boolean;
}

/** What the drivers of a function have done so far. */
export interface Counted {
  /** Administration commands in the order in which they were answered. */
  readonly commands: CommandEvent[];
  /** Status bytes that were written, resets as 0. */
  readonly statuses: number[];
  /** Buffers that came back, by queue. */
  readonly buffers: Map<number, number>;
  /** Accesses of configuration space and BARs, a message each. */
  accesses: number;
  /** What the device called broken. */
  readonly broken: string[];
}

/** A function that is served. */
export interface Served {
  /** Its socket. */
  readonly socket: string;
  /** What happened so far, with all its clients. */
  readonly counted: Counted;
  /** When a driver first said DRIVER, and DRIVER_OK; of `performance.now()`. */
  readonly first: FirstTimes;
  /** The device of the client that is connected, or was last. */
  readonly device: () => VirtioDevice | undefined;
  /** Why clients went, in order; `hung up` when it was their own wish. */
  readonly gone: string[];
  /** The clients that have come. */
  readonly clients: () => number;
  /** Resolves when no client is connected. */
  alone(): Promise<void>;
  /** Takes it away. */
  close(): Promise<void>;
}

/** See {@link Served.first}. */
interface FirstTimes {
  driver?: number;
  running?: number;
}

/** As `virtio-admin serve` polls. */
const POLL_TIME = 1;
const DRIVER = 2;
const DRIVER_OK = 4;

/** A function that counts how often it is called. */
class CountedDevice extends PciDevice {
  readonly #counted: Counted;
  readonly #first: FirstTimes;
  readonly #virtio: VirtioDevice;

  constructor(device: VirtioDevice, counted: Counted, first: FirstTimes) {
    super({ device, vectorMasking: "vmm" });
    this.#counted = counted;
    this.#first = first;
    this.#virtio = device;
  }

  override configReadBytes(offset: number, target: Uint8Array): void {
    this.#counted.accesses += 1;
    super.configReadBytes(offset, target);
  }

  override configWriteBytes(offset: number, source: Uint8Array): void {
    this.#counted.accesses += 1;
    super.configWriteBytes(offset, source);
  }

  override barReadBytes(bar: number, offset: number, target: Uint8Array): void {
    this.#counted.accesses += 1;
    super.barReadBytes(bar, offset, target);
  }

  override barWriteBytes(bar: number, offset: number, source: Uint8Array): void {
    this.#counted.accesses += 1;
    super.barWriteBytes(bar, offset, source);
    if (this.#first.running !== undefined) return;
    const { status } = this.#virtio;
    if ((status & DRIVER) !== 0) this.#first.driver ??= performance.now();
    if ((status & DRIVER_OK) !== 0) this.#first.running ??= performance.now();
  }
}

/** Serves a function in this process. */
export async function serve(init: ServedInit): Promise<Served> {
  const folder = privateFolder();
  const socket = join(folder.path, "function.sock");
  const counted: Counted = {
    commands: [],
    statuses: [],
    buffers: new Map(),
    accesses: 0,
    broken: [],
  };
  const first: FirstTimes = {};
  const gone: string[] = [];
  let clients = 0;
  let device: VirtioDevice | undefined;
  const waiting = new Set<() => void>();
  const trace: TraceSink = { emit: (event) => count(counted, event) };
  const server = await VfioUserServer.listen({
    path: socket,
    pollTime: POLL_TIME,
    device: (memory) => {
      device = makeDevice(init, memory, trace);
      return new CountedDevice(device, counted, first);
    },
    onConnect: () => {
      clients += 1;
    },
    onDisconnect: (reason: VirtioError | undefined) => {
      gone.push(reason?.message ?? "hung up");
      for (const wake of waiting) wake();
      waiting.clear();
    },
  });
  return {
    socket,
    counted,
    first,
    device: () => device,
    gone,
    clients: () => clients,
    alone: () =>
      server.connected ? new Promise((resolve) => void waiting.add(resolve)) : Promise.resolve(),
    close: async () => {
      await server.close();
      folder.remove();
    },
  };
}

/** One function, in one client's memory. */
function makeDevice(
  { model, admin, quiet = false }: ServedInit,
  memory: GuestMemory | DmaMemory,
  trace: TraceSink,
): VirtioDevice {
  const queues = admin === undefined ? undefined : adminQueues(admin());
  return new VirtioDevice({
    model: model(),
    memory,
    ...(queues === undefined ? {} : { admin: queues }),
    ...(quiet ? {} : { trace }),
  });
}

function adminQueues({ groups, families = [] }: OwnerParts): AdminQueues {
  const executor = new AdminExecutor({
    groups: [new SelfGroup(), ...groups],
    families,
    // What stock Linux needs.
    tolerances: TOLERANT,
  });
  return new AdminQueues({ executor, count: 1 });
}

function count(counted: Counted, event: TraceEvent): void {
  switch (event.op) {
    case "command":
      counted.commands.push(event);
      break;
    case "buffer":
      counted.buffers.set(event.queue, (counted.buffers.get(event.queue) ?? 0) + 1);
      break;
    case "status":
      counted.statuses.push(event.status ?? 0);
      break;
    case "reset":
      if (event.queue === undefined) counted.statuses.push(0);
      break;
    case "needs-reset":
      counted.broken.push(event.why ?? "");
      break;
    default:
  }
}
