/**
 * The structures of channel I/O itself, of which a virtio-ccw device is one user: the operation
 * request block, both formats of the channel command word, the subchannel status word and the
 * interruption response block. All of it is big-endian. Bits are numbered from the least
 * significant one here; the architecture numbers them from the left.
 */
import { accessors, struct } from "@virtio-admin/core";

const POP = "z/Architecture Principles of Operation";

/** The operation request block: what START SUBCHANNEL is given (the words that matter here). */
export const ORB = struct(
  "orb",
  { cite: `${POP} / Operation-Request Block`, doc: "What START SUBCHANNEL is given." },
  {
    interruption_parameter: { offset: 0, type: "be32", doc: "Handed back with the interruption." },
    control: {
      offset: 4,
      type: "be32",
      doc: "How the channel program runs.",
      bits: {
        key: { at: 28, width: 4, doc: "Storage key; not checked here." },
        suspend: { at: 27, doc: "The suspend flag of CCWs is allowed." },
        streaming: { at: 26, doc: "Streaming mode; of no effect here." },
        modification: { at: 25, doc: "Modification control; of no effect here." },
        synchronize: { at: 24, doc: "Synchronization control; of no effect here." },
        format: { at: 23, doc: "CCWs are of format 1." },
        prefetch: { at: 22, doc: "CCWs may be fetched ahead; they never are here." },
        initial_status: { at: 21, doc: "Initial-status interruption; never made here." },
        address_limit: { at: 20, doc: "Address-limit checking; not done here." },
        suppress_suspend: { at: 19, doc: "Suppress suspended interruption; of no effect here." },
        transport_mode: { at: 18, doc: "The program is a transport control word; refused here." },
        idaw_format: { at: 17, doc: "Indirect-data-address words are of format 2 (64 bits)." },
        idaw_2k: { at: 16, doc: "Format-2 words designate 2 KiB blocks instead of 4 KiB." },
        path_mask: { at: 8, width: 8, doc: "Logical path mask." },
        length_suppression: { at: 7, doc: "Incorrect-length suppression; of no effect here." },
        modified_idaw: { at: 6, doc: "Modified indirect data addressing; refused here." },
        extension: { at: 0, doc: "The block has more words than these." },
      },
    },
    channel_program: { offset: 8, type: "be32", doc: "Address of the first CCW." },
  },
);

const CCW_FLAG_BITS = {
  chain_data: { at: 7, doc: "Data chaining: the next CCW continues the data area." },
  chain_command: { at: 6, doc: "Command chaining: the next CCW is another command." },
  suppress_length: { at: 5, doc: "Suppress the indication of incorrect length." },
  skip: { at: 4, doc: "Store nothing while reading." },
  interrupt: { at: 3, doc: "Program-controlled interruption." },
  indirect: { at: 2, doc: "The data address is that of a list of addresses." },
  suspend: { at: 1, doc: "Suspend the program before this CCW." },
  modified_indirect: { at: 0, doc: "The data address is that of a list of modified addresses." },
} as const;

/** The channel command word of format 0: 24-bit addresses. */
export const CCW0 = struct(
  "ccw0",
  { cite: `${POP} / Channel-Command Word`, doc: "A channel command word of format 0." },
  {
    command: { offset: 0, type: "u8", doc: "The command code." },
    address_high: { offset: 1, type: "u8", doc: "Bits 16-23 of the data address." },
    address_low: { offset: 2, type: "be16", doc: "Bits 0-15 of the data address." },
    flags: { offset: 4, type: "u8", doc: "Flags.", bits: CCW_FLAG_BITS },
    ignored: { offset: 5, type: "u8", doc: "Ignored." },
    count: { offset: 6, type: "be16", doc: "The length of the data area in bytes." },
  },
);

/** The channel command word of format 1: 31-bit addresses. */
export const CCW1 = struct(
  "ccw1",
  { cite: `${POP} / Channel-Command Word`, doc: "A channel command word of format 1." },
  {
    command: { offset: 0, type: "u8", doc: "The command code." },
    flags: { offset: 1, type: "u8", doc: "Flags.", bits: CCW_FLAG_BITS },
    count: { offset: 2, type: "be16", doc: "The length of the data area in bytes." },
    data_address: { offset: 4, type: "be32", doc: "The address of the data area; bit 31 is 0." },
  },
);

