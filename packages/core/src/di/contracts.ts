/**
 * What may stand under each token. A type says the same, to those whose compiler reads it; a
 * program without one, or a factory with a wrong answer, would fail far from its mistake.
 */
import type { CommandInterface } from "../admin/command-interface.ts";
import type { CommandFamily } from "../admin/types.ts";
import type { DeviceModel } from "../device/types.ts";
import type { DeviceGroup } from "../group/types.ts";
import type { DmaAllocator, GuestMemory } from "../memory/types.ts";
import type { TraceSink } from "../trace/types.ts";
import type { TransportPlugin } from "../transport/types.ts";
import type { InjectionToken } from "./container.ts";
import {
  ADMIN_SETTINGS,
  type AdminSettings,
  COMMAND_FAMILY,
  COMMAND_INTERFACE,
  DEVICE_MODEL,
  DMA,
  GROUP_TYPE,
  GUEST_MEMORY,
  TRACE_SINK,
  TRANSPORT,
} from "./tokens.ts";

/** What a value has that its contract does not allow. */
export interface Fault {
  /** What is wrong, of which part. */
  readonly why: string;
  /** That part. */
  readonly value: unknown;
}

/** A token, what may stand under it, and how it gets there. */
export interface Contract<T> {
  /** The token. */
  readonly token: InjectionToken<T>;
  /** What to register, and how. */
  readonly hint: string;
  /** What is wrong with a value; `undefined` for one of the contract. */
  readonly fault: (value: unknown) => Fault | undefined;
}

/** A kind of part: what it is called, and whether a value is one. */
type Kind = readonly [name: string, is: (value: unknown) => boolean];
type Parts = Readonly<Record<string, Kind>>;

const isObject = (value: unknown): value is object =>
  (typeof value === "object" && value !== null) || typeof value === "function";

const METHOD: Kind = ["a function", (value) => typeof value === "function"];
const TEXT: Kind = ["a text", (value) => typeof value === "string" && value !== ""];
const NUMBER: Kind = ["a number", (value) => typeof value === "number"];
const FLAG: Kind = ["true or false", (value) => typeof value === "boolean"];
const LIST: Kind = ["a list", Array.isArray];
const SOME: Kind = ["a list of one or more", (value) => Array.isArray(value) && value.length > 0];
const OBJECT: Kind = ["an object", isObject];
const ID16: Kind = [
  "an integer from 0 to 0xffff",
  (value) => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffff,
];

/** The first part that is not what it should be; `path` leads to it from the value. */
function faultOf(value: unknown, parts: Parts, path = ""): Fault | undefined {
  if (!isObject(value)) return { why: `${path === "" ? "it" : path} is no object`, value };
  for (const [name, [kind, is]] of Object.entries(parts)) {
    const part = (value as Readonly<Record<string, unknown>>)[name];
    if (!is(part))
      return { why: `${path === "" ? "" : `${path}.`}${name} is not ${kind}`, value: part };
  }
  return undefined;
}

const MEMORY: Parts = { find: METHOD, contains: METHOD, read: METHOD, write: METHOD };

function contract<T>(
  token: InjectionToken<T>,
  hint: string,
  parts: Parts,
  more: (value: T) => Fault | undefined = () => undefined,
): Contract<T> {
  return { token, hint, fault: (value) => faultOf(value, parts) ?? more(value as T) };
}

/** The contract of every token that an owner, a member or a connection is made from. */
export const CONTRACT: {
  readonly transport: Contract<TransportPlugin>;
  readonly group: Contract<DeviceGroup>;
  readonly family: Contract<CommandFamily>;
  readonly commandInterface: Contract<CommandInterface>;
  readonly model: Contract<DeviceModel>;
  readonly trace: Contract<TraceSink>;
  readonly memory: Contract<GuestMemory>;
  readonly dma: Contract<DmaAllocator>;
  readonly settings: Contract<AdminSettings>;
} = {
  transport: contract(
    TRANSPORT,
    "call registerPci, registerMmio or registerCcw on this container, or register a TransportPlugin" +
      " under TRANSPORT",
    { description: OBJECT, loopback: METHOD },
    ({ description }) =>
      faultOf(description, { name: TEXT, layouts: LIST, reservedFeatures: LIST }, "description"),
  ),
  group: contract(
    GROUP_TYPE,
    "call registerCore or registerPlatformGroup on this container, or register a DeviceGroup under" +
      " GROUP_TYPE",
    { type: OBJECT, exists: FLAG, memberCount: NUMBER, hasMember: METHOD },
    ({ type }) => faultOf(type, { id: ID16, name: TEXT }, "type"),
  ),
  family: contract(
    COMMAND_FAMILY,
    "register a CommandFamily, its commands and handlers, under COMMAND_FAMILY",
    { name: TEXT, commands: SOME, bind: METHOD },
    ({ commands }) => {
      const parts = { opcode: NUMBER, name: TEXT, data: OBJECT, result: OBJECT };
      for (const [i, command] of commands.entries()) {
        const fault = faultOf(command, parts, `commands[${i}]`);
        if (fault !== undefined) return fault;
      }
      return undefined;
    },
  ),
  commandInterface: contract(
    COMMAND_INTERFACE,
    "register a CommandInterface under COMMAND_INTERFACE (mailboxInterface makes one)",
    { name: TEXT, bind: METHOD },
  ),
  model: contract(
    DEVICE_MODEL,
    "register a DeviceModel, the type of this device and of no other, under DEVICE_MODEL",
    {
      name: TEXT,
      deviceId: NUMBER,
      features: LIST,
      queues: LIST,
      attach: METHOD,
      queueNotified: METHOD,
      reset: METHOD,
    },
    ({ queues }) => {
      for (const [i, queue] of queues.entries()) {
        const fault = faultOf(queue, { name: TEXT, maxSize: NUMBER }, `queues[${i}]`);
        if (fault !== undefined) return fault;
      }
      return undefined;
    },
  ),
  trace: contract(TRACE_SINK, "register one TraceSink under TRACE_SINK, or none", {
    emit: METHOD,
  }),
  memory: contract(
    GUEST_MEMORY,
    "register the shared memory under GUEST_MEMORY (createGuestMemory makes one)",
    MEMORY,
  ),
  dma: contract(
    DMA,
    "register the driver's part of GUEST_MEMORY under DMA (a DmaArena)",
    { memory: OBJECT, allocate: METHOD },
    ({ memory }) => faultOf(memory, MEMORY, "memory"),
  ),
  settings: contract(
    ADMIN_SETTINGS,
    "register AdminSettings, such as { count: 2 }, under ADMIN_SETTINGS, or none",
    {},
  ),
};
