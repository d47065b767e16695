/**
 * Who else is known to use places of the transports: what virtio 1.4 has, and what lives outside its
 * text. Declared as layouts, as ours are; nothing here runs.
 */
import { commands, type Layout, registers } from "@virtio-admin/core";
import {
  CCW_BASIC_LAYOUT,
  CCW_RATIFIED_LAYOUT,
  CCW_RESERVED_FEATURES,
} from "@virtio-admin/transport-ccw";
import { MMIO_RATIFIED_LAYOUT, MMIO_RESERVED_FEATURES } from "@virtio-admin/transport-mmio";

const LEGACY_MMIO = registers(
  "virtio_mmio_legacy_only",
  {
    busWidth: 32,
    byteOrder: "little",
    cite: "Virtio Over MMIO / Legacy interface",
    doc: "The registers that only legacy devices have.",
  },
  {
    GuestPageSize: { offset: 0x028, type: "le32", access: "W", doc: "The guest's page size." },
    QueueAlign: {
      offset: 0x03c,
      type: "le32",
      access: "W",
      doc: "The alignment of the used ring.",
    },
    QueuePFN: { offset: 0x040, type: "le32", access: "RW", doc: "The page of the virtqueue." },
  },
);

const MMIO_MSI_PROPOSAL = registers(
  "virtio_mmio_msi_proposal",
  {
    busWidth: 32,
    byteOrder: "little",
    cite: "virtio-dev, January 2020, MSI for virtio over MMIO, v2",
    doc: "The registers of a proposal for message-signalled interrupts.",
  },
  {
    MsiVecNum: { offset: 0x0c0, type: "le32", access: "R", doc: "The number of vectors." },
    MsiState: { offset: 0x0c4, type: "le32", access: "R", doc: "Whether they are enabled." },
    MsiCmd: {
      offset: 0x0c8,
      type: "le32",
      access: "W",
      doc: "Enables, masks and configures them.",
    },
    MsiVecSel: { offset: 0x0d0, type: "le32", access: "W", doc: "Chooses a vector." },
    MsiAddrLow: { offset: 0x0d4, type: "le32", access: "W", doc: "Bits 0 to 31 of its address." },
    MsiAddrHigh: { offset: 0x0d8, type: "le32", access: "W", doc: "Bits 32 to 63 of its address." },
    MsiData: { offset: 0x0dc, type: "le32", access: "W", doc: "Its data." },
  },
);

const DRAGONBALL_MSI = registers(
  "dragonball_mmio_msi",
  {
    busWidth: [16, 32],
    byteOrder: "little",
    cite: "the Dragonball VMM, behind bits of VendorID",
    doc: "The registers of a VMM for message-signalled interrupts.",
  },
  {
    MsiCsr: { offset: 0x0c0, type: "le16", access: "R", doc: "Control and status." },
    MsiCommand: { offset: 0x0c2, type: "le16", access: "W", doc: "Command." },
    MsiAddressLow: {
      offset: 0x0c4,
      type: "le32",
      access: "W",
      doc: "Bits 0 to 31 of the address.",
    },
    MsiAddressHigh: { offset: 0x0c8, type: "le32", access: "W", doc: "Bits 32 to 63." },
    MsiMessageData: { offset: 0x0cc, type: "le32", access: "W", doc: "The data." },
  },
);

const COMMON_CHANNEL_COMMANDS = commands(
  "common_channel_commands",
  {
    cite: "what channel devices have in common; Linux, arch/s390/include/asm/cio.h",
    doc: "Channel commands that a channel subsystem or a driver issues to any device.",
  },
  {
    READ_IPL: { code: 0x02, direction: "read", doc: "Initial program load." },
    STEAL_LOCK: { code: 0x14, direction: "control", doc: "Unconditional reserve." },
    SENSE_PGID: { code: 0x34, direction: "read", doc: "Sense path group id." },
    SUSPEND_RECONNECT: { code: 0x5b, direction: "control", doc: "Suspend multipath reconnection." },
    READ_DEVICE_CHARACTERISTICS: { code: 0x64, direction: "read", doc: "Device characteristics." },
    RELEASE: { code: 0x94, direction: "control", doc: "Device release." },
    SET_PGID: { code: 0xaf, direction: "control", doc: "Set path group id." },
    DIAGNOSTIC_CONTROL: { code: 0xf3, direction: "control", doc: "Diagnostic control." },
    READ_CONFIGURATION_DATA: { code: 0xfa, direction: "read", doc: "Configuration data." },
  },
);

/** A transport as spec authors extend it: its ratified layout, and who else is there. */
export interface Neighbourhood {
  /** The transport's name. */
  readonly transport: "mmio" | "ccw";
  /** What virtio 1.4 has. */
  readonly ratified: Layout;
  /** Who else uses places, in the order in which to name them. */
  readonly squatters: readonly Layout[];
  /** The features that the transport never carries. */
  readonly reservedFeatures: readonly number[];
  /** True where commands come with revisions of the transport. */
  readonly hasRevisions: boolean;
}

/** The transports that an author can extend by registers or by channel commands. */
export const NEIGHBOURHOODS: readonly Neighbourhood[] = [
  {
    transport: "mmio",
    ratified: MMIO_RATIFIED_LAYOUT,
    squatters: [LEGACY_MMIO, MMIO_MSI_PROPOSAL, DRAGONBALL_MSI],
    reservedFeatures: MMIO_RESERVED_FEATURES,
    hasRevisions: false,
  },
  {
    transport: "ccw",
    ratified: CCW_RATIFIED_LAYOUT,
    squatters: [CCW_BASIC_LAYOUT, COMMON_CHANNEL_COMMANDS],
    reservedFeatures: CCW_RESERVED_FEATURES,
    hasRevisions: true,
  },
];

/**
 * The neighbourhood that a layout belongs to: the one with at least half of whose names it has; a set of
 * other registers or commands belongs to none.
 */
export function neighbourhoodOf(layout: Layout): Neighbourhood | undefined {
  const own = new Set(namesOf(layout));
  return NEIGHBOURHOODS.find(({ ratified }) => {
    if (ratified.kind !== layout.kind) return false;
    const names = namesOf(ratified);
    return names.filter((name) => own.has(name)).length * 2 >= names.length;
  });
}

function namesOf(layout: Layout): string[] {
  switch (layout.kind) {
    case "struct":
      return Object.keys(layout.fields);
    case "registers":
      return Object.keys(layout.registers);
    case "commands":
      return Object.keys(layout.commands);
  }
}
