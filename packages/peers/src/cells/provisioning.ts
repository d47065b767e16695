/** Members that their owner's driver provisions, and what guests with those members make of it. */
import { FEATURE } from "@virtio-admin/core";
import type { GuestResult } from "../guest/lines.ts";
import { Guest } from "../qemu/guest.ts";
import { type Answer, CommandGroup } from "../served/command.ts";
import { type BootInit, STEP_TIME, withGuest } from "./boot.ts";
import { linuxOnOurs } from "./covered.ts";
import { type Cell, expect } from "./types.ts";

const { VIRTIO_F_EVENT_IDX } = FEATURE;
const QUEUES = 3;
const VECTORS_AT_FIRST = 2;
/** The configuration's, and one for each queue: Linux asks for as many, or for the first two. */
const VECTORS = QUEUES + 1;
const OTHER = 1;
const PROVISIONED = 3;
const GROUP = `
format: virtio-admin.group
version: 1
transport: pci
owner: { device: block, queues: ${QUEUES} }
group:
  type: sr-iov
  members: 3
  msix: { total: 12, min: 1, max: 8, default: ${VECTORS_AT_FIRST} }
`;

/** It tells what its driver got, again and again. */
const SCRIPT = `
while true; do
  for device in /sys/bus/virtio/devices/*; do
    tell member driver=$(basename $(readlink $device/driver)) features=$(cat $device/features) vectors=$(grep -c virtio0 /proc/interrupts)
  done
  sleep 1
done
`;
const BUSY = /EBUSY/;

/** Members that are provisioned by `ctl`. */
export const PROVISIONING: Cell = {
  name: "provisioning",
  needs: "the newest Linux, two guests",
  checks:
    "ctl gives a member vectors and takes a feature; its next guest sees it, another one nothing",
  covers: linuxOnOurs("pci", "block", ["bring-up", "MSI-X", "several queues"]),
  run: async (bench) => {
    const group = await CommandGroup.serve(GROUP, bench.recording);
    const boot = (member: number): BootInit => ({
      linux: "newest",
      modules: ["virtio_blk"],
      sockets: [{ path: group.socket(member) }],
      extra: ["-smp", `${QUEUES}`],
      script: SCRIPT,
    });
    try {
      await withGuest(bench, boot(OTHER), async (other) => {
        const before = memberOf(await other.result("member", STEP_TIME));
        expectMember(before, { vectors: VECTORS_AT_FIRST, eventIdx: true });
        bench.progress(`member ${PROVISIONED} is provisioned`);
        done(await group.ctl("msix", "set", `${PROVISIONED}`, `${VECTORS}`));
        const event = ["--clear", "VIRTIO_F_EVENT_IDX"];
        done(await group.ctl("features", "set", `${PROVISIONED}`, ...event));
        await withGuest(bench, boot(PROVISIONED), async (guest) => {
          const member = memberOf(await guest.result("member", STEP_TIME));
          expectMember(member, { vectors: VECTORS, eventIdx: false });
          bench.progress("a member in use is refused");
          refused(await group.ctl("msix", "set", `${PROVISIONED}`, `${VECTORS_AT_FIRST}`));
          refused(await group.ctl("features", "set", `${PROVISIONED}`, "--set", ...event.slice(1)));
          refused(await group.ctl("msix", "set", `${OTHER}`, `${VECTORS}`));
        });
        await group.freed(PROVISIONED);
        const after = memberOf(await other.result("member", STEP_TIME));
        expect(
          JSON.stringify(after) === JSON.stringify(before),
          `the other guest sees ${JSON.stringify(after)}`,
        );
      });
      await group.freed(OTHER);
      const kept = done(await group.ctl("msix", "get", `${PROVISIONED}`));
      expect(
        (kept as { vectors?: number }).vectors === VECTORS,
        `after the guest it has ${JSON.stringify(kept)}`,
      );
    } catch (error) {
      group.remove();
      throw error;
    }
    const left = await group.close("owner", OTHER, PROVISIONED);
    expect(left.length === 0, `after SIGTERM: ${left.join(", ")}`);
    return [
      `member ${PROVISIONED}: ${VECTORS} vectors and no EVENT_IDX in its guest`,
      `member ${OTHER}: ${VECTORS_AT_FIRST} vectors and EVENT_IDX in another`,
      "EBUSY for both while they run",
    ];
  },
};

/** An owner that a guest has. */
export const OWNER_HELD: Cell = {
  name: "owner-held",
  needs: "the newest Linux",
  checks: "while a guest has the owner, ctl names it and gives up, and so does a second QEMU",
  covers: linuxOnOurs("pci", "block", ["bring-up"]),
  run: async (bench) => {
    const group = await CommandGroup.serve(GROUP, bench.recording);
    const boot: BootInit = {
      linux: "newest",
      modules: ["virtio_blk"],
      sockets: [{ path: group.socket("owner") }],
      script: SCRIPT,
    };
    try {
      await withGuest(bench, boot, async (guest) => {
        await guest.result("member", STEP_TIME);
        const { code, complaint } = await group.ctl("attrs");
        expect(code === 3, `ctl ended with ${code}: ${complaint}`);
        expect(complaint.includes(`${guest.pid}`), `ctl does not name ${guest.pid}: ${complaint}`);
        bench.progress("a second QEMU comes");
        await refusedGuest(bench, boot);
        await guest.result("member", STEP_TIME);
      });
      await group.freed("owner");
      done(await group.ctl("attrs"));
    } catch (error) {
      group.remove();
      throw error;
    }
    const left = await group.close("owner");
    expect(left.length === 0, `after SIGTERM: ${left.join(", ")}`);
    return ["ctl ends with 3 and names QEMU", "a second QEMU ends at once"];
  },
};

/** A machine on a socket that another one has. */
async function refusedGuest(
  { environment }: Parameters<Cell["run"]>[0],
  { sockets = [] }: BootInit,
): Promise<void> {
  const kernel = await environment.linux("newest");
  const second = await Guest.start(await environment.qemu(), {
    kernel: kernel.image,
    archive: new Uint8Array(),
    sockets,
  });
  const late = setTimeout(() => void second.kill(), STEP_TIME);
  const how = await second.ended;
  clearTimeout(late);
  expect(how === 1, `the second QEMU ended with ${how}: ${second.lastLines.join(" / ")}`);
}

interface Member {
  readonly driver: string | undefined;
  readonly vectors: number;
  readonly eventIdx: boolean;
}

function memberOf({ fields }: GuestResult): Member {
  return {
    driver: fields["driver"],
    vectors: Number(fields["vectors"]),
    eventIdx: fields["features"]?.[VIRTIO_F_EVENT_IDX] === "1",
  };
}

function expectMember(member: Member, expected: Omit<Member, "driver">): void {
  const wanted: Member = { driver: "virtio_blk", ...expected };
  expect(
    JSON.stringify(member) === JSON.stringify(wanted),
    `the guest sees ${JSON.stringify(member)}, not ${JSON.stringify(wanted)}`,
  );
}

function done({ code, document, complaint }: Answer): unknown {
  expect(code === 0, `ctl ended with ${code}: ${complaint}`);
  return document;
}

function refused({ code, complaint }: Answer): void {
  expect(code === 1 && BUSY.test(complaint), `ctl ended with ${code}: ${complaint}`);
}
