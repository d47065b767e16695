/** What cells are to cover, on which transports and in which directions, and why not all of it. */
import type { Coverage } from "./coverage.ts";

/** What there is to cover, as a row of the table each. */
export const COVERED_FEATURES = [
  "bring-up",
  "reads",
  "writes",
  "indirect",
  "EVENT_IDX",
  "packed",
  "several queues",
  "queue reset",
  "MSI-X",
  "interrupt line",
  "adapter indicators",
  "classic indicators",
  "configuration change",
  "unbind and bind",
  "admin commands",
  "no-admin-queue error",
] as const;

/** One of them. */
export type CoveredFeature = (typeof COVERED_FEATURES)[number];

/** A combination that is not covered, and why. */
export interface Unreachable extends Omit<Coverage, "feature"> {
  readonly feature: CoveredFeature;
  /** One sentence. */
  readonly reason: string;
}

type Place = Omit<Coverage, "feature">;
type Reasons = Partial<Record<CoveredFeature, string>>;

const DIRECTIONS: readonly Coverage["direction"][] = ["linux-on-ours", "ours-on-qemu"];
const DEVICE_TYPES: readonly Coverage["deviceType"][] = ["entropy", "block"];
const TRANSPORTS: readonly Coverage["transport"][] = ["pci", "mmio", "ccw"];

const OF_ENTROPY: Reasons = {
  writes: "an entropy device is not written to",
  "several queues": "an entropy device has one queue",
  indirect: "a buffer of entropy has one descriptor",
  "configuration change": "an entropy device has no configuration",
};
const NO_INDICATORS = "indicators are what channel devices have";
const OF_TRANSPORT: Readonly<Record<Coverage["transport"], Reasons>> = {
  pci: { "adapter indicators": NO_INDICATORS, "classic indicators": NO_INDICATORS },
  mmio: {
    "MSI-X": "MMIO has one interrupt line and no messages",
    "adapter indicators": NO_INDICATORS,
    "classic indicators": NO_INDICATORS,
  },
  ccw: {
    "MSI-X": "a channel device has indicators, and no messages",
    "interrupt line": "a channel device has indicators, and no line",
    "queue reset": "there is no channel command to reset one queue with",
  },
};
const OF_LINUX: Reasons = {
  "configuration change": "a disk of ours does not change its size while it is used",
  "no-admin-queue error": "Linux does not need one",
};
const OF_QEMU: Reasons = {
  "unbind and bind":
    "there is no guest whose driver could be bound: bring-up is tried over and over",
  "admin commands": "no device of QEMU has an administration virtqueue",
};

/** What is true of one place only. */
const OF_PLACE: readonly (Place & { readonly reasons: Reasons })[] = [
  ...DEVICE_TYPES.map((deviceType) => ({
    transport: "mmio" as const,
    direction: "linux-on-ours" as const,
    deviceType,
    reasons: {
      "queue reset": "Linux' virtio_mmio cannot reset a queue",
      "admin commands": "Linux' virtio_mmio leaves VIRTIO_F_ADMIN_VQ alone",
    },
  })),
  ...DEVICE_TYPES.map((deviceType) => ({
    transport: "mmio" as const,
    direction: "ours-on-qemu" as const,
    deviceType,
    reasons: { "queue reset": "QEMU offers it on MMIO, and has no register QueueReset" },
  })),
  ...DEVICE_TYPES.map((deviceType) => ({
    transport: "ccw" as const,
    direction: "linux-on-ours" as const,
    deviceType,
    reasons: {
      "several queues": "the guest has one processor, as others would run on past a stop",
      "admin commands": "Linux' virtio_ccw leaves VIRTIO_F_ADMIN_VQ alone",
    },
  })),
  {
    transport: "pci",
    direction: "linux-on-ours",
    deviceType: "block",
    reasons: { "admin commands": "the owner is the entropy device" },
  },
];

/** Why there is no cell for some combinations. */
export const UNREACHABLE: readonly Unreachable[] = TRANSPORTS.flatMap((transport) =>
  DIRECTIONS.flatMap((direction) =>
    DEVICE_TYPES.flatMap((deviceType) => {
      const place = { transport, direction, deviceType };
      const reasons = {
        ...OF_PLACE.find((each) => isSamePlace(each, place))?.reasons,
        ...(direction === "linux-on-ours" ? OF_LINUX : OF_QEMU),
        ...OF_TRANSPORT[transport],
        ...(deviceType === "entropy" ? OF_ENTROPY : {}),
      };
      return COVERED_FEATURES.flatMap((feature) => {
        const reason = reasons[feature];
        return reason === undefined ? [] : [{ ...place, feature, reason }];
      });
    }),
  ),
);

/** All combinations that are to have a cell: whatever has no reason. */
export const EXPECTED_COVERAGE: readonly Coverage[] = TRANSPORTS.flatMap((transport) =>
  DIRECTIONS.flatMap((direction) =>
    DEVICE_TYPES.flatMap((deviceType) =>
      COVERED_FEATURES.map((feature) => ({ transport, direction, deviceType, feature })),
    ),
  ),
).filter((each) => !UNREACHABLE.some((other) => isSame(each, other)));

/** True when both are about the same. */
export function isSame(a: Coverage, b: Coverage): boolean {
  return a.feature === b.feature && isSamePlace(a, b);
}

/** What a cell with Linux on a device of ours covers. */
export function linuxOnOurs(
  transport: Coverage["transport"],
  deviceType: Coverage["deviceType"],
  features: readonly CoveredFeature[],
): Coverage[] {
  return features.map((feature) => ({
    transport,
    direction: "linux-on-ours",
    deviceType,
    feature,
  }));
}

/** What a cell with a driver of ours on a device of QEMU's covers. */
export function oursOnQemu(
  transport: Coverage["transport"],
  deviceType: Coverage["deviceType"],
  features: readonly CoveredFeature[],
): Coverage[] {
  return features.map((feature) => ({ transport, direction: "ours-on-qemu", deviceType, feature }));
}

function isSamePlace(a: Place, b: Place): boolean {
  return (
    a.transport === b.transport && a.direction === b.direction && a.deviceType === b.deviceType
  );
}
