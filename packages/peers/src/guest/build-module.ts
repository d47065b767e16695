/** Our kernel modules, built against the headers of the newest Linux. */
import { cpSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isVirtioError } from "@virtio-admin/core";
import { NEEDS_ROOT, runInTree } from "../debian/chroot.ts";
import type { Toolchain } from "../environment.ts";
import type { GuestModule } from "./initramfs.ts";

const SOURCE = fileURLToPath(new URL("../../guest-module", import.meta.url));
/** Which module: the one that sends commands for members, or the one that resets queues. */
export type ModuleName = "member_commands" | "queue_reset";

/** Where they are built, in the toolchain's own root. */
const PLACE = "tmp/guest-module";

/**
 * Builds a module.
 *
 * @throws Error when it does not build; VirtioError as {@link runInTree} where nothing can be built
 */
export async function buildModule(
  { folder, release }: Toolchain,
  name: ModuleName,
): Promise<GuestModule> {
  const place = join(folder, PLACE);
  rmSync(place, { recursive: true, force: true });
  cpSync(SOURCE, place, { recursive: true });
  try {
    const headers = `/usr/src/linux-headers-${release}`;
    const args = ["make", "-C", headers, `M=/${PLACE}`, "modules"];
    await runInTree(folder, args).catch((cause: unknown) => {
      if (isVirtioError(cause) && cause.path === NEEDS_ROOT) throw cause;
      throw new Error(`the modules do not build: ${cause}`, { cause });
    });
    return { name: `${name}.ko`, bytes: readFileSync(join(place, `${name}.ko`)) };
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}
