/**
 * What drivers do between bring-up and the end: queues that are used by one processor each, a driver
 * that is unbound and bound again, and queues that are reset. What is read and written is little, so
 * that a recording of it is, too.
 */
import { createHash } from "node:crypto";
import {
  BLOCK_DEVICE_ID,
  ENTROPY_DEVICE_ID,
  memoryStorage,
  SECTOR_SIZE,
} from "@virtio-admin/devices";
import { SeededStream } from "@virtio-admin/fixtures";
import { buildModule } from "../guest/build-module.ts";
import type { Guest } from "../qemu/guest.ts";
import { type Served, serve } from "../served/function.ts";
import { expectPlace, reach, STEP_TIME, withGuest } from "./boot.ts";
import type { Coverage } from "./coverage.ts";
import { type CoveredFeature, linuxOnOurs } from "./covered.ts";
import { expectSound, TELL_DEVICE } from "./guest-device.ts";
import { type Bench, type Cell, expect } from "./types.ts";

const QUEUES = 3;
/** No more than is used, so that Linux looks for partitions in one page. */
const SECTORS = 8;
const SAMPLE_BYTES = 64;
const ROUNDS = 2;

/** What is done twice: a sector through each queue, and a sample of entropy where there is any. */
const USE = `
${TELL_DEVICE}
block() {
  for queue in $(seq 0 ${QUEUES - 1}); do
    sector=$(($1 * ${QUEUES} + queue))
    yes "round $1, queue $queue" | head -c ${SECTOR_SIZE} >/tmp/sector
    taskset $((1 << queue)) dd if=/tmp/sector of=/dev/vda bs=${SECTOR_SIZE} seek=$sector count=1 oflag=direct conv=notrunc 2>/dev/null || tell failed what="a write of queue $queue"
    taskset $((1 << queue)) dd if=/dev/vda of=/tmp/read bs=${SECTOR_SIZE} skip=$sector count=1 iflag=direct 2>/dev/null || tell failed what="a read of queue $queue"
    cmp /tmp/sector /tmp/read || tell failed what="the comparison of sector $sector"
  done
  tell used round=$1 queues=$(ls -d /sys/block/vda/mq/* | wc -l)
}
entropy() {
  dd if=/dev/hwrng of=/tmp/sample bs=${SAMPLE_BYTES} count=1 2>/dev/null || tell failed what=/dev/hwrng
  tell sample hash=$(sha256sum </tmp/sample | cut -d' ' -f1)
}
again() {
  driver=/sys/bus/virtio/drivers/$1
  name=$(basename $(ls -d $driver/virtio*))
  echo $name >$driver/unbind || tell failed what="the unbinding of $1"
  [ -e $driver/$name ] && tell failed what="the unbinding of $1, which still has $name"
  echo $name >$driver/bind || tell failed what="the binding of $1"
}
`;
const OF_BLOCK = ["bring-up", "reads", "writes", "EVENT_IDX", "several queues"] as const;
const OF_ENTROPY = ["bring-up", "reads", "EVENT_IDX"] as const;

/** Unbinding and binding on both transports; resets of queues where Linux can. */
export const LINUX_BIND: readonly Cell[] = [
  {
    name: "linux-bind",
    needs: "the newest Linux",
    checks: "Linux uses each of three queues, and all of it once more after unbind and bind",
    covers: both("unbind and bind"),
    run: (bench) =>
      withBoth(bench, "block 0\nentropy\nagain virtio_blk\nagain virtio_rng\nblock 1\nentropy"),
  },
  {
    name: "linux-mmio-bind",
    needs: "the newest Linux",
    checks: "the same over MMIO, with a block device",
    covers: linuxOnOurs("mmio", "block", [...OF_BLOCK, "interrupt line", "unbind and bind"]),
    run: async (bench) => {
      const disk = await serveDisk(bench, "mmio");
      try {
        const boot = {
          ...reach(disk.served, "virtio_blk"),
          linux: "newest",
          extra: ["-smp", `${QUEUES}`],
          script: `${USE}\nblock 0\nagain virtio_blk\nblock 1`,
        } as const;
        return await withGuest(bench, boot, async (guest) => {
          expectPlace(disk.served);
          for (let round = 0; round < ROUNDS; round++) await expectUse(guest, round);
          return await disk.end(guest);
        });
      } finally {
        await disk.served.close();
      }
    },
  },
  {
    name: "linux-queue-reset",
    needs: "the newest Linux, its headers and a compiler; root",
    checks: "Linux resets each queue of two devices, and uses all of them before and after",
    covers: both("queue reset"),
    run: async (bench) => {
      bench.progress("the module is built");
      const module = await buildModule(await bench.environment.toolchain(), "queue_reset");
      const files = new Map([[`modules/${module.name}`, module.bytes]]);
      const script = `block 0\nentropy\ninsmod /modules/${module.name}\n${TELL_RESETS}\nblock 1\nentropy`;
      return withBoth(bench, script, files, expectResets);
    },
  },
];

