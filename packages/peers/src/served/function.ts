/** A device of ours behind a socket, with what its driver does counted, and recorded. */
import { join } from "node:path";
import {
  type CommandEvent,
  STATUS,
  type TraceEvent,
  type TraceSink,
  type VirtioDevice,
  type VirtioError,
} from "@virtio-admin/core";
import type { BlockStorage } from "@virtio-admin/devices";
import {
  type DeviceDescription,
  makeDescribedDevice,
  type SeededStream,
} from "@virtio-admin/fixtures";
import { PciDevice } from "@virtio-admin/transport-pci";
import { type DmaMemory, type VfioUserFunction, VfioUserServer } from "@virtio-admin/vfio-user";
import { privateFolder } from "../cleanup.ts";
import type { Recorder } from "../recorder.ts";
import { CountedFunction } from "./counted-function.ts";
import { MmioFunction } from "./mmio-function.ts";

/** What a device is made from, but for who makes it. */
export type ServedDevice = Omit<DeviceDescription, "made_by">;

/** What is served. */
export interface ServedInit {
  /** The device, which is made anew for every client. */
  readonly device: ServedDevice;
  /** How it is reached: as virtio over PCI unless given, or by MMIO registers in a BAR. */
  readonly transport?: "pci" | "mmio";
  /** What an entropy device gives out; the platform's randomness unless given. */
  readonly stream?: SeededStream;
  /** What a block device stores in; memory of its own unless given. */
  readonly storage?: BlockStorage;
  /** Counts nothing but accesses, which costs nearly nothing: for measurements. */
  readonly quiet?: boolean;
  /** Keeps what each client does; nothing unless given. */
  readonly recorder?: Recorder;
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
  /** How it is reached. */
  readonly transport: "pci" | "mmio";
  /** What happened so far, with all its clients. */
  readonly counted: Counted;
  /** When a driver first said DRIVER, and DRIVER_OK; of `performance.now()`. */
  readonly first: FirstTimes;
  /** The device of the client that is connected, or was last. */
  readonly device: () => VirtioDevice | undefined;
  /** Where firmware has placed the window of MMIO registers; 0 until it has. */
  readonly windowBase: () => number;
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

/** As `virtio-admin serve` polls; not what is recorded, as a replay goes by notifications. */
const POLL_TIME = 1;

/** Serves a function in this process. */
export async function serve(init: ServedInit): Promise<Served> {
  const folder = privateFolder();
  const socket = join(folder.path, "function.sock");
  const counted = nothingCounted();
  const first: FirstTimes = {};
  const gone: string[] = [];
  let clients = 0;
  let device: VirtioDevice | undefined;
  let windowBase = 0;
  let end: (() => void) | undefined;
  const waiting = new Set<() => void>();
  const server = await VfioUserServer.listen({
    path: socket,
    pollTime: init.recorder === undefined ? POLL_TIME : 0,
    device: (memory) => {
      const made = makeDevice(init, memory, counted);
      device = made.device;
      end = made.end;
      return new CountedFunction(made.served, {
        accessed: () => {
          counted.accesses += 1;
        },
        written: () => {
          if (made.served instanceof MmioFunction) windowBase = made.served.base;
          noteStatus(first, made.device.status);
        },
      });
    },
    onConnect: () => {
      clients += 1;
    },
    onDisconnect: (reason: VirtioError | undefined) => {
      end?.();
      end = undefined;
      gone.push(reason?.message ?? "hung up");
      for (const wake of waiting) wake();
      waiting.clear();
    },
  });
  return {
    socket,
    transport: init.transport ?? "pci",
    counted,
    first,
    device: () => device,
    windowBase: () => windowBase,
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

/** What a device has counted that nobody has come to yet. */
export function nothingCounted(): Counted {
  return { commands: [], statuses: [], buffers: new Map(), accesses: 0, broken: [] };
}

/** One function, in one client's memory. */
function makeDevice(
  { device: given, transport = "pci", stream, storage, quiet = false, recorder }: ServedInit,
  memory: DmaMemory,
  counted: Counted,
): { device: VirtioDevice; served: VfioUserFunction; end: () => void } {
  const description: DeviceDescription = {
    made_by: "peers",
    ...given,
    ...(stream === undefined ? {} : { seed: stream.seed }),
  };
  const record = quiet ? undefined : recorder?.open({ transport, device: description });
  const trace: TraceSink = {
    emit: (event) => {
      count(counted, event);
      record?.emit(event);
    },
  };
  const device = makeDescribedDevice(description, {
    memory,
    ...(stream === undefined ? {} : { source: stream.source }),
    ...(storage === undefined ? {} : { storage }),
    ...(quiet ? {} : { trace }),
  });
  const served =
    transport === "pci"
      ? new PciDevice({ device, vectorMasking: "vmm" })
      : new MmioFunction(device);
  return { device, served, end: () => record?.close() };
}

function noteStatus(first: FirstTimes, status: number): void {
  if ((status & STATUS.DRIVER) !== 0) first.driver ??= performance.now();
  if ((status & STATUS.DRIVER_OK) !== 0) first.running ??= performance.now();
}

/** Adds an event to what a device has counted. */
export function count(counted: Counted, event: TraceEvent): void {
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
