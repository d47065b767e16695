/** The driver half of proposal-v5, and what becomes of two halves that speak different dialects. */
import { describe, expect, it } from "vitest";
import {
  AdminChannel,
  AdminClient,
  type AdminClientOptions,
  AdminCommandError,
  type AdminQueueSource,
  CAPS_ACCEPT,
  DIALECTS,
  MANAGEMENT_FAMILY,
  ManagementClient,
  MGMT_ATTRS_GET,
  MSIX_COUNT_GET,
  MSIX_COUNT_SET,
  openAdminClient,
} from "../../src/admin/index.ts";
import { FeatureSet } from "../../src/device/index.ts";
import { SelfGroup, SR_IOV_GROUP } from "../../src/group/index.ts";
import { OwnedGroup, ProposalRig } from "./proposal-v5-rig.ts";
import { AdminRig, type AdminRigOptions, hex, OP, settle, TestFamily, TestTimer } from "./rig.ts";

const GROUP = SR_IOV_GROUP.id;
const SELF = 0;

function connect(rig: AdminRig, options: AdminClientOptions = { dialect: "proposal-v5" }) {
  return new AdminClient(rig.ports, rig.arena, options);
}

/** A rig whose readable bytes can be looked at. */
function traced(options: AdminRigOptions = {}) {
  const rig = new ProposalRig({ traced: true, ...options });
  const sent = () => rig.events.flatMap((event) => (event.op === "buffer" ? [event.readable] : []));
  return { rig, sent };
}