const TELL_RESETS = `
dmesg | grep 'queue_reset says ' | while read line; do
  set -- \${line#*queue_reset says }
  tell reset device=$1 queue=$2 result=$3 recycled=$4
done
`;

function both(feature: CoveredFeature): Coverage[] {
  return [
    ...linuxOnOurs("pci", "block", [...OF_BLOCK, "MSI-X", feature]),
    ...linuxOnOurs("pci", "entropy", [...OF_ENTROPY, "MSI-X", feature]),
  ];
}

/** Runs a guest with both devices, on PCI; `between` is called between the two rounds. */
async function withBoth(
  bench: Bench,
  script: string,
  files: ReadonlyMap<string, Uint8Array> = new Map(),
  between: (guest: Guest) => Promise<string[]> = async () => [],
): Promise<readonly string[]> {
  const stream = new SeededStream("linux-bind");
  const disk = await serveDisk(bench, "pci");
  const entropy = await serve({ device: { type: "entropy" }, stream, ...bench.recording });
  const boot = {
    linux: "newest",
    modules: ["virtio_blk", "virtio-rng"],
    sockets: [{ path: disk.served.socket }, { path: entropy.socket }],
    extra: ["-smp", `${QUEUES}`],
    files,
    script: `${USE}\n${script}`,
  } as const;
  try {
    return await withGuest(bench, boot, async (guest) => {
      let from = 0;
      const notes: string[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        if (round > 0) notes.push(...(await between(guest)));
        await expectUse(guest, round);
        const { fields } = await guest.result("sample", STEP_TIME);
        const at = stream.find(fields["hash"] ?? "", SAMPLE_BYTES, from);
        expect(at !== undefined, `the sample of round ${round} is not what the device gave`);
        from = at + SAMPLE_BYTES;
      }
      notes.push(...(await disk.end(guest)));
      await entropy.alone();
      expectSound(entropy);
      return [...notes, `${entropy.counted.buffers.get(0) ?? 0} buffers of entropy`];
    });
  } finally {
    await disk.served.close();
    await entropy.close();
  }
}

interface ServedDisk {
  readonly served: Served;
  /** Waits for the end of the guest, and compares the disk with what the guest was to write. */
  readonly end: (guest: Guest) => Promise<string[]>;
}

async function serveDisk(bench: Bench, transport: "pci" | "mmio"): Promise<ServedDisk> {
  const storage = memoryStorage(SECTORS * SECTOR_SIZE);
  const served = await serve({
    device: { type: "block", sectors: SECTORS, queues: QUEUES },
    transport,
    storage,
    ...bench.recording,
  });
  const end = async (guest: Guest): Promise<string[]> => {
    await guest.result("end", STEP_TIME);
    await guest.poweredOff(STEP_TIME);
    await served.alone();
    expectSound(served);
    for (let sector = 0; sector < ROUNDS * QUEUES; sector++) {
      const line = `round ${Math.floor(sector / QUEUES)}, queue ${sector % QUEUES}\n`;
      const wanted = line.repeat(SECTOR_SIZE).slice(0, SECTOR_SIZE);
      const stored = storage.bytes.subarray(sector * SECTOR_SIZE, (sector + 1) * SECTOR_SIZE);
      expect(hashOf(stored) === hashOf(Buffer.from(wanted)), `sector ${sector} is another here`);
    }
    const used = Array.from({ length: QUEUES }, (_, i) => served.counted.buffers.get(i) ?? 0);
    expect(!used.includes(0), `a queue was never used: ${used.join(", ")}`);
    return [`${used.join(" + ")} requests`];
  };
  return { served, end };
}

async function expectUse(guest: Guest, round: number): Promise<void> {
  const { fields } = await guest.result("used", STEP_TIME);
  expect(fields["round"] === `${round}`, `the guest is in round ${fields["round"]}`);
  expect(fields["queues"] === `${QUEUES}`, `Linux has ${fields["queues"]} queues`);
}

/** Checks that every queue was reset, and that nothing was in it. */
async function expectResets(guest: Guest): Promise<string[]> {
  const wanted = [
    ...Array.from({ length: QUEUES }, (_, queue) => [BLOCK_DEVICE_ID, queue]),
    [ENTROPY_DEVICE_ID, 0],
  ];
  for (const [device, queue] of wanted) {
    const { fields } = await guest.result("reset", STEP_TIME);
    const told = `${fields["device"]} ${fields["queue"]} ${fields["result"]} ${fields["recycled"]}`;
    expect(told === `${device} ${queue} 0 0`, `the reset of queue ${queue}: ${told}`);
  }
  return [`${wanted.length} queues reset`];
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
