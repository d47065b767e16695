/** Administration commands that a hostile driver sends: headers, lengths and splits of all sorts. */
import {
  ADMIN_COMMAND_HEADER,
  ADMIN_RESPONSE_HEADER,
  INITIAL_OPCODES,
  LIST_QUERY,
  LIST_USE,
  OPCODE_COUNT,
  PLATFORM_GROUP,
  qualifierName,
  SELF_GROUP,
  SR_IOV_GROUP,
  statusName,
} from "@virtio-admin/core";
import type { Playground } from "./playground.ts";
import { FIELD_LIMIT, PREY_COMMANDS, PREY_MEMBERS } from "./prey.ts";
import type { AttackContext } from "./ring-attacks.ts";
import type { Tally } from "./tally.ts";
import type { BufferElement, HostileRing } from "./zone.ts";

/** One command as it was put into a ring. */
export interface SentCommand {
  /** The head of its buffer. */
  readonly head: number;
  /** How many bytes the device may read. */
  readonly readable: number;
  /** How many bytes the device may write. */
  readonly writable: number;
  /** Where they are, in the order of writing: offsets in the zone, and lengths. */
  readonly parts: readonly (readonly [number, number])[];
}

const HEADER = ADMIN_COMMAND_HEADER.size;
const RESPONSE = ADMIN_RESPONSE_HEADER.size;
const FIELDS = ADMIN_COMMAND_HEADER.fields;
const ANSWER = ADMIN_RESPONSE_HEADER.fields;
const OPCODES: readonly number[] = [
  ...INITIAL_OPCODES,
  ...Object.values(PREY_COMMANDS).map(({ opcode }) => opcode),
];
/** Bytes of a list that holds every opcode of the prey. */
const LIST_BYTES = 16;
const MOST_SPLITS = 4;

/** The command that makes all commands of a group legal; of one of the two unless given. */
export function sendFullList(
  context: AttackContext,
  ring: HostileRing,
  group: number = context.random.oneIn(2) ? SELF_GROUP.id : PLATFORM_GROUP.id,
): SentCommand {
  const { ground } = context;
  writeHeader(ground, 0, LIST_USE.opcode, group, 0, 0);
  const at = ground.requests + HEADER;
  ground.zone.bytes.fill(0, at, at + LIST_BYTES);
  for (const opcode of OPCODES) {
    const byte = at + (opcode >> 3);
    ground.zone.bytes[byte] = (ground.zone.bytes[byte] as number) | (1 << (opcode & 7));
  }
  return put(context, ring, 0, HEADER + LIST_BYTES, RESPONSE);
}

/** A command whose answer waits until it is let go; `slot` keeps several apart. */
export function sendLater(context: AttackContext, ring: HostileRing, slot: number): SentCommand {
  const at = slot * 64;
  writeHeader(context.ground, at, PREY_COMMANDS.later.opcode, SELF_GROUP.id, 0, 0);
  return put(context, ring, at, HEADER + context.random.below(24), 8 + context.random.below(64));
}

/** Any command: mostly one that nearly makes sense. */
export function sendCommand(context: AttackContext, ring: HostileRing): SentCommand {
  const { ground, random } = context;
  const { zone, requests, requestBytes } = ground;
  const known = random.oneIn(2) ? PREY_COMMANDS.field.opcode : (random.pick(OPCODES) ?? 0);
  const opcode = random.oneIn(4) ? random.below(OPCODE_COUNT) : known;
  const existing = random.pick([SELF_GROUP.id, PLATFORM_GROUP.id]);
  const group = random.oneIn(4) ? random.pick([SR_IOV_GROUP.id, random.below(0x10000)]) : existing;
  const member = random.oneIn(2) ? random.uint32() : (random.pick(PREY_MEMBERS) ?? 0);
  const high = random.oneIn(8) ? random.uint32() : 0;
  // A command that waits is sent where its answer is awaited.
  const sent = opcode === PREY_COMMANDS.later.opcode ? LIST_QUERY.opcode : opcode;
  writeHeader(
    ground,
    0,
    sent,
    group,
    group === SELF_GROUP.id && random.oneIn(2) ? 0 : member,
    high,
  );
  const data = random.below(requestBytes - HEADER);
  for (let i = 0; i < 16; i++) {
    zone.bytes[requests + HEADER + i] = random.oneIn(3) ? random.uint32() & 0xff : 0;
  }
  if (random.oneIn(2)) {
    zone.view.setUint32(requests + HEADER, random.below(2 * FIELD_LIMIT), true);
    zone.view.setUint32(requests + HEADER + 4, 0, true);
  }
  const readable = random.oneIn(4) ? random.below(HEADER) : HEADER + (random.oneIn(3) ? data : 8);
  const writable = random.oneIn(4) ? random.below(RESPONSE) : RESPONSE + random.below(64);
  return put(context, ring, 0, readable, writable);
}

