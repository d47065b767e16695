/**
 * A server in another process against a client that does what it likes. Nothing of it may outlive
 * its connection, and the next client is served as ever. VIRTIO_ADMIN_VFIO_MESSAGES sets the number
 * of messages, VIRTIO_ADMIN_VFIO_SEED the seed.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { VfioUserClient } from "@virtio-admin/vfio-user";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundle, run } from "./child.ts";
import { HostileClient } from "./hostile-client.ts";
import { privateDirectory, unsupported } from "./rig.ts";

const MESSAGES = Number(process.env["VIRTIO_ADMIN_VFIO_MESSAGES"] ?? 4000);
const SEED = process.env["VIRTIO_ADMIN_VFIO_SEED"];
const SEEDS = SEED === undefined ? [1, 2, 3] : [Number(SEED)];

describe.skipIf(unsupported !== undefined)(`a hostile client ${unsupported ?? ""}`, () => {
  let programs: string;
  let script: string;

  beforeAll(async () => {
    const cache = fileURLToPath(new URL("../node_modules/", import.meta.url));
    programs = mkdtempSync(join(cache, ".programs-"));
    script = await bundle("server-child", programs);
  });

  afterAll(() => rmSync(programs, { recursive: true, force: true }));

  it.each(SEEDS)(
    `of ${MESSAGES} messages, seed %i, takes nothing down and leaves nothing behind`,
    async (seed) => {
      const directory = privateDirectory();
      const child = run(script, directory.path, "100");
      await child.line(/^ready$/);
      const path = join(directory.path, "entropy.sock");
      const hostile = await HostileClient.make(path, seed);
      try {
        await Promise.race([hostile.run(MESSAGES), child.ended]);
        expect(child.process.exitCode).toBe(null);
        const { tally } = hostile;
        // It did get somewhere.
        for (const [what, count] of Object.entries(tally)) {
          expect(count, `${what} of ${JSON.stringify(tally)}`).toBeGreaterThan(0);
        }
        const client = await VfioUserClient.connect({ path, memory: { length: 4096 } });
        expect(await client.configRead(0, 2)).toBe(0x1af4);
        await client.close();
        child.process.stdin?.end();
        expect(await child.ended).toBe(0);
        const gone = child.lines.filter((line) => line.startsWith("gone"));
        expect(gone.length).toBeGreaterThan(1);
        expect(gone.filter((line) => /; [1-9]\d* desc|, [1-9]\d* mapp/.test(line))).toEqual([]);
        expect(gone.filter((line) => line.includes("threw"))).toEqual([]);
      } finally {
        hostile.close();
        child.process.kill("SIGKILL");
        await child.ended;
        directory.remove();
      }
    },
    60_000 + MESSAGES * 10,
  );
});
