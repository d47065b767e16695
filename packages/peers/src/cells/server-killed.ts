/** A server that is killed under a guest, and its successor at the same socket. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { endsWithUs, privateFolder } from "../cleanup.ts";
import { STEP_TIME, withGuest } from "./boot.ts";
import { linuxOnOurs } from "./covered.ts";
import { type Cell, expect } from "./types.ts";

const PROGRAM = fileURLToPath(new URL("../served/program.js", import.meta.url));
const READ =
  "dd if=/dev/hwrng of=/dev/null bs=64 count=4 2>/dev/null || tell failed what=/dev/hwrng";
/** It says that it lives, whatever became of its device. */
const LIVE = `${READ}\ntell up\nwhile true; do sleep 1; tell tick; done`;
const TICKS = 3;

/** A server killed under a guest. QEMU does not connect again: the next one is for the next guest. */
export const SERVER_KILLED: Cell = {
  name: "server-killed",
  needs: "the newest Linux",
  checks: "the server is killed under a guest, which lives on; its successor serves the next guest",
  covers: linuxOnOurs("pci", "entropy", ["bring-up", "reads"]),
  run: async (bench) => {
    const folder = privateFolder();
    const path = join(folder.path, "function.sock");
    const boot = { linux: "newest", modules: ["virtio-rng"], sockets: [{ path }] } as const;
    const children: ChildProcess[] = [];
    const start = async (): Promise<ChildProcess> => {
      const child = spawn(process.execPath, [PROGRAM, path], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      endsWithUs(child);
      children.push(child);
      const ended = once(child, "exit").then(() => expect(false, "the server does not start"));
      await Promise.race([once(createInterface({ input: child.stdout }), "line"), ended]);
      return child;
    };
    try {
      const first = await start();
      await withGuest(bench, { ...boot, script: LIVE }, async (guest) => {
        await guest.result("up", STEP_TIME);
        bench.progress("the server is killed");
        const gone = once(first, "exit");
        first.kill("SIGKILL");
        await gone;
        for (let tick = 0; tick < TICKS; tick++) await guest.result("tick", STEP_TIME);
        // While the guest of before is still there, and its QEMU holds what it has.
        await start();
        await guest.result("tick", STEP_TIME);
      });
      bench.progress("the next guest comes to its successor");
      await withGuest(bench, { ...boot, script: READ }, async (guest) => {
        await guest.result("end", STEP_TIME);
        await guest.poweredOff(STEP_TIME);
      });
      return [`${children.length} servers at one path, 2 guests`];
    } finally {
      for (const child of children) child.kill("SIGKILL");
      folder.remove();
    }
  },
};
