/**
 * Stock Linux brings up an entropy device with an administration virtqueue, and uses it: on PCI both
 * of its queues; on MMIO the first, as it does not know that the other can be there.
 */
import { FEATURE, SELF_GROUP, SR_IOV_GROUP } from "@virtio-admin/core";
import { SeededStream } from "@virtio-admin/fixtures";
import type { LinuxName } from "../environment.ts";
import { type Served, type ServedDevice, type ServedInit, serve } from "../served/function.ts";
import { expectPlace, reach, STEP_TIME, withGuest } from "./boot.ts";
import { type CoveredFeature, linuxOnOurs } from "./covered.ts";
import {
  type ExpectedDevice,
  expectDevice,
  expectInterrupts,
  expectSound,
  TELL_DEVICE,
} from "./guest-device.ts";
import { type Bench, type Cell, expect } from "./types.ts";

/** How many members the group of the owner has. */
export const MEMBERS = 4;
/** An entropy device that owns them. */
export const OWNER: ServedDevice = { type: "entropy", members: MEMBERS };
const SAMPLES = 16;
/** What hw_random draws at once: a sample of no more is in one piece. */
const SAMPLE_BYTES = 64;
const { VIRTIO_F_ADMIN_VQ, VIRTIO_F_EVENT_IDX, VIRTIO_F_RING_PACKED } = FEATURE;

/** `rounds` is how often the driver binds: each time it reads as much. */
function scriptFor(rounds: number): string {
  return `
${TELL_DEVICE}
driver=/sys/bus/virtio/drivers/virtio_rng
for round in $(seq ${rounds}); do
  if [ $round -gt 1 ]; then
    echo virtio0 >$driver/unbind || tell failed what="the unbinding"
    [ -e $driver/virtio0 ] && tell failed what="the unbinding, as the device is still bound"
    echo virtio0 >$driver/bind || tell failed what="the binding"
  fi
  devices
  for i in $(seq ${SAMPLES}); do
    dd if=/dev/hwrng of=/tmp/sample bs=${SAMPLE_BYTES} count=1 2>/dev/null || tell failed what=/dev/hwrng
    tell sample bytes=$(stat -c %s /tmp/sample) hash=$(sha256sum </tmp/sample | cut -d' ' -f1)
  done
done
interrupts
`;
}

/** Which commands a Linux sends when it brings a device up, as `opcode name in group`. */
interface Plan {
  readonly name: string;
  readonly linux: LinuxName;
  readonly checks: string;
  readonly transport?: NonNullable<ServedInit["transport"]>;
  readonly device?: ServedDevice;
  readonly sharedRam?: boolean;
  /** True when Linux lets go of the device, takes it again, and reads as much once more. */
  readonly again?: boolean;
  /** Words of the kernel's command line. */
  readonly append?: readonly string[];
  /** Feature bits that Linux does not accept; it accepts VIRTIO_F_ADMIN_VQ else. */
  readonly left?: readonly number[];
  readonly commands: readonly string[];
  readonly covers: readonly CoveredFeature[];
}

const LISTS = [`LIST_QUERY of ${SR_IOV_GROUP.name}`, `LIST_USE of ${SR_IOV_GROUP.name}`];
const CAPABILITIES = [
  `CAP_ID_LIST_QUERY of ${SELF_GROUP.name}`,
  `DEVICE_CAP_GET of ${SELF_GROUP.name}`,
  `DRIVER_CAP_SET of ${SELF_GROUP.name}`,
];
const USUAL = ["bring-up", "reads", "EVENT_IDX"] as const;

/** Entropy on each transport. */
export const LINUX_ENTROPY: readonly Cell[] = [
  entropyCell({
    name: "linux-7-admin-vq",
    linux: "newest",
    checks:
      "the newest Linux negotiates ADMIN_VQ, settles lists and capabilities, and reads entropy",
    commands: [...LISTS, ...CAPABILITIES],
    covers: [...USUAL, "MSI-X", "admin commands"],
  }),
  entropyCell({
    name: "linux-7-unshared-ram",
    linux: "newest",
    sharedRam: false,
    checks: "the same over RAM that is not shared: all DMA is by messages",
    commands: [...LISTS, ...CAPABILITIES],
    covers: [...USUAL, "MSI-X", "admin commands"],
  }),
  entropyCell({
    name: "linux-7-intx-packed",
    linux: "newest",
    device: {
      ...OWNER,
      features: ["VIRTIO_F_INDIRECT_DESC", "VIRTIO_F_EVENT_IDX", "VIRTIO_F_RING_PACKED"],
    },
    append: ["pci=nomsi"],
    again: true,
    checks: "the same without MSI-X, with packed rings, and twice: the driver is unbound and bound",
    commands: [...LISTS, ...CAPABILITIES],
    covers: [...USUAL, "interrupt line", "packed", "unbind and bind", "admin commands"],
  }),
  entropyCell({
    name: "linux-6.12-admin-vq",
    linux: "stable",
    checks: "the Linux of the stable suite negotiates ADMIN_VQ, settles lists, and reads entropy",
    commands: LISTS,
    covers: [...USUAL, "MSI-X", "admin commands"],
  }),
  entropyCell({
    name: "linux-mmio-entropy",
    linux: "newest",
    transport: "mmio",
    device: { type: "entropy", members: 0 },
    checks:
      "Linux reads entropy over MMIO from a device that offers ADMIN_VQ, and leaves that alone",
    left: [VIRTIO_F_ADMIN_VQ],
    commands: [],
    covers: [...USUAL, "interrupt line"],
  }),
  entropyCell({
    name: "linux-mmio-packed-entropy",
    linux: "newest",
    transport: "mmio",
    device: { type: "entropy", features: ["VIRTIO_F_EVENT_IDX", "VIRTIO_F_RING_PACKED"] },
    again: true,
    checks:
      "the same with packed rings and no ADMIN_VQ, and twice: the driver is unbound and bound",
    left: [VIRTIO_F_ADMIN_VQ],
    commands: [],
    covers: [...USUAL, "interrupt line", "packed", "unbind and bind"],
  }),
];

