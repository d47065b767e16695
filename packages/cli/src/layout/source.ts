/** A layout that a word of the command line names: one of the project's, or a file of a user's. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { isVirtioError, type Layout, VirtioError } from "@virtio-admin/core";
import {
  type CheckFinding,
  type CheckReport,
  checkLayoutDesign,
  checkLayoutText,
  LAYOUT_CATALOGUE,
  layoutNamed,
} from "@virtio-admin/spec";

/** A layout, as far as it is one, and where it came from. */
export interface LayoutSource extends CheckReport {
  /** The name of the layout, or the file. */
  readonly from: string;
}

/** A file that is longer is no layout. */
const LONGEST_FILE = 4 << 20;

/**
 * Reads and checks the layout of that name, or in that file.
 *
 * @throws VirtioError `LAYOUT_UNKNOWN_NAME` when it is neither, `LAYOUT_JSON` when the file cannot be read
 */
export function openLayout(word: string): LayoutSource {
  if (LAYOUT_CATALOGUE.has(word)) return { from: word, ...checkLayoutDesign(layoutNamed(word)) };
  if (!/[./\\]/.test(word) && !existsSync(word)) layoutNamed(word);
  return { from: word, ...checkLayoutText(textOf(word)) };
}

function textOf(file: string): string {
  try {
    const stats = statSync(file);
    if (!stats.isFile()) throw unreadable(file, "it is no file");
    if (stats.size > LONGEST_FILE) throw unreadable(file, `it has more than ${LONGEST_FILE} bytes`);
    return readFileSync(file, "utf8");
  } catch (error) {
    if (isVirtioError(error)) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    throw unreadable(
      file,
      code === "ENOENT" ? "there is no such file" : `it cannot be read: ${code}`,
    );
  }
}

/**
 * As {@link openLayout}, for who can do nothing with a layout that is not sound.
 *
 * @throws VirtioError also with the first error of the file
 */
export function demandLayout(word: string): Layout {
  const { layout, findings } = openLayout(word);
  if (layout !== undefined) return layout;
  const [first] = findings;
  throw new VirtioError("LAYOUT_JSON", {
    message: first === undefined ? "it is no layout" : `${first.message} (${first.rule})`,
    path: first === undefined ? word : placeOf(word, first),
    hint: `\`virtio-admin layout check ${word}\` says all that is wrong`,
  });
}

/** `file.yaml:12 layout.registers[3].offset`. */
export function placeOf(from: string, { path, line }: CheckFinding): string {
  return line === undefined ? `${from} ${path}` : `${from}:${line} ${path}`;
}

function unreadable(file: string, message: string): VirtioError {
  return new VirtioError("LAYOUT_JSON", {
    message,
    path: file,
    hint: "give the name of a layout (`virtio-admin layout show` lists them), or a file with one",
  });
}
