/** Runs a check on a plug-in that is broken, and tells which cases found out. */
import type { PluginReport } from "@virtio-admin/testkit";

/** The ids of the cases that failed. */
export async function foundBy(check: Promise<PluginReport>): Promise<readonly string[]> {
  return (await check).failures.map(({ id }) => id);
}
