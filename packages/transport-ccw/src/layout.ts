/**
 * The channel commands of virtio-ccw and the structures they carry, declared once: codes,
 * directions, sizes, and the revision from which each exists. Payloads are big-endian, feature
 * words are little-endian, as the specification has them.
 *
 * Two layouts: the ratified one, and the reference layout, which adds a place for
 * `admin_queue_index` (virtio 1.4 reserves VIRTIO_F_ADMIN_VQ on channel I/O).
 */
import { type CommandLayout, commands, FEATURE, struct } from "@virtio-admin/core";

const SECTION = "Virtio Over Channel I/O";
const INITIALIZATION = `${SECTION} / Device Initialization`;
const THIS_PROJECT = "this project's reference layout";

/** The control unit type of every virtio-ccw proxy device. */
export const CONTROL_UNIT_TYPE = 0x3832;
/** The type of the virtual channel path. */
export const CHANNEL_PATH_TYPE = 0x32;
/** The subcode of DIAGNOSE 0x500, in GPR 1, that makes it an available buffer notification. */
export const NOTIFY_SUBCODE = 3;
/** How many queues the classic indicators have a bit for. */
export const CLASSIC_INDICATOR_BITS = 64;

/** What SENSE ID returns. */
export const SENSE_ID_DATA = struct(
  "sense_id",
  {
    cite: `${SECTION} / Basic Concepts`,
    doc: "The answer to SENSE ID: what stands behind the subchannel.",
    size: 256,
  },
  {
    reserved: { offset: 0, type: "u8", reset: 0xff, doc: "Always 0xff." },
    cu_type: { offset: 1, type: "be16", reset: CONTROL_UNIT_TYPE, doc: "Control unit type." },
    cu_model: { offset: 3, type: "u8", doc: "Control unit model: the virtio device id." },
    dev_type: { offset: 4, type: "be16", doc: "Device type, unset." },
    dev_model: { offset: 6, type: "u8", doc: "Device model, unset." },
    extended: { offset: 7, type: "u8", count: 249, doc: "Extended data, unset." },
  },
);

/** How many bytes of {@link SENSE_ID_DATA} a driver needs. */
export const SENSE_ID_BASIC_LENGTH = SENSE_ID_DATA.fields.extended.offset;

/** The payload of SET_VIRTIO_REV. */
export const VIRTIO_REV_INFO = struct(
  "virtio_rev_info",
  {
    cite: `${INITIALIZATION} / Setting the Virtio Revision`,
    doc: "The transport revision that the driver asks for.",
  },
  {
    revision: { offset: 0, type: "be16", doc: "The revision." },
    length: { offset: 2, type: "be16", doc: "The length of data in bytes; 0 in every revision." },
    data: { offset: 4, type: "u8", count: "rest", doc: "What the revision adds; nothing so far." },
  },
);

/** The payload of READ_VQ_CONF. */
export const VQ_CONFIG_BLOCK = struct(
  "vq_config_block",
  {
    cite: `${INITIALIZATION} / Configuring a Virtqueue`,
    doc: "Asks for the size of a queue: the index goes in, the size comes back.",
  },
  {
    index: { offset: 0, type: "be16", doc: "The index of the queue." },
    max_queue_size: {
      offset: 2,
      type: "be16",
      doc: "The largest size of the queue; 0 when there is none.",
    },
  },
);

/** The payload of SET_VQ from revision 1 on. */
export const VQ_INFO_BLOCK = struct(
  "vq_info_block",
  {
    cite: `${INITIALIZATION} / Configuring a Virtqueue`,
    doc: "Where a queue lies and how large it is.",
  },
  {
    desc: { offset: 0, type: "be64", doc: "Guest address of the descriptor area." },
    res0: { offset: 8, type: "be32", doc: "Reserved; the device ignores it." },
    index: { offset: 12, type: "be16", doc: "The index of the queue." },
    size: { offset: 14, type: "be16", doc: "The number of entries." },
    driver: { offset: 16, type: "be64", doc: "Guest address of the driver area." },
    device: { offset: 24, type: "be64", doc: "Guest address of the device area." },
  },
);

