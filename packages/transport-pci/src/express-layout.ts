/**
 * What PCI Express has besides the header and MSI-X, as far as SR-IOV needs it: the PCI Express
 * capability with its function level reset, and the extended capabilities of SR-IOV and ARI.
 */
import { struct } from "@virtio-admin/core";

const EXPRESS = "PCI Express Base Specification 4.0";

/** Where the extended capabilities begin; configuration space ends at 4096. */
export const PCI_EXTENDED_BASE = 0x100;
/** The bytes of an extended configuration space. */
export const PCI_EXTENDED_END = 0x1000;
/** The registers for VF BARs. */
const VF_BAR_COUNT = 6;

/** The ids of the extended capabilities that this transport reads and writes. */
export const PCI_EXTENDED_CAPABILITY = {
  /** Alternative Routing-ID Interpretation. */
  ari: 0x000e,
  /** Single Root I/O Virtualization. */
  sriov: 0x0010,
} as const;

const EXTENDED_HEADER = {
  offset: 0,
  type: "le32",
  access: "R",
  doc: "Which capability this is, and where the next one lies.",
  bits: {
    capability_id: { at: 0, width: 16, doc: "The id of the extended capability." },
    version: { at: 16, width: 4, doc: "The version of its layout." },
    next: { at: 20, width: 12, doc: "The offset of the next one; 0 ends the list." },
  },
} as const;

/** The beginning of every extended capability. */
export const PCI_EXTENDED_HEADER_LAYOUT = struct(
  "pci_extended_capability_header",
  { cite: `${EXPRESS}, 7.6.3`, doc: "Heads an extended capability." },
  { header: EXTENDED_HEADER },
);

/** The PCI Express capability, version 2. */
export const PCI_EXPRESS_CAPABILITY_LAYOUT = struct(
  "pci_express_capability",
  {
    cite: `${EXPRESS}, 7.5.3`,
    doc: "What a function is on PCI Express, and its function level reset.",
    size: 0x3c,
  },
  {
    cap_id: { offset: 0, type: "u8", access: "R", reset: 0x10, doc: "PCI Express." },
    cap_next: { offset: 1, type: "u8", access: "R", doc: "The next capability; 0 ends the list." },
    express_capabilities: {
      offset: 2,
      type: "le16",
      access: "R",
      doc: "The version of the layout, and what kind of port it is.",
      bits: {
        version: { at: 0, width: 4, doc: "2." },
        device_port_type: { at: 4, width: 4, doc: "0: an endpoint." },
      },
    },
    device_capabilities: {
      offset: 4,
      type: "le32",
      access: "R",
      doc: "What the function can do.",
      bits: {
        role_based_error_reporting: { at: 15, doc: "Errors are reported by role." },
        function_level_reset: { at: 28, doc: "The function can be reset on its own." },
      },
    },
    device_control: {
      offset: 8,
      type: "le16",
      access: "RW",
      doc: "Kept without effect, but for the reset.",
      bits: {
        error_reporting: { at: 0, width: 4, doc: "Which errors to report." },
        relaxed_ordering: { at: 4, doc: "Relaxed ordering may be used." },
        max_payload_size: { at: 5, width: 3, doc: "The longest payload." },
        no_snoop: { at: 11, doc: "No Snoop may be used." },
        max_read_request_size: { at: 12, width: 3, doc: "The longest read request." },
        initiate_function_level_reset: { at: 15, doc: "Resets the function; reads 0." },
      },
    },
    device_status: { offset: 10, type: "le16", access: "R", doc: "0: nothing is pending." },
    link_capabilities: {
      offset: 12,
      type: "le32",
      access: "R",
      doc: "What the link can do.",
      bits: {
        max_link_speed: { at: 0, width: 4, doc: "1: 2.5 GT/s." },
        max_link_width: { at: 4, width: 6, doc: "The number of lanes." },
      },
    },
    link_control: { offset: 16, type: "le16", access: "R", doc: "0." },
    link_status: {
      offset: 18,
      type: "le16",
      access: "R",
      doc: "What the link does.",
      bits: {
        link_speed: { at: 0, width: 4, doc: "1: 2.5 GT/s." },
        link_width: { at: 4, width: 6, doc: "The number of lanes." },
      },
    },
  },
);

