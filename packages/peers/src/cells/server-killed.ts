/** A server that is killed under a guest, and its successor at the same socket. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { endsWithUs, killedWithUs, privateFolder } from "../cleanup.ts";
import { findModule } from "../environment.ts";
import { makeInitramfs } from "../guest/initramfs.ts";
import { Guest } from "../qemu/guest.ts";
import { STEP_TIME, withGuest } from "./boot.ts";
import { linuxOnOurs } from "./covered.ts";
import { expectNobody, KILLS, momentsOf, reached } from "./moments.ts";
import { type Bench, type Cell, expect } from "./types.ts";

const PROGRAM = fileURLToPath(new URL("../served/program.js", import.meta.url));
const READ =
  "dd if=/dev/hwrng of=/dev/null bs=64 count=4 2>/dev/null || tell failed what=/dev/hwrng";
/** It says that it lives, whatever became of its device. */
const LIVE = `${READ}\ntell up\nwhile true; do sleep 1; tell tick; done`;
const TICKS = 3;

/** Servers killed under guests. QEMU does not connect again: the next one is for the next guest. */
export const SERVER_KILLED: Cell = {
  name: "server-killed",
  needs: "the newest Linux",
  checks: `the server is killed, ${KILLS} times at random; guests live on, its successor serves others`,
  covers: linuxOnOurs("pci", "entropy", ["bring-up", "reads"]),
  run: async (bench) => {
    const folder = privateFolder();
    const path = join(folder.path, "function.sock");
    const boot = { linux: "newest", modules: ["virtio-rng"], sockets: [{ path }] } as const;
    const servers = new Servers(path);
    try {
      for (const [kill, moment] of momentsOf(bench.seed).entries()) {
        bench.progress(`kill ${kill + 1} of ${KILLS}, after ${moment} ms`);
        await killAfter(bench, servers, moment);
      }
      await servers.start();
      await withGuest(bench, { ...boot, script: LIVE }, async (guest) => {
        await guest.result("up", STEP_TIME);
        bench.progress("the server is killed");
        await servers.kill();
        for (let tick = 0; tick < TICKS; tick++) await guest.result("tick", STEP_TIME);
        // While the guest of before is still there, and its QEMU holds what it has.
        await servers.start();
        await guest.result("tick", STEP_TIME);
      });
      bench.progress("the next guest comes to its successor");
      await withGuest(bench, { ...boot, script: READ }, async (guest) => {
        await guest.result("end", STEP_TIME);
        await guest.poweredOff(STEP_TIME);
      });
      await servers.end();
      await expectNobody(folder.path, "after the last server");
      expect(!existsSync(path), "the socket is left behind");
      return [`seed ${bench.seed}: ${servers.started} servers at one path`];
    } finally {
      servers.forget();
      folder.remove();
    }
  },
};

/** Kills a server that a guest has, at a moment, and the guest, which must live, afterwards. */
async function killAfter({ environment }: Bench, servers: Servers, moment: number): Promise<void> {
  await servers.start();
  const kernel = await environment.linux("newest");
  const archive = makeInitramfs({
    busybox: await environment.busybox(),
    modules: [findModule(kernel, "virtio-rng")],
    script: LIVE,
  });
  const guest = await Guest.start(await environment.qemu(), {
    kernel: kernel.image,
    archive,
    sockets: [{ path: servers.path }],
  });
  try {
    let ended = false;
    void guest.ended.then(() => {
      ended = true;
    });
    await reached(moment, guest.ended);
    const isEarly = !ended;
    await servers.kill();
    expect(isEarly, `QEMU ended before the kill: ${guest.lastLines.join(" / ")}`);
  } finally {
    await guest.kill();
  }
}

/** Servers of their own process, one after the other at one path. */
class Servers {
  readonly path: string;
  started = 0;
  #server: ChildProcess | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** Starts the next one, and waits until it listens. */
  async start(): Promise<void> {
    const child = spawn(...killedWithUs(process.execPath, [PROGRAM, this.path]), {
      stdio: ["pipe", "pipe", "inherit"],
    });
    endsWithUs(child);
    this.#server = child;
    this.started += 1;
    const ended = once(child, "exit").then(() => expect(false, "the server does not start"));
    await Promise.race([once(createInterface({ input: child.stdout }), "line"), ended]);
    // Its end is another's to wait for.
    ended.catch(() => undefined);
  }

  /** Kills it, and waits until it is gone. */
  async kill(): Promise<void> {
    const child = this.#server;
    if (child === undefined) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  /** Ends it in peace. */
  async end(): Promise<void> {
    const child = this.#server;
    if (child === undefined) return;
    const gone = once(child, "exit");
    child.stdin?.end();
    await gone;
  }

  /** Kills what there is of it. */
  forget(): void {
    this.#server?.kill("SIGKILL");
  }
}
