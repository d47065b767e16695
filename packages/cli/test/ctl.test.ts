/** `ctl`, with an owner that another process serves and with one that is served here. */
import { join } from "node:path";
import {
  AdminExecutor,
  AdminQueues,
  type CommandFamily,
  MemorySink,
  PLATFORM_GROUP,
  PlatformGroup,
  SR_IOV_GROUP,
  VirtioDevice,
} from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import { PciDevice } from "@virtio-admin/transport-pci";
import { VfioUserServer } from "@virtio-admin/vfio-user";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "./command.ts";
import { type ServedChild, ServeRig, unsupported } from "./served.ts";

const FEATURES = ["VIRTIO_F_INDIRECT_DESC", "VIRTIO_F_EVENT_IDX", "VIRTIO_F_RING_RESET"];

describe.skipIf(unsupported !== undefined)(`virtio-admin ctl ${unsupported ?? ""}`, () => {
  let rig: ServeRig;
  let served: ServedChild;
  beforeAll(async () => {
    rig = await ServeRig.make();
    served = await rig.serve(
      rig.described(
        "transport: pci",
        "owner: { device: entropy }",
        "group:",
        "  type: sr-iov",
        "  members: 3",
        "  msix: { total: 12, max: 8, default: 2 }",
        `  settable: [${FEATURES.join(", ")}]`,
      ),
    );
  });
  afterAll(async () => {
    await rig.settle();
    rig.remove();
  });

  const ctl = (...words: readonly string[]) => run("ctl", served.owner, ...words);
  const json = async (...words: readonly string[]) => {
    const { code, out, err } = await ctl(...words, "--json");
    return { code, err, document: JSON.parse(out) as unknown };
  };

  it("lists the commands of each group, by name", async () => {
    const { code, document } = await json("list");
    expect(code).toBe(0);
    const { groups } = document as {
      groups: { id: number; name: string; commands: { name: string; in_use: boolean }[] }[];
    };
    expect(groups.map(({ id, name }) => [id, name])).toEqual([
      [0, "Self"],
      [1, "SR-IOV"],
    ]);
    const names = groups.map(({ commands }) => commands.map(({ name }) => name));
    expect(names[0]).toContain("DRIVER_CAP_SET");
    expect(names[1]).toEqual(
      expect.arrayContaining(["LIST_USE", "DEV_MODE_SET", "MSIX_COUNT_SET"]),
    );
    expect(names[1]).not.toContain("LEGACY_COMMON_CFG_READ");
    expect(groups.every(({ commands }) => commands.every((each) => each.in_use))).toBe(true);
    const table = await ctl("list", "--group", "self");
    expect(table.out).toMatch(/Self \(0x0000\) +│ 0x0007 +│ CAP_ID_LIST_QUERY +│ yes/);
    expect((await ctl("list", "--group", "platform")).err).toContain("INVALID_GROUP");
  });

  it("tells what can be managed, and of every member what it has", async () => {
    const msix = { total: 12, free: 6, min: 1, max: 8 };
    expect(await json("attrs")).toMatchObject({
      code: 0,
      document: { group: { id: 1, name: "SR-IOV" }, msix, features: true, settable: FEATURES },
    });
    const { document } = await json("members");
    const member = { vectors: 2, default_vectors: 2, settable: FEATURES };
    expect(document).toMatchObject({ members: [1, 2, 3].map((id) => ({ member: id, ...member })) });
    const { code, out } = await ctl("members", "2", "3");
    expect(code).toBe(0);
    expect(out).toMatch(/│ 3 +│ 2 +│ INDIRECT_DESC EVENT_IDX VERSION_1 RING_RESET/);
    expect(out).toContain("pool: 12 vectors, 6 free, 1 to 8 for one member");
    expect((await ctl("members", "4")).err).toContain("INVALID_MEMBER");
  });

  it("gets and sets vectors", async () => {
    expect(await json("msix", "set", "2", "5")).toMatchObject({
      code: 0,
      document: { group: { id: 1 }, member: 2, vectors: 5, default_vectors: 2 },
    });
    expect((await ctl("msix", "get", "2")).out).toBe("member 2: 5 vectors, 2 unless set\n");
    const short = await json("msix", "set", "1", "8");
    expect(short).toMatchObject({
      code: 1,
      document: { refused: { status: "ENOSPC", qualifier: "NORESOURCE" } },
    });
    expect(short.err).toContain(
      "MSIX_COUNT_SET (group 0x1): the device answered ENOSPC, NORESOURCE",
    );
    expect((await ctl("msix", "set", "2", "2")).code).toBe(0);
  });

  it("gets and sets features, by names and by numbers", async () => {
    const cleared = await json("features", "set", "3", "--clear", "EVENT_IDX,virtio_f_ring_reset");
    expect(cleared.document).toEqual({
      group: { id: 1, name: "SR-IOV" },
      member: 3,
      offered: ["VIRTIO_F_INDIRECT_DESC", "VIRTIO_F_VERSION_1"],
      settable: FEATURES,
    });
    const set = await ctl(
      "features",
      "set",
      "3",
      "--set",
      "29",
      "VIRTIO_F_RING_RESET",
      "--clear",
      "28",
    );
    expect(set.out).toContain("member 3: EVENT_IDX VERSION_1 RING_RESET\n");
    expect((await ctl("features", "set", "3", "--set", "0x1c")).code).toBe(0);
    const { document } = await json("features", "get", "3");
    expect(document).toMatchObject({
      offered: [...FEATURES.slice(0, 2), "VIRTIO_F_VERSION_1", FEATURES[2]],
    });
    expect((await ctl("features", "set", "3", "--clear", "VERSION_1")).err).toContain(
      "INVALID_FIELD",
    );
  });

  it("sends any command, and says what came of it", async () => {
    const sent = await json("exec", "0x101", "--member", "1", "--group", "sr-iov");
    expect(sent).toMatchObject({
      code: 0,
      document: { opcode: 0x101, member: 1, status: "OK", result: "0200020000000000" },
    });
    expect((await ctl("exec", "0x0102", "--member", "1", "--data", "0300")).out).toBe(
      "OK, 0 bytes of result\n",
    );
    expect((await ctl("msix", "get", "1")).out).toContain("3 vectors");
    expect((await ctl("msix", "set", "1", "2")).code).toBe(0);
    const unknown = await json("exec", "0x7000");
    expect(unknown).toMatchObject({
      code: 1,
      document: { refused: { qualifier: "INVALID_OPCODE" } },
    });
    const group = await json("exec", "0", "--group", "0x1234");
    expect(group).toMatchObject({ code: 1, document: { refused: { qualifier: "INVALID_GROUP" } } });
  });

  it("names who holds the owner, and leaves it alone", async () => {
    const held = await rig.drive(served.owner);
    const { code, out, err } = await ctl("attrs");
    expect([code, out]).toEqual([3, ""]);
    expect(err).toContain(`${served.owner}: the device is held by process ${process.pid} (`);
    expect((await held.entropy.read(8)).length).toBe(8);
    await held.close();
    expect((await ctl("attrs")).code).toBe(0);
  });

  it.each([
    [3, ["/nonexistent/owner.sock", "list"], "nobody can be connected to"],
    [2, ["x".repeat(200), "list"], "the path of a socket"],
    [2, ["/nonexistent/owner.sock", "msix", "get", "-1"], "it is a number"],
    [2, ["/nonexistent/owner.sock", "msix", "get", "one"], "it is a number"],
    [2, ["/nonexistent/owner.sock", "msix", "set", "1", "2049"], "from 0 to 2048"],
    [2, ["/nonexistent/owner.sock", "exec", "65536"], "it is a number"],
    [2, ["/nonexistent/owner.sock", "exec", "1", "--data", "0"], "pairs of hex digits"],
    [2, ["/nonexistent/owner.sock", "attrs", "--group", "herd"], "it is a number"],
    [2, ["/nonexistent/owner.sock", "features", "set", "1"], "nothing is switched"],
    [2, ["/nonexistent/owner.sock", "grow"], "unknown command"],
    [2, ["/nonexistent/owner.sock"], "missing required argument"],
  ])("answers with %i what cannot be: %j", async (code, words, why) => {
    const { code: answered, err } = await run("ctl", ...words);
    expect(err).toContain(why);
    expect(answered).toBe(code);
  });

  it("answers 2 for a feature that there is not, 1 for a device that is no owner", async () => {
    const { code, err } = await ctl("features", "set", "1", "--set", "WINGS");
    expect([code, err]).toEqual([2, expect.stringContaining("VIRTIO_F_RING_RESET")]);
    const both = await ctl("features", "set", "1", "--set", "28", "--clear", "INDIRECT_DESC");
    expect([both.code, both.err]).toEqual([2, expect.stringContaining("both set and cleared")]);
    const member = await run("ctl", served.member(1), "list");
    expect([member.code, member.err]).toEqual([1, expect.stringContaining("no administration")]);
  });

  it("explains itself", async () => {
    const { code, out } = await run("ctl", "--help");
    expect(code).toBe(0);
    for (const word of ["list", "attrs", "members", "msix", "features", "exec"]) {
      expect(out).toContain(word);
    }
    expect((await run("ctl", "any.sock", "exec", "--help")).out).toContain("--data <hex>");
  });

  it("resets the device when Ctrl-C ends it", async () => {
    const path = join(rig.folder, "endless.sock");
    const sink = new MemorySink();
    let called: () => void = () => {};
    const waits = new Promise<void>((resolve) => {
      called = resolve;
    });
    const server = await VfioUserServer.listen({
      path,
      device: (memory) => {
        const executor = new AdminExecutor({
          groups: [new PlatformGroup([1])],
          families: [endless(called)],
        });
        const admin = new AdminQueues({ executor });
        const device = new VirtioDevice({ model: createEntropy(), memory, admin, trace: sink });
        return new PciDevice({ device, vectorMasking: "vmm" });
      },
    });
    const child = rig.start(["ctl", path, "exec", "0x500", "--group", "platform"]);
    await waits;
    const before = sink.events.length;
    child.process.kill("SIGINT");
    expect(await child.ended).toBe(130);
    const status = sink.events.slice(before).find(({ op }) => op === "write");
    expect(status).toMatchObject({ name: "device_status", data: "00" });
    await server.close();
  });
});

/** A command that is never answered. */
function endless(called: () => void): CommandFamily {
  const opcode = 0x500;
  const nothing = { min: 0, max: 0 };
  return {
    name: "endless",
    doc: "It waits.",
    private: true,
    commands: [
      {
        opcode,
        name: "WAIT",
        groups: [SR_IOV_GROUP.id, PLATFORM_GROUP.id],
        usesMember: false,
        data: nothing,
        result: nothing,
        clauses: [],
        doc: "Waits.",
        cite: "a test",
      },
    ],
    bind: () => ({
      handlers: {
        [opcode]: () => {
          called();
          return new Promise<number>(() => {});
        },
      },
    }),
  };
}
