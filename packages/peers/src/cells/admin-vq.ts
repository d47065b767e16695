/** Stock Linux brings up a device with an administration virtqueue, and uses both queues. */
import {
  CapabilityFamily,
  createGuestMemory,
  DEV_PARTS_CAP,
  DevicePartsFamily,
  deviceCapability,
  FEATURE,
  LEGACY_ACCESS_FAMILY,
  RESOURCE_OBJ_DEV_PARTS,
  ResourceObjectFamily,
  SELF_GROUP,
  SR_IOV_GROUP,
  VirtioDevice,
} from "@virtio-admin/core";
import { createBlock, createEntropy, memoryStorage, SECTOR_SIZE } from "@virtio-admin/devices";
import { FunctionGroup } from "@virtio-admin/transport-pci";
import type { LinuxName } from "../environment.ts";
import { SeededStream } from "../served/entropy.ts";
import { type OwnerParts, type Served, serve } from "../served/function.ts";
import { STEP_TIME, withGuest } from "./boot.ts";
import { type Bench, type Cell, expect } from "./types.ts";

/** How many members the group of the owner has. */
export const MEMBERS = 4;
/** The capacity of each, in sectors. */
export const MEMBER_SECTORS = 0x1234;
const SAMPLES = 16;
/** What hw_random draws at once: a sample of no more is in one piece. */
const SAMPLE_BYTES = 64;
const DRIVER_OK_STATUS = 0x0f;

const SCRIPT = `
for device in /sys/bus/virtio/devices/*; do
  tell device id=$(cat $device/device) status=$(cat $device/status) features=$(cat $device/features) driver=$(basename $(readlink $device/driver))
done
for i in $(seq ${SAMPLES}); do
  dd if=/dev/hwrng of=/tmp/sample bs=${SAMPLE_BYTES} count=1 2>/dev/null || tell failed what=/dev/hwrng
  tell sample bytes=$(stat -c %s /tmp/sample) hash=$(sha256sum </tmp/sample | cut -d' ' -f1)
done
`;

/** Which commands a Linux sends when it brings a device up, as `opcode name in group`. */
interface Expected {
  readonly name: string;
  readonly linux: LinuxName;
  readonly sharedRam: boolean;
  readonly checks: string;
  readonly commands: readonly string[];
}

const LISTS = [`LIST_QUERY of ${SR_IOV_GROUP.name}`, `LIST_USE of ${SR_IOV_GROUP.name}`];
const CAPABILITIES = [
  `CAP_ID_LIST_QUERY of ${SELF_GROUP.name}`,
  `DEVICE_CAP_GET of ${SELF_GROUP.name}`,
  `DRIVER_CAP_SET of ${SELF_GROUP.name}`,
];

/** The newest Linux, over memory that is mapped. */
export const LINUX_7_ADMIN_VQ: Cell = adminVqCell({
  name: "linux-7-admin-vq",
  linux: "newest",
  sharedRam: true,
  checks: "the newest Linux negotiates ADMIN_VQ, settles lists and capabilities, and reads entropy",
  commands: [...LISTS, ...CAPABILITIES],
});

/** The same, with every byte of memory by message. */
export const LINUX_7_UNSHARED_RAM: Cell = adminVqCell({
  name: "linux-7-unshared-ram",
  linux: "newest",
  sharedRam: false,
  checks: "the same over RAM that is not shared: all DMA is by messages",
  commands: [...LISTS, ...CAPABILITIES],
});

/** The Linux of the stable suite. */
export const LINUX_6_12_ADMIN_VQ: Cell = adminVqCell({
  name: "linux-6.12-admin-vq",
  linux: "stable",
  sharedRam: true,
  checks: "the Linux of the stable suite negotiates ADMIN_VQ, settles lists, and reads entropy",
  commands: LISTS,
});

function adminVqCell({ name, linux, sharedRam, checks, commands }: Expected): Cell {
  return {
    name,
    needs: linux === "newest" ? "the newest Linux" : "Linux of the stable suite",
    checks,
    run: async (bench) => {
      const stream = new SeededStream(name);
      const served = await serve({
        model: () => createEntropy({ source: stream.source }),
        admin: ownerOf,
      });
      try {
        return await underLinux(bench, { linux, sharedRam, commands }, served, stream);
      } finally {
        await served.close();
      }
    },
  };
}

async function underLinux(
  bench: Bench,
  { linux, sharedRam, commands }: Pick<Expected, "linux" | "sharedRam" | "commands">,
  served: Served,
  stream: SeededStream,
): Promise<readonly string[]> {
  const { counted } = served;
  const boot = {
    linux,
    sharedRam,
    script: SCRIPT,
    modules: ["virtio-rng"],
    sockets: [{ path: served.socket }],
  };
  return withGuest(bench, boot, async (guest) => {
    const { fields } = await guest.result("device", STEP_TIME);
    expect(fields["driver"] === "virtio_rng", `the driver is "${fields["driver"]}"`);
    expect(Number(fields["status"]) === DRIVER_OK_STATUS, `the status is ${fields["status"]}`);
    for (const feature of [FEATURE.VIRTIO_F_VERSION_1, FEATURE.VIRTIO_F_ADMIN_VQ]) {
      expect(fields["features"]?.[feature] === "1", `Linux did not accept feature ${feature}`);
    }
    bench.progress("Linux reads entropy");
    let from = 0;
    for (let i = 0; i < SAMPLES; i++) {
      const { fields: sample } = await guest.result("sample", STEP_TIME);
      expect(Number(sample["bytes"]) === SAMPLE_BYTES, `a sample of ${sample["bytes"]} bytes`);
      const at = stream.find(sample["hash"] ?? "", SAMPLE_BYTES, from);
      expect(at !== undefined, `sample ${i + 1} is not what the device gave`);
      from = at + SAMPLE_BYTES;
    }
    await guest.result("end", STEP_TIME);
    await guest.poweredOff(STEP_TIME);
    await served.alone();
    expect(counted.broken.length === 0, `the device is broken: ${counted.broken.join(", ")}`);
    expect(served.gone.join() === "hung up", `the connection: ${served.gone.join(", ")}`);
    expectCommands(served, commands);
    return [
      `features 0x${featuresOf(fields["features"] ?? "").toString(16)}`,
      `${counted.commands.length} commands`,
      `${counted.buffers.get(0) ?? 0} buffers of entropy`,
      `${counted.accesses} register accesses`,
    ];
  });
}

/** The groups and the command families of an owner that has everything that Linux asks for. */
export function ownerOf(): OwnerParts {
  const capabilities = new CapabilityFamily([
    deviceCapability(DEV_PARTS_CAP, {
      get_parts_resource_objects_limit: MEMBERS,
      set_parts_resource_objects_limit: MEMBERS,
    }),
  ]);
  const objects = new ResourceObjectFamily({ capabilities, types: [RESOURCE_OBJ_DEV_PARTS] });
  const memory = createGuestMemory([]);
  // What a member never touches needs no memory.
  const storage = { ...memoryStorage(0), length: MEMBER_SECTORS * SECTOR_SIZE };
  const makeDevice = () =>
    new VirtioDevice({ model: createBlock({ storage }), memory, transitional: true });
  return {
    groups: [new FunctionGroup({ members: MEMBERS, makeDevice })],
    families: [LEGACY_ACCESS_FAMILY, capabilities, objects, new DevicePartsFamily({ objects })],
  };
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

/** Linux writes one character for each bit, the lowest first. */
function featuresOf(text: string): bigint {
  return [...text].reduce((bits, character, i) => bits | (BigInt(character) << BigInt(i)), 0n);
}
