/**
 * Stock Linux on channel devices of ours, several in one boot: it knows nothing of administration
 * virtqueues on this transport, and drives devices that have them as any others.
 */
import { createHash } from "node:crypto";
import { accessors, type CommandLayout, FEATURE } from "@virtio-admin/core";
import { memoryStorage, SECTOR_SIZE } from "@virtio-admin/devices";
import { SeededStream } from "@virtio-admin/fixtures";
import {
  CCW_BASIC_LAYOUT,
  CCW_REFERENCE_LAYOUT,
  CHANNEL_DEVICE_STATUS,
  VIRTIO_FEATURE_DESC,
  VIRTIO_REV_INFO,
} from "@virtio-admin/transport-ccw";
import { findModule } from "../environment.ts";
import {
  CHANNEL_RESULT_DEVICE,
  CHANNEL_SCRIPT,
  deviceNumber,
  LinuxGuest,
  placeOf,
} from "../gdb/linux-guest.ts";
import { makeInitramfs } from "../guest/initramfs.ts";
import {
  type ChannelDevice,
  type ChannelDeviceInit,
  makeChannelDevice,
} from "../served/channel-device.ts";
import { BOOT_TIME, STEP_TIME } from "./boot.ts";
import { linuxOnOurs } from "./covered.ts";
import { type ExpectedDevice, expectDevice } from "./guest-device.ts";
import { type Bench, type Cell, expect } from "./types.ts";

const LINUX = "stable-s390x";
const NEEDS = "Linux of the stable suite for s390x";
const { VIRTIO_F_ADMIN_VQ, VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_RING_PACKED } =
  FEATURE;
const EXPECTED_REVISION = 2;
const { SENSE } = CCW_BASIC_LAYOUT.commands;
const { SET_IND } = CCW_REFERENCE_LAYOUT.commands;
const WORD_BITS = 32;
const UNUSED_CODE = 0xb3;
const ROUNDS = 2;
const SAMPLES = 8;
/** What hw_random draws at once on this architecture: a sample of no more is in one piece. */
const SAMPLE_BYTES = 256;
const DISK_BYTES = 4 << 20;

const featureFields = accessors(VIRTIO_FEATURE_DESC);
const revisionFields = accessors(VIRTIO_REV_INFO);

/** One device of a cell. */
interface Plan extends Pick<ChannelDeviceInit, "device" | "options"> {
  /** What it is, for the notes. */
  readonly what: string;
  /** The revisions that Linux asks for, the last of which is selected. */
  readonly revisions: readonly number[];
  /** True when Linux is offered VIRTIO_F_ADMIN_VQ; it never accepts it. */
  readonly offersAdmin: boolean;
  /** True when the device rejects adapter indicators. */
  readonly isClassic?: boolean;
  /** Feature bits that Linux accepts. */
  readonly accepted: readonly number[];
}

const RING_BITS = [VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX];
const PACKED = ["VIRTIO_F_INDIRECT_DESC", "VIRTIO_F_EVENT_IDX", "VIRTIO_F_RING_PACKED"] as const;

const ENTROPY_PLANS: readonly Plan[] = [
  {
    what: "ADMIN_VQ offered below its revision",
    device: { type: "entropy", members: 0 },
    options: { offerAdminBelowRevision3: true },
    revisions: [EXPECTED_REVISION],
    offersAdmin: true,
    accepted: RING_BITS,
  },
  {
    what: "packed rings, ADMIN_VQ from revision 3 on",
    device: { type: "entropy", members: 0, features: PACKED },
    revisions: [EXPECTED_REVISION],
    offersAdmin: false,
    accepted: [...RING_BITS, VIRTIO_F_RING_PACKED],
  },
  {
    what: "revision 1 alone",
    device: { type: "entropy" },
    options: { maxRevision: 1 },
    revisions: [EXPECTED_REVISION, 1],
    offersAdmin: false,
    accepted: RING_BITS,
  },
  {
    // Linux has no adapter indicators for any device once one has rejected them: it is the last.
    what: "classic indicators",
    device: { type: "entropy" },
    options: { layout: withoutAdapterIndicators() },
    revisions: [EXPECTED_REVISION],
    offersAdmin: false,
    isClassic: true,
    accepted: RING_BITS,
  },
];

