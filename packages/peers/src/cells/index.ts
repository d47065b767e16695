/** All cells, in the order in which they are run. */

import { LINUX_BIND } from "./bind.ts";
import { LINUX_BLOCK } from "./block.ts";
import { LINUX_ENTROPY } from "./entropy.ts";
import { FIGURES } from "./figures.ts";
import { GUEST_KILLED } from "./guest-killed.ts";
import { HOSTILE_CLIENT } from "./hostile-client.ts";
import { LINUX_CCW } from "./linux-ccw.ts";
import { MEMBER_COMMANDS } from "./member-commands.ts";
import { OWNER_HELD, PROVISIONING } from "./provisioning.ts";
import { QEMU_BLOCK } from "./qemu-block.ts";
import { QEMU_ENTROPY } from "./qemu-entropy.ts";
import { RUNNER_KILLED } from "./runner-killed.ts";
import { SERVER_KILLED } from "./server-killed.ts";
import type { Cell } from "./types.ts";

/** All cells. */
export const CELLS: readonly Cell[] = [
  ...LINUX_ENTROPY,
  ...LINUX_BLOCK,
  ...LINUX_BIND,
  ...LINUX_CCW,
  GUEST_KILLED,
  SERVER_KILLED,
  RUNNER_KILLED,
  PROVISIONING,
  OWNER_HELD,
  MEMBER_COMMANDS,
  HOSTILE_CLIENT,
  ...QEMU_ENTROPY,
  ...QEMU_BLOCK,
  FIGURES,
];
