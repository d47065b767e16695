/**
 * The moments that are looked at, one of them at a time: of a command that was just sent, or of a
 * trace. The moments of a trace are made when they are looked at.
 */
import { computed, type ReadonlySignal, signal } from "@preact/signals";
import { setValues, valueAt } from "../shell/address.ts";
import type { DroppedFile } from "../shell/file-drop.tsx";
import { isTransportName, type TransportName } from "../transports.ts";
import { TraceContext } from "./context.ts";
import { followCommand, LIVE_COMMANDS } from "./live.ts";
import {
  type Direction,
  type Moment,
  momentOf,
  type Station,
  stationOf,
  statusOf,
  titleOf,
} from "./moments.ts";
import { RECORDINGS } from "./recordings.ts";
import { readTraceFile, type TraceFile } from "./trace-file.ts";

/** How the address names a file of the reader's. */
export const OWN_TRACE = "own";

/** What a list shows of a moment. */
export interface Glimpse {
  /** What happens. */
  readonly title: string;
  /** Where. */
  readonly station: Station;
  /** Which way. */
  readonly direction: Direction;
  /** When, in microseconds, where that is known. */
  readonly time: number | undefined;
  /** The status of a command; `undefined` for anything else. */
  readonly status: number | undefined;
}

/** Moments in order. */
export interface Film {
  /** What it is called. */
  readonly title: string;
  /** How many moments there are. */
  readonly length: number;
  /** One of them. */
  moment(index: number): Moment | undefined;
  /** What a list shows of it. */
  glimpse(index: number): Glimpse | undefined;
}

/** Whether a command is sent, or a trace is looked at. */
export type Source =
  | { readonly kind: "live"; readonly transport: TransportName; readonly command: string }
  | { readonly kind: "trace"; readonly name: string };

const loadedFilm = signal<Film | undefined>(undefined);
const refused = signal<string | undefined>(undefined);
const atIndex = signal(0);
const running = signal(false);

/** The film now. */
export const film: ReadonlySignal<Film | undefined> = loadedFilm;
/** Why there is none. */
export const refusal: ReadonlySignal<string | undefined> = refused;
/** The moment now, from 0. */
export const index: ReadonlySignal<number> = atIndex;
/** True while it plays. */
export const playing: ReadonlySignal<boolean> = running;
/** The moment that is looked at. */
export const moment: ReadonlySignal<Moment | undefined> = computed(() =>
  loadedFilm.value?.moment(atIndex.value),
);

/** The steps in a second. */
export const SPEEDS = [1, 4, 20, 100] as const;
/** How fast it plays. */
export const speed = signal<number>(4);

let shown: string | undefined;
/** The reader's own trace, for as long as the page is open. */
let own: { readonly name: string; readonly trace: TraceFile } | undefined;

/** What the address asks for. */
export function sourceOfAddress(): Source {
  const trace = valueAt("trace");
  if (trace !== undefined) return { kind: "trace", name: trace };
  const transport = valueAt("transport");
  const command = LIVE_COMMANDS.find(({ name }) => name === valueAt("command")) ?? LIVE_COMMANDS[0];
  return {
    kind: "live",
    transport: isTransportName(transport) ? transport : "mmio",
    command: command?.name ?? "",
  };
}

/** Shows what the address asks for, unless it is shown. */
export async function showAddress(): Promise<void> {
  const source = sourceOfAddress();
  const key = JSON.stringify(source);
  const at = Number(valueAt("at") ?? 0);
  if (key === shown) {
    goTo(at);
    return;
  }
  shown = key;
  stop();
  refused.value = undefined;
  loadedFilm.value = undefined;
  try {
    const made = source.kind === "live" ? await liveFilm(source) : await traceFilm(source.name);
    if (shown !== key) return;
    loadedFilm.value = made;
    goTo(at);
  } catch (error) {
    if (shown === key) refused.value = error instanceof Error ? error.message : String(error);
  }
}