/** Linux reads the configuration up to the field that it wants, and does not suppress length checks. */
const FOR_LINUX = { tolerateShortConfig: true } as const;

const BLOCK_PLANS: readonly Plan[] = [
  {
    what: "split rings",
    device: { type: "block", sectors: DISK_BYTES / SECTOR_SIZE, members: 0 },
    options: FOR_LINUX,
    revisions: [EXPECTED_REVISION],
    offersAdmin: false,
    accepted: RING_BITS,
  },
  {
    what: "packed rings",
    device: { type: "block", sectors: DISK_BYTES / SECTOR_SIZE, members: 0, features: PACKED },
    options: FOR_LINUX,
    revisions: [EXPECTED_REVISION],
    offersAdmin: false,
    accepted: [...RING_BITS, VIRTIO_F_RING_PACKED],
  },
  {
    what: "classic indicators",
    device: { type: "block", sectors: DISK_BYTES / SECTOR_SIZE },
    options: { ...FOR_LINUX, layout: withoutAdapterIndicators() },
    revisions: [EXPECTED_REVISION],
    offersAdmin: false,
    isClassic: true,
    accepted: RING_BITS,
  },
];

/** `drive DEVICE` binds twice; `use DEVICE`, which each script has, is called each time. */
const DRIVE = `
drive() {
  plugged $1
  name=$(basename $(echo /sys/bus/ccw/devices/$1/virtio*))
  at=/sys/bus/virtio/devices/$name
  driver=$(readlink -f $at/driver)
  for round in $(seq ${ROUNDS}); do
    if [ $round -gt 1 ]; then
      echo $name >$driver/unbind || tell failed what="the unbinding of $1"
      [ -e $at/driver ] && tell failed what="the unbinding of $1, which is still bound"
      echo $name >$driver/bind || tell failed what="the binding of $1"
    fi
    tell device id=$(cat $at/device) status=$(cat $at/status) features=$(cat $at/features) driver=$(basename $driver)
    use $1
  done
  # The next one is then the only one.
  echo $name >$driver/unbind
}
`;

const USE_ENTROPY = `
use() {
  for i in $(seq ${SAMPLES}); do
    dd if=/dev/hwrng of=/tmp/sample bs=${SAMPLE_BYTES} count=1 2>/dev/null || tell failed what=/dev/hwrng
    tell sample bytes=$(stat -c %s /tmp/sample) hash=$(sha256sum </tmp/sample | cut -d' ' -f1)
  done
}
`;

const USE_BLOCK = `
step() { "$@" >/tmp/said 2>&1 || tell failed what="$1: $(tail -n 1 /tmp/said | tr = :)"; }
hash() { sha256sum "$1" | cut -d' ' -f1; }
use() {
  disk=/dev/$(basename $(echo $at/block/*))
  step dd if=/dev/urandom of=/tmp/written bs=64k count=${DISK_BYTES >> 16}
  step dd if=/tmp/written of=$disk bs=512k oflag=direct conv=notrunc
  step dd if=$disk of=/tmp/read bs=512k iflag=direct
  tell disk bytes=$(blockdev --getsize64 $disk) written=$(hash /tmp/written) read=$(hash /tmp/read)
}
`;

