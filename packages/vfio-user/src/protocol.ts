/**
 * The messages of the vfio-user protocol, version 0.1, as QEMU's `docs/interop/vfio-user.rst`
 * describes them. Every message is a header and a body; all numbers are in the byte order of the
 * host, which is little-endian wherever this package works.
 */
import { struct } from "@virtio-admin/core";

const CITE = "vfio-user protocol specification";

/** Commands, by name. */
export const VFIO_USER_COMMAND = {
  /** What both sides speak, first of all. */
  version: 1,
  /** Gives the server a range of the client's memory. */
  dmaMap: 2,
  /** Takes a range back. */
  dmaUnmap: 3,
  /** Asks what there is to ask about. */
  deviceGetInfo: 4,
  /** Asks about a region. */
  deviceGetRegionInfo: 5,
  /** Asks for descriptors in the place of accesses. */
  deviceGetRegionIoFds: 6,
  /** Asks about a type of interrupts. */
  deviceGetIrqInfo: 7,
  /** Sets interrupts up, masks them, or triggers them. */
  deviceSetIrqs: 8,
  /** Reads a region. */
  regionRead: 9,
  /** Writes a region. */
  regionWrite: 10,
  /** Reads the client's memory; the server sends it. */
  dmaRead: 11,
  /** Writes the client's memory; the server sends it. */
  dmaWrite: 12,
  /** Resets the device. */
  deviceReset: 13,
  /** Several writes of regions. */
  regionWriteMulti: 15,
  /** Features of migration. */
  deviceFeature: 16,
  /** Reads migration data. */
  migDataRead: 17,
  /** Writes migration data. */
  migDataWrite: 18,
} as const;

/** The version that both halves speak. */
export const VFIO_USER_VERSION = {
  /** The same on both sides. */
  major: 0,
  /** The highest that is understood. */
  minor: 1,
} as const;

/** Regions of a PCI device by index: BAR n is region n. */
export const VFIO_REGION = {
  /** The first BAR. */
  bar0: 0,
  /** The last BAR. */
  bar5: 5,
  /** The expansion ROM; ours have none. */
  rom: 6,
  /** Configuration space. */
  config: 7,
  /** Legacy VGA; ours have none. */
  vga: 8,
  /** How many there are. */
  count: 9,
} as const;

/** Interrupt types of a PCI device by index. */
export const VFIO_IRQ = {
  /** The INTx line. */
  intx: 0,
  /** MSI; ours have none. */
  msi: 1,
  /** The MSI-X vectors. */
  msix: 2,
  /** Errors that the device reports; ours do not. */
  error: 3,
  /** The server asks for the device back; ours do not. */
  request: 4,
  /** How many types there are. */
  count: 5,
} as const;

/** The header of every message, 16 bytes. */
export const VFIO_USER_HEADER_LAYOUT = struct(
  "vfio_user_header",
  { cite: CITE, doc: "What stands before the body of every message." },
  {
    id: { offset: 0, type: "le16", doc: "Chosen by the sender of a command, echoed in its reply." },
    command: { offset: 2, type: "le16", doc: "The command, in a reply too." },
    size: { offset: 4, type: "le32", doc: "The length of the message with this header." },
    flags: {
      offset: 8,
      type: "le32",
      doc: "What kind of message it is.",
      bits: {
        type: { at: 0, width: 4, doc: "0 for a command, 1 for a reply." },
        no_reply: { at: 4, doc: "The command wants no reply." },
        error: { at: 5, doc: "The reply says that the command failed." },
      },
    },
    error: { offset: 12, type: "le32", doc: "The errno of a failed command, in its reply." },
  },
);

/** VERSION, command and reply. */
export const VFIO_USER_VERSION_LAYOUT = struct(
  "vfio_user_version",
  { cite: CITE, doc: "The version and what the sender can do." },
  {
    major: { offset: 0, type: "le16", doc: "The same on both sides, or there is no connection." },
    minor: { offset: 2, type: "le16", doc: "In the reply not above that of the command." },
    data: {
      offset: 4,
      type: "u8",
      count: "rest",
      doc: "JSON in UTF-8 with a NUL at its end; or nothing.",
    },
  },
);

