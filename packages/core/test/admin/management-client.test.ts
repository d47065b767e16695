import { describe, expect, it } from "vitest";
import {
  AdminClient,
  type CommandFamily,
  encodeOpcodeList,
  MANAGEMENT_FAMILY,
  ManagementClient,
  OUTCOME,
} from "../../src/admin/index.ts";
import { FeatureSet } from "../../src/device/index.ts";
import { PlatformGroup, SelfGroup } from "../../src/group/index.ts";
import type { BufferEvent } from "../../src/trace/index.ts";
import {
  ManagementRig,
  MEMBER_FEATURES,
  OP_MGMT,
  PLATFORM,
  SETTABLE,
  SRIOV,
  take,
} from "./management-rig.ts";
import { AdminRig, type AdminRigOptions, settle, unhex } from "./rig.ts";

const set = (...bits: number[]) => FeatureSet.of(...bits);
const ALL = Object.values(OP_MGMT);

async function ready(options: AdminRigOptions = {}) {
  const rig = new ManagementRig(options);
  const client = new AdminClient(rig.ports, rig.arena);
  const management = new ManagementClient(client);
  await management.use(PLATFORM);
  await management.use(SRIOV);
  return { rig, client, management };
}

/** The buffers that went through the queue: their parts, and the bytes that the driver wrote. */
const buffersOf = (rig: AdminRig) =>
  rig.events.filter((event): event is BufferEvent => event.op === "buffer");

describe("lists", () => {
  it("adds the management commands to what is in use", async () => {
    const rig = new ManagementRig();
    const client = new AdminClient(rig.ports, rig.arena);
    const management = new ManagementClient(client);
    await expect(management.attrs(PLATFORM)).rejects.toMatchObject({ code: "ADMIN_LIST" });
    expect(await management.use(PLATFORM)).toEqual(ALL);
    expect(client.usedOpcodes(PLATFORM)).toEqual([0, 1, ...ALL]);
    expect(rig.executor.used(PLATFORM)).toEqual([0, 1, ...ALL]);
  });

  it("sends no LIST_USE for what is in use, nor for what the device lacks", async () => {
    const groups = [new SelfGroup(), new PlatformGroup([3])];
    const rig = new AdminRig({ groups, families: [], traced: true });
    const management = new ManagementClient(new AdminClient(rig.ports, rig.arena));
    expect(await management.use(PLATFORM)).toEqual([]);
    expect(buffersOf(rig)).toHaveLength(1);
    const managed = await ready({ traced: true });
    managed.rig.events.length = 0;
    expect(await managed.management.use(PLATFORM)).toEqual(ALL);
    expect(buffersOf(managed.rig)).toHaveLength(1);
  });

  it("[management-driver-1] asks with room for 64 bytes of opcodes, and again when all are filled", async () => {
    const none = { min: 0, max: 0 };
    const far: CommandFamily = {
      name: "far",
      doc: "A command at the very end of 64 bytes of list.",
      private: true,
      commands: [
        {
          opcode: 511,
          name: "FAR",
          groups: "any",
          usesMember: false,
          data: none,
          result: none,
          clauses: [],
          doc: "Does nothing.",
          cite: "this project",
        },
      ],
      bind: () => ({ handlers: { 511: () => OUTCOME.OK } }),
    };
    const rooms = async (families: readonly CommandFamily[]) => {
      const rig = new ManagementRig({ families, traced: true });
      rig.events.length = 0;
      const opcodes = await new AdminClient(rig.ports, rig.arena).listQuery(PLATFORM);
      const writable = buffersOf(rig).map(({ descriptors }) =>
        descriptors.reduce((sum, part) => sum + (part.writable ? part.length : 0), -8),
      );
      return { opcodes, writable };
    };
    expect(await rooms([MANAGEMENT_FAMILY])).toEqual({ opcodes: [0, 1, ...ALL], writable: [64] });
    const { opcodes, writable } = await rooms([MANAGEMENT_FAMILY, far]);
    expect(opcodes).toEqual([0, 1, ...ALL, 511]);
    expect(writable[0]).toBe(64);
    expect(writable).toHaveLength(2);
    expect(writable[1]).toBeGreaterThan(64);
  });

  it("[platform-group-driver-1] sends the platform group nothing unless it is asked to", async () => {
    const { rig, management, client } = await ready({ traced: true });
    rig.events.length = 0;
    await client.listQuery(0);
    await management.attrs(SRIOV);
    await management.setMsixCount(SRIOV, 1, 5);
    await settle();
    const groups = () =>
      buffersOf(rig).map(({ readable }) => new DataView(unhex(readable).buffer).getUint16(2, true));
    expect(groups()).toEqual([0, SRIOV, SRIOV]);
    await management.attrs(PLATFORM);
    expect(groups()).toContain(PLATFORM);
  });
});

