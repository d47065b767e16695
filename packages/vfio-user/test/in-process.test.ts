/** Server and client in one process: bring-up, data, commands, interrupts, resets and reconnects. */
import {
  chmodSync,
  closeSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  bringUp,
  FEATURE,
  type GuestMemory,
  openAdminClient,
  type VirtioError,
} from "@virtio-admin/core";
import { BLOCK_DRIVER_FEATURES, BlockDriver, EntropyDriver } from "@virtio-admin/devices";
import { type PciDevice, PciDriver, type PciDriverInit } from "@virtio-admin/transport-pci";
import {
  DmaMemory,
  VfioUserClient,
  VfioUserHeldError,
  VfioUserServer,
  type VfioUserServerInit,
} from "@virtio-admin/vfio-user";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadNative } from "../src/native.ts";
import {
  blockFunction,
  ENTROPY_BYTES,
  entropyFunction,
  openFds,
  privateDirectory,
  sharedMappings,
  unsupported,
  until,
} from "./rig.ts";

const MEMORY = { base: 0x10_0000, length: 0x10_0000 };

describe.skipIf(unsupported !== undefined)(
  `server and client in one process ${unsupported ?? ""}`,
  () => {
    let directory: ReturnType<typeof privateDirectory>;
    let before: string[];
    const open: { close(): Promise<void> }[] = [];

    beforeEach(() => {
      directory = privateDirectory();
      before = openFds();
    });

    afterEach(async () => {
      for (const each of open.splice(0).reverse()) await each.close();
      expect(openFds()).toEqual(before);
      expect(sharedMappings()).toEqual([]);
      expect(readdirSync(directory.path).filter((name) => name.endsWith(".sock"))).toEqual([]);
      directory.remove();
    });

    async function serve(init: Partial<VfioUserServerInit> = {}, name = "a.sock") {
      const path = join(directory.path, name);
      const server = await VfioUserServer.listen({ path, device: entropyFunction, ...init });
      open.push(server);
      return server;
    }

    async function connect(path: string) {
      const client = await VfioUserClient.connect({ path, memory: MEMORY });
      open.push(client);
      return client;
    }

    function driverOf(client: VfioUserClient, init: Partial<PciDriverInit> = {}) {
      return new PciDriver({ bus: client, dma: client.dma, assignBarsAt: 0xe000_0000, ...init });
    }

    async function entropyOf(client: VfioUserClient, init: Partial<PciDriverInit> = {}) {
      const driver = driverOf(client, init);
      const device = await bringUp(driver, { queues: [{ index: 0 }], adminQueues: "all" });
      return { device, entropy: new EntropyDriver(device) };
    }

    it.each(["msix", "intx"] as const)(
      "brings a device up, reads entropy and settles the list, with %s",
      async (interrupts) => {
        const server = await serve();
        const client = await connect(server.path);
        const { device, entropy } = await entropyOf(client, { interrupts });
        expect(device.features.has(FEATURE.VIRTIO_F_ADMIN_VQ)).toBe(true);
        for (let i = 0; i < 20; i++) {
          expect([...(await entropy.read(32))]).toEqual([...ENTROPY_BYTES.subarray(0, 32)]);
        }
        const admin = openAdminClient(device);
        expect(await admin.useReported(0)).toEqual([0, 1]);
        await device.close();
      },
    );

    it("needs no notification while it polls, and asks for them afterwards", async () => {
      let written = 0;
      const device = (memory: GuestMemory) => {
        const made = entropyFunction(memory);
        const write = made.barWriteBytes.bind(made);
        made.barWriteBytes = (bar, offset, source) => {
          written += 1;
          write(bar, offset, source);
        };
        return made;
      };
      const { path } = await serve({ device, pollTime: 5 });
      const { entropy } = await entropyOf(await connect(path));
      const messagesOfRead = async () => {
        const before = written;
        expect([...(await entropy.read(32))]).toEqual([...ENTROPY_BYTES.subarray(0, 32)]);
        return written - before;
      };
      // Others may want the processor, and then nothing is polled: sooner or later it is.
      for (let found = 0; found < 20; ) if ((await messagesOfRead()) === 0) found += 1;
      // Longer than it polls.
      while ((await messagesOfRead()) === 0) await delay(10);
    });

    it.each([-1, Number.NaN, Number.POSITIVE_INFINITY])(
      "refuses to poll for %s milliseconds",
      async (pollTime) => {
        await expect(serve({ pollTime })).rejects.toMatchObject({
          code: "VALUE_RANGE",
          path: "pollTime",
        });
      },
    );

    it("both know that the other reaches the memory at the same time", async () => {
      let seen: GuestMemory | undefined;
      const device = (memory: GuestMemory) => {
        seen = memory;
        return entropyFunction(memory);
      };
      const { path } = await serve({ device });
      const { base, length } = MEMORY;
      const client = await connect(path);
      expect(client.memory.find(base, length)?.concurrent).toBe(true);
      expect(seen?.find(base, length)?.concurrent).toBe(true);
      await client.close();
      const alone = await VfioUserClient.connect({ path, memory: { ...MEMORY, shared: false } });
      open.push(alone);
      expect(alone.memory.find(base, length)?.concurrent).toBe(false);
    });

    it("gives each client a fresh function, reset when the client is gone", async () => {
      const made: PciDevice[] = [];
      const server = await serve({
        device: (memory) => {
          made.push(entropyFunction(memory));
          return made.at(-1) as PciDevice;
        },
      });
      for (let round = 1; round <= 3; round++) {
        const client = await VfioUserClient.connect({ path: server.path, memory: MEMORY });
        const { entropy } = await entropyOf(client);
        expect((await entropy.read(8)).length).toBe(8);
        expect(made.length).toBe(round);
        expect(made.at(-1)?.msixEnabled).toBe(true);
        await client.close();
        await until(() => !server.connected);
        expect(made.at(-1)?.msixEnabled).toBe(false);
      }
    });

    it("gives a client the function of the one before, once it is reset", async () => {
      const memory = new DmaMemory();
      const only = entropyFunction(memory);
      const server = await serve({ memory, device: () => only });
      for (let round = 0; round < 2; round++) {
        const client = await VfioUserClient.connect({ path: server.path, memory: MEMORY });
        const { entropy } = await entropyOf(client);
        expect((await entropy.read(8)).length).toBe(8);
        await client.close();
      }
    });

    it("lets a second client wait until the first is gone", async () => {
      const server = await serve();
      const first = await connect(server.path);
      const second = VfioUserClient.connect({ path: server.path, memory: MEMORY });
      await first.configRead(0, 4);
      await first.close();
      open.push(await second);
    });

    it("refuses a second client at once where it is to, and names the first", async () => {
      const server = await serve({ whenHeld: "refuse" });
      expect(server.clientProcess).toBeUndefined();
      const first = await connect(server.path);
      expect(server.clientProcess).toBe(process.pid);
      for (let i = 0; i < 20; i++) {
        const refused = VfioUserClient.connect({ path: server.path, memory: MEMORY });
        await expect(refused).rejects.toBeInstanceOf(VfioUserHeldError);
        await expect(refused).rejects.toMatchObject({ code: "TRANSPORT", holder: process.pid });
      }
      expect(await first.configRead(0, 2)).toBe(0x1af4);
    });

    it("refuses nobody once the first client is gone, noticed or not", async () => {
      const server = await serve({ whenHeld: "refuse" });
      for (let i = 0; i < 20; i++) {
        const client = await VfioUserClient.connect({ path: server.path, memory: MEMORY });
        // It hangs up at once: the next one is there before the server looks.
        void client.close();
      }
      expect((await connect(server.path)).regionLength(7)).toBe(256);
    });

    it("refuses clients that say nothing, as many as they are, and serves the first", async () => {
      const server = await serve({ whenHeld: "refuse" });
      const first = await connect(server.path);
      const native = await loadNative();
      const silent = Array.from({ length: 12 }, () => native.socket());
      const paths = silent.map((fd) => native.connect(fd, server.path));
      expect(paths).toEqual(silent.map(() => 0));
      expect(await first.configRead(0, 2)).toBe(0x1af4);
      for (const fd of silent) closeSync(fd);
      const refused = VfioUserClient.connect({ path: server.path, memory: MEMORY });
      await expect(refused).rejects.toMatchObject({ holder: process.pid });
    });

    it("serves two functions in one process", async () => {
      const one = await serve({}, "one.sock");
      const two = await serve({ device: blockFunction }, "two.sock");
      const { entropy } = await entropyOf(await connect(one.path));
      const driver = driverOf(await connect(two.path));
      const device = await bringUp(driver, {
        queues: [{ index: 0 }],
        features: BLOCK_DRIVER_FEATURES,
      });
      const block = await BlockDriver.open(device);
      const sectors = Uint8Array.from({ length: 4096 }, (_, i) => i * 7);
      await block.write(3, sectors);
      expect((await entropy.read(8)).length).toBe(8);
      expect(await block.read(3, 8)).toEqual(sectors);
    });

    it("resets the function", async () => {
      const server = await serve();
      const client = await connect(server.path);
      await entropyOf(client);
      expect(await client.configRead(4, 2)).not.toBe(0);
      await client.reset();
      expect(await client.configRead(4, 2)).toBe(0);
      const again = await entropyOf(client);
      expect((await again.entropy.read(4)).length).toBe(4);
    });

    it("fails what is under way when the server goes", async () => {
      const server = await serve();
      const client = await connect(server.path);
      const { device, entropy } = await entropyOf(client);
      const failed = new Promise<VirtioError>((resolve) => device.onFailure(resolve));
      await server.close();
      expect(await client.closed).toMatchObject({ code: "TRANSPORT" });
      expect(await failed).toMatchObject({ code: "DEVICE_FAILED" });
      await expect(entropy.read(4)).rejects.toThrow();
      await expect(client.configRead(0, 4)).rejects.toMatchObject({ code: "TRANSPORT" });
    });

    it("makes its socket for its owner alone, replaces a stale one, and takes it away", async () => {
      const server = await serve();
      expect(lstatSync(server.path).mode & 0o7777).toBe(0o600);
      await expect(serve()).rejects.toMatchObject({ code: "TRANSPORT" });
      await server.close();
      expect(existsSync(server.path)).toBe(false);

      const native = await loadNative();
      const fd = native.socket();
      native.bind(fd, server.path);
      closeSync(fd);
      expect(existsSync(server.path)).toBe(true);
      const client = await connect((await serve()).path);
      expect(await client.configRead(0, 2)).toBe(0x1af4);
    });

    it("leaves a file alone that is there in the place of its socket", async () => {
      const server = await serve();
      unlinkSync(server.path);
      writeFileSync(server.path, "another's");
      await server.close();
      expect(readFileSync(server.path, "utf8")).toBe("another's");
      await expect(serve()).rejects.toMatchObject({ code: "TRANSPORT_OPTIONS" });
      unlinkSync(server.path);
    });

    it("refuses a directory that others can reach, a path too long, and a function that masks", async () => {
      chmodSync(directory.path, 0o755);
      await expect(serve()).rejects.toMatchObject({ code: "TRANSPORT_OPTIONS" });
      chmodSync(directory.path, 0o700);
      await expect(serve({}, "x".repeat(108))).rejects.toMatchObject({ code: "TRANSPORT_OPTIONS" });
      await expect(serve({ dmaTimeout: 0 })).rejects.toMatchObject({ code: "VALUE_RANGE" });
      const reasons: (VirtioError | undefined)[] = [];
      const server = await serve({
        device: (memory) => entropyFunction(memory, { vectorMasking: "table" }),
        onDisconnect: (reason) => void reasons.push(reason),
      });
      await expect(connect(server.path)).rejects.toMatchObject({ code: "TRANSPORT" });
      expect(reasons[0]?.cause).toMatchObject({ code: "TRANSPORT_OPTIONS", path: "vectorMasking" });
    });

    it("refuses to connect where nobody listens, and memory that cannot be", async () => {
      const path = join(directory.path, "nobody.sock");
      await expect(VfioUserClient.connect({ path, memory: MEMORY })).rejects.toMatchObject({
        code: "TRANSPORT",
      });
      for (const memory of [
        { length: 0 },
        { length: 4097 },
        { length: 2 ** 31 },
        { base: 1, length: 4096 },
      ]) {
        await expect(VfioUserClient.connect({ path, memory })).rejects.toMatchObject({
          code: "VALUE_RANGE",
        });
      }
    });
  },
);