/** Sends the command once more. */
export function sendAgain(): Promise<void> {
  shown = undefined;
  setValues({ at: undefined });
  return showAddress();
}

/** Takes a file of the reader's. */
export function takeTrace(file: DroppedFile): void {
  const read = "text" in file ? readTraceFile(file.text) : { refusal: file.refusal };
  const { trace } = read as ReturnType<typeof readTraceFile>;
  if (trace === undefined) {
    refused.value = `${file.name} is no trace that can be shown: ${read.refusal}`;
    return;
  }
  own = { name: file.name, trace };
  shown = undefined;
  setValues({ trace: OWN_TRACE, transport: undefined, command: undefined, at: undefined });
  void showAddress();
}

/** Goes to a moment; one that there is not, is the nearest. */
export function goTo(to: number): void {
  const last = Math.max(0, (loadedFilm.value?.length ?? 1) - 1);
  atIndex.value = Number.isInteger(to) ? Math.min(Math.max(0, to), last) : 0;
}

/** Puts the moment into the address: when the reader has come to rest. */
export function settle(): void {
  setValues({ at: atIndex.value === 0 ? undefined : String(atIndex.value) });
}

/** The next command of the film from here, or the one before; nowhere when there is none. */
export function goToCommand(step: 1 | -1): void {
  const { value } = loadedFilm;
  if (value === undefined) return;
  for (let i = atIndex.value + step; i >= 0 && i < value.length; i += step) {
    if (value.glimpse(i)?.status !== undefined) {
      goTo(i);
      settle();
      return;
    }
  }
}

let timer: ReturnType<typeof setInterval> | undefined;

/** Plays from here, or from the beginning at the end. */
export function play(): void {
  const { value } = loadedFilm;
  if (value === undefined || running.value) return;
  if (atIndex.value >= value.length - 1) goTo(0);
  running.value = true;
  timer = setInterval(() => {
    goTo(atIndex.value + 1);
    if (atIndex.value >= (loadedFilm.value?.length ?? 0) - 1) stop();
  }, 1000 / speed.value);
}

/** Stops where it is. */
export function stop(): void {
  if (!running.value) return;
  clearInterval(timer);
  running.value = false;
  settle();
}

async function liveFilm(source: Extract<Source, { kind: "live" }>): Promise<Film> {
  const command = LIVE_COMMANDS.find(({ name }) => name === source.command);
  if (command === undefined) throw new Error("there is no such command");
  const moments = await followCommand(source.transport, command);
  return {
    title: `${command.name} on ${source.transport.toUpperCase()}`,
    length: moments.length,
    moment: (i) => moments[i],
    glimpse: (i) => {
      const at = moments[i];
      if (at === undefined) return undefined;
      const { title, station, direction, status } = at;
      return { title, station, direction, status, time: undefined };
    },
  };
}

async function traceFilm(name: string): Promise<Film> {
  if (name === OWN_TRACE) {
    if (own === undefined)
      throw new Error("open the file of the trace once more: it is not in the address");
    return filmOf(own.name, own.trace);
  }
  const recording = RECORDINGS.find((each) => each.name === name);
  if (recording === undefined) throw new Error("there is no such recording");
  const response = await fetch(recording.url);
  const { trace, refusal: why } = readTraceFile(await response.text());
  if (trace === undefined) throw new Error(why);
  return filmOf(recording.title, trace);
}

function filmOf(title: string, { transport, events }: TraceFile): Film {
  const context = new TraceContext(
    transport,
    events.map(({ event }) => event),
  );
  return {
    title: `${title} (${transport})`,
    length: events.length,
    moment: (i) => {
      const at = events[i];
      return at && momentOf(at.event, context);
    },
    glimpse: (i) => {
      const at = events[i];
      if (at === undefined) return undefined;
      const { event, time } = at;
      const [station, direction] = stationOf(event, context);
      const status = statusOf(event, context);
      return { title: titleOf(event, context), station, direction, time, status };
    },
  };
}