describe("typed calls", () => {
  it("[management-driver-2] reads the attributes with member id 0", async () => {
    const { rig, management } = await ready({ traced: true });
    rig.events.length = 0;
    const attrs = await management.attrs(PLATFORM);
    expect(attrs.msix).toEqual({ total: 20, free: 8, min: 2, max: 8 });
    expect(attrs.features).toBe(true);
    expect(attrs.settable.equals(SETTABLE)).toBe(true);
    const [{ readable }] = buffersOf(rig) as [BufferEvent];
    expect(readable).toBe(`000100ff${"00".repeat(20)}`);
  });

  it("reads and sets vectors", async () => {
    const { management } = await ready();
    await management.setMsixCount(PLATFORM, 3, 8);
    await management.setMsixCount(PLATFORM, 7n, 2);
    expect(await management.msixCount(PLATFORM, 3)).toEqual({ vectors: 8, defaultVectors: 4 });
    expect(await management.msixCount(PLATFORM, 7)).toEqual({ vectors: 2, defaultVectors: 4 });
    expect((await management.attrs(PLATFORM)).msix?.free).toBe(6);
  });

  it("reads a pool of which nothing is allocated", async () => {
    const { rig, management } = await ready();
    for (const { id } of rig.members) rig.group.remove(id);
    const { msix, settable } = await management.attrs(PLATFORM);
    expect(msix).toEqual({ total: 20, free: 20, min: 2, max: 8 });
    expect(settable.isEmpty).toBe(true);
  });

  it("reads and switches features", async () => {
    const { rig, management } = await ready();
    await management.setFeatures(PLATFORM, 3, set(0, 1, 100), set(0));
    const { offered, settable } = await management.features(PLATFORM, 3);
    expect(offered.equals(MEMBER_FEATURES.without(1, 100))).toBe(true);
    expect(settable.equals(SETTABLE)).toBe(true);
    expect(rig.first.virtio.offeredFeatures.equals(offered)).toBe(true);
  });

  it("reports a group without MSI-X", async () => {
    const groups = [new PlatformGroup([3])];
    const rig = new AdminRig({ groups, families: [MANAGEMENT_FAMILY] });
    const management = new ManagementClient(new AdminClient(rig.ports, rig.arena));
    await management.use(PLATFORM);
    const { msix, features, settable } = await management.attrs(PLATFORM);
    expect([msix, features, settable.isEmpty]).toEqual([undefined, true, true]);
    await expect(management.msixCount(PLATFORM, 3)).rejects.toMatchObject({ code: "ADMIN_LIST" });
  });

  it("refuses before sending what cannot be right, and sends nothing", async () => {
    const { rig, management } = await ready({ traced: true });
    rig.events.length = 0;
    for (const vectors of [0, 2049, 1.5, -1, Number.NaN]) {
      await expect(management.setMsixCount(PLATFORM, 3, vectors)).rejects.toMatchObject({
        code: "ADMIN_COMMAND",
        path: "vectors",
        value: vectors,
      });
    }
    await expect(management.setFeatures(PLATFORM, 3, set(1), set(1, 100))).rejects.toMatchObject({
      code: "ADMIN_COMMAND",
      path: "value",
    });
    expect(rig.events).toEqual([]);
  });

  it("says what the device refused", async () => {
    const { rig, management } = await ready();
    const { setMsixCount, setFeatures, msixCount } = {
      setMsixCount: (member: number, vectors: number) =>
        management.setMsixCount(PLATFORM, member, vectors),
      setFeatures: (mask: FeatureSet) =>
        management.setFeatures(PLATFORM, 3, mask, FeatureSet.EMPTY),
      msixCount: (member: number | bigint) => management.msixCount(PLATFORM, member),
    };
    const refused = (statusName: string, qualifierName: string, path: string) => ({
      name: "AdminCommandError",
      statusName,
      qualifierName,
      path,
      retryable: qualifierName === "NORESOURCE",
    });
    const setting = "MSIX_COUNT_SET (group 0xff00)";
    await expect(setMsixCount(3, 9)).rejects.toMatchObject(
      refused("EINVAL", "INVALID_FIELD", setting),
    );
    await setMsixCount(3, 8);
    await setMsixCount(7, 8);
    await setMsixCount(11, 4);
    await expect(setMsixCount(11, 5)).rejects.toMatchObject(
      refused("ENOSPC", "NORESOURCE", setting),
    );
    await expect(msixCount(2n ** 64n - 1n)).rejects.toMatchObject(
      refused("EINVAL", "INVALID_MEMBER", "MSIX_COUNT_GET (group 0xff00)"),
    );
    take(rig.first);
    await expect(setFeatures(set(100))).rejects.toMatchObject(
      refused("EBUSY", "INVALID_COMMAND", "FEATURES_SET (group 0xff00)"),
    );
  });

  it("ends a wait by a signal", async () => {
    const { management } = await ready();
    const signal = AbortSignal.abort();
    await expect(management.features(PLATFORM, 3, { signal })).rejects.toMatchObject({
      code: "ADMIN_ABORTED",
    });
  });
});