/** DMA_MAP. */
export const VFIO_USER_DMA_MAP_LAYOUT = struct(
  "vfio_user_dma_map",
  { cite: CITE, doc: "Lets the server use a range of the client's memory." },
  {
    argsz: { offset: 0, type: "le32", doc: "The size of this structure." },
    flags: {
      offset: 4,
      type: "le32",
      doc: "How it may be used.",
      bits: {
        readable: { at: 0, doc: "The server may read." },
        writeable: { at: 1, doc: "The server may write." },
      },
    },
    offset: { offset: 8, type: "le64", doc: "Where it begins in the file that came along." },
    address: { offset: 16, type: "le64", doc: "The DMA address of its first byte." },
    size: { offset: 24, type: "le64", doc: "Its length." },
  },
);

/** DMA_UNMAP, command and reply. */
export const VFIO_USER_DMA_UNMAP_LAYOUT = struct(
  "vfio_user_dma_unmap",
  { cite: CITE, doc: "Takes a range back that DMA_MAP gave, exactly." },
  {
    argsz: { offset: 0, type: "le32", doc: "The most bytes that the reply may have." },
    flags: {
      offset: 4,
      type: "le32",
      doc: "Not used.",
      bits: {
        dirty_bitmap: { at: 0, doc: "Asks for a bitmap of dirty pages." },
        all: { at: 1, doc: "Takes all ranges back." },
      },
    },
    address: { offset: 8, type: "le64", doc: "The DMA address of its first byte." },
    size: { offset: 16, type: "le64", doc: "Its length." },
  },
);

/** DEVICE_GET_INFO, command and reply. */
export const VFIO_USER_DEVICE_INFO_LAYOUT = struct(
  "vfio_device_info",
  { cite: CITE, doc: "What there is to ask about." },
  {
    argsz: { offset: 0, type: "le32", doc: "The most bytes that the reply may have, or has." },
    flags: {
      offset: 4,
      type: "le32",
      doc: "What the device is.",
      bits: {
        reset: { at: 0, doc: "It understands DEVICE_RESET." },
        pci: { at: 1, doc: "It is a PCI function." },
      },
    },
    num_regions: { offset: 8, type: "le32", doc: "The number of regions." },
    num_irqs: { offset: 12, type: "le32", doc: "The number of interrupt types." },
  },
);

/** DEVICE_GET_REGION_INFO, command and reply. */
export const VFIO_USER_REGION_INFO_LAYOUT = struct(
  "vfio_region_info",
  { cite: CITE, doc: "One region." },
  {
    argsz: { offset: 0, type: "le32", doc: "The most bytes that the reply may have, or has." },
    flags: {
      offset: 4,
      type: "le32",
      doc: "What can be done with it.",
      bits: {
        read: { at: 0, doc: "It can be read." },
        write: { at: 1, doc: "It can be written." },
        mmap: { at: 2, doc: "It can be mapped through the descriptor that comes along." },
        caps: { at: 3, doc: "Capabilities follow." },
      },
    },
    index: { offset: 8, type: "le32", doc: "Which region." },
    cap_offset: { offset: 12, type: "le32", doc: "Where capabilities begin." },
    size: { offset: 16, type: "le64", doc: "Its length; 0 when it is not there." },
    offset: { offset: 24, type: "le64", doc: "Where it begins in the descriptor." },
  },
);

/** DEVICE_GET_REGION_IO_FDS, the command. */
export const VFIO_USER_REGION_IO_FDS_LAYOUT = struct(
  "vfio_user_region_io_fds",
  { cite: CITE, doc: "Asks for descriptors that stand for accesses of a region." },
  {
    argsz: { offset: 0, type: "le32", doc: "The most bytes that the reply may have." },
    flags: { offset: 4, type: "le32", doc: "Zero." },
    index: { offset: 8, type: "le32", doc: "Which region." },
    count: { offset: 12, type: "le32", doc: "Zero." },
  },
);