/** The extended capability of Alternative Routing-ID Interpretation: functions beyond number 7. */
export const ARI_CAPABILITY_LAYOUT = struct(
  "pci_ari_capability",
  { cite: `${EXPRESS}, 7.8.7`, doc: "Function numbers have 8 bits." },
  {
    header: EXTENDED_HEADER,
    ari_capabilities: { offset: 4, type: "le16", access: "R", doc: "0: no next function." },
    ari_control: { offset: 6, type: "le16", access: "R", doc: "0." },
  },
);

/** The extended capability of SR-IOV. Only physical functions have it. */
export const SRIOV_CAPABILITY_LAYOUT = struct(
  "pci_sriov_capability",
  { cite: `${EXPRESS}, 9.3.3`, doc: "The virtual functions of a physical function." },
  {
    header: EXTENDED_HEADER,
    capabilities: {
      offset: 0x04,
      type: "le32",
      access: "R",
      doc: "What else there is besides virtual functions.",
      bits: {
        vf_migration_capable: { at: 0, doc: "Virtual functions migrate; 0 here." },
        ari_capable_hierarchy_preserved: { at: 1, doc: "A power state does not clear it; 0 here." },
      },
    },
    control: {
      offset: 0x08,
      type: "le16",
      access: "RW",
      doc: "The switches of all virtual functions.",
      bits: {
        vf_enable: { at: 0, doc: "There are virtual functions." },
        vf_migration_enable: { at: 1, doc: "0 here, as they do not migrate." },
        vf_migration_interrupt_enable: { at: 2, doc: "0 here, as they do not migrate." },
        vf_mse: { at: 3, doc: "Virtual functions respond to accesses of their BARs." },
        ari_capable_hierarchy: { at: 4, doc: "Function numbers may have 8 bits." },
      },
    },
    status: { offset: 0x0a, type: "le16", access: "R", doc: "0, as they do not migrate." },
    initial_vfs: { offset: 0x0c, type: "le16", access: "R", doc: "Equals total_vfs." },
    total_vfs: { offset: 0x0e, type: "le16", access: "R", doc: "The most that there can be." },
    num_vfs: {
      offset: 0x10,
      type: "le16",
      access: "RW",
      doc: "How many there are while vf_enable is set; 1 to total_vfs.",
    },
    function_dependency_link: {
      offset: 0x12,
      type: "u8",
      access: "R",
      doc: "The function itself.",
    },
    first_vf_offset: {
      offset: 0x14,
      type: "le16",
      access: "R",
      doc: "From the routing id of the owner to that of the first virtual function.",
    },
    vf_stride: {
      offset: 0x16,
      type: "le16",
      access: "R",
      doc: "From the routing id of a virtual function to that of the next.",
    },
    vf_device_id: { offset: 0x1a, type: "le16", access: "R", doc: "The device id of them all." },
    supported_page_sizes: {
      offset: 0x1c,
      type: "le32",
      access: "R",
      doc: "Bit n: pages of 4096 << n bytes.",
    },
    system_page_size: {
      offset: 0x20,
      type: "le32",
      access: "RW",
      reset: 1,
      doc: "One of supported_page_sizes; the BARs of each begin and end at such a page.",
    },
    vf_bar: {
      offset: 0x24,
      type: "le32",
      count: VF_BAR_COUNT,
      access: "RW",
      doc: "Where the BARs of the first one are; those of the others follow.",
    },
    vf_migration_state_array_offset: { offset: 0x3c, type: "le32", access: "R", doc: "0." },
  },
);
