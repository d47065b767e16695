/** The demonstration on one transport: from reset to 64 administration commands outstanding. */
import {
  AdminClient,
  AdminCommandError,
  bringUp,
  type DriverDevice,
  LIST_QUERY,
  LIST_USE,
  PLATFORM_GROUP,
  PlatformGroup,
  SELF_GROUP,
  type TraceSink,
  type TransportPlugin,
} from "@virtio-admin/core";
import { connectOwner, type DependencyContainer, resolveOwner } from "@virtio-admin/core/di";
import { createOwnerContainer } from "../application.ts";
import { Checks } from "./checks.ts";
import { HOLD, HoldFamily } from "./hold-family.ts";

const ADMIN_QUEUES = 2;
const MEMBERS = 64;
/** A group type that nobody has, and an opcode that no family has. */
const UNKNOWN_GROUP = 0x7777;
const UNKNOWN_OPCODE = 0x7ffe;
const UNKNOWN_MEMBER = MEMBERS + 1;
/** How often the event loop turns before commands that do not arrive are given up. */
const TURNS = 1000;

/** Tells the story of one transport; every step is a check. */
export async function tellStory(
  application: DependencyContainer,
  plugin: TransportPlugin,
  trace: TraceSink | undefined,
): Promise<Checks> {
  const checks = new Checks();
  const hold = new HoldFamily();
  const members = new PlatformGroup(Array.from({ length: MEMBERS }, (_, i) => i + 1));
  const owner = createOwnerContainer(application, {
    adminQueues: ADMIN_QUEUES,
    groups: [members],
    families: [hold],
    trace,
  });
  const { device } = resolveOwner(owner);
  const pair = connectOwner(owner, plugin.description.name);
  let driver: DriverDevice | undefined;
  await checks.attempt("bring-up with VIRTIO_F_ADMIN_VQ", async () => {
    driver = await bringUp(pair.driver, { queues: [{ index: 0 }], adminQueues: ADMIN_QUEUES });
    return [true, `features ${driver.features}, status 0x${device.status.toString(16)}`];
  });
  if (driver !== undefined) {
    placeOf(driver, plugin, device.queueCount, checks);
    const client = new AdminClient(driver.adminQueues, pair.driver.dma);
    await lists(client, checks);
    await refusals(client, checks);
    await outstanding(client, hold, driver, checks);
    await driver.close();
    client.close();
  }
  pair.close();
  await owner.dispose();
  return checks;
}

function placeOf(driver: DriverDevice, plugin: TransportPlugin, queues: number, checks: Checks) {
  const place = driver.admin;
  const status = plugin.description.adminQueueStatus;
  checks.add(
    "admin_queue_index",
    place?.index === queues && place.count === ADMIN_QUEUES,
    place === undefined
      ? "not read"
      : `${place.index}, ${place.count} queues; read from ${place.source} (${status})`,
  );
}

async function lists(client: AdminClient, checks: Checks): Promise<void> {
  for (const group of [SELF_GROUP, PLATFORM_GROUP]) {
    const name = group.private ? `${group.name} group (private)` : `${group.name} group`;
    await checks.attempt(`LIST_QUERY, ${name}`, async () => {
      const opcodes = await client.listQuery(group.id);
      const wanted = [LIST_QUERY.opcode, LIST_USE.opcode];
      if (group === PLATFORM_GROUP) wanted.push(HOLD.opcode);
      return [opcodes.join() === wanted.join(), opcodes.map(opcodeText).join(", ")];
    });
    await checks.attempt(`LIST_USE, ${name}`, async () => {
      await client.listUse(group.id, client.reportedOpcodes(group.id) ?? []);
      return [true, "OK"];
    });
  }
}

async function refusals(client: AdminClient, checks: Checks): Promise<void> {
  const refused = [
    {
      what: `group type 0x${UNKNOWN_GROUP.toString(16)}`,
      request: { opcode: LIST_QUERY.opcode, group: UNKNOWN_GROUP },
      wanted: "EINVAL, INVALID_GROUP",
    },
    {
      what: `opcode ${opcodeText(UNKNOWN_OPCODE)}`,
      request: { opcode: UNKNOWN_OPCODE, group: SELF_GROUP.id },
      wanted: "EINVAL, INVALID_OPCODE",
    },
    {
      what: `member ${UNKNOWN_MEMBER} of ${MEMBERS}`,
      request: { opcode: HOLD.opcode, group: PLATFORM_GROUP.id, member: UNKNOWN_MEMBER },
      wanted: "EINVAL, INVALID_MEMBER",
    },
  ];
  for (const { what, request, wanted } of refused) {
    await checks.attempt(`refused: ${what}`, async () => {
      try {
        await client.execute(request, { unchecked: true });
        return [false, "OK"];
      } catch (error) {
        if (!(error instanceof AdminCommandError)) throw error;
        const found = `${error.statusName}, ${error.qualifierName}`;
        return [found === wanted, `${found} (${error.status}, ${error.qualifier})`];
      }
    });
  }
}

async function outstanding(
  client: AdminClient,
  hold: HoldFamily,
  driver: DriverDevice,
  checks: Checks,
): Promise<void> {
  await checks.attempt(`${MEMBERS} commands outstanding`, async () => {
    const answers = Array.from({ length: MEMBERS }, (_, i) =>
      client.executeCommand(HOLD, { group: PLATFORM_GROUP.id, member: i + 1 }),
    );
    // In order per queue: each queue's first command is being carried out, the others wait for it.
    for (let turn = 0; turn < TURNS && hold.held < ADMIN_QUEUES; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    const withDevice = driver.adminQueues.map(({ queue }) => queue.outstanding);
    const total = withDevice.reduce((sum, count) => sum + count, 0);
    hold.release();
    const replies = await Promise.all(answers);
    const right = replies.filter(
      ({ result }, i) => new DataView(result.buffer).getUint8(0) === i + 1,
    ).length;
    return [
      total === MEMBERS && withDevice.every((count) => count > 0) && right === MEMBERS,
      `${withDevice.join(" + ")} on ${ADMIN_QUEUES} administration virtqueues, ${right} answered`,
    ];
  });
}

function opcodeText(opcode: number): string {
  return `0x${opcode.toString(16).padStart(4, "0")}`;
}
