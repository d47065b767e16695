/**
 * The messages: their header, their ids and what each carries, in a layout of our own after the
 * shape of the virtio-msg draft ("Virtio Over Messages"). A sketch: the draft is not ratified, and
 * nobody else speaks exactly this. Every id, offset and flag of this transport stands here and
 * nowhere else.
 *
 * All values are little-endian. Later revisions may append to what a device answers, so a driver
 * ignores bytes behind what it knows; what a driver sends is exactly as long as declared.
 */
import {
  type AnyStructLayout,
  commands,
  FEATURE,
  type FieldSpecs,
  struct,
} from "@virtio-admin/core";

const CITE = "this example, after the shape of the virtio-msg draft";

/** What begins every message. */
export const MESSAGE_HEADER = struct(
  "virtio_msg_header",
  { cite: CITE, doc: "What begins every message; the payload follows." },
  {
    type: {
      offset: 0,
      type: "u8",
      doc: "What kind of message it is; bits without a name are sent as 0 and ignored.",
      bits: {
        response: { at: 0, doc: "An answer; a request or an event when clear." },
        bus: { at: 1, doc: "A message of the bus, not of a device on it." },
      },
    },
    msg_id: { offset: 1, type: "u8", doc: "Which message it is." },
    dev_num: { offset: 2, type: "le16", doc: "The number of the device on its bus." },
    token: {
      offset: 4,
      type: "le16",
      doc: "Chosen by who asks and repeated in the answer; 0 in events, and only there.",
    },
    msg_size: { offset: 6, type: "le16", doc: "The bytes of header and payload together." },
  },
);

/** The ids, and which way a message's contents go as the driver sees it. */
export const MESSAGE_IDS = commands(
  "virtio_msg",
  { cite: CITE, doc: "The messages of one device." },
  {
    GET_DEVICE_INFO: { code: 0x02, direction: "read", doc: "Asks what the device is." },
    GET_DEVICE_FEATURES: { code: 0x03, direction: "read", doc: "Asks for offered feature bits." },
    SET_DRIVER_FEATURES: { code: 0x04, direction: "write", doc: "Sets accepted feature bits." },
    GET_CONFIG: { code: 0x05, direction: "read", doc: "Asks for configuration bytes." },
    SET_CONFIG: { code: 0x06, direction: "write", doc: "Sets configuration bytes." },
    GET_DEVICE_STATUS: { code: 0x07, direction: "read", doc: "Asks for the device status." },
    SET_DEVICE_STATUS: { code: 0x08, direction: "write", doc: "Sets the device status; 0 resets." },
    GET_VQUEUE: { code: 0x09, direction: "read", doc: "Asks for the state of a virtqueue." },
    SET_VQUEUE: { code: 0x0a, direction: "write", doc: "Sets up a virtqueue and enables it." },
    RESET_VQUEUE: {
      code: 0x0b,
      direction: "control",
      gate: { feature: FEATURE.VIRTIO_F_RING_RESET },
      doc: "Resets one virtqueue.",
    },
    EVENT_CONFIG: { code: 0x40, direction: "read", doc: "Tells of a configuration change." },
    EVENT_AVAIL: { code: 0x41, direction: "control", doc: "Tells of available buffers." },
    EVENT_USED: { code: 0x42, direction: "read", doc: "Tells of used buffers." },
  },
);

/** A 32-bit field; all small numbers of this transport are that wide. */
const le32 = (offset: number, doc: string) => ({ offset, type: "le32", doc }) as const;
const le64 = (offset: number, doc: string) => ({ offset, type: "le64", doc }) as const;

const payload = <const F extends FieldSpecs>(name: string, doc: string, fields: F) =>
  struct(name, { cite: CITE, doc }, fields);

const ADMIN_GATE = { feature: FEATURE.VIRTIO_F_ADMIN_VQ } as const;

/** What a device says of itself. */
export const DEVICE_INFO = payload("virtio_msg_device_info", "What a device is.", {
  device_id: le32(0, "The virtio device id; 0 when there is no device."),
  vendor_id: le32(4, "The virtio subsystem vendor id."),
  num_feature_bits: le32(8, "How many feature bits there are, in whole blocks of 32."),
  config_size: le32(12, "The length of the configuration space in bytes."),
  max_virtqueues: le32(16, "How many virtqueues there are, administration virtqueues not counted."),
  admin_vq_start: {
    offset: 20,
    type: "le16",
    gate: ADMIN_GATE,
    doc: "The index of the first administration virtqueue; 0 before VIRTIO_F_ADMIN_VQ is negotiated.",
  },
  admin_vq_count: {
    offset: 22,
    type: "le16",
    gate: ADMIN_GATE,
    doc: "The number of administration virtqueues; 0 before VIRTIO_F_ADMIN_VQ is negotiated.",
  },
});

const FEATURE_BLOCKS = {
  block_index: le32(0, "The first block: feature bits 32 * block_index and up."),
  num_blocks: le32(4, "How many blocks."),
} as const;

const FEATURE_BITS = payload("virtio_msg_features", "Feature bits.", {
  ...FEATURE_BLOCKS,
  data: { offset: 8, type: "le32", count: "rest", doc: "The blocks; those beyond the last are 0." },
});