/** Counts what the device answered, as far as it had room to. */
export function countAnswer(
  tally: Tally,
  ground: Playground,
  sent: SentCommand,
  used: number,
): void {
  if (sent.readable < HEADER) tally.count("command: header cut short");
  else if (sent.readable % 8 !== 0) tally.count("command: odd length");
  if (used < ANSWER.status_qualifier.offset + 2) {
    tally.count("command: no room for the status");
    return;
  }
  if (used < RESPONSE) tally.count("command: room cut short");
  const status = gather(ground, sent, ANSWER.status.offset);
  const qualifier = gather(ground, sent, ANSWER.status_qualifier.offset);
  const names = [statusName(status), qualifierName(qualifier)];
  if (names.includes(undefined)) {
    tally.violate(`a command was answered with status ${status}, qualifier ${qualifier}`);
  }
  tally.count(`command: ${names.join(" ")}`);
}

/** A le16 of the answer, wherever its bytes lie. */
function gather(ground: Playground, sent: SentCommand, offset: number): number {
  let value = 0;
  for (let i = 0; i < 2; i++) {
    let left = offset + i;
    for (const [at, length] of sent.parts) {
      if (left < length) {
        value |= (ground.zone.bytes[at + left] as number) << (8 * i);
        break;
      }
      left -= length;
    }
  }
  return value;
}

function writeHeader(
  ground: Playground,
  at: number,
  opcode: number,
  group: number,
  memberLow: number,
  memberHigh: number,
): void {
  const { view } = ground.zone;
  const base = ground.requests + at;
  view.setUint16(base + FIELDS.opcode.offset, opcode, true);
  view.setUint16(base + FIELDS.group_type.offset, group, true);
  view.setUint32(base + FIELDS.group_member_id.offset, memberLow, true);
  view.setUint32(base + FIELDS.group_member_id.offset + 4, memberHigh, true);
}

/** Makes a buffer of the request at `at` and of random room, in random pieces, and offers it. */
function put(
  { ground, random, indirect }: AttackContext,
  ring: HostileRing,
  at: number,
  readable: number,
  writable: number,
): SentCommand {
  const { zone } = ground;
  const isTable = indirect && ground.tableUsed === 0 && random.oneIn(2);
  const room = ground.buffer(random, writable);
  const elements: BufferElement[] = [];
  const pieces = (address: number, length: number, isWritable: boolean): void => {
    let done = 0;
    for (let left = random.oneIn(2) ? 1 : 1 + random.below(MOST_SPLITS); left > 0; left--) {
      const here = left === 1 ? length - done : random.below(length - done + 1);
      elements.push({ address: address + done, length: here, writable: isWritable });
      done += here;
    }
  };
  pieces(zone.base + ground.requests + at, readable, false);
  pieces(room, writable, true);
  const parts = elements.flatMap(({ address, length, writable: isPart }) =>
    isPart ? [[address - zone.base, length] as const] : [],
  );
  const head = ring.put(elements, isTable ? (index) => ground.entry(index) : undefined);
  return { head, readable, writable, parts };
}
