/** `serve` in a process of its own, with drivers of its devices in this one. */
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { FEATURE } from "@virtio-admin/core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { run } from "./command.ts";
import { ServeRig, unsupported } from "./served.ts";

const FOUR = [
  "transport: pci",
  "owner: { device: entropy }",
  "group:",
  "  type: sr-iov",
  "  members: 4",
  "  msix: { total: 20, max: 8, default: 2 }",
];

describe.skipIf(unsupported !== undefined)(`virtio-admin serve ${unsupported ?? ""}`, () => {
  let rig: ServeRig;
  beforeAll(async () => {
    rig = await ServeRig.make();
  });
  afterEach(() => rig.settle());
  afterAll(() => rig.remove());

  it("serves plain functions, each at a socket that nobody else reaches, and says how", async () => {
    const file = rig.described(...FOUR, "provision:", "  - { member: 2, vectors: 5 }");
    const directory = join(rig.folder, "a b'c");
    const { serving, owner, member, child } = await rig.serve(file, ["--dir", directory]);
    expect(serving).toMatchObject({ strict: false, group: { type: "sr-iov", id: 1 } });
    expect(serving.pid).toBe(child.process.pid);
    expect(serving.members.map((each) => each.member)).toEqual([1, 2, 3, 4]);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    const sockets = [owner, ...serving.members.map(({ socket }) => socket)];
    for (const socket of sockets) expect(statSync(socket).mode & 0o777).toBe(0o600);
    for (const { vendor_id, device_id } of [serving.owner, ...serving.members]) {
      expect([vendor_id, device_id]).toEqual([0x1af4, 0x1044]);
    }
    expect(serving.qemu).toContain("q35,memory-backend=ram");
    expect(serving.qemu).toContain("memory-backend-memfd,id=ram,size=256M,share=on");
    const devices = serving.qemu.filter((_, i) => serving.qemu[i - 1] === "-device");
    expect(devices.map((word) => JSON.parse(word) as unknown)).toEqual(
      sockets.map((path) => ({ driver: "vfio-user-pci", socket: { type: "unix", path } })),
    );
    const driven = await rig.drive(member(2));
    expect(await driven.client.configRead(0, 4)).toBe(0x1044_1af4);
    expect(driven.vectors).toBe(5);
    expect((await driven.entropy.read(32)).length).toBe(32);
    expect((await rig.drive(owner)).offered.has(FEATURE.VIRTIO_F_ADMIN_VQ)).toBe(true);
  });

  it("prints a line for a shell, and commands as they come with --trace", async () => {
    const directory = join(rig.folder, "it's");
    const record = join(rig.folder, "strict.jsonl");
    const options = ["--trace", "--strict", "--dir", directory, "--record", record];
    const child = rig.start(["serve", rig.described(...FOUR), ...options]);
    const quoted = join(rig.folder, "it'\\''s", "owner.sock");
    await child.line((line) => (line.startsWith("virtio-admin ctl") ? line : undefined));
    expect(child.out()).toContain(`"path":"${quoted}"}}'`);
    expect(child.out()).toContain("4 entropy devices, strict");
    expect((await run("ctl", join(directory, "owner.sock"), "attrs")).code).toBe(0);
    await child.line((line) => (line === "owner: free" ? line : undefined));
    expect(child.out()).toContain(`owner: held by process ${process.pid} (`);
    expect(child.err()).toMatch(
      /ms {2}command queue 1 MGMT_ATTRS_GET group 0x0001 member 0: status 0/,
    );
    expect(child.err()).not.toContain("read bar");
    child.process.kill("SIGTERM");
    expect(await child.ended).toBe(0);
    await expectReplays(record, "strict");
  });

  it("[management-device-12+] [management-device-14+] keeps what is provisioned while drivers of owner and member come and go", async () => {
    const { owner, member, freed } = await rig.serve(rig.described(...FOUR));
    const before = await rig.drive(member(3));
    expect(before.vectors).toBe(2);
    expect(before.offered.has(FEATURE.VIRTIO_F_EVENT_IDX)).toBe(true);
    await before.close();
    await freed(1, 3);
    expect((await run("ctl", owner, "msix", "set", "3", "4")).code).toBe(0);
    const cleared = await run(
      "ctl",
      owner,
      "features",
      "set",
      "3",
      "--clear",
      "EVENT_IDX",
      "--json",
    );
    expect(cleared.code).toBe(0);
    for (let round = 0; round < 2; round++) {
      const after = await rig.drive(member(3));
      expect(after.vectors).toBe(4);
      expect(after.offered.has(FEATURE.VIRTIO_F_EVENT_IDX)).toBe(false);
      expect((await after.entropy.read(16)).length).toBe(16);
      await after.close();
      await freed(2 + round, 3);
    }
  });

  it("[management-device-13-] refuses what is asked of a member that a driver uses, or that is plugged in", async () => {
    const { owner, member, freed } = await rig.serve(rig.described(...FOUR));
    const used = await rig.drive(member(1));
    for (const words of [
      ["msix", "set", "1", "4"],
      ["features", "set", "1", "--clear", "28"],
    ]) {
      const { code, out, err } = await run("ctl", owner, ...words, "--json");
      expect(code).toBe(1);
      expect(err).toContain("the device answered EBUSY, INVALID_COMMAND");
      expect(JSON.parse(out)).toMatchObject({
        refused: { status: "EBUSY", qualifier: "INVALID_COMMAND" },
      });
    }
    await used.close();
    await freed(1, 1);
    // Its Table Size was read by whoever plugged it in; what it offers was not.
    const plugged = await rig.plug(member(1));
    const refused = await run("ctl", owner, "msix", "set", "1", "4");
    expect(refused.err).toContain("EBUSY");
    expect((await run("ctl", owner, "features", "set", "1", "--clear", "29")).code).toBe(0);
    await plugged.close();
    await freed(2, 1);
    expect((await run("ctl", owner, "msix", "set", "1", "4")).code).toBe(0);
  });

  it("takes the place of a server that was killed, not of one that is there", async () => {
    const file = rig.described(...FOUR);
    const directory = join(rig.folder, "same");
    const first = await rig.serve(file, ["--dir", directory]);
    const record = join(rig.folder, "of-another.jsonl");
    writeFileSync(record, "kept");
    const second = await run("serve", file, "--dir", directory, "--record", record);
    expect(second.code).toBe(3);
    expect(second.err).toContain("another server listens there");
    expect(readFileSync(record, "utf8")).toBe("kept");
    expect((await run("ctl", first.owner, "members", "4")).code).toBe(0);
    first.child.process.kill("SIGKILL");
    await first.child.ended;
    expect(existsSync(first.owner)).toBe(true);
    const third = await rig.serve(file, ["--dir", directory]);
    expect((await run("ctl", third.owner, "members", "4")).code).toBe(0);
  });

  it.each(["SIGTERM", "SIGINT"] as const)(
    "hangs up on members, then on the owner, and leaves nothing at %s",
    async (signal) => {
      const env = { ...process.env, XDG_RUNTIME_DIR: rig.folder };
      const file = rig.described(...FOUR);
      const { child, owner, member, events } = await rig.serve(file, [], env);
      const name = /([^/]*)\.yaml$/.exec(file)?.[1] ?? "";
      expect(owner).toBe(join(rig.folder, "virtio-admin", name, "owner.sock"));
      const clients = [await rig.plug(owner), await rig.plug(member(4)), await rig.plug(member(2))];
      child.process.kill(signal);
      expect(await child.ended).toBe(0);
      expect(child.err()).toBe("");
      const reason = "vfio-user.connection: the server is closed";
      const gone = events().filter(({ event }) => event === "disconnected");
      expect(gone).toEqual([
        { event: "disconnected", device: "member", member: 2, reason },
        { event: "disconnected", device: "member", member: 4, reason },
        { event: "disconnected", device: "owner", reason },
      ]);
      expect(existsSync(join(rig.folder, "virtio-admin", name))).toBe(false);
      for (const client of clients)
        expect(await client.closed).toMatchObject({ code: "TRANSPORT" });
    },
  );

  it("records an owner so that it can be replayed", async () => {
    const file = rig.described(...FOUR, "provision:", "  - { member: 1, vectors: 3 }");
    const record = join(rig.folder, "tolerant.jsonl");
    const words = ["--dir", join(rig.folder, "recorded"), "--record", record];
    const { owner, child, member, freed } = await rig.serve(file, words);
    const driven = await rig.drive(owner);
    for (const length of [16, 64]) await driven.entropy.read(length);
    await driven.close();
    for (const words of [["list"], ["msix", "set", "3", "7"], ["members"], ["exec", "7"]]) {
      await run("ctl", owner, ...words);
    }
    const inUse = await rig.drive(member(4));
    expect((await run("ctl", owner, "features", "set", "4", "--clear", "29")).err).toContain(
      "EBUSY",
    );
    await inUse.close();
    await freed(1, 4);
    expect((await run("ctl", owner, "features", "set", "4", "--clear", "29")).code).toBe(0);
    await rig.plug(member(4));
    expect((await run("ctl", owner, "msix", "set", "4", "1")).err).toContain("EBUSY");
    child.process.kill("SIGTERM");
    expect(await child.ended).toBe(0);
    expect(statSync(record).mode & 0o777).toBe(0o600);
    await expectReplays(record, "tolerant");
    // Another number of vectors in the description: the answers are not those of this owner.
    const text = readFileSync(record, "utf8");
    writeFileSync(record, text.replace('"vectors":3', '"vectors":4'));
    expect((await run("replay", record)).code).toBe(1);
    writeFileSync(record, text.replace('"transport":"pci","owner"', '"transport":"ccw","owner"'));
    const wrong = await run("replay", record);
    expect(wrong.code).toBe(2);
    expect(wrong.err).toContain("its header describes no group");
  });

  it("serves platform groups, and members for drivers from before virtio 1.0", async () => {
    const platform = await rig.serve(
      rig.described(
        "transport: pci",
        "owner: { device: entropy }",
        "group: { type: platform, members: [7, 9007199254740991] }",
      ),
      [],
      { ...process.env, XDG_RUNTIME_DIR: "", TMPDIR: rig.folder },
    );
    expect(platform.serving.group.id).toBe(0xff00);
    // Without a runtime directory, a temporary one.
    const directory = dirname(platform.owner);
    expect(directory.startsWith(join(rig.folder, "virtio-admin-"))).toBe(true);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    const shown = await run("ctl", platform.owner, "members", "9007199254740991", "--json");
    expect(JSON.parse(shown.out)).toMatchObject({
      group: { id: 0xff00, name: "platform" },
      members: [{ member: 9007199254740991 }],
    });
    expect((await run("ctl", platform.owner, "msix", "get", "7")).code).toBe(1);
    const listed = await run("ctl", platform.owner, "list", "--group", "platform");
    expect(listed.out.match(/[A-Z]+(_[A-Z]+)+/g)).toEqual([
      ...["LIST_QUERY", "LIST_USE", "MGMT_ATTRS_GET", "FEATURES_GET", "FEATURES_SET"],
    ]);
    platform.child.process.kill("SIGTERM");
    expect(await platform.child.ended).toBe(0);
    expect(existsSync(directory)).toBe(false);
    const legacy = await rig.serve(rig.described(...FOUR, "  transitional: true"));
    // LEGACY_COMMON_CFG_READ of the first field: the features that a legacy driver is offered.
    const words = ["exec", "3", "--member", "2", "--data", "0000000000000000", "--room", "4"];
    const read = await run("ctl", legacy.owner, ...words, "--json");
    expect(read.err).toBe("");
    expect(JSON.parse(read.out)).toMatchObject({ member: 2, result: "00000078" });
    const client = await rig.plug(legacy.member(2));
    expect([client.regionLength(0), client.regionLength(2)]).toEqual([0, 0x8000]);
  });

  it("answers wrong files and words with 2, and names the line", async () => {
    const mmio = rig.described(
      "transport: mmio",
      "owner: { device: entropy }",
      "group: { type: platform, members: 2 }",
    );
    const onMmio = await run("serve", mmio);
    expect([onMmio.code, onMmio.err]).toEqual([
      2,
      `${mmio}:3:12: transport: what is served are PCI functions (got "mmio")\n`,
    ]);
    const bad = rig.described(...FOUR, "  colour: blue");
    const { code, err } = await run("serve", bad);
    expect([code, err]).toEqual([
      2,
      expect.stringContaining(`${bad}:9:3: group.colour: no such key`),
    ]);
    const open = join(rig.folder, "open");
    mkdirSync(open);
    chmodSync(open, 0o755);
    const file = rig.described(...FOUR);
    expect((await run("serve", file, "--dir", open)).code).toBe(2);
    expect((await run("serve", file, "--dir", join(file, "no"))).code).toBe(2);
    expect((await run("serve", file, "--record", rig.folder, "--dir", open)).code).toBe(2);
    expect((await run("serve", join(rig.folder, "none.yaml"))).code).toBe(2);
  });

  it("says so where koffi cannot be loaded, with exit code 3", async () => {
    const loader = `export async function resolve(name, context, next) {
      if (name === "koffi") throw new Error("none here");
      return next(name, context);
    }`;
    const module = `import { register } from "node:module";
      register("data:text/javascript,${encodeURIComponent(loader)}");`;
    const env = {
      ...process.env,
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(module)}`,
    };
    const directory = join(rig.folder, "without");
    const child = rig.start(["serve", rig.described(...FOUR), "--dir", directory], env);
    expect(await child.ended).toBe(3);
    expect(child.err()).toMatch(/^koffi: .* cannot be loaded; install koffi/);
    expect(existsSync(directory)).toBe(false);
  });

  it("serves nothing when the device refuses what is provisioned", async () => {
    const file = rig.described(
      ...FOUR,
      "provision:",
      "  - { member: 1, vectors: 8 }",
      "  - { member: 2, vectors: 9 }",
    );
    const directory = join(rig.folder, "refused");
    const { code, out, err } = await run("serve", file, "--dir", directory);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toBe(`${file}:11:27: member 2: the device answered EINVAL, INVALID_FIELD\n`);
    expect(existsSync(directory)).toBe(false);
  });
});

async function expectReplays(record: string, mode: "strict" | "tolerant"): Promise<void> {
  const { code, out } = await run("replay", record, "--json");
  const { replays } = JSON.parse(out) as {
    replays: { mode: string; checked: number; mismatches: unknown[] }[];
  };
  expect(replays).toMatchObject([{ mode, mismatches: [] }]);
  expect(replays[0]?.checked).toBeGreaterThan(50);
  expect(code).toBe(0);
}