/** The payload of READ_STATUS and WRITE_STATUS. */
export const STATUS_BLOCK = struct(
  "virtio_status",
  {
    cite: `${INITIALIZATION} / Communicating Status Information`,
    doc: "The device status.",
  },
  { status: { offset: 0, type: "u8", doc: "The device status byte." } },
);

/** The payload of READ_FEAT and WRITE_FEAT: five bytes, without padding. */
export const VIRTIO_FEATURE_DESC = struct(
  "virtio_feature_desc",
  {
    cite: `${INITIALIZATION} / Handling Device Features`,
    doc: "32 feature bits and which ones they are.",
  },
  {
    features: { offset: 0, type: "le32", doc: "The feature bits." },
    index: { offset: 4, type: "u8", doc: "Which 32 bits: bit 32 * index and up." },
  },
);

/** The payload of SET_IND and SET_CONF_IND. */
export const INDICATOR_ADDRESS = struct(
  "indicator_address",
  {
    cite: `${INITIALIZATION} / Setting Up Indicators`,
    doc: "Where 64 indicator bits lie.",
  },
  { address: { offset: 0, type: "be64", doc: "Guest address of a 64-bit value." } },
);

/** The payload of SET_IND_ADAPTER: 25 bytes, without padding. */
export const VIRTIO_THININT_AREA = struct(
  "virtio_thinint_area",
  {
    cite: `${INITIALIZATION} / Setting Up Indicators / Setting Up Two-Stage Queue Indicators`,
    doc: "Where the summary indicator and the queue indicators of a device lie.",
  },
  {
    summary_indicator: { offset: 0, type: "be64", doc: "Guest address of the summary byte." },
    indicator: { offset: 8, type: "be64", doc: "Guest address of the area of queue indicators." },
    bit_nr: {
      offset: 16,
      type: "be64",
      doc: "The bit of queue 0; bit 0 is the most significant one of the first byte.",
    },
    isc: {
      offset: 24,
      type: "u8",
      doc: "The interruption subclass of the adapter interrupt, 0-7.",
    },
  },
);

/** The payload of READ_ADMIN_VQ. */
export const ADMIN_VQ_BLOCK = struct(
  "admin_vq_block",
  {
    cite: THIS_PROJECT,
    doc: "Where the administration virtqueues are. Later revisions only append to it.",
    gate: { revision: 3 },
  },
  {
    admin_queue_index: {
      offset: 0,
      type: "be16",
      gate: { feature: FEATURE.VIRTIO_F_ADMIN_VQ },
      doc: "The index of the first administration virtqueue.",
    },
    admin_queue_num: {
      offset: 2,
      type: "be16",
      gate: { feature: FEATURE.VIRTIO_F_ADMIN_VQ },
      doc: "How many administration virtqueues there are; 0 means none.",
    },
  },
);

/** The commands that every channel device has; they need no revision. TIC never reaches a device. */
export const CCW_BASIC_LAYOUT = commands(
  "ccw_basic_commands",
  { cite: `${SECTION} / Basic Concepts`, doc: "The basic channel commands." },
  {
    NOP: { code: 0x03, direction: "control", doc: "Does nothing." },
    SENSE: { code: 0x04, direction: "read", doc: "Returns the sense data of the last unit check." },
    TIC: {
      code: 0x08,
      direction: "control",
      doc: "Transfer in channel: the program goes on elsewhere.",
    },
    SENSE_ID: {
      code: 0xe4,
      direction: "read",
      payload: SENSE_ID_DATA,
      doc: "Identifies the control unit and the device.",
    },
  },
);

