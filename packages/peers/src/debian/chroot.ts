/** Programs of an unpacked tree, run with that tree as their root: for those that call others. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { getuid } from "node:process";
import { VirtioError } from "@virtio-admin/core";
import { runProgram } from "../program.ts";

/** The path of the error when who runs this is not root. */
export const NEEDS_ROOT = "chroot";

const NULL_DEVICE = ["c", "1", "3"];
/** What a package's installation would have linked: where, and to what. */
const LINKS = { "tmp/bin/awk": "/usr/bin/mawk" };
/**
 * There is no /proc, which not every container lets us mount. Of what is in it, the kernel's objtool
 * looks for its stack, to tell an overflow from another crash.
 */
const MAPS = "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n";

/**
 * Runs a program with a folder as its root.
 *
 * @throws VirtioError `HOST_UNSUPPORTED` when it fails, or who runs this is not root
 */
export async function runInTree(folder: string, args: readonly string[]): Promise<void> {
  if (getuid?.() !== 0) {
    throw new VirtioError("HOST_UNSUPPORTED", {
      path: NEEDS_ROOT,
      message: "only root can run a program with another root",
      hint: "run the cell as root, or leave it out",
    });
  }
  for (const name of ["dev", "tmp/bin", "proc/self"]) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  writeFileSync(join(folder, "proc/self/maps"), MAPS);
  const device = join(folder, "dev/null");
  if (!existsSync(device)) spawnSync("mknod", ["-m", "666", device, ...NULL_DEVICE]);
  for (const [name, target] of Object.entries(LINKS)) {
    const link = join(folder, name);
    rmSync(link, { force: true });
    symlinkSync(target, link);
  }
  const env = ["-i", "PATH=/tmp/bin:/usr/bin:/usr/sbin", "LC_ALL=C", "HOME=/tmp"];
  await runProgram("env", [...env, "chroot", folder, ...args]);
}
