/** The server in a child process, our driver half in this one. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bringUp, openAdminClient, type VirtioError } from "@virtio-admin/core";
import { BLOCK_DRIVER_FEATURES, BlockDriver, EntropyDriver } from "@virtio-admin/devices";
import { PciDriver } from "@virtio-admin/transport-pci";
import { VfioUserClient } from "@virtio-admin/vfio-user";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { bundle, type Child, run } from "./child.ts";
import { ENTROPY_BYTES, openFds, privateDirectory, sharedMappings, unsupported } from "./rig.ts";

const MEMORY = { base: 0x10_0000, length: 0x10_0000 };
const UNSHARED = { ...MEMORY, shared: false };

describe.skipIf(unsupported !== undefined)(`server in another process ${unsupported ?? ""}`, () => {
  let programs: string;
  let script: string;
  let directory: ReturnType<typeof privateDirectory>;
  let child: Child;
  let before: string[];
  const open: { close(): Promise<void> }[] = [];

  beforeAll(async () => {
    const cache = fileURLToPath(new URL("../node_modules/", import.meta.url));
    programs = mkdtempSync(join(cache, ".programs-"));
    script = await bundle("server-child", programs);
  });

  afterAll(() => rmSync(programs, { recursive: true, force: true }));

  beforeEach(async () => {
    directory = privateDirectory();
    before = openFds();
    child = run(script, directory.path, "10000");
    await child.line(/^ready$/);
  });

  afterEach(async () => {
    for (const each of open.splice(0).reverse()) await each.close();
    child.process.kill("SIGKILL");
    await child.ended;
    directory.remove();
    // Of the pipes to the child, sockets may take a moment to go.
    const ours = openFds().filter((target) => !target.startsWith("socket:"));
    expect(ours).toEqual(before.filter((target) => !target.startsWith("socket:")));
    expect(sharedMappings()).toEqual([]);
  });

  async function connect(name: "entropy" | "block", memory = MEMORY) {
    const client = await VfioUserClient.connect({
      path: join(directory.path, `${name}.sock`),
      memory,
    });
    open.push(client);
    return client;
  }

  async function entropyOf(client: VfioUserClient, interrupts: "msix" | "intx" = "msix") {
    const bus = client;
    const driver = new PciDriver({ bus, dma: client.dma, assignBarsAt: 0xe000_0000, interrupts });
    const device = await bringUp(driver, { queues: [{ index: 0, size: 16 }], adminQueues: 1 });
    return { device, entropy: new EntropyDriver(device, { bufferSize: 64 }) };
  }

  async function blockOf(client: VfioUserClient) {
    const driver = new PciDriver({ bus: client, dma: client.dma, assignBarsAt: 0xe000_0000 });
    const features = BLOCK_DRIVER_FEATURES;
    const device = await bringUp(driver, { queues: [{ index: 0, size: 16 }], features });
    return BlockDriver.open(device);
  }

  it.each([
    ["shared memory and MSI-X", MEMORY, "msix"],
    ["shared memory and INTx", MEMORY, "intx"],
    ["memory by messages and MSI-X", UNSHARED, "msix"],
    ["memory by messages and INTx", UNSHARED, "intx"],
  ] as const)("drives an entropy device: %s", async (_name, memory, interrupts) => {
    const client = await connect("entropy", memory);
    const { device, entropy } = await entropyOf(client, interrupts);
    for (let i = 0; i < 5; i++) {
      expect([...(await entropy.read(32))]).toEqual([...ENTROPY_BYTES.subarray(0, 32)]);
    }
    const admin = openAdminClient(device);
    expect(await admin.useReported(0)).toEqual([0, 1]);
    await device.close();
  });

  it.each([
    ["shared memory", MEMORY],
    ["memory by messages", UNSHARED],
  ])("reads and writes blocks: %s", async (_name, memory) => {
    const block = await blockOf(await connect("block", memory));
    const sectors = Uint8Array.from({ length: 0x4000 }, (_, i) => (i * 7) >> 3);
    await block.write(5, sectors);
    expect(await block.read(5, sectors.length / 512)).toEqual(sectors);
  });

  it("drives two functions of one process, and reconnects to each", async () => {
    for (let round = 0; round < 3; round++) {
      const clients = [await connect("entropy"), await connect("block")] as const;
      const { entropy } = await entropyOf(clients[0]);
      const block = await blockOf(clients[1]);
      expect((await entropy.read(16)).length).toBe(16);
      expect(await block.read(0, 1)).toEqual(new Uint8Array(512));
      await clients[0].reset();
      for (const client of clients) await client.close();
    }
    await child.line(/^gone: hung up; 0 descriptors, 0 mappings$/);
  });

  it("survives a client that is killed", async () => {
    const script = await bundle("client-child", programs);
    const client = run(script, join(directory.path, "entropy.sock"));
    await client.line(/^driving$/);
    client.process.kill("SIGKILL");
    await client.ended;
    await child.line(/^gone: .*; 0 descriptors, 0 mappings$/);
    const { entropy } = await entropyOf(await connect("entropy"));
    expect((await entropy.read(16)).length).toBe(16);
  });

  it("fails the driver of a server that is killed, and its successor takes the socket over", async () => {
    const client = await connect("entropy");
    const { device } = await entropyOf(client);
    const failed = new Promise<VirtioError>((resolve) => device.onFailure(resolve));
    child.process.kill("SIGKILL");
    expect(await client.closed).toMatchObject({ code: "TRANSPORT" });
    expect(await failed).toMatchObject({ code: "DEVICE_FAILED" });
    expect(existsSync(join(directory.path, "entropy.sock"))).toBe(true);
    await child.ended;
    child = run(script, directory.path, "10000");
    await child.line(/^ready$/);
    const { entropy } = await entropyOf(await connect("entropy"));
    expect((await entropy.read(16)).length).toBe(16);
  });

  it("closes in order, and leaves no socket", async () => {
    const client = await connect("entropy");
    await entropyOf(client);
    child.process.stdin?.end();
    expect(await child.ended).toBe(0);
    expect(child.lines).toContain("closed");
    expect(await client.closed).toMatchObject({ code: "TRANSPORT" });
    for (const name of ["entropy", "block"]) {
      expect(existsSync(join(directory.path, `${name}.sock`))).toBe(false);
    }
  });
});
