/** A block device with a file system on it: written and read back, and compared from both sides. */
import { createHash } from "node:crypto";
import { createBlock, memoryStorage } from "@virtio-admin/devices";
import { serve } from "../served/function.ts";
import { STEP_TIME, withGuest } from "./boot.ts";
import { type Cell, expect } from "./types.ts";

const MEBIBYTE = 1 << 20;
const DISK_BYTES = 32 * MEBIBYTE;
const FILE_MEBIBYTES = 8;

const SCRIPT = `
hash() { sha256sum "$1" | cut -d' ' -f1; }
step() { "$@" >/tmp/said 2>&1 || tell failed what="$*: $(tail -n 1 /tmp/said)"; }
step /sbin/mke2fs -q -t ext2 /dev/vda
step mount -t ext2 /dev/vda /mnt
dd if=/dev/urandom of=/mnt/file bs=1M count=${FILE_MEBIBYTES} 2>/dev/null || tell failed what="the write"
tell written hash=$(hash /mnt/file)
step umount /mnt
echo 3 >/proc/sys/vm/drop_caches
step mount -t ext2 -o ro /dev/vda /mnt
tell read hash=$(hash /mnt/file)
step umount /mnt
step /sbin/e2fsck -f -n /dev/vda
echo 3 >/proc/sys/vm/drop_caches
tell disk bytes=$(blockdev --getsize64 /dev/vda) hash=$(hash /dev/vda)
`;

/** A file system on a block device. */
export const LINUX_BLOCK: Cell = {
  name: "linux-block",
  needs: "the newest Linux, e2fsprogs",
  checks: "Linux makes a file system on a block device, and reads back what it wrote, as we do",
  run: async (bench) => {
    const storage = memoryStorage(DISK_BYTES);
    const served = await serve({ model: () => createBlock({ storage }) });
    const boot = {
      linux: "newest",
      modules: ["virtio_blk"],
      files: await bench.environment.fileSystemPrograms(),
      script: SCRIPT,
      sockets: [{ path: served.socket }],
    } as const;
    try {
      return await withGuest(bench, boot, async (guest) => {
        const written = await guest.result("written", STEP_TIME);
        bench.progress("a file is written");
        const read = await guest.result("read", STEP_TIME);
        expect(written.fields["hash"]?.length === 64, "the guest has no hash of its file");
        expect(
          read.fields["hash"] === written.fields["hash"],
          "what is read is not what was written",
        );
        const disk = await guest.result("disk", STEP_TIME);
        await guest.result("end", STEP_TIME);
        await guest.poweredOff(STEP_TIME);
        await served.alone();
        expect(
          Number(disk.fields["bytes"]) === DISK_BYTES,
          `a disk of ${disk.fields["bytes"]} bytes`,
        );
        const ours = createHash("sha256").update(storage.bytes).digest("hex");
        expect(disk.fields["hash"] === ours, "the guest and the host see different disks");
        const { broken, buffers } = served.counted;
        expect(broken.length === 0, `the device is broken: ${broken.join(", ")}`);
        return [`${FILE_MEBIBYTES} MiB in a file of ext2`, `${buffers.get(0) ?? 0} requests`];
      });
    } finally {
      await served.close();
    }
  },
};
