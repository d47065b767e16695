/** All cells, in the order in which they are run. */
import { LINUX_6_12_ADMIN_VQ, LINUX_7_ADMIN_VQ, LINUX_7_UNSHARED_RAM } from "./admin-vq.ts";
import { LINUX_BLOCK } from "./block.ts";
import { FIGURES } from "./figures.ts";
import { GUEST_KILLED } from "./guest-killed.ts";
import { HOSTILE_CLIENT } from "./hostile-client.ts";
import { MEMBER_COMMANDS } from "./member-commands.ts";
import { OWNER_HELD, PROVISIONING } from "./provisioning.ts";
import { QTEST_BLOCK } from "./qtest-block.ts";
import { QTEST_ENTROPY } from "./qtest-entropy.ts";
import { SERVER_KILLED } from "./server-killed.ts";
import type { Cell } from "./types.ts";

/** All cells. */
export const CELLS: readonly Cell[] = [
  LINUX_7_ADMIN_VQ,
  LINUX_7_UNSHARED_RAM,
  LINUX_6_12_ADMIN_VQ,
  LINUX_BLOCK,
  GUEST_KILLED,
  SERVER_KILLED,
  PROVISIONING,
  OWNER_HELD,
  MEMBER_COMMANDS,
  HOSTILE_CLIENT,
  ...QTEST_ENTROPY,
  ...QTEST_BLOCK,
  FIGURES,
];
