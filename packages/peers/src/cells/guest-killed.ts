/** Guests that are killed at any moment, and the next one, at the same server. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { privateFolder } from "../cleanup.ts";
import { findModule } from "../environment.ts";
import { makeInitramfs } from "../guest/initramfs.ts";
import { Guest } from "../qemu/guest.ts";
import { serve } from "../served/function.ts";
import { STEP_TIME, withGuest } from "./boot.ts";
import { linuxOnOurs } from "./covered.ts";
import { OWNER } from "./entropy.ts";
import { KILLS, momentsOf, reached } from "./moments.ts";
import { type Bench, type Cell, expect, until } from "./types.ts";

/** The library may wait for a collection of garbage, and sockets for the kernel. */
const SETTLE_TIME = 20_000;

/** Reads until it is killed. */
const BUSY = "while true; do dd if=/dev/hwrng of=/dev/null bs=64 count=64 2>/dev/null; done";
const ONCE =
  "dd if=/dev/hwrng of=/dev/null bs=64 count=4 2>/dev/null || tell failed what=/dev/hwrng";

/** Guests killed at random moments. */
export const GUEST_KILLED: Cell = {
  name: "guest-killed",
  needs: "the newest Linux",
  checks: `QEMU is killed at ${KILLS} random moments, nothing is left of it, and the next guest is served`,
  covers: linuxOnOurs("pci", "entropy", ["bring-up", "reads"]),
  run: async (bench) => {
    // What this process holds for all of its folders comes with the first.
    privateFolder().remove();
    const before = held();
    const served = await serve({ device: OWNER });
    const serving = held();
    const moments: string[] = [];
    try {
      for (const [kill, moment] of momentsOf(bench.seed).entries()) {
        bench.progress(`kill ${kill + 1} of ${KILLS}, after ${moment} ms`);
        await killAfter(bench, served.socket, moment);
        await served.alone();
        moments.push(`${moment} ms`);
        await settle(serving, `after the kill at ${moment} ms`);
      }
      const { socket: path } = served;
      const boot = { linux: "newest", modules: ["virtio-rng"], script: ONCE } as const;
      await withGuest(bench, { ...boot, sockets: [{ path }] }, async (guest) => {
        await guest.result("end", STEP_TIME);
        await guest.poweredOff(STEP_TIME);
      });
      await served.alone();
      await settle(serving, "after the last guest");
    } finally {
      await served.close();
    }
    const odd = served.gone.find((reason) => reason !== "hung up" && !reason.includes("half a"));
    expect(odd === undefined, `the server hung up: ${odd}`);
    expect(!existsSync(served.socket), "the socket is left behind");
    await settle(before, "after the server");
    return [
      `seed ${bench.seed}: ${KILLS} kills, at ${moments.join(", ")}`,
      `${served.clients()} clients, ${served.counted.buffers.get(0) ?? 0} buffers`,
    ];
  },
};

async function killAfter({ environment }: Bench, path: string, moment: number): Promise<void> {
  const kernel = await environment.linux("newest");
  const archive = makeInitramfs({
    busybox: await environment.busybox(),
    modules: [findModule(kernel, "virtio-rng")],
    script: BUSY,
  });
  const guest = await Guest.start(await environment.qemu(), {
    kernel: kernel.image,
    archive,
    sockets: [{ path }],
  });
  await reached(moment, guest.ended);
  await guest.kill();
}

/** What this process holds of others: descriptors by kind, and mappings of their memory. */
interface Held {
  readonly eventfds: number;
  readonly memfds: number;
  readonly sockets: number;
  readonly mappings: number;
}

function held(): Held {
  const targets = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "";
    }
  });
  const count = (pattern: RegExp) => targets.filter((target) => pattern.test(target)).length;
  return {
    eventfds: count(/^anon_inode:\[eventfd\]/),
    memfds: count(/^\/memfd:/),
    sockets: count(/^socket:/),
    mappings: readFileSync("/proc/self/maps", "utf8").split("/memfd:").length - 1,
  };
}

/** Waits until no more is held than before. */
async function settle(before: Held, when: string): Promise<void> {
  const kinds = Object.keys(before) as (keyof Held)[];
  const more = () => {
    const now = held();
    return kinds.filter((kind) => now[kind] > before[kind]).map((kind) => `${now[kind]} ${kind}`);
  };
  try {
    await until(() => more().length === 0, "", SETTLE_TIME);
  } catch {
    expect(false, `${when}, this process still holds ${more().join(", ")}`);
  }
}
