/** `virtio-admin spec patch`: the extension of MMIO and channel I/O as patches for the sources. */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isVirtioError, VirtioError } from "@virtio-admin/core";
import { DEFAULT_AUTHOR, readSpec, specPatches } from "@virtio-admin/spec";
import type { Output } from "../output.ts";
import { failing } from "./failing.ts";

/** The options of `spec patch`. */
export interface SpecPatchOptions {
  /** The folder of the sources. */
  readonly spec: string;
  /** Where the patches go. */
  readonly out: string;
  /** Who they are from. */
  readonly from: string;
  /** Whether they are signed off. */
  readonly signOff?: true;
}

const PATCH_NAME = /\.patch$/;

/** 0 when the patches are written, 1 when a place in the sources is missing, 3 without sources. */
export function patchFolder(
  { spec, out, from, signOff }: SpecPatchOptions,
  output: Output,
): number {
  return failing(output, () => {
    const { patches } = specPatches(readSpec(spec), { from, signOff: signOff === true });
    const names = new Set(patches.map(({ name }) => name));
    try {
      mkdirSync(out, { recursive: true });
      const other = readdirSync(out).find((name) => PATCH_NAME.test(name) && !names.has(name));
      if (other !== undefined) throw outputError(join(out, other), "another patch is there");
      for (const { name, text } of patches) writeFileSync(join(out, name), text);
    } catch (error) {
      throw isVirtioError(error) ? error : outputError(out, "it cannot be written", error);
    }
    for (const { name } of patches) output.line(join(out, name));
    output.line();
    // Without the option git takes the carriage returns of lines away, and finds none of them then.
    const keep = patches.some(({ text }) => text.includes("\r\n")) ? "--keep-cr " : "";
    output.line(`in a checkout of the specification: git am ${keep}${join(out, "*.patch")}`);
    if (from === DEFAULT_AUTHOR) output.line(`they are from ${from}; --from says who you are`);
    output.document({
      patches: patches.map(({ name, subject }) => ({ file: join(out, name), subject })),
    });
    return 0;
  });
}

function outputError(path: string, what: string, cause?: unknown): VirtioError {
  return new VirtioError("SPEC_OUTPUT", {
    path,
    message: `the patches have nowhere to go: ${what}`,
    hint: "give a folder that is new or empty",
    ...(cause === undefined ? {} : { cause }),
  });
}