/** The first bytes of the interruption response block: the subchannel status word and the sense. */
export const IRB = struct(
  "irb",
  {
    cite: `${POP} / Interruption-Response Block`,
    doc: "How a channel program ended, as TEST SUBCHANNEL stores it.",
    size: 64,
  },
  {
    scsw_control: {
      offset: 0,
      type: "be32",
      doc: "Conditions and what is pending.",
      bits: {
        format: { at: 23, doc: "CCWs are of format 1." },
        extended_control: { at: 17, doc: "The extended control word holds something." },
        start_function: { at: 14, doc: "The start function was performed." },
        alert: { at: 4, doc: "Alert status." },
        primary: { at: 2, doc: "Primary status." },
        secondary: { at: 1, doc: "Secondary status." },
        status_pending: { at: 0, doc: "Status is pending." },
      },
    },
    ccw_address: { offset: 4, type: "be32", doc: "Address of the last CCW used, plus 8." },
    device_status: { offset: 8, type: "u8", doc: "See CHANNEL_DEVICE_STATUS." },
    subchannel_status: { offset: 9, type: "u8", doc: "See SUBCHANNEL_STATUS." },
    count: { offset: 10, type: "be16", doc: "Residual count of the last CCW used." },
    subchannel_logout: { offset: 12, type: "be32", doc: "Of the extended status; zero here." },
    extended_report: {
      offset: 16,
      type: "be32",
      doc: "Of the extended status: what else is stored.",
      bits: {
        concurrent_sense: { at: 24, doc: "The extended control word holds sense data." },
        sense_count: { at: 16, width: 6, doc: "How many bytes of it." },
      },
    },
    extended_status: { offset: 20, type: "u8", count: 12, doc: "The rest of it; zero here." },
    extended_control: { offset: 32, type: "u8", count: 32, doc: "Sense data, if any." },
  },
);

/** Bits of the device status of an ending. */
export const CHANNEL_DEVICE_STATUS = {
  /** An unsolicited interrupt. */
  ATTENTION: 0x80,
  /** The transfer between channel and device is over. */
  CHANNEL_END: 0x08,
  /** The device is done with the command. */
  DEVICE_END: 0x04,
  /** The device refused or failed; the sense data tells why. */
  UNIT_CHECK: 0x02,
} as const;

/** Bits of the subchannel status of an ending. */
export const SUBCHANNEL_STATUS = {
  /** A CCW asked for a program-controlled interruption. */
  PROGRAM_CONTROLLED: 0x80,
  /** The length of the data area is not what the command moves. */
  INCORRECT_LENGTH: 0x40,
  /** The channel program itself is wrong. */
  PROGRAM_CHECK: 0x20,
} as const;

/** Bits of the first sense byte. */
export const SENSE_BYTE = {
  /** The device does not accept the command, or not now. */
  COMMAND_REJECT: 0x80,
} as const;

/** How many sense bytes a device has. */
export const SENSE_LENGTH = IRB.fields.extended_control.count;

/** The condition code of START SUBCHANNEL. */
export const CONDITION_CODE = {
  /** The program ran. */
  STARTED: 0,
  /** The subchannel is not operational: it is disabled, or there is none. */
  NOT_OPERATIONAL: 3,
} as const;

/** How a channel program ended. */
export interface ChannelEnding {
  /** See {@link CONDITION_CODE}; unless 0, nothing ran and the rest is zero. */
  readonly conditionCode: number;
  /** Bits of {@link CHANNEL_DEVICE_STATUS}. */
  readonly deviceStatus: number;
  /** Bits of {@link SUBCHANNEL_STATUS}. */
  readonly subchannelStatus: number;
  /** How many bytes of the last CCW's data area were not used. */
  readonly residual: number;
  /** The address behind the last CCW that was used. */
  readonly ccwAddress: number;
  /** The sense data, {@link SENSE_LENGTH} bytes, after a unit check; else empty. */
  readonly sense: Uint8Array;
}

const irb = accessors(IRB);

/** The interruption response block of an ending, for a machine that stores it in guest memory. */
export function encodeIrb(ending: ChannelEnding): Uint8Array {
  const bytes = new Uint8Array(IRB.size);
  const view = new DataView(bytes.buffer);
  const control = IRB.fields.scsw_control.bits;
  const alert =
    ending.subchannelStatus !== 0 || (ending.deviceStatus & CHANNEL_DEVICE_STATUS.UNIT_CHECK) !== 0;
  let word =
    control.format.mask +
    control.start_function.mask +
    control.primary.mask +
    control.secondary.mask +
    control.status_pending.mask;
  if (alert) word += control.alert.mask;
  if (ending.sense.length > 0) {
    // Without the report, the sense data is none: a driver would ask for it.
    const report = IRB.fields.extended_report.bits;
    const count = Math.min(ending.sense.length, SENSE_LENGTH) * 2 ** report.sense_count.at;
    word += control.extended_control.mask;
    irb.extended_report.set(view, 0, report.concurrent_sense.mask + count);
  }
  irb.scsw_control.set(view, 0, word);
  irb.ccw_address.set(view, 0, ending.ccwAddress);
  irb.device_status.set(view, 0, ending.deviceStatus);
  irb.subchannel_status.set(view, 0, ending.subchannelStatus);
  irb.count.set(view, 0, ending.residual);
  bytes.set(ending.sense.subarray(0, SENSE_LENGTH), IRB.fields.extended_control.offset);
  return bytes;
}