const CONFIG = payload("virtio_msg_config", "Configuration bytes of one generation.", {
  generation: le32(0, "Changes whenever the configuration space does."),
  offset: le32(4, "Where they begin in the configuration space."),
  num_bytes: le32(8, "How many there are; 0 in the answer to SET_CONFIG when it was rejected."),
  data: { offset: 12, type: "u8", count: "rest", doc: "The bytes." },
});

const STATUS_BYTE = payload("virtio_msg_status", "A device status.", {
  status: le32(0, "The device status, in bits 0 to 7."),
});

const VQUEUE_INDEX = payload("virtio_msg_vqueue_index", "A virtqueue.", {
  index: le32(0, "The index of the virtqueue."),
});

/** What GET_VQUEUE answers and SET_VQUEUE carries. */
export const VQUEUE = payload("virtio_msg_vqueue", "The state of a virtqueue.", {
  index: le32(0, "The index of the virtqueue."),
  max_size: le32(4, "Its largest size; 0 when there is none. Ignored in SET_VQUEUE."),
  size: le32(8, "Its size."),
  flags: {
    ...le32(12, "Its state: reserved in the draft, which cannot tell. Ignored in SET_VQUEUE."),
    bits: { enabled: { at: 0, doc: "The virtqueue is enabled." } },
  },
  descriptor_area: le64(16, "The address of the descriptor area."),
  driver_area: le64(24, "The address of the driver area."),
  device_area: le64(32, "The address of the device area."),
});

const ids = MESSAGE_IDS.commands;

/**
 * The requests by name, each with what it carries and what its answer carries; `undefined` where
 * that is nothing. (A channel command of core's layouts has one payload; a message has two.)
 */
export const REQUESTS = {
  GET_DEVICE_INFO: { id: ids.GET_DEVICE_INFO.code, request: undefined, answer: DEVICE_INFO },
  GET_DEVICE_FEATURES: {
    id: ids.GET_DEVICE_FEATURES.code,
    request: payload("virtio_msg_feature_blocks", "Blocks of feature bits.", FEATURE_BLOCKS),
    answer: FEATURE_BITS,
  },
  SET_DRIVER_FEATURES: {
    id: ids.SET_DRIVER_FEATURES.code,
    request: FEATURE_BITS,
    answer: undefined,
  },
  GET_CONFIG: {
    id: ids.GET_CONFIG.code,
    request: payload("virtio_msg_config_range", "A range of the configuration space.", {
      offset: le32(0, "Where it begins."),
      num_bytes: le32(4, "How long it is."),
    }),
    answer: CONFIG,
  },
  SET_CONFIG: { id: ids.SET_CONFIG.code, request: CONFIG, answer: CONFIG },
  GET_DEVICE_STATUS: { id: ids.GET_DEVICE_STATUS.code, request: undefined, answer: STATUS_BYTE },
  SET_DEVICE_STATUS: { id: ids.SET_DEVICE_STATUS.code, request: STATUS_BYTE, answer: STATUS_BYTE },
  GET_VQUEUE: { id: ids.GET_VQUEUE.code, request: VQUEUE_INDEX, answer: VQUEUE },
  SET_VQUEUE: { id: ids.SET_VQUEUE.code, request: VQUEUE, answer: undefined },
  RESET_VQUEUE: { id: ids.RESET_VQUEUE.code, request: VQUEUE_INDEX, answer: undefined },
} as const;

/** The name of a request. */
export type RequestName = keyof typeof REQUESTS;

/** The events by name, each with what it carries. */
export const EVENTS = {
  EVENT_CONFIG: {
    id: ids.EVENT_CONFIG.code,
    payload: payload("virtio_msg_event_config", "A change of the configuration or the status.", {
      status: le32(0, "The device status."),
      generation: le32(4, "The configuration generation."),
      offset: le32(8, "Where the bytes that follow begin; this sketch sends none."),
      num_bytes: le32(12, "How many bytes follow: 0."),
    }),
  },
  EVENT_AVAIL: {
    id: ids.EVENT_AVAIL.code,
    payload: payload("virtio_msg_event_avail", "Available buffers.", {
      index: le32(0, "The index of the virtqueue."),
      next: le32(4, "0: this sketch does not carry VIRTIO_F_NOTIFICATION_DATA."),
    }),
  },
  EVENT_USED: { id: ids.EVENT_USED.code, payload: VQUEUE_INDEX },
} as const;

const PAYLOADS: readonly AnyStructLayout[] = [
  ...new Set<AnyStructLayout>([
    ...Object.values(REQUESTS).flatMap(({ request, answer }) =>
      [request ?? [], answer ?? []].flat(),
    ),
    ...Object.values(EVENTS).map((event) => event.payload),
  ]),
];

/** All layouts of this transport: the ids, the header, and every payload. */
export const MESSAGE_LAYOUTS = [MESSAGE_IDS, MESSAGE_HEADER, ...PAYLOADS] as const;

/** The smallest limit of a bus that lets every message through, in bytes with the header. */
export const SMALLEST_MESSAGE_LIMIT: number =
  MESSAGE_HEADER.size + Math.max(...PAYLOADS.map(({ size }) => size));

/** The limit of a bus that says no other: 256 configuration bytes in one message. */
export const DEFAULT_MESSAGE_LIMIT: number = MESSAGE_HEADER.size + CONFIG.size + 256;
