/**
 * A moment on the way of a command: where it is, what happens there, and the bytes of it. One event
 * of a trace is one moment; what only the driver's memory shows is made by live.ts.
 */
import {
  type BufferEvent,
  type ChannelEvent,
  type CommandEvent,
  DIALECTS,
  describeEvent,
  type RegisterEvent,
  type TraceEvent,
} from "@virtio-admin/core";
import { commandOf } from "./commands.ts";
import { fromHexOrNothing, type TraceContext } from "./context.ts";
import { answerWords, type Block, blockOf, plainField, valueBlock } from "./spans.ts";

/** The places that a command comes by, from the driver down to the executor. */
export const STATIONS = ["driver", "ring", "transport", "device", "executor"] as const;

/** One of them. */
export type Station = (typeof STATIONS)[number];

/** Where a command is going: down to the device, or up again. */
export type Direction = "down" | "up";

/** One moment. */
export interface Moment {
  /** Where. */
  readonly station: Station;
  /** Which way. */
  readonly direction: Direction;
  /** What happens, in a few words. */
  readonly title: string;
  /** The same with its values. */
  readonly text: string;
  /** The bytes. */
  readonly blocks: readonly Block[];
  /** What there is to say besides: names and values. */
  readonly facts?: readonly (readonly [name: string, value: string])[];
  /** The status of a command that was carried out; `undefined` at any other moment. */
  readonly status?: number | undefined;
}

/** What a list of moments shows of an event, without the cost of its bytes. */
export function titleOf(event: TraceEvent, context: TraceContext): string {
  switch (event.op) {
    case "read":
    case "write":
      return `${event.op} ${registerName(event, context)}`;
    case "ccw":
      return event.name ?? context.payload(event.command)?.name ?? `command ${event.command}`;
    case "command":
      return event.name ?? `command 0x${event.opcode.toString(16).padStart(4, "0")}`;
    case "buffer": {
      const name = context.isAdmin(event.queue) ? commandName(event, context) : undefined;
      return `${name === undefined ? "" : `${name}, `}buffer of queue ${event.queue}`;
    }
    default:
      return describeEvent(event).slice(0, 120);
  }
}

/** The name of the command that a buffer carries. */
function commandName({ readable }: BufferEvent, { dialect }: TraceContext): string | undefined {
  return commandOf(dialect, opcodeAt(fromHexOrNothing(readable.slice(0, 4))))?.name;
}

/**
 * The status of the command that an event ends; `undefined` for any other event. A recorder of the
 * older shapes tells of the buffer alone.
 */
export function statusOf(event: TraceEvent, context: TraceContext): number | undefined {
  if (event.op === "command") return event.status;
  if (event.op !== "buffer" || context.tellsCommands || !context.isAdmin(event.queue)) {
    return undefined;
  }
  const [low = 0, high = 0] = fromHexOrNothing(event.written.slice(0, 4));
  return low | (high << 8);
}

/** The station of an event. */
export function stationOf(
  event: TraceEvent,
  { transport }: TraceContext,
): readonly [Station, Direction] {
  switch (event.op) {
    case "notify":
      // Where a register notifies, its write comes before this.
      return [transport === "ccw" ? "transport" : "device", "down"];
    case "read":
    case "ccw":
    case "write":
      return ["transport", "down"];
    case "interrupt":
    case "needs-reset":
      return ["transport", "up"];
    case "command":
      return ["executor", "up"];
    case "buffer":
      return ["ring", "up"];
    default:
      return ["device", "down"];
  }
}

/** The moment of an event. */
export function momentOf(event: TraceEvent, context: TraceContext): Moment {
  const [station, direction] = stationOf(event, context);
  const moment = { station, direction, title: titleOf(event, context) };
  const text = describeEvent(event);
  switch (event.op) {
    case "read":
    case "write":
      return { ...moment, text, blocks: [registerBlock(event, context)] };
    case "ccw":
      return { ...moment, text, blocks: channelBlocks(event, context) };
    case "buffer":
      return { ...moment, text, blocks: bufferBlocks(event, context) };
    case "command":
      return {
        ...moment,
        text: commandWords(event, context),
        blocks: [],
        facts: commandFacts(event, context),
        status: event.status,
      };
    default:
      return { ...moment, text, blocks: [] };
  }
}

