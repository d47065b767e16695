/** Reads expectations: where a correct device answers otherwise than a recording says. */
import { VirtioError } from "@virtio-admin/core";
import { FieldReader, parseJson } from "./fields.ts";
import { TRACE_LIMITS } from "./parse.ts";
import { type Expectation, REPLAY_MODES, type ReplayMode } from "./types.ts";

const REASON_LENGTH = 2000;
const MODE_LENGTH = 16;
const TEXT_LENGTH = 2 ** 24;

/**
 * Reads the expectations of a trace: a JSON array of `{line, mode?, expected, reason}`, where
 * `expected` is the whole answer in hex.
 *
 * @param text the contents of the file
 * @param file its name, for errors
 * @throws VirtioError `TRACE_FORMAT` naming file and field, when the text is not that, or two of
 * them are about one line in one mode.
 */
export function parseExpectations(text: string, file: string): Expectation[] {
  if (text.length > TEXT_LENGTH) {
    throw new VirtioError("TRACE_FORMAT", {
      message: `more than ${TEXT_LENGTH} characters`,
      path: file,
    });
  }
  const seen = new Set<string>();
  const items = new FieldReader(file, { expectations: parseJson(text, file) });
  return items.objects("expectations", TRACE_LIMITS.lines).map((item) => {
    const line = item.integer("line", 1, TRACE_LIMITS.lines);
    const mode = readMode(item);
    for (const one of mode === undefined ? REPLAY_MODES : [mode]) {
      const key = `${line} ${one}`;
      if (seen.has(key)) item.refuse("line", `two expectations in mode ${one} for one line`);
      seen.add(key);
    }
    return {
      line,
      ...(mode === undefined ? {} : { mode }),
      expected: item.bytes("expected"),
      reason: item.text("reason", REASON_LENGTH),
    };
  });
}

function readMode(item: FieldReader): ReplayMode | undefined {
  if (!item.has("mode")) return undefined;
  const name = item.text("mode", MODE_LENGTH);
  return (
    REPLAY_MODES.find((mode) => mode === name) ??
    item.refuse("mode", `one of ${REPLAY_MODES.join(", ")}`)
  );
}
