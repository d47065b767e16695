/** A block device with a file system on it: written and read back, and compared from both sides. */
import { createHash } from "node:crypto";
import { FEATURE } from "@virtio-admin/core";
import { BLOCK_FEATURE, memoryStorage, SECTOR_SIZE } from "@virtio-admin/devices";
import { type ServedDevice, type ServedInit, serve } from "../served/function.ts";
import { expectPlace, reach, STEP_TIME, withGuest } from "./boot.ts";
import { type CoveredFeature, linuxOnOurs } from "./covered.ts";
import { expectDevice, expectInterrupts, expectSound, TELL_DEVICE } from "./guest-device.ts";
import { type Cell, expect } from "./types.ts";

const MEBIBYTE = 1 << 20;
const { VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX, VIRTIO_F_RING_PACKED } = FEATURE;
const PACKED = ["VIRTIO_F_INDIRECT_DESC", "VIRTIO_F_EVENT_IDX", "VIRTIO_F_RING_PACKED"] as const;

interface Plan {
  readonly name: string;
  readonly what: string;
  readonly transport: NonNullable<ServedInit["transport"]>;
  readonly device: ServedDevice;
  /** Of the disk and of the file on it. */
  readonly mebibytes: { readonly disk: number; readonly file: number };
  /** Words of the kernel's command line. */
  readonly append?: readonly string[];
  readonly covers: readonly CoveredFeature[];
}

const USUAL = ["bring-up", "reads", "writes", "indirect", "EVENT_IDX"] as const;

/** Disks on each transport, with rings of either kind. */
export const LINUX_BLOCK: readonly Cell[] = [
  blockCell({
    name: "linux-block",
    what: "a block device",
    transport: "pci",
    device: { type: "block" },
    mebibytes: { disk: 32, file: 8 },
    covers: [...USUAL, "MSI-X"],
  }),
  blockCell({
    name: "linux-intx-block",
    what: "a block device without MSI-X",
    transport: "pci",
    device: { type: "block" },
    mebibytes: { disk: 8, file: 1 },
    append: ["pci=nomsi"],
    covers: [...USUAL, "interrupt line"],
  }),
  blockCell({
    name: "linux-packed-block",
    what: "a block device with packed rings, one for each of its processors",
    transport: "pci",
    device: { type: "block", queues: 3, features: PACKED },
    mebibytes: { disk: 16, file: 4 },
    covers: [...USUAL, "MSI-X", "packed", "several queues"],
  }),
  blockCell({
    name: "linux-mmio-block",
    what: "a block device on MMIO, with a ring for each of its processors",
    transport: "mmio",
    device: { type: "block", queues: 2 },
    mebibytes: { disk: 16, file: 4 },
    covers: [...USUAL, "interrupt line", "several queues"],
  }),
  blockCell({
    name: "linux-mmio-packed-block",
    what: "a block device on MMIO with packed rings",
    transport: "mmio",
    device: { type: "block", features: PACKED },
    mebibytes: { disk: 16, file: 4 },
    covers: [...USUAL, "interrupt line", "packed"],
  }),
];

function scriptFor(file: number): string {
  return `
${TELL_DEVICE}
hash() { sha256sum "$1" | cut -d' ' -f1; }
step() { "$@" >/tmp/said 2>&1 || tell failed what="$*: $(tail -n 1 /tmp/said)"; }
devices
tell queues count=$(ls -d /sys/block/vda/mq/* | wc -l)
step /sbin/mke2fs -q -t ext2 /dev/vda
step mount -t ext2 /dev/vda /mnt
dd if=/dev/urandom of=/mnt/file bs=1M count=${file} 2>/dev/null || tell failed what="the write"
tell written hash=$(hash /mnt/file)
step umount /mnt
echo 3 >/proc/sys/vm/drop_caches
step mount -t ext2 -o ro /dev/vda /mnt
tell read hash=$(hash /mnt/file)
step umount /mnt
step /sbin/e2fsck -f -n /dev/vda
for queue in /sys/block/vda/mq/*; do
  taskset $((1 << $(basename $queue))) dd if=/dev/vda of=/dev/null bs=64k count=4 iflag=direct 2>/dev/null || tell failed what="a read of queue $queue"
done
echo 3 >/proc/sys/vm/drop_caches
tell disk bytes=$(blockdev --getsize64 /dev/vda) hash=$(hash /dev/vda)
interrupts
`;
}

function blockCell({ name, what, transport, device, mebibytes, append = [], covers }: Plan): Cell {
  const { queues = 1, features } = device;
  const bytes = mebibytes.disk * MEBIBYTE;
  const packed = features?.includes("VIRTIO_F_RING_PACKED") === true;
  return {
    name,
    needs: "the newest Linux, e2fsprogs",
    checks: `Linux makes a file system on ${what}, and reads back what it wrote, as we do`,
    covers: linuxOnOurs(transport, "block", covers),
    run: async (bench) => {
      const storage = memoryStorage(bytes);
      const served = await serve({
        device: { ...device, sectors: bytes / SECTOR_SIZE },
        transport,
        storage,
        ...bench.recording,
      });
      const way = reach(served, "virtio_blk");
      const boot = {
        ...way,
        linux: "newest",
        append: [...(way.append ?? []), ...append],
        files: await bench.environment.fileSystemPrograms(),
        script: scriptFor(mebibytes.file),
        extra: ["-smp", `${queues}`],
      } as const;
      try {
        return await withGuest(bench, boot, async (guest) => {
          expectPlace(served);
          const told = expectDevice(await guest.result("device", STEP_TIME), {
            driver: "virtio_blk",
            accepted: [
              ...[VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX],
              ...(packed ? [VIRTIO_F_RING_PACKED] : []),
              ...(queues > 1 ? [BLOCK_FEATURE.VIRTIO_BLK_F_MQ] : []),
            ],
          });
          const { fields: queue } = await guest.result("queues", STEP_TIME);
          expect(Number(queue["count"]) === queues, `Linux has ${queue["count"]} queues`);
          const written = await guest.result("written", STEP_TIME);
          bench.progress("a file is written");
          const read = await guest.result("read", STEP_TIME);
          expect(written.fields["hash"]?.length === 64, "the guest has no hash of its file");
          expect(
            read.fields["hash"] === written.fields["hash"],
            "what is read is not what was written",
          );
          const disk = await guest.result("disk", STEP_TIME);
          const interrupts = expectInterrupts(await guest.result("interrupts", STEP_TIME));
          await guest.result("end", STEP_TIME);
          await guest.poweredOff(STEP_TIME);
          await served.alone();
          expect(Number(disk.fields["bytes"]) === bytes, `a disk of ${disk.fields["bytes"]} bytes`);
          const ours = createHash("sha256").update(storage.bytes).digest("hex");
          expect(disk.fields["hash"] === ours, "the guest and the host see different disks");
          expectSound(served);
          const requests = Array.from(
            { length: queues },
            (_, i) => served.counted.buffers.get(i) ?? 0,
          );
          expect(!requests.includes(0), `a queue was never used: ${requests.join(", ")}`);
          return [
            `${mebibytes.file} MiB in a file of ext2`,
            told,
            `${requests.join(" + ")} requests`,
            interrupts,
          ];
        });
      } finally {
        await served.close();
      }
    },
  };
}
