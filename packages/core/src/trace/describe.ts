/** Events in words. */
import { statusNames } from "../device/status.ts";
import type { TraceEvent } from "./types.ts";

/** How many hex digits of data a line shows. */
const LONGEST_DATA = 64;

/** What ends a line, or speaks to a terminal: a device type's words may have it from a driver. */
const CONTROL = /[\p{Cc}\u2028\u2029]/gu;

/** One event in one line, without its time. */
export function describeEvent(event: TraceEvent): string {
  return wordsOf(event).replace(
    CONTROL,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function wordsOf(event: TraceEvent): string {
  switch (event.op) {
    case "read":
    case "write": {
      const place = `${event.region === undefined ? "" : `${event.region} `}${hex(event.offset, 3)}`;
      const name = event.name === undefined ? "" : ` ${event.name}`;
      const arrow = event.op === "read" ? "->" : "<-";
      return `${event.op} ${place}${name} ${arrow} ${shorten(event.data)}`;
    }
    case "ccw": {
      const name = event.name === undefined ? "" : ` ${event.name}`;
      const count = `count ${event.count}, residual ${event.residual}`;
      return `ccw ${hex(event.command, 2)}${name} ${count}, status ${hex(event.status, 4)} ${shorten(event.data)}`.trimEnd();
    }
    case "buffer": {
      const { descriptors } = event;
      const list = descriptors.map(({ length, writable }) => `${writable ? "w" : "r"}${length}`);
      return `buffer queue ${event.queue} [${list.join(" ")}] used ${event.used} <- ${shorten(event.readable)} -> ${shorten(event.written)}`;
    }
    case "command": {
      const name = event.name ?? hex(event.opcode, 4);
      const through = event.queue === undefined ? "" : ` queue ${event.queue}`;
      const tolerance = event.tolerance === undefined ? "" : ` (tolerated ${event.tolerance})`;
      const dialect = event.dialect === undefined ? "" : ` in ${event.dialect}`;
      return `command${through} ${name} group ${hex(event.group, 4)} member ${event.member}: status ${event.status} qualifier ${event.qualifier}${dialect}${tolerance}`;
    }
    case "member": {
      const plugged = event.plugged ? "plugged in" : "free";
      return `member ${event.member} is ${event.in_use ? "in use" : plugged}`;
    }
    case "status": {
      const names = event.status === undefined ? "" : ` ${statusNames(event.status)}`;
      return `status${names}${event.why === undefined ? "" : `: ${event.why}`}`;
    }
    case "parts":
      return `parts refused: ${event.why ?? "no reason given"}`;
    case "needs-reset":
      return `needs reset: ${event.why ?? "no reason given"}`;
    case "interrupt": {
      const of = event.queue === undefined ? "configuration" : `queue ${event.queue}`;
      return `interrupt ${of}${event.vector === undefined ? "" : ` vector ${event.vector}`}`;
    }
    case "notify": {
      const { queue = 0, next } = event;
      const claim = next === undefined ? "" : ` next_off ${next & 0x7fff} next_wrap ${next >>> 15}`;
      return `notify queue ${queue}${claim}`;
    }
    case "stop":
    case "resume":
    case "reset":
      return `${event.op}${event.queue === undefined ? "" : ` queue ${event.queue}`}`;
  }
}

function hex(value: number, digits: number): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}

function shorten(data: string): string {
  if (data.length <= LONGEST_DATA) return data === "" ? "-" : data;
  return `${data.slice(0, LONGEST_DATA)}... (${data.length / 2} bytes)`;
}
