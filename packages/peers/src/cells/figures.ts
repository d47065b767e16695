/**
 * How fast our devices are under Linux, beside QEMU's own in the same guest: measured in turns, so
 * that what slows the machine down slows both.
 */
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SECTOR_SIZE } from "@virtio-admin/devices";
import { privateFolder } from "../cleanup.ts";
import { buildModule } from "../guest/build-module.ts";
import type { Guest } from "../qemu/guest.ts";
import { type Served, serve } from "../served/function.ts";
import { STEP_TIME, withGuest } from "./boot.ts";
import { OWNER } from "./entropy.ts";
import { TELL_MODULE } from "./member-commands.ts";
import { type Cell, expect } from "./types.ts";

const ROUNDS = 5;
const DISK_BYTES = 64 << 20;
const ENTROPY_BYTES = 256 << 10;
const COMMANDS = 5000;
/**
 * How many times as fast as QEMU's own ours is to be, and what is a failure: a machine that others
 * keep busy has no processor for a process that looks, and each request wakes it then.
 */
const ENTROPY_BAR: Bar = { wanted: 1, least: 0.25 };
const BLOCK_BAR: Bar = { wanted: 0.5, least: 0.25 };
/** Slots; ours come first, so that Linux numbers them so. */
const SLOT = { entropy: "4", block: "5", theirEntropy: "6", theirBlock: "7" };
const NANOSECONDS = 1e9;

interface Bar {
  readonly wanted: number;
  readonly least: number;
}

/** The disk at a slot, and how many nanoseconds a dd takes. */
const SCRIPT = `
disk() { for d in /sys/block/vd*; do case $(readlink -f $d/device) in */0000:00:0$1.0/*) echo /dev/$(basename $d);; esac; done; }
now() { sed -n 's/^now at \\([0-9]*\\) nsecs.*/\\1/p' /proc/timer_list; }
took() { from=$(now); dd of=/dev/null "$@" 2>/dev/null || tell failed what="dd $*"; echo $(($(now) - from)); }
rng() { echo $1 >/sys/class/misc/hw_random/rng_current || tell failed what="the choice of $1"; }
for round in $(seq 0 ${ROUNDS}); do
  for which in 0 1; do
    rng virtio_rng.$which
    tell entropy which=$which ns=$(took if=/dev/hwrng bs=4096 count=${ENTROPY_BYTES / 4096})
  done
  for slot in ${SLOT.block} ${SLOT.theirBlock}; do
    tell block slot=$slot ns=$(took if=$(disk $slot) bs=256k iflag=direct)
  done
done
tell commands
`;

/** Throughput beside QEMU's devices, and what an administration command costs. */
export const FIGURES: Cell = {
  name: "figures",
  needs: "the newest Linux, its headers and a compiler; root",
  checks: `how fast entropy and blocks are beside QEMU's own, and what a command costs`,
  covers: [],
  run: async (bench) => {
    const module = await buildModule(await bench.environment.toolchain(), "member_commands");
    const folder = privateFolder();
    const disk = join(folder.path, "disk.raw");
    writeFileSync(disk, "");
    truncateSync(disk, DISK_BYTES);
    const sectors = DISK_BYTES / SECTOR_SIZE;
    const owner = await serve({ device: OWNER, quiet: true });
    const block = await serve({ device: { type: "block", sectors }, quiet: true });
    const boot = {
      linux: "newest",
      modules: ["virtio-rng", "virtio_blk"],
      script: `${SCRIPT}\ninsmod /modules/${module.name} rounds=${COMMANDS}\n${TELL_MODULE}`,
      files: new Map([[`modules/${module.name}`, module.bytes]]),
      sockets: [
        { path: owner.socket, at: SLOT.entropy },
        { path: block.socket, at: SLOT.block },
      ],
      extra: [
        ...["-object", "rng-random,filename=/dev/urandom,id=rng"],
        ...["-device", `virtio-rng-pci,rng=rng,addr=${SLOT.theirEntropy},disable-legacy=on`],
        ...["-drive", `if=none,id=disk,format=raw,file=${disk}`],
        ...["-device", `virtio-blk-pci,drive=disk,addr=${SLOT.theirBlock},disable-legacy=on`],
      ],
    } as const;
    try {
      return await withGuest(bench, boot, async (guest) => {
        const entropy: number[] = [];
        const blocks: number[] = [];
        // The first round is to warm up.
        for (let round = 0; round <= ROUNDS; round++) {
          const found = [await ratio(guest, "entropy"), await ratio(guest, "block")] as const;
          if (round === 0) continue;
          entropy.push(found[0]);
          blocks.push(found[1]);
          bench.progress(`round ${round} of ${ROUNDS}`);
        }
        const commands = await commandNotes(guest, owner);
        await guest.result("end", STEP_TIME);
        await guest.poweredOff(STEP_TIME);
        return [
          bar("entropy", entropy, ENTROPY_BAR),
          bar("block reads", blocks, BLOCK_BAR),
          ...commands,
          started("entropy", owner),
          started("block", block),
        ];
      });
    } finally {
      await owner.close();
      await block.close();
      folder.remove();
    }
  },
};

/** Their time ÷ ours: how many times as fast ours is. */
async function ratio(guest: Guest, name: string): Promise<number> {
  const ours = await guest.result(name, STEP_TIME);
  const theirs = await guest.result(name, STEP_TIME);
  const [a, b] = [ours, theirs].map(({ fields }) => Number(fields["ns"]));
  expect(a !== undefined && b !== undefined && a > 0 && b > 0, `${name} took no time`);
  return b / a;
}

function bar(name: string, ratios: readonly number[], { wanted, least }: Bar): string {
  const median = [...ratios].sort((a, b) => a - b)[Math.floor(ratios.length / 2)] ?? 0;
  const all = ratios.map((each) => each.toFixed(2)).join(" ");
  const told = `${name} ${median.toFixed(2)} times QEMU's (${all}; wanted ${wanted})`;
  expect(median >= least, `${told}: below ${least}`);
  return told;
}

/** Commands one after the other, each waited for; and the messages that they took. */
async function commandNotes(guest: Guest, { counted }: Served): Promise<string[]> {
  await guest.result("commands", STEP_TIME);
  const before = counted.accesses;
  for (;;) {
    const { fields } = await guest.result("command", STEP_TIME);
    if (fields["what"] !== "rounds-ns") continue;
    expect(fields["result"] === "0", `a command failed with ${fields["result"]}`);
    const perSecond = (COMMANDS * NANOSECONDS) / Number(fields["value"]);
    const messages = (counted.accesses - before) / COMMANDS;
    return [
      `${perSecond.toFixed(0)} commands a second, one at a time`,
      `${messages.toFixed(2)} messages a command`,
    ];
  }
}

function started(name: string, { first }: Served): string {
  const time = (first.running ?? 0) - (first.driver ?? 0);
  return `${name}: ${time.toFixed(0)} ms from DRIVER to DRIVER_OK`;
}
