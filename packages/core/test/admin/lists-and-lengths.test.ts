/** What lists of commands may be over resets, and how long the parts are that a driver supplies. */
import { describe, expect, it } from "vitest";
import {
  AdminClient,
  type AdminCommand,
  AdminExecutor,
  type CommandFamily,
  DEV_PARTS_CAP,
  LEGACY_ACCESS_FAMILY,
  LegacyAccessClient,
  MANAGEMENT_FAMILY,
  ManagementClient,
  RESOURCE_OBJ_DEV_PARTS,
} from "../../src/admin/index.ts";
import { FeatureSet } from "../../src/device/index.ts";
import { SelfGroup } from "../../src/group/index.ts";
import type { BufferEvent } from "../../src/trace/index.ts";
import {
  asking,
  drive,
  ENOMEM,
  OK,
  OP_PARTS,
  PartsMember,
  PartsRig,
  readAnswer,
  SRIOV,
  TRY_AGAIN,
} from "./device-parts-rig.ts";
import { LegacyAccessRig } from "./legacy-rig.ts";
import { ManagementRig, PLATFORM } from "./management-rig.ts";
import { AdminRig, type AdminRigOptions, GROUPS, hex, OP, request, settle } from "./rig.ts";

const HEADER_BYTES = 24;
const LIST_QUERY = 0;
const LIST_USE = 1;

/** A list in one word. */
function list(...opcodes: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(8);
  for (const opcode of opcodes)
    bytes[opcode >> 3] = (bytes[opcode >> 3] ?? 0) | (1 << (opcode & 7));
  return bytes;
}

/** Status and qualifier, and the result in hexadecimal. */
function send(rig: AdminRig, opcode: number, group: number, data?: Uint8Array) {
  const answer = rig.send({ readable: request(opcode, group, 0, data), writableLength: 8 + 64 });
  if (answer === undefined) throw new Error("the device did not answer");
  return readAnswer(answer.bytes, answer.used);
}

describe("what LIST_QUERY reports", () => {
  it("[admin-cmd-device-13+] differs between group types", () => {
    const rig = new AdminRig();
    const [self, platform] = [GROUPS.self, GROUPS.platform].map((group) =>
      send(rig, LIST_QUERY, group),
    );
    expect([self?.outcome, platform?.outcome]).toEqual([OK, OK]);
    // Opcodes 0, 1, 0x20 to 0x26 and 0x100; 0x25 is for the Self group alone.
    expect(self?.result.slice(0, 16)).toBe("030000007f000000");
    expect(platform?.result.slice(0, 16)).toBe("030000005f000000");
  });

  it("[admin-cmd-device-19-] loses nothing when its family no longer offers it, reset or not", () => {
    let offered = true;
    const plain = new AdminRig().family;
    const family: CommandFamily = {
      ...plain,
      bind: () => ({
        ...plain.bind(),
        supports: ({ opcode }) => opcode !== OP.ADD || offered,
      }),
    };
    const executor = new AdminExecutor({ groups: [new SelfGroup()], families: [family] });
    const reported = () => {
      const response = new Uint8Array(48);
      executor.execute(request(LIST_QUERY, GROUPS.self, 0), response);
      return hex(response.subarray(8, 16));
    };
    const before = reported();
    expect(before).toBe("030000007f000000");
    offered = false;
    expect(reported()).toBe(before);
    executor.reset();
    expect(reported()).toBe(before);
    const response = new Uint8Array(8);
    executor.execute(request(LIST_USE, GROUPS.self, 0, list(0, 1, OP.ADD)), response);
    expect(hex(response)).toBe("0000000000000000");
  });
});

