/** The encoded form of a snapshot: two lines of ASCII, a header with a checksum and the JSON. */
import { JSON_DEPTH_LIMIT } from "../device/json-copy.ts";
import { refuseState } from "../device/saved-state.ts";
import { crc32 } from "./crc32.ts";
import { readSnapshot, readVersion } from "./read.ts";
import { type GroupSnapshot, SNAPSHOT_VERSION } from "./types.ts";

/** What the header of an encoded snapshot calls the format. */
export const SNAPSHOT_FORMAT = "virtio-admin-snapshot";
/** The most characters of an encoded snapshot. */
export const SNAPSHOT_LENGTH_LIMIT = 1 << 25;

const HEADER_LIMIT = 128;
/** What lies around the state of a hook is nested less than this. */
const FORM_DEPTH = 8;
const BYTES_AT_ONCE = 0x2000;

/**
 * Writes a snapshot as ASCII text: a header line with format, version and the CRC-32 of what
 * follows, and a line of JSON that schema/snapshot.schema.json describes. Both end with a newline.
 *
 * @throws VirtioError `SNAPSHOT` for an object that is no snapshot, or would be longer than
 * {@link SNAPSHOT_LENGTH_LIMIT}
 */
export function encodeSnapshot(snapshot: GroupSnapshot): string {
  const body = `${escapeText(JSON.stringify(readSnapshot(snapshot)))}\n`;
  const text = headerOf(body) + body;
  checkLength(text.length);
  return text;
}

/**
 * Reads what {@link encodeSnapshot} wrote. The text may come from anywhere; what it costs is
 * bounded by its length, which is checked first.
 *
 * @param source the text, or its bytes
 * @throws VirtioError `SNAPSHOT` with the path: `header` for another format, a checksum that does
 * not match or a text that is cut off, `version` for another version, and the member of a snapshot
 * that is not as it should be
 */
export function decodeSnapshot(source: string | Uint8Array): GroupSnapshot {
  checkLength(source.length);
  const text = typeof source === "string" ? source : textOf(source);
  const end = text.slice(0, HEADER_LIMIT).indexOf("\n") + 1;
  const header = readHeader(text.slice(0, end));
  if (header["format"] !== SNAPSHOT_FORMAT) {
    throw refuseState("header", `the text does not begin with the header of ${SNAPSHOT_FORMAT}`);
  }
  readVersion(header["version"], "version");
  const body = text.slice(end);
  if (text.slice(0, end) !== headerOf(body)) {
    throw refuseState("header", "the checksum is not the one of the text", {
      hint: "the snapshot was damaged or cut off; use another copy",
    });
  }
  checkDepth(body);
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch (cause) {
    throw refuseState("snapshot", "the second line is no JSON", { cause });
  }
  return readSnapshot(json);
}

function headerOf(body: string): string {
  const header = { format: SNAPSHOT_FORMAT, version: SNAPSHOT_VERSION, crc32: crc32(body) };
  return `${JSON.stringify(header)}\n`;
}

function readHeader(line: string): Readonly<Record<string, unknown>> {
  try {
    return { ...JSON.parse(line) };
  } catch {
    return {};
  }
}

function checkLength(length: number): void {
  if (length <= SNAPSHOT_LENGTH_LIMIT) return;
  const message = `a snapshot has at most ${SNAPSHOT_LENGTH_LIMIT} characters`;
  throw refuseState("snapshot", message, { value: length });
}

/** A parser's memory grows with the depth: it is bounded before there is one at work. */
function checkDepth(text: string): void {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (inString) {
      if (char === "\\") i++;
      else if (char === '"') inString = false;
    } else if (char === '"') {
      inString = true;
    } else if (char === "[" || char === "{") {
      if (++depth > FORM_DEPTH + JSON_DEPTH_LIMIT) {
        throw refuseState("snapshot", "the JSON is nested too deep", { value: depth });
      }
    } else if (char === "]" || char === "}") {
      depth--;
    }
  }
}

function escapeText(json: string): string {
  return json.replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function textOf(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += BYTES_AT_ONCE) {
    text += String.fromCharCode(...bytes.subarray(at, at + BYTES_AT_ONCE));
  }
  return text;
}