describe("answers that cannot be true", () => {
  /** A device of somebody else's: it answers every command with these bytes. */
  async function answering(text: string) {
    const result = unhex(text);
    const commands = MANAGEMENT_FAMILY.commands.map((command) => ({
      ...command,
      result: { min: 0, max: result.length },
    }));
    const handler = (call: { resultBytes: Uint8Array; resultLength: number }) => {
      call.resultBytes.set(result);
      call.resultLength = result.length;
      return OUTCOME.OK;
    };
    const family: CommandFamily = {
      ...MANAGEMENT_FAMILY,
      commands,
      bind: () => ({ handlers: Object.fromEntries(ALL.map((opcode) => [opcode, handler])) }),
    };
    const rig = new AdminRig({ families: [family], groups: [new PlatformGroup([3])] });
    const client = new AdminClient(rig.ports, rig.arena);
    await client.listUse(PLATFORM, await client.listQuery(PLATFORM));
    return new ManagementClient(client);
  }

  it.each([
    ["more free than there are", "msix_free", "14000000 15000000 0100 0800"],
    ["a maximum of 0", "msix_max", "14000000 10000000 0000 0000"],
    ["a maximum above 2048", "msix_max", "14000000 10000000 0100 0108"],
    ["a minimum of 0", "msix_min", "14000000 10000000 0000 0800"],
    ["a minimum above the maximum", "msix_min", "14000000 10000000 0900 0800"],
  ])("are refused: %s", async (_, field, pool) => {
    const management = await answering(`0300000000000000 ${pool} ${"00".repeat(20)}`);
    await expect(management.attrs(PLATFORM)).rejects.toMatchObject({
      code: "ADMIN_RESPONSE",
      path: `MGMT_ATTRS_GET.${field}`,
    });
  });

  it.each(["", "0000040000000000", "0108040000000000"])(
    "are refused: a member of %o",
    async (text) => {
      const management = await answering(text);
      await expect(management.msixCount(PLATFORM, 3)).rejects.toMatchObject({
        code: "ADMIN_RESPONSE",
        path: "MSIX_COUNT_GET.vectors",
      });
    },
  );

  it("are zero where the device wrote nothing, and reserved bits and bytes say nothing", async () => {
    const short = await answering("01");
    const { offered, settable } = await short.features(PLATFORM, 3);
    expect([offered.bits(), settable.bits()]).toEqual([[0], []]);
    const odd = await answering(
      `fcffffffffffffff ${"ff".repeat(16)} 0100000000000000 0000000000000080`,
    );
    const attrs = await odd.attrs(PLATFORM);
    expect([attrs.msix, attrs.features, attrs.settable.bits()]).toEqual([
      undefined,
      false,
      [0, 127],
    ]);
  });
});

describe("a list of opcodes", () => {
  it("[management-device-2] that holds the management commands has five words", () => {
    expect(encodeOpcodeList([0, 1, ...ALL])).toHaveLength(40);
    expect(encodeOpcodeList([OP_MGMT.ATTRS])).toHaveLength(40);
  });
});