describe("LIST_USE after a reset", () => {
  const { self } = GROUPS;

  it("[admin-cmd-device-21+] succeeds with the list of before", () => {
    const rig = new AdminRig();
    const chosen = list(0, 1, OP.ECHO, OP.ADD);
    expect(send(rig, LIST_USE, self, chosen).outcome).toEqual(OK);
    for (let i = 0; i < 2; i++) {
      rig.bringUp();
      expect(rig.executor.used(self)).toEqual([0, 1]);
      expect(send(rig, LIST_USE, self, chosen).outcome).toEqual(OK);
      expect(rig.executor.used(self)).toEqual([0, 1, OP.ECHO, OP.ADD]);
    }
  });

  it.each([
    ["nothing", undefined],
    ["a smaller one", list(0, 1, OP.ECHO)],
    ["another one", list(0, 1, OP.SELF_ONLY)],
  ])(
    "[admin-cmd-device-22-] does not fail with a list because that was used before, with %s in between",
    (_, between) => {
      const rig = new AdminRig();
      const same = list(0, 1, OP.ECHO, OP.MEMBER, OP.ADD);
      const use = (chosen: Uint8Array) =>
        expect(send(rig, LIST_USE, self, chosen).outcome).toEqual(OK);
      use(same);
      for (const restart of [() => {}, () => rig.bringUp(), () => rig.bringUp()]) {
        restart();
        if (between !== undefined) use(between);
        for (let i = 0; i < 2; i++) {
          use(same);
          expect(rig.executor.used(self)).toEqual([0, 1, OP.ECHO, OP.MEMBER, OP.ADD]);
        }
      }
    },
  );

  it.each([
    ["a larger one", list(0, 1, OP.ECHO, OP.ADD)],
    ["another one", list(0, 1, OP.SELF_ONLY)],
    ["one that gave LIST_USE up", list(0, OP.ECHO)],
    ["none at all", list()],
  ])("[admin-cmd-device-22-] does not fail because there was %s before", (_, before) => {
    const rig = new AdminRig();
    expect(send(rig, LIST_USE, self, before).outcome).toEqual(OK);
    rig.bringUp();
    expect(send(rig, LIST_USE, self, list(0, 1, OP.MEMBER)).outcome).toEqual(OK);
    expect(rig.executor.used(self)).toEqual([0, 1, OP.MEMBER]);
  });
});

describe("a command that may be repeated", () => {
  it("[admin-vq-device-12-] has changed nothing when it ends with ENOMEM or EAGAIN", async () => {
    const rig = new PartsRig({ count: 2 });
    const member = rig.prepare(1).member(1);
    const before = rig.state();
    const ask = (room: number) => rig.command(OP_PARTS.METADATA, 1, asking(2), { room });
    expect(ask(8).outcome).toEqual(ENOMEM);
    expect(rig.state()).toEqual(before);
    expect(ask(1024).outcome).toEqual(OK);

    member.bringUp(1);
    const running = rig.state();
    const readable = request(OP_PARTS.MODE, SRIOV, 1, Uint8Array.of(1));
    const placed = rig.add({ readable, writableLength: 8 });
    rig.port.notify();
    const resume = { port: rig.ports[1] ?? rig.port };
    expect(rig.command(OP_PARTS.MODE, 1, "00", resume).outcome).toEqual(OK);
    await settle();
    const answer = rig.take(placed);
    expect(answer && readAnswer(answer.bytes, answer.used).outcome).toEqual(TRY_AGAIN);
    expect(rig.state()).toEqual(running);
    member.model.use();
    expect(rig.stop(1)).toEqual(OK);
  });
});

const buffersOf = (rig: AdminRig) =>
  rig.events.filter((event): event is BufferEvent => event.op === "buffer");
const opcodeOf = ({ readable }: BufferEvent) =>
  Number.parseInt(`${readable.slice(2, 4)}${readable.slice(0, 2)}`, 16);

/** Every typed call of every client, and the buffers that came of them. */
async function everyCall(): Promise<{ buffers: BufferEvent[]; commands: AdminCommand[] }> {
  const traced: AdminRigOptions = { traced: true };
  const parts = new PartsRig({ ...traced, members: [1, 2].map(() => new PartsMember()) });
  parts.bringUp();
  const driven = await drive(parts);
  await driven.capabilities.ids();
  await driven.capabilities.device(DEV_PARTS_CAP);
  const target = { group: SRIOV, member: 1 };
  const object = await driven.objects.create(RESOURCE_OBJ_DEV_PARTS, { type: 0 }, target);
  await driven.objects.query(object);
  await driven.objects.modify(object, { type: 0 });
  await driven.objects.destroy(object);
  await driven.parts.stop(1);
  await driven.parts.headers(1);
  await driven.parts.write(1, await driven.parts.read(1));
  await driven.parts.resume(1);

  const managed = new ManagementRig(traced);
  managed.bringUp();
  const management = new ManagementClient(new AdminClient(managed.ports, managed.arena));
  await management.use(PLATFORM);
  await management.attrs(PLATFORM);
  await management.msixCount(PLATFORM, 3);
  await management.setMsixCount(PLATFORM, 3, 5);
  await management.features(PLATFORM, 3);
  await management.setFeatures(PLATFORM, 3, FeatureSet.of(1), FeatureSet.EMPTY);

  const old = new LegacyAccessRig(undefined, traced);
  old.bringUp();
  const legacy = new LegacyAccessClient(new AdminClient(old.ports, old.arena));
  await legacy.use();
  const field = { offset: 4, width: 2 } as const;
  await legacy.writeCommon(1, field, await legacy.readCommon(1, field));
  await legacy.notifyPlaces(1, { member: () => 0x8000 });

  const rigs = [parts, managed, old];
  return {
    buffers: rigs.flatMap(buffersOf),
    commands: rigs.flatMap(({ executor }) => executor.families.flatMap((each) => each.commands)),
  };
}

