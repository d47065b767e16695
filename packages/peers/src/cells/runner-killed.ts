/** A runner of cells that is killed itself, at any moment. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Random } from "@virtio-admin/testkit";
import { endsWithUs, killedWithUs, privateFolder } from "../cleanup.ts";
import { findModule } from "../environment.ts";
import { makeInitramfs } from "../guest/initramfs.ts";
import type { RunnerInit } from "../served/runner.ts";
import { linuxOnOurs } from "./covered.ts";
import { expectNobody, KILLS, momentsOf, reached } from "./moments.ts";
import { type Cell, expect, until } from "./types.ts";

const PROGRAM = fileURLToPath(new URL("../served/runner.js", import.meta.url));
const BUSY = "while true; do dd if=/dev/hwrng of=/dev/null bs=64 count=64 2>/dev/null; done";
/** The first is what a process cannot do anything about. */
const SIGNALS = ["SIGKILL", "SIGKILL", "SIGTERM", "SIGINT"] as const;
const GONE_TIME = 20_000;

/** Runners killed with all that they have: servers, guests, machines. */
export const RUNNER_KILLED: Cell = {
  name: "runner-killed",
  needs: "the newest Linux, util-linux",
  checks: `a runner is killed at ${KILLS} random moments; no process, socket or file of it is left`,
  covers: linuxOnOurs("pci", "entropy", ["bring-up"]),
  run: async ({ environment, progress, seed }) => {
    const folder = privateFolder();
    const temporary = join(folder.path, "t");
    mkdirSync(temporary);
    const kernel = await environment.linux("newest");
    const archive = join(folder.path, "initramfs.cpio");
    const modules = [findModule(kernel, "virtio-rng")];
    writeFileSync(
      archive,
      makeInitramfs({ busybox: await environment.busybox(), modules, script: BUSY }),
    );
    const init: RunnerInit = { program: await environment.qemu(), kernel: kernel.image, archive };
    const random = new Random(seed);
    const counts = new Map<string, number>();
    try {
      for (const [kill, moment] of momentsOf(seed).entries()) {
        const signal = random.pick(SIGNALS);
        const when = `after ${signal} at ${moment} ms`;
        progress(`kill ${kill + 1} of ${KILLS}, ${when}`);
        counts.set(signal, (counts.get(signal) ?? 0) + 1);
        await killAfter(init, temporary, moment, signal);
        await expectNobody(temporary, when);
        const left = () => readdirSync(temporary);
        await until(() => left().length === 0, "", GONE_TIME).catch(() => undefined);
        expect(left().length === 0, `${when}, there is ${left().join(", ")}`);
      }
      const told = [...counts].map(([signal, count]) => `${count} ${signal}`).join(", ");
      return [`seed ${seed}: ${told}`];
    } finally {
      folder.remove();
    }
  },
};

async function killAfter(
  init: RunnerInit,
  temporary: string,
  moment: number,
  signal: NodeJS.Signals,
): Promise<void> {
  expect(existsSync(PROGRAM), "the runner is not built");
  const runner = spawn(...killedWithUs(process.execPath, [PROGRAM, JSON.stringify(init)]), {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ["ignore", "ignore", "pipe"],
  });
  endsWithUs(runner);
  let said = "";
  runner.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  let isKilled = false;
  const ended = once(runner, "exit").then(() => {
    expect(isKilled, `the runner ended before it was killed: ${said}`);
  });
  await Promise.race([reached(moment, ended), ended]);
  isKilled = true;
  runner.kill(signal);
  await ended;
}