/** Entropy and disks. */
export const LINUX_CCW: readonly Cell[] = [
  {
    name: "linux-ccw-entropy",
    needs: NEEDS,
    checks:
      "Linux reads entropy from channel devices, twice each, and leaves ADMIN_VQ alone where it sees it",
    covers: linuxOnOurs("ccw", "entropy", [
      ...(["bring-up", "reads", "EVENT_IDX", "packed"] as const),
      ...(["adapter indicators", "classic indicators", "unbind and bind"] as const),
    ]),
    run: (bench) =>
      withChannelGuest(bench, "virtio-rng", USE_ENTROPY, ENTROPY_PLANS, async (guest, plan) => {
        const stream = new SeededStream(plan.what);
        const made = await plug(bench, guest, plan, { stream });
        const seen = new Set<number>();
        return driven(bench, guest, plan, made, { driver: "virtio_rng" }, async () => {
          for (let i = 0; i < SAMPLES; i++) {
            const { fields } = await guest.result("sample", STEP_TIME);
            expect(
              Number(fields["bytes"]) === SAMPLE_BYTES,
              `a sample of ${fields["bytes"]} bytes`,
            );
            const at = stream.find(fields["hash"] ?? "", SAMPLE_BYTES);
            expect(at !== undefined && !seen.has(at), "a sample is not what the device gave");
            seen.add(at);
          }
        });
      }),
  },
  {
    name: "linux-ccw-block",
    needs: NEEDS,
    checks: "Linux writes channel disks and reads them, twice each, and we see what it wrote",
    covers: linuxOnOurs("ccw", "block", [
      ...(["bring-up", "reads", "writes", "indirect", "EVENT_IDX", "packed"] as const),
      ...(["adapter indicators", "classic indicators", "unbind and bind"] as const),
    ]),
    run: (bench) =>
      withChannelGuest(bench, "virtio_blk", USE_BLOCK, BLOCK_PLANS, async (guest, plan) => {
        const storage = memoryStorage(DISK_BYTES);
        const made = await plug(bench, guest, plan, { storage });
        return driven(bench, guest, plan, made, { driver: "virtio_blk" }, async () => {
          const { fields } = await guest.result("disk", STEP_TIME);
          expect(Number(fields["bytes"]) === DISK_BYTES, `a disk of ${fields["bytes"]} bytes`);
          const ours = createHash("sha256").update(storage.bytes).digest("hex");
          expect(fields["written"] === ours, "the disk has not what the guest wrote");
          expect(fields["read"] === ours, "the guest reads not what the disk has");
        });
      }),
  },
];

/** Boots a guest, and has it drive one device after the other. */
async function withChannelGuest(
  { environment, progress, console }: Bench,
  module: string,
  use: string,
  plans: readonly Plan[],
  each: (guest: LinuxGuest, plan: Plan) => Promise<readonly string[]>,
): Promise<readonly string[]> {
  const linux = await environment.linux(LINUX);
  const program = await environment.qemu("s390x");
  const archive = makeInitramfs({
    busybox: await environment.busybox(LINUX),
    modules: [findModule(linux, module)],
    script: `${CHANNEL_SCRIPT}${DRIVE}${use}${plans.map((_, i) => `drive ${deviceNumber(i)}`).join("\n")}`,
    resultDevice: CHANNEL_RESULT_DEVICE,
  });
  const guest = await LinuxGuest.start(program, { kernel: linux.image, archive });
  try {
    progress(`Linux ${linux.release} boots`);
    await guest.result("boot", BOOT_TIME);
    await guest.takeOver(STEP_TIME);
    const notes: string[] = [];
    for (const plan of plans) notes.push(...(await each(guest, plan)));
    await guest.result("end", STEP_TIME);
    const how = await guest.gone(STEP_TIME);
    expect(how === "QEMU ended (0)", how);
    const { adapter, subchannel } = guest.interrupts;
    expect(adapter > 0 && subchannel > 0, `${adapter} and ${subchannel} interrupts came`);
    return [...notes, `${adapter} adapter interrupts, ${subchannel} of subchannels`];
  } catch (error) {
    console(guest.lastLines);
    throw error;
  } finally {
    await guest.close();
  }
}

/** Makes a device in a guest's memory, and plugs it in. */
async function plug(
  { recording }: Bench,
  guest: LinuxGuest,
  { device, options = {} }: Plan,
  behind: Pick<ChannelDeviceInit, "stream" | "storage">,
): Promise<ChannelDevice> {
  // A replay makes a device that tolerates what Linux does, and is told nothing else.
  const isPlain =
    Object.keys({ ...FOR_LINUX, ...options }).length === Object.keys(FOR_LINUX).length;
  const init = { device, options, ...behind, ...(isPlain ? recording : {}) };
  return guest.plug((subchannelId) => makeChannelDevice(init, guest.memory, subchannelId));
}