describe("what a driver supplies", () => {
  it("[admin-vq-driver-2+] [admin-vq-driver-5+] is as long as the structure, and no data where there is none", async () => {
    const { buffers, commands } = await everyCall();
    const seen = new Set<string>();
    for (const buffer of buffers) {
      const command = commands.find(({ opcode }) => opcode === opcodeOf(buffer));
      if (command === undefined) throw new Error(`opcode ${opcodeOf(buffer)} is unknown`);
      const { name, data, result } = command;
      seen.add(name);
      const readable = buffer.readable.length / 2;
      expect(readable, name).toBeGreaterThanOrEqual(HEADER_BYTES + data.min);
      if (data.max === 0) expect(readable, name).toBe(HEADER_BYTES);
      const all = buffer.descriptors.reduce((sum, { length }) => sum + length, 0);
      const writable = all - readable;
      if (result.max === 0) expect(writable, name).toBe(8);
      else expect(writable, name).toBeGreaterThanOrEqual(8 + result.min);
    }
    expect([...seen].toSorted()).toEqual([
      "CAP_ID_LIST_QUERY",
      "DEVICE_CAP_GET",
      "DEV_MODE_SET",
      "DEV_PARTS_GET",
      "DEV_PARTS_METADATA_GET",
      "DEV_PARTS_SET",
      "DRIVER_CAP_SET",
      "FEATURES_GET",
      "FEATURES_SET",
      "LEGACY_COMMON_CFG_READ",
      "LEGACY_COMMON_CFG_WRITE",
      "LEGACY_NOTIFY_INFO",
      "LIST_QUERY",
      "LIST_USE",
      "MGMT_ATTRS_GET",
      "MSIX_COUNT_GET",
      "MSIX_COUNT_SET",
      "RESOURCE_OBJ_CREATE",
      "RESOURCE_OBJ_DESTROY",
      "RESOURCE_OBJ_MODIFY",
      "RESOURCE_OBJ_QUERY",
    ]);
  });

  it("[admin-format-driver-3+] has member id 0 for the list commands, of any group", async () => {
    const { buffers } = await everyCall();
    const lists = buffers.filter((buffer) => [LIST_QUERY, LIST_USE].includes(opcodeOf(buffer)));
    expect(lists.length).toBeGreaterThan(5);
    for (const { readable } of lists) expect(readable.slice(32, 48)).toBe("0000000000000000");
  });
});

describe("what a driver asks to use", () => {
  const UNKNOWN = [0x12, 0x13, 0x77, 0x7fff];
  const strange: CommandFamily = {
    name: "strange",
    doc: "Commands that no client knows.",
    private: true,
    commands: UNKNOWN.map((opcode) => ({
      opcode,
      name: `STRANGE_${opcode}`,
      groups: "any",
      usesMember: false,
      data: { min: 0, max: 0 },
      result: { min: 0, max: 0 },
      clauses: [],
      doc: "A command that no client knows.",
      cite: "test",
    })),
    bind: () => ({ handlers: Object.fromEntries(UNKNOWN.map((opcode) => [opcode, () => 0])) }),
  };

  it.each([
    [
      "management",
      PLATFORM,
      () => new ManagementRig({ families: [MANAGEMENT_FAMILY, strange] }),
      (client: AdminClient) => new ManagementClient(client).use(PLATFORM),
      [0x100, 0x101, 0x102, 0x103, 0x104],
    ],
    [
      "legacy access",
      SRIOV,
      () => new LegacyAccessRig(undefined, { families: [LEGACY_ACCESS_FAMILY, strange] }),
      (client: AdminClient) => new LegacyAccessClient(client).use(),
      [2, 3, 4, 5, 6],
    ],
  ] as const)(
    "[admin-cmd-driver-5-] is what it knows of %s, whatever else the device reports",
    async (_, group, makeRig, use, known) => {
      const rig = makeRig();
      rig.bringUp();
      const client = new AdminClient(rig.ports, rig.arena);
      await use(client);
      expect(await client.listQuery(group)).toEqual(
        [0, 1, ...known, ...UNKNOWN].toSorted((a, b) => a - b),
      );
      expect(rig.executor.used(group)).toEqual([0, 1, ...known]);
    },
  );
});
