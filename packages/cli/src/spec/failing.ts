/** What goes wrong with sources or patches, told, as an exit code. */
import { type ErrorCode, isVirtioError } from "@virtio-admin/core";
import type { Output } from "../output.ts";

/** A place that is missing in the sources is a mismatch; sources that are missing, the environment. */
const EXIT_OF: Partial<Record<ErrorCode, number>> = {
  SPEC_ANCHOR: 1,
  SPEC_OUTPUT: 2,
  SPEC_TREE: 3,
};

/** The exit code of `run`; an error about sources or patches is told and has its own. */
export function failing(output: Output, run: () => number): number {
  try {
    return run();
  } catch (error) {
    const exit = isVirtioError(error) ? EXIT_OF[error.code] : undefined;
    if (!isVirtioError(error) || exit === undefined) throw error;
    output.error(error.message);
    const { code, message, path } = error;
    output.document({ error: { code, message, path } });
    return exit;
  }
}