function entropyCell(plan: Plan): Cell {
  const { name, linux, checks, transport = "pci", device = OWNER, covers } = plan;
  return {
    name,
    needs: linux === "newest" ? "the newest Linux" : "Linux of the stable suite",
    checks,
    covers: linuxOnOurs(transport, "entropy", covers),
    run: async (bench) => {
      const stream = new SeededStream(name);
      const served = await serve({ device, transport, stream, ...bench.recording });
      try {
        return await underLinux(bench, plan, served, stream);
      } finally {
        await served.close();
      }
    },
  };
}

async function underLinux(
  bench: Bench,
  { linux, device = OWNER, sharedRam = true, again = false, append = [], left, commands }: Plan,
  served: Served,
  stream: SeededStream,
): Promise<readonly string[]> {
  const { counted } = served;
  const rounds = again ? 2 : 1;
  const way = reach(served, "virtio-rng");
  const boot = {
    ...way,
    linux,
    sharedRam,
    append: [...(way.append ?? []), ...append],
    script: scriptFor(rounds),
  };
  const packed = device.features?.includes("VIRTIO_F_RING_PACKED") === true;
  return withGuest(bench, boot, async (guest) => {
    expectPlace(served);
    const wanted: ExpectedDevice = {
      driver: "virtio_rng",
      accepted: [
        VIRTIO_F_EVENT_IDX,
        ...(packed ? [VIRTIO_F_RING_PACKED] : []),
        ...(left === undefined ? [VIRTIO_F_ADMIN_VQ] : []),
      ],
      ...(left === undefined ? {} : { left }),
    };
    let told = "";
    let from = 0;
    for (let i = 0; i < rounds * SAMPLES; i++) {
      if (i % SAMPLES === 0) {
        told = expectDevice(await guest.result("device", STEP_TIME), wanted);
        bench.progress("Linux reads entropy");
      }
      const { fields: sample } = await guest.result("sample", STEP_TIME);
      expect(Number(sample["bytes"]) === SAMPLE_BYTES, `a sample of ${sample["bytes"]} bytes`);
      const at = stream.find(sample["hash"] ?? "", SAMPLE_BYTES, from);
      expect(at !== undefined, `sample ${i + 1} is not what the device gave`);
      from = at + SAMPLE_BYTES;
    }
    const interrupts = expectInterrupts(await guest.result("interrupts", STEP_TIME));
    await guest.result("end", STEP_TIME);
    await guest.poweredOff(STEP_TIME);
    await served.alone();
    expectSound(served);
    expectCommands(served, Array.from({ length: rounds }, () => commands).flat());
    const offered = device.members !== undefined && left?.includes(VIRTIO_F_ADMIN_VQ) === true;
    return [
      told,
      ...(offered ? [`bit ${VIRTIO_F_ADMIN_VQ} offered, not accepted`] : []),
      `${counted.commands.length} commands`,
      `${counted.buffers.get(0) ?? 0} buffers of entropy`,
      `${counted.accesses} register accesses`,
      interrupts,
    ];
  });
}

/** Checks that exactly these commands came, in this order, and that all of them succeeded. */
function expectCommands({ counted }: Served, expected: readonly string[]): void {
  const groups = new Map([SELF_GROUP, SR_IOV_GROUP].map(({ id, name }) => [id, name]));
  const found = counted.commands.map(({ name, opcode, group }) => {
    return `${name ?? opcode} of ${groups.get(group) ?? group}`;
  });
  expect(found.join(", ") === expected.join(", "), `the commands are ${found.join(", ")}`);
  const refused = counted.commands.find(({ status }) => status !== 0);
  expect(refused === undefined, `${refused?.name} was answered with ${refused?.status}`);
}
