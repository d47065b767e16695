/** A client that does what it likes, for longer than the tests have time for. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { endsWithUs, killedWithUs } from "../cleanup.ts";
import { LineCutter } from "../guest/lines.ts";
import { type Cell, expect } from "./types.ts";

const MESSAGES = 100_000;
const TEST = "packages/vfio-user/test/hostile.test.ts";
const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const VITEST = join(ROOT, "node_modules/vitest/vitest.mjs");
const LAST_LINES = 40;

/** The test of `packages/vfio-user`, which also counts what is left of each connection. */
export const HOSTILE_CLIENT: Cell = {
  name: "hostile-client",
  needs: "nothing",
  checks: `${MESSAGES} messages with every header, size, count, region, offset and descriptor wrong`,
  covers: [],
  run: async ({ progress, console }) => {
    const seed = 1 + Math.floor(Math.random() * 2 ** 31);
    progress(`seed ${seed}`);
    const child = spawn(...killedWithUs(process.execPath, [VITEST, "run", TEST]), {
      cwd: ROOT,
      env: {
        ...process.env,
        NO_COLOR: "1",
        VIRTIO_ADMIN_VFIO_MESSAGES: `${MESSAGES}`,
        VIRTIO_ADMIN_VFIO_SEED: `${seed}`,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    endsWithUs(child);
    const lines: string[] = [];
    const cutter = new LineCutter((line) => {
      lines.push(line);
      if (lines.length > LAST_LINES) lines.shift();
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (bytes: Buffer) => cutter.push(bytes));
    }
    const [code] = await once(child, "close");
    const passed = code === 0 && lines.some((line) => /Tests .*\b1 passed/.test(line));
    if (!passed) console(lines);
    expect(passed, `with seed ${seed}, the server or what is left of it is not as it was`);
    return [`${MESSAGES} messages, seed ${seed}: the server lives, and holds nothing`];
  },
};
