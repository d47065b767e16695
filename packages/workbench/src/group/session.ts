/** The group of the page: made as the address says, and looked at after everything that is done. */
import { type ReadonlySignal, signal } from "@preact/signals";
import type { CommandEvent, TraceEvent } from "@virtio-admin/core";
import { setValues, valueAt } from "../shell/address.ts";
import { isTransportName, type TransportName } from "../transports.ts";
import { shortFeature } from "../way/spans.ts";
import {
  type Action,
  actionWords,
  formatAction,
  MOST_ACTIONS,
  parseActions,
  perform,
} from "./actions.ts";
import { Bench, type MemberView, type Outcome, type OwnerView } from "./bench.ts";

/** How many members there are at first. */
const FIRST_MEMBERS = 3;
/** How many of the last commands are told. */
const LOG_LENGTH = 50;

/** What is seen of the group. */
export interface GroupView {
  /** The transport. */
  readonly transport: TransportName;
  /** The name of the group's type, and its number. */
  readonly group: string;
  /** See `Seats.countedTogether`. */
  readonly countedTogether: boolean;
  /** The owner. */
  readonly owner: OwnerView;
  /** The members. */
  readonly members: readonly MemberView[];
}

/** A command that the owner carried out. */
export interface LoggedCommand {
  /** Counts from 1. */
  readonly number: number;
  /** What it was. */
  readonly event: CommandEvent;
}

const seen = signal<GroupView | undefined>(undefined);
const told = signal<{ readonly words: string; readonly outcome: Outcome } | undefined>(undefined);
const logged = signal<readonly LoggedCommand[]>([]);
const working = signal(false);

/** What is seen of the group; `undefined` until there is one. */
export const view: ReadonlySignal<GroupView | undefined> = seen;
/** What was done last, and what came of it. */
export const last: ReadonlySignal<typeof told.value> = told;
/** The last commands, the newest first. */
export const log: ReadonlySignal<readonly LoggedCommand[]> = logged;
/** True while something is under way. */
export const busy: ReadonlySignal<boolean> = working;

let bench: Bench | undefined;
/** The address that the group was made from, and what was done since. */
let made: string | undefined;
let count = 0;
/** One thing after the other. */
let line: Promise<void> = Promise.resolve();

/** The transport that the address names. */
export function transportOfAddress(): TransportName {
  const name = valueAt("transport");
  return isTransportName(name) ? name : "pci";
}

/** Makes the group of the address, unless it is there. */
export function openGroup(): Promise<void> {
  return inLine(async () => {
    const key = keyOf();
    if (bench !== undefined && made === key) return;
    const before = bench;
    bench = undefined;
    await before?.close();
    count = 0;
    logged.value = [];
    told.value = undefined;
    const transport = transportOfAddress();
    bench = await Bench.open({ transport, members: FIRST_MEMBERS, trace: { emit: take } });
    made = key;
    for (const action of parseActions(valueAt("do") ?? "")) {
      told.value = { words: wordsOf(action), outcome: await perform(bench, action) };
    }
    look();
  });
}

/** Does something, and puts it into the address. */
export function act(action: Action): Promise<void> {
  return inLine(async () => {
    if (bench === undefined) return;
    const outcome = await perform(bench, action);
    told.value = { words: wordsOf(action), outcome };
    const before = valueAt("do");
    const actions = before === undefined ? [] : before.split(",");
    if (actions.length < MOST_ACTIONS) {
      setValues({ do: [...actions, formatAction(action)].join(",") });
      made = keyOf();
    }
    look();
  });
}

/** Another transport, or the same from the beginning. */
export function startOver(transport: TransportName): Promise<void> {
  setValues({ transport: transport === "pci" ? undefined : transport, do: undefined });
  made = undefined;
  return openGroup();
}

function keyOf(): string {
  return `${transportOfAddress()} ${valueAt("do") ?? ""}`;
}

function wordsOf(action: Action): string {
  return actionWords(action, shortFeature);
}

function take(event: TraceEvent): void {
  if (event.op !== "command") return;
  count++;
  logged.value = [{ number: count, event }, ...logged.value.slice(0, LOG_LENGTH - 1)];
}

function look(): void {
  if (bench === undefined) return;
  const { transport, groupName, groupType, countedTogether } = bench;
  const members = bench.members.flatMap((id) => bench?.member(id) ?? []);
  const group = `${groupName}, type 0x${groupType.toString(16).padStart(4, "0")}`;
  seen.value = { transport, group, countedTogether, owner: bench.owner(), members };
}

function inLine(run: () => Promise<void>): Promise<void> {
  working.value = true;
  const next = line.then(run).catch((error: unknown) => {
    const outcome = error instanceof Error ? error.message : String(error);
    told.value = { words: "the group", outcome };
  });
  line = next.then(() => {
    if (line === settled) working.value = false;
  });
  const settled = line;
  return next;
}