function registerName(event: RegisterEvent, context: TraceContext): string {
  const { region, offset, name } = event;
  const known = context.register(event);
  if (known !== undefined) return known.field.name;
  const place = `${region === undefined ? "" : `${region} `}0x${offset.toString(16).padStart(3, "0")}`;
  return name ?? context.windowName(region, offset) ?? place;
}

function registerBlock(event: RegisterEvent, context: TraceContext): Block {
  const bytes = fromHexOrNothing(event.data);
  const known = context.register(event);
  const name = registerName(event, context);
  const where = `${event.region === undefined ? "" : `${event.region} `}0x${event.offset.toString(16).padStart(3, "0")}`;
  const within = context.windowName(event.region, event.offset);
  const title = `${event.op === "read" ? "Read from" : "Written to"} ${where}${within === undefined ? "" : `, ${within}`}`;
  const isWhole = known !== undefined && known.field.width === bytes.length;
  return valueBlock(title, bytes, isWhole ? known.field : plainField(name, bytes.length));
}

function channelBlocks(event: ChannelEvent, context: TraceContext): Block[] {
  const bytes = fromHexOrNothing(event.data);
  if (bytes.length === 0) return [];
  const layout = context.payload(event.command)?.layout;
  return [blockOf("The data of the channel command", bytes, layout === undefined ? [] : [layout])];
}

function bufferBlocks(event: BufferEvent, context: TraceContext): Block[] {
  const readable = fromHexOrNothing(event.readable);
  const written = fromHexOrNothing(event.written);
  const [request, answer] = [readable, written].map((bytes, i) => {
    const title = i === 0 ? "What the device read" : "What the device wrote";
    if (!context.isAdmin(event.queue)) return blockOf(title, bytes, []);
    return i === 0
      ? requestBlock(title, bytes, context)
      : answerBlock(title, bytes, readable, context);
  });
  return [request, answer].filter(
    (block) => block !== undefined && block.bytes.length > 0,
  ) as Block[];
}

/** The device-readable part of a command. */
export function requestBlock(
  title: string,
  bytes: Uint8Array,
  { dialect }: TraceContext,
  address?: number,
): Block {
  const { command } = DIALECTS[dialect];
  const data = commandOf(dialect, opcodeAt(bytes))?.layouts?.data;
  return blockOf(title, bytes, data === undefined ? [command] : [command, data], address);
}

/** The device-writable part of a command; `request` tells which. */
export function answerBlock(
  title: string,
  bytes: Uint8Array,
  request: Uint8Array,
  { dialect }: TraceContext,
  address?: number,
): Block {
  const { answer } = DIALECTS[dialect];
  const result = commandOf(dialect, opcodeAt(request))?.layouts?.result;
  return blockOf(title, bytes, result === undefined ? [answer] : [answer, result], address);
}

/** Every dialect has the opcode first. */
function opcodeAt(bytes: Uint8Array): number {
  return (bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8);
}

/** What the executor looked at, in its order, and what it answered. */
function commandFacts(
  event: CommandEvent,
  { dialect }: TraceContext,
): readonly (readonly [string, string])[] {
  const { opcode, group, member, status, qualifier, tolerance } = event;
  const destination = DIALECTS[dialect].destinations.find(({ value }) => value === group)?.name;
  const word = (value: number) => `0x${value.toString(16).padStart(4, "0")}`;
  const doc = commandOf(dialect, opcode)?.doc;
  return [
    ["group", `${word(group)}${destination === undefined ? "" : ` ${destination}`}`],
    ["opcode", `${word(opcode)}${event.name === undefined ? "" : ` ${event.name}`}`],
    ["member", `${member}`],
    ["answer", answerWords(dialect, status, qualifier)],
    ...(doc === undefined ? [] : [["what it does", doc] as const]),
    ...(tolerance === undefined ? [] : [["tolerance", tolerance] as const]),
  ];
}

function commandWords(event: CommandEvent, { dialect }: TraceContext): string {
  const { opcode, group, member, status, qualifier } = event;
  const name = event.name ?? `opcode 0x${opcode.toString(16).padStart(4, "0")}`;
  const destination = DIALECTS[dialect].destinations.find(({ value }) => value === group)?.name;
  const whom = destination ?? `group 0x${group.toString(16).padStart(4, "0")}`;
  return `${name}, ${whom}, member ${member}: ${answerWords(dialect, status, qualifier)}`;
}