const RATIFIED_COMMANDS = {
  SET_VQ: {
    code: 0x13,
    direction: "control",
    payload: VQ_INFO_BLOCK,
    doc: "Sets up and enables a queue.",
  },
  VDEV_RESET: { code: 0x33, direction: "control", doc: "Resets the virtio device." },
  SET_IND: {
    code: 0x43,
    direction: "control",
    payload: INDICATOR_ADDRESS,
    doc: "Says where the classic queue indicators lie.",
  },
  SET_CONF_IND: {
    code: 0x53,
    direction: "control",
    payload: INDICATOR_ADDRESS,
    doc: "Says where the configuration change indicators lie.",
  },
  SET_IND_ADAPTER: {
    code: 0x73,
    direction: "control",
    payload: VIRTIO_THININT_AREA,
    doc: "Says where the two-stage queue indicators lie.",
  },
  READ_FEAT: {
    code: 0x12,
    direction: "read",
    payload: VIRTIO_FEATURE_DESC,
    doc: "Reads 32 of the offered feature bits.",
  },
  WRITE_FEAT: {
    code: 0x11,
    direction: "write",
    payload: VIRTIO_FEATURE_DESC,
    doc: "Writes 32 of the accepted feature bits.",
  },
  READ_CONF: { code: 0x22, direction: "read", doc: "Reads the configuration space." },
  WRITE_CONF: { code: 0x21, direction: "write", doc: "Writes the configuration space." },
  WRITE_STATUS: {
    code: 0x31,
    direction: "write",
    payload: STATUS_BLOCK,
    doc: "Writes the device status.",
  },
  READ_VQ_CONF: {
    code: 0x32,
    direction: "read",
    payload: VQ_CONFIG_BLOCK,
    doc: "Reads the largest size of a queue.",
  },
  SET_VIRTIO_REV: {
    code: 0x83,
    direction: "control",
    payload: VIRTIO_REV_INFO,
    doc: "Selects the revision of the transport.",
  },
  READ_STATUS: {
    code: 0x72,
    direction: "read",
    payload: STATUS_BLOCK,
    gate: { revision: 2 },
    doc: "Reads the device status.",
  },
} as const;

const LAYOUT_CITE = `${SECTION} / Basic Concepts / Channel Commands for Virtio`;

/** What both layouts say of themselves; the label as the sources have it, blank for blank. */
const LAYOUT_META = {
  cite: LAYOUT_CITE,
  label:
    "Virtio Transport Options / Virtio over channel I/O / Basic Concepts/ Channel Commands for Virtio",
  prefix: "CCW_CMD_",
} as const;

/** The channel commands of virtio 1.4: revisions up to 2, no administration virtqueue. */
export const CCW_RATIFIED_LAYOUT = commands(
  "virtio_ccw_commands",
  { ...LAYOUT_META, doc: "The channel commands of virtio-ccw." },
  RATIFIED_COMMANDS,
);

/** The reference layout: the ratified commands, and READ_ADMIN_VQ from revision 3 on. */
export const CCW_REFERENCE_LAYOUT = commands(
  "virtio_ccw_commands_admin",
  {
    ...LAYOUT_META,
    doc: "The channel commands of virtio-ccw with the administration virtqueue.",
  },
  {
    ...RATIFIED_COMMANDS,
    READ_ADMIN_VQ: {
      code: 0x92,
      direction: "read",
      payload: ADMIN_VQ_BLOCK,
      gate: { revision: 3 },
      cite: THIS_PROJECT,
      doc: "Reads where the administration virtqueues are.",
    },
  },
);

/** The lowest revision that is not the legacy interface. */
export const LOWEST_REVISION = 1;

/** The highest revision that a layout speaks of: the one in which its newest command appears. */
export function highestRevision(layout: CommandLayout): number {
  return Object.values(layout.commands).reduce(
    (highest, command) => Math.max(highest, command.gate?.revision ?? LOWEST_REVISION),
    LOWEST_REVISION,
  );
}