describe("a client of proposal-v5", () => {
  it("[proposal-v5-driver-3] asks with CAPS_IDENTIFY, and accepts with CAPS_ACCEPT", async () => {
    const { rig, sent } = traced();
    const client = connect(rig);
    expect(client.dialect).toBe("proposal-v5");
    expect(await client.useReported(GROUP)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(sent()).toEqual([
      "00000000000000000000000000000000",
      "010000000000000000000000000000007f00000000000000",
    ]);
    expect(rig.executor.used(SELF)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  it("[proposal-v5-driver-3] sends no CAPS_ACCEPT of what was not reported", async () => {
    const { rig, sent } = traced();
    const client = connect(rig);
    await expect(client.listUse(SELF, [2])).rejects.toMatchObject({
      code: "ADMIN_LIST",
      path: "CAPS_ACCEPT (group 0x0)",
      hint: "call listQuery first",
    });
    await client.listQuery(SELF);
    await expect(client.listUse(SELF, [2, 7])).rejects.toMatchObject({
      code: "ADMIN_LIST",
      value: 7,
    });
    await expect(client.listUse(GROUP, [0x100])).rejects.toMatchObject({ code: "ADMIN_LIST" });
    expect(sent().length).toBe(1);
    await client.listUse(SELF, [2]);
    expect(sent().length).toBe(2);
  });

  it("keeps one list for every destination, the two commands for lists always in it", async () => {
    const client = connect(new ProposalRig());
    await client.listQuery(GROUP);
    expect(client.reportedOpcodes(SELF)).toEqual(client.reportedOpcodes(GROUP));
    await client.listUse(SELF, [3]);
    expect(client.usedOpcodes(GROUP)).toEqual([0, 1, 3]);
    await client.listQuery(SELF);
    await client.listUse(GROUP, []);
    expect(client.usedOpcodes(SELF)).toEqual([0, 1]);
    await client.listUse(SELF, [2, 3]);
    expect(client.usedOpcodes(GROUP)).toEqual([0, 1, 2, 3]);
  });

  it("sends no command that was not accepted", async () => {
    const { rig, sent } = traced();
    const client = connect(rig);
    const request = { group: GROUP, member: 1 };
    await expect(client.executeCommand(MSIX_COUNT_GET, request)).rejects.toMatchObject({
      code: "ADMIN_LIST",
      message: expect.stringContaining("CAPS_ACCEPT"),
    });
    expect(sent()).toEqual([]);
    await expect(
      client.executeCommand(MSIX_COUNT_GET, request, { unchecked: true }),
    ).rejects.toMatchObject({ qualifierName: "INVALID_OPCODE" });
  });

  it("numbers declared commands as the dialect does", async () => {
    const { rig, sent } = traced();
    const client = connect(rig);
    await client.useReported(GROUP);
    const { result } = await client.executeCommand(MSIX_COUNT_GET, { group: GROUP, member: 2 });
    expect(hex(result)).toBe("0400040000000000");
    expect(sent().at(-1)).toBe("03000100000000000200000000000000");
    expect(MANAGEMENT_FAMILY.commands.map((command) => client.opcodeOf(command))).toEqual([
      2, 3, 4, 5, 6,
    ]);
    expect(client.opcodeOf({ ...MGMT_ATTRS_GET, opcode: 0x77 })).toBe(0x77);
  });

  it("refuses a command of virtio-1.4 whose number means another one", async () => {
    const { rig, sent } = traced();
    const client = connect(rig);
    const foreign = { ...MSIX_COUNT_SET, opcode: 0x0002, name: "LEGACY_COMMON_CFG_WRITE" };
    await expect(
      client.executeCommand(foreign, { group: GROUP, member: 1 }, { unchecked: true }),
    ).rejects.toMatchObject({ code: "ADMIN_COMMAND", path: "LEGACY_COMMON_CFG_WRITE" });
    expect(() => client.opcodeOf(foreign)).toThrow(
      expect.objectContaining({ code: "ADMIN_COMMAND", value: 2 }),
    );
    expect(sent()).toEqual([]);
  });

  it("[proposal-v5-device-4] manages members, and reads the owner under id 0", async () => {
    const rig = new ProposalRig();
    const management = new ManagementClient(connect(rig));
    expect(await management.use(GROUP)).toEqual([2, 3, 4, 5, 6]);
    const attrs = await management.attrs(GROUP);
    expect(attrs.msix).toEqual({ total: 20, free: 8, min: 2, max: 8 });
    expect(await management.msixCount(GROUP, 0)).toEqual({ vectors: 7, defaultVectors: 7 });
    expect((await management.features(GROUP, 0)).settable.isEmpty).toBe(true);
    await management.setMsixCount(GROUP, 1, 6);
    expect(await management.msixCount(GROUP, 1)).toEqual({ vectors: 6, defaultVectors: 4 });
    await management.setFeatures(GROUP, 2, FeatureSet.of(1), FeatureSet.EMPTY);
    expect((await management.features(GROUP, 2)).offered.has(1)).toBe(false);
    await expect(management.setMsixCount(GROUP, 0, 4)).rejects.toBeInstanceOf(AdminCommandError);
  });

  it("fails as the device says, in the words of the dialect and of virtio-1.4", async () => {
    const rig = new ProposalRig();
    const client = connect(rig);
    const management = new ManagementClient(client);
    await management.use(GROUP);
    rig.group.first(3).msixEnabled = true;
    await expect(management.setMsixCount(GROUP, 3, 4)).rejects.toMatchObject({
      code: "ADMIN_STATUS",
      path: "MSIX_COUNT_SET (group 0x1)",
      statusName: "EBUSY",
      qualifierName: "INVALID_COMMAND",
      message: expect.stringContaining(
        "status 1, COMMAND_SPECIFIC_ERROR 16, of proposal-v5 (reconstruction)",
      ),
    });
    await expect(management.msixCount(GROUP, 9)).rejects.toMatchObject({
      statusName: "EINVAL",
      message: expect.stringContaining("status 3, INVALID_FIELD, of proposal-v5 (reconstruction)"),
    });
    await expect(
      client.execute({ opcode: 99, group: GROUP }, { unchecked: true }),
    ).rejects.toMatchObject({
      qualifierName: "INVALID_OPCODE",
      message: expect.stringContaining("status 2, UNSUPPORTED_COMMAND"),
    });
    await management.setMsixCount(GROUP, 1, 8);
    await management.setMsixCount(GROUP, 2, 8);
    rig.group.first(3).msixEnabled = false;
    await expect(management.setMsixCount(GROUP, 3, 5)).rejects.toMatchObject({
      statusName: "ENOSPC",
      qualifierName: "NORESOURCE",
      retryable: true,
    });
  });

  it("repeats what the device asks to be tried again", async () => {
    const own = new TestFamily();
    const timer = new TestTimer();
    const rig = new ProposalRig({ families: [own] });
    const client = connect(rig, { dialect: "proposal-v5", timer });
    await client.useReported(SELF);
    own.again = 2;
    const done = client.execute({ opcode: OP.AGAIN, group: SELF });
    for (let i = 0; i < 3; i++) await timer.advance(100);
    await expect(done).resolves.toMatchObject({ usedLength: 8 });
  });

  it("sends CAPS_ACCEPT alone", async () => {
    const own = new TestFamily();
    const { rig, sent } = traced({ families: [own] });
    const client = connect(rig);
    const reported = await client.useReported(SELF);
    const waits = client.execute({ opcode: OP.WAIT, group: SELF, data: Uint8Array.of(1) });
    await settle();
    const before = sent().length;
    const use = client.listUse(SELF, reported);
    await settle();
    expect(sent().length).toBe(before);
    own.waiting[0]?.answer(0);
    await Promise.all([waits, use]);
    expect(rig.executor.used(SELF)).toEqual(reported);
  });

  it("believes no list without the commands for lists", async () => {
    const rig = new ProposalRig();
    const client = connect(rig);
    const port = rig.port;
    const { reap } = port.queue;
    // What the device wrote is changed before the client sees it.
    port.queue.reap = () => {
      const id = reap.call(port.queue);
      if (id >= 0) wipeResult(rig);
      return id;
    };
    await expect(client.listQuery(SELF)).rejects.toMatchObject({
      code: "ADMIN_RESPONSE",
      path: "CAPS_IDENTIFY (group 0x0)",
      message: expect.stringContaining("the list lacks CAPS_IDENTIFY or CAPS_ACCEPT"),
    });
  });

  it("refuses a dialect that there is not", () => {
    const rig = new ProposalRig();
    const dialect = "proposal-v6" as "proposal-v5";
    const refusal = expect.objectContaining({ code: "VALUE_RANGE", path: "dialect" });
    expect(() => connect(rig, { dialect })).toThrow(refusal);
    expect(() => new AdminChannel(rig.port, rig.arena, { dialect })).toThrow(refusal);
  });

  it("has no promise in a channel either", () => {
    const rig = new ProposalRig();
    const channel = new AdminChannel(rig.port, rig.arena, { dialect: "proposal-v5" });
    const slot = channel.acquire();
    const { opcode } = CAPS_ACCEPT;
    channel.view(slot).setUint32(channel.dataAt(slot), 0x0c, true);
    channel.submit(slot, opcode, SELF, 0, 4, 0);
    channel.publish();
    expect(channel.reap()).toBe(slot);
    expect([channel.outcome(slot), channel.usedLength(slot)]).toEqual([0, 8]);
    expect(rig.executor.used(SELF)).toEqual([0, 1, 2, 3]);
  });
});

/** Zeroes every result that a CAPS_IDENTIFY of the rig wrote. */
function wipeResult(rig: AdminRig): void {
  const bytes = new Uint8Array(0x10_0000);
  rig.memory.read(0x10_0000, bytes);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + 8 <= bytes.length; at += 8) {
    if (view.getUint32(at, true) !== 0x7f || view.getUint32(at + 4, true) !== 0) continue;
    rig.memory.write(0x10_0000 + at, new Uint8Array(8));
  }
}

describe("the dialect of openAdminClient", () => {
  const source = (rig: AdminRig, admin?: AdminQueueSource["admin"]): AdminQueueSource => ({
    adminQueues: rig.ports,
    dma: rig.arena,
    onFailure: () => () => undefined,
    ...(admin === undefined ? {} : { admin }),
  });

  it("[proposal-v5-driver-2] is what the transport found or was told", () => {
    const rig = new ProposalRig();
    expect(openAdminClient(source(rig, { dialect: "proposal-v5" })).dialect).toBe("proposal-v5");
    expect(openAdminClient(source(new AdminRig(), {})).dialect).toBe("virtio-1.4");
    expect(openAdminClient(source(new AdminRig())).dialect).toBe("virtio-1.4");
  });

  it("is that of the options before that", () => {
    const open = (admin: AdminQueueSource["admin"], dialect: "virtio-1.4" | "proposal-v5") =>
      openAdminClient(source(new ProposalRig(), admin), { dialect }).dialect;
    expect(open({ dialect: "proposal-v5" }, "virtio-1.4")).toBe("virtio-1.4");
    expect(open(undefined, "proposal-v5")).toBe("proposal-v5");
  });
});

describe("halves that speak different dialects", () => {
  it("[proposal-v5-device-1] a driver of virtio-1.4 fails at LIST_USE, and changes nothing", async () => {
    const rig = new ProposalRig();
    const client = connect(rig, {});
    // LIST_QUERY of the Self group and CAPS_IDENTIFY are the same bytes.
    expect(await client.listQuery(SELF)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    const before = rig.state();
    await expect(client.listUse(SELF, [0, 1, 2])).rejects.toMatchObject({
      code: "ADMIN_STATUS",
      status: 3,
      statusName: "EINVAL",
      message: expect.stringContaining("reserved status 3"),
    });
    await expect(client.listQuery(GROUP)).rejects.toMatchObject({
      code: "ADMIN_STATUS",
      status: 3,
    });
    expect(rig.state()).toEqual(before);
  });

  it("[proposal-v5-device-1] a driver of proposal-v5 is told by a reserved status", async () => {
    const rig = new AdminRig({
      groups: [new SelfGroup(), new OwnedGroup()],
      families: [MANAGEMENT_FAMILY],
    });
    const management = new ManagementClient(connect(rig));
    // CAPS_ACCEPT is a LIST_USE without a list there: nothing is legal any more.
    expect(await management.use(GROUP)).toEqual([]);
    const client = connect(rig);
    await client.listQuery(SELF);
    await client.listUse(SELF, [0, 1]);
    await expect(client.listQuery(SELF)).rejects.toMatchObject({
      code: "ADMIN_STATUS",
      statusName: "EINVAL",
      message: expect.stringContaining(
        "reserved status 22 of proposal-v5 (reconstruction) (does the device speak virtio-1.4?)",
      ),
    });
  });

  it("are told apart by what reports and tables derive from", () => {
    expect(Object.keys(DIALECTS)).toEqual(["virtio-1.4", "proposal-v5"]);
    for (const [name, dialect] of Object.entries(DIALECTS)) {
      expect(dialect.name).toBe(name);
      expect(dialect.label.includes("reconstruction")).toBe(dialect.reconstruction);
    }
  });
});
