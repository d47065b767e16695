import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BlockDriver } from "@virtio-admin/devices";
import { openFileStorage } from "@virtio-admin/devices/file";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectBytes } from "./expect-bytes.ts";
import { pattern, setUp } from "./rig.ts";

let folder = "";
let image = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "virtio-block-"));
  image = join(folder, "disk.img");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("storage in a file", () => {
  it("keeps what a driver wrote, also beyond its own life", async () => {
    writeFileSync(image, new Uint8Array(64 * 512 + 100));
    const storage = await openFileStorage(image);
    expect(storage.length).toBe(64 * 512 + 100);
    const rig = await setUp({ init: { storage } });
    const driver = await BlockDriver.open(rig.device, { requestSize: 4096 });
    expect(driver.capacity).toBe(64);
    await driver.write(3, pattern(40));
    await driver.flush();
    expectBytes(await driver.read(3, 40), pattern(40));
    await rig.device.close();
    await storage.close();
    expectBytes(readFileSync(image).subarray(3 * 512, 43 * 512), pattern(40));

    const readonly = await openFileStorage(image, { readonly: true });
    const again = await setUp({ init: { storage: readonly } });
    const reader = await BlockDriver.open(again.device);
    expect(reader.readonly).toBe(true);
    expectBytes(await reader.read(3, 40), pattern(40));
    await reader.flush();
    await expect(readonly.write(0, new Uint8Array(512))).rejects.toThrow();
    await again.device.close();
    await readonly.close();
  });

  it("answers with an I/O error when the file has become shorter, and never grows it", async () => {
    writeFileSync(image, new Uint8Array(8 * 512));
    const storage = await openFileStorage(image);
    const rig = await setUp({ init: { storage } });
    const driver = await BlockDriver.open(rig.device);
    truncateSync(image, 3 * 512);
    await expect(driver.read(2, 4)).rejects.toMatchObject({ code: "BLOCK_IO", value: 1 });
    expect(await driver.read(2, 1)).toHaveLength(512);
    await expect(storage.write(8 * 512, new Uint8Array(1))).rejects.toMatchObject({
      code: "BLOCK_IO",
    });
    await expect(storage.read(-1, new Uint8Array(1))).rejects.toMatchObject({ code: "BLOCK_IO" });
    await rig.device.close();
    await storage.close();
    await expect(storage.flush()).rejects.toThrow();
  });

  it("opens regular files only", async () => {
    for (const path of [join(folder, "missing.img"), folder]) {
      await expect(openFileStorage(path)).rejects.toMatchObject({ code: "BLOCK_IO", value: path });
    }
  });

  it("loses nothing that was flushed when its process is killed", async () => {
    writeFileSync(image, new Uint8Array(64 * 512));
    // The child runs the sources, as one script.
    await build({
      configFile: false,
      logLevel: "error",
      resolve: { conditions: ["virtio-source", "node", "import", "default"] },
      ssr: { noExternal: true, resolve: { conditions: ["virtio-source", "node", "import"] } },
      build: {
        ssr: fileURLToPath(new URL("./flushing-child.ts", import.meta.url)),
        outDir: join(folder, "child"),
        emptyOutDir: true,
        rolldownOptions: { output: { entryFileNames: "child.mjs" } },
      },
    });
    const child = spawn(process.execPath, [join(folder, "child", "child.mjs"), image], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = new Promise<NodeJS.Signals | null>((resolve) => {
      child.on("exit", (_code, signal) => resolve(signal));
    });
    const acknowledged = await new Promise<number>((resolve, reject) => {
      let text = "";
      child.stdout.on("data", (data: Buffer) => {
        text += data.toString();
        const last = text.lastIndexOf("\n");
        const rounds = text.slice(0, Math.max(0, last)).split("\n").map(Number);
        const round = rounds.at(-1) ?? 0;
        if (round < 20) return;
        // It is writing the next round by now.
        child.kill("SIGKILL");
        resolve(round);
      });
      child.on("error", reject);
      child.on("exit", () => reject(new Error(`the child ended early: ${text}`)));
    });
    expect(await ended).toBe("SIGKILL");
    const bytes = readFileSync(image);
    // Round n wrote sector n and was acknowledged after its flush.
    for (let round = 1; round <= acknowledged; round++) {
      expectBytes(bytes.subarray(round * 512, (round + 1) * 512), pattern(1, round));
    }
  });
});