/** DEVICE_GET_IRQ_INFO, command and reply. */
export const VFIO_USER_IRQ_INFO_LAYOUT = struct(
  "vfio_irq_info",
  { cite: CITE, doc: "One type of interrupts." },
  {
    argsz: { offset: 0, type: "le32", doc: "The most bytes that the reply may have, or has." },
    flags: {
      offset: 4,
      type: "le32",
      doc: "How they behave.",
      bits: {
        eventfd: { at: 0, doc: "They can be signalled through eventfds." },
        maskable: { at: 1, doc: "They can be masked and unmasked." },
        automasked: { at: 2, doc: "One that is signalled masks itself." },
        noresize: { at: 3, doc: "They are set up all at once." },
      },
    },
    index: { offset: 8, type: "le32", doc: "Which type." },
    count: { offset: 12, type: "le32", doc: "How many there are." },
  },
);

/** DEVICE_SET_IRQS, the command. */
export const VFIO_USER_IRQ_SET_LAYOUT = struct(
  "vfio_irq_set",
  { cite: CITE, doc: "Does something with a run of interrupts of one type." },
  {
    argsz: { offset: 0, type: "le32", doc: "The size of this structure with its data." },
    flags: {
      offset: 4,
      type: "le32",
      doc: "What comes along, and what to do: one of each.",
      bits: {
        data_none: { at: 0, doc: "Nothing: the action is meant for all of the run." },
        data_bool: { at: 1, doc: "A byte for each; the action is meant where it is not 0." },
        data_eventfd: { at: 2, doc: "An eventfd for each; none takes those away that are there." },
        action_mask: { at: 3, doc: "Mask." },
        action_unmask: { at: 4, doc: "Unmask." },
        action_trigger: { at: 5, doc: "Signal now, or by this eventfd from now on." },
      },
    },
    index: { offset: 8, type: "le32", doc: "Which type." },
    start: { offset: 12, type: "le32", doc: "The first of the run." },
    count: { offset: 16, type: "le32", doc: "How many; 0 with no data disables the type." },
    data: { offset: 20, type: "u8", count: "rest", doc: "The bytes of data_bool." },
  },
);

/** REGION_READ and REGION_WRITE, commands and replies. */
export const VFIO_USER_REGION_ACCESS_LAYOUT = struct(
  "vfio_user_region_access",
  { cite: CITE, doc: "An access of a region." },
  {
    offset: { offset: 0, type: "le64", doc: "Where in the region." },
    region: { offset: 8, type: "le32", doc: "Which region." },
    count: { offset: 12, type: "le32", doc: "How many bytes." },
    data: { offset: 16, type: "u8", count: "rest", doc: "The bytes, where they go along." },
  },
);

/** DMA_READ and DMA_WRITE, commands and replies. */
export const VFIO_USER_DMA_ACCESS_LAYOUT = struct(
  "vfio_user_dma_region_access",
  { cite: CITE, doc: "The server's access of the client's memory." },
  {
    address: { offset: 0, type: "le64", doc: "The DMA address." },
    count: { offset: 8, type: "le64", doc: "How many bytes." },
    data: { offset: 16, type: "u8", count: "rest", doc: "The bytes, where they go along." },
  },
);

/** REGION_WRITE_MULTI: what stands before the writes; it is the whole reply. */
export const VFIO_USER_WRITE_MULTI_LAYOUT = struct(
  "vfio_user_write_multi",
  { cite: CITE, doc: "Several writes in one message." },
  {
    wr_cnt: { offset: 0, type: "le64", doc: "How many writes follow, or were done." },
    wrs: { offset: 8, type: "u8", count: "rest", doc: "The writes." },
  },
);

/** One write of REGION_WRITE_MULTI. */
export const VFIO_USER_WRITE_ONE_LAYOUT = struct(
  "vfio_user_write_one",
  { cite: CITE, doc: "One write of at most 8 bytes." },
  {
    offset: { offset: 0, type: "le64", doc: "Where in the region." },
    region: { offset: 8, type: "le32", doc: "Which region." },
    count: { offset: 12, type: "le32", doc: "How many bytes, 1 to 8." },
    data: { offset: 16, type: "u8", count: 8, doc: "The bytes, from the first on." },
  },
);

/** The errno values that replies carry. */
export const ERRNO = {
  ENOENT: 2,
  EINVAL: 22,
  EBUSY: 16,
  EEXIST: 17,
  ENOSPC: 28,
  ENOMEM: 12,
  EFAULT: 14,
  E2BIG: 7,
  EOPNOTSUPP: 95,
} as const;