/** Has a guest drive a device that was plugged in, and checks what there was to see of it. */
async function driven(
  { progress }: Bench,
  guest: LinuxGuest,
  { what, revisions, offersAdmin, isClassic = false, accepted }: Plan,
  made: ChannelDevice,
  { driver }: Pick<ExpectedDevice, "driver">,
  use: () => Promise<void>,
): Promise<readonly string[]> {
  try {
    const { fields } = await guest.result("plugged", STEP_TIME);
    expect(
      fields["place"]?.endsWith(placeOf(made.subchannel.subchannelId)) === true,
      `the device is at ${fields["place"]}`,
    );
    let told = "";
    for (let round = 0; round < ROUNDS; round++) {
      const result = await guest.result("device", STEP_TIME);
      told = expectDevice(result, { driver, accepted, left: [VIRTIO_F_ADMIN_VQ] });
      progress(`Linux uses a device: ${what}`);
      await use();
    }
    expectRevisions(made, revisions);
    const names = made.commands.map(({ name }) => name);
    expect(names.includes(SET_IND.name) === isClassic, "the indicators are of the other kind");
    // What a driver asks for, the response block has not told.
    expect(!names.includes(SENSE.name), "Linux has asked for sense data");
    const offered = offeredTo(made);
    expect(offered === offersAdmin, `ADMIN_VQ ${offered ? "was" : "was not"} offered`);
    const { broken } = made.counted;
    expect(broken.length === 0, `the device is broken: ${broken.join(", ")}`);
    const bit = offersAdmin ? `bit ${VIRTIO_F_ADMIN_VQ} offered, not accepted` : "";
    const buffers = made.counted.buffers.get(0) ?? 0;
    return [[what, told, bit, `${buffers} buffers`].filter((each) => each !== "").join(", ")];
  } finally {
    made.close();
  }
}

/** Checks which revisions Linux asked for each time, and that all but the last were rejected. */
function expectRevisions({ commands, subchannel }: ChannelDevice, revisions: readonly number[]) {
  const asked = commands.filter(({ name }) => name === "SET_VIRTIO_REV");
  const found = asked.map(({ data }) => revisionFields.revision.get(viewOf(data), 0));
  expect(found.join() === revisions.join(), `Linux asked for revision ${found.join(", then ")}`);
  asked.forEach(({ status }, i) => {
    const isRejected = ((status >> 8) & CHANNEL_DEVICE_STATUS.UNIT_CHECK) !== 0;
    const isLast = i === asked.length - 1;
    expect(isRejected !== isLast, `revision ${found[i]} was ${isLast ? "rejected" : "selected"}`);
  });
  expect(subchannel.revision === revisions.at(-1), `the revision is ${subchannel.revision}`);
}

/** Channel commands among which there is none by the code that sets adapter indicators up. */
function withoutAdapterIndicators(): CommandLayout {
  const { SET_IND_ADAPTER, ...others } = CCW_REFERENCE_LAYOUT.commands;
  const elsewhere = { ...SET_IND_ADAPTER, code: UNUSED_CODE };
  return { ...CCW_REFERENCE_LAYOUT, commands: { ...others, SET_IND_ADAPTER: elsewhere } };
}

/** True when VIRTIO_F_ADMIN_VQ was among the features that the driver read. */
function offeredTo({ commands }: ChannelDevice): boolean {
  const word = Math.floor(VIRTIO_F_ADMIN_VQ / WORD_BITS);
  const bit = 2 ** (VIRTIO_F_ADMIN_VQ % WORD_BITS);
  const answers = commands
    .filter(({ name }) => name === "READ_FEAT")
    .map(({ data }) => viewOf(data))
    .filter((view) => featureFields.index.get(view, 0) === word);
  expect(answers.length > 0, "Linux did not read the features");
  return answers.some((view) => (featureFields.features.get(view, 0) & bit) !== 0);
}

function viewOf(hex: string): DataView {
  return new DataView(Uint8Array.from(Buffer.from(hex, "hex")).buffer);
}
