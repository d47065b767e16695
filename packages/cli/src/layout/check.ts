/** `virtio-admin layout check` and `free`: what is wrong with a layout, and where there is room. */
import type { ChannelDirection } from "@virtio-admin/core";
import {
  CHECK_RULES,
  type CheckFinding,
  type CheckRule,
  type CheckSeverity,
  type FreePlaces,
  freePlaces,
  LAYOUT_CATALOGUE,
} from "@virtio-admin/spec";
import { Output, type Streams } from "../output.ts";
import { deliver } from "./deliver.ts";
import { demandLayout, type LayoutSource, openLayout, placeOf } from "./source.ts";

/** The options of `check`. */
export interface CheckOptions {
  /** The form of the report; text when absent. */
  readonly format?: "text" | "json";
  /** A file; standard output when absent. */
  readonly out?: string;
  /** Rules whose findings do not count. */
  readonly allow?: readonly CheckRule[];
}

/** The options of `free`. */
export interface FreeOptions {
  /** The form of the report; text when absent. */
  readonly format?: "text" | "json";
  /** A file; standard output when absent. */
  readonly out?: string;
  /** How many places are needed one behind the other. */
  readonly count?: number;
  /** The width of each in bytes. */
  readonly width?: number;
  /** What the commands do. */
  readonly direction?: ChannelDirection;
}

/** Checks layouts, all of the project's when none is named; 0 when no finding counts, 1 otherwise. */
export function checkLayouts(
  words: readonly string[],
  options: CheckOptions,
  streams: Streams,
): number {
  const named = words.length === 0 ? [...LAYOUT_CATALOGUE.keys()] : words;
  const sources = named.map(openLayout);
  const allowed = new Set<string>(options.allow);
  const counts = (finding: CheckFinding) =>
    finding.severity !== "note" && !allowed.has(finding.rule);
  const refused = sources.flatMap(({ findings }) => findings).filter(counts).length;
  const text =
    options.format === "json"
      ? `${JSON.stringify({ layouts: sources.map(described), refused }, null, 2)}\n`
      : sources.map((source) => reportText(source, allowed, streams)).join("") +
        `${sources.length === 1 ? "1 layout" : `${sources.length} layouts`}: ${refused === 0 ? "nothing to refuse" : `${refused} to mend`}\n`;
  deliver([{ file: "check.txt", text }], options.out, streams);
  return refused === 0 ? 0 : 1;
}

function described({ from, layout, findings }: LayoutSource): object {
  return { from, name: layout?.name, usable: layout !== undefined, findings };
}

function reportText(source: LayoutSource, allowed: ReadonlySet<string>, streams: Streams): string {
  return source.findings
    .map((finding) => `${findingText(source.from, finding, allowed, streams)}\n`)
    .join("");
}

/** A finding as three lines: what and where, why, what to do. */
export function findingText(
  from: string,
  finding: CheckFinding,
  allowed: ReadonlySet<string>,
  streams: Streams,
): string {
  const { colours } = new Output(streams, false);
  const colour: Readonly<Record<CheckSeverity, (text: string) => string>> = {
    error: colours.red,
    warning: colours.yellow,
    note: colours.dim,
  };
  const isAllowed = allowed.has(finding.rule) && finding.severity !== "note";
  const severity = isAllowed ? "allowed" : finding.severity;
  const head = `${placeOf(from, finding)}: ${severity}: ${finding.rule}`;
  return [
    isAllowed ? colours.dim(head) : colour[finding.severity](head),
    `    ${finding.message}`,
    `    ${colours.dim("→")} ${finding.remedy}`,
  ].join("\n");
}

/** The rules, for help. */
export function rulesText(): string {
  const width = Math.max(...Object.keys(CHECK_RULES).map(({ length }) => length));
  return Object.entries(CHECK_RULES)
    .map(([rule, text]) => `  ${rule.padEnd(width)}  ${text}`)
    .join("\n");
}

/** Prints what a layout leaves free; 0, or 1 when there is no place for what is needed. */
export function freeLayout(word: string, options: FreeOptions, streams: Streams): number {
  const layout = demandLayout(word);
  const { count = 1, width, direction } = options;
  const places = freePlaces(layout, {
    count,
    ...(width === undefined ? {} : { width }),
    ...(direction === undefined ? {} : { direction }),
  });
  const isEnough =
    layout.kind === "commands" ? places.proposals.length >= count : places.proposals.length > 0;
  const text =
    options.format === "json"
      ? `${JSON.stringify({ layout: layout.name, ...places }, null, 2)}\n`
      : freeText(places, layout.kind === "commands" ? 2 : 3, direction);
  deliver([{ file: "free.txt", text }], options.out, streams);
  return isEnough ? 0 : 1;
}

function freeText(places: FreePlaces, digits: number, direction?: ChannelDirection): string {
  const hex = (value: number) => `0x${value.toString(16).padStart(digits, "0")}`;
  const users = (squatters: FreePlaces["codes"][number]["squatters"]) =>
    squatters.map(({ name, at, who }) => `\n    ${hex(at)} ${name}: ${who}`).join("");
  const ranges = places.ranges.map(
    ({ start, end, squatters }) =>
      `${hex(start)} to ${hex(end - 1)}, ${end - start} bytes${users(squatters)}`,
  );
  const byDirection = (["read", "write", "control"] as const).flatMap((each) => {
    if (places.codes.length === 0 || (direction !== undefined && direction !== each)) return [];
    const own = places.codes.filter((code) => code.direction === each);
    const free = own.filter(({ squatters }) => squatters.length === 0);
    const used = own.filter(({ squatters }) => squatters.length > 0);
    return [
      `${each}: ${free.map(({ code }) => hex(code)).join(" ")}`,
      ...used.map(({ code, squatters }) => `  not ${hex(code)}${users(squatters)}`),
    ];
  });
  const proposed =
    places.proposals.length === 0
      ? "no place is free for that"
      : `nobody is known to use, best first: ${places.proposals.map(hex).join(" ")}`;
  return `${[...ranges, ...byDirection, proposed].join("\n")}\n`;
}
