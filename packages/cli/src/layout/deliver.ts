/** Where the text of a rendering goes: standard output, a file, or a file of its own in a folder. */
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { VirtioError } from "@virtio-admin/core";
import type { Streams } from "../output.ts";

/** A text and the file that it is in a folder. */
export interface Rendering {
  /** The name of the file. */
  readonly file: string;
  /** What is in it. */
  readonly text: string;
}

/**
 * Writes renderings; without `out` to standard output, one after the other. A path that is a folder, or
 * ends in `/`, gets a file for each; several cannot be in one file.
 *
 * @throws VirtioError `HOST_UNSUPPORTED` when they cannot be written there
 */
export function deliver(
  renderings: readonly Rendering[],
  out: string | undefined,
  streams: Streams,
): void {
  if (out === undefined || out === "-") {
    streams.out(renderings.map(({ text }) => text).join("\n"));
    return;
  }
  const isFolder = out.endsWith("/") || isDirectory(out);
  if (!isFolder && renderings.length > 1) {
    throw unwritable(out, `${renderings.length} files are to be written; name a folder`);
  }
  try {
    mkdirSync(isFolder ? out : dirname(out), { recursive: true });
    for (const { file, text } of renderings) {
      const path = isFolder ? join(out, file) : out;
      writeFileSync(path, text);
      streams.err(`wrote ${path}\n`);
    }
  } catch (error) {
    throw unwritable(out, error instanceof Error ? error.message : String(error));
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function unwritable(path: string, message: string): VirtioError {
  return new VirtioError("HOST_UNSUPPORTED", { message, path, hint: "name another with --out" });
}
