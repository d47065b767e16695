/** Defects of every kind, planted in the specification where there was none: three for each rule. */
import { type Finding, LINT_RULES, lintSpec, type SourceTree } from "@virtio-admin/spec";
import { expect, it } from "vitest";
import { describeSpecification, edited, extended, specification } from "../specification.ts";

interface Plant {
  /** The file in which it is found. */
  readonly file: string;
  /** What the message says. */
  readonly message: RegExp;
  readonly plant: (tree: SourceTree) => SourceTree;
}

const ADMIN = "admin.tex";
const CAPS = "admin-cmds-capabilities.tex";
const LEGACY = "admin-cmds-legacy-interface.tex";
const OBJECTS = "admin-cmds-resource-objects.tex";
const PARTS = "admin-cmds-device-parts.tex";
const PART_TYPES = "device-parts.tex";
const CCW = "transport-ccw.tex";
const MMIO = "transport-mmio.tex";
const PCI = "transport-pci.tex";
const NET = "device-types/net/description.tex";
const BLK = "device-types/blk/description.tex";
const CONSOLE = "device-types/console/description.tex";

/** A plant that replaces text. */
function replaced(file: string, text: string | RegExp, by: string, message: RegExp): Plant {
  return { file, message, plant: (tree) => edited(tree, file, text, by) };
}

/** A plant that adds text of ours at the end of a file. */
function added(file: string, text: string, message: RegExp): Plant {
  return { file, message, plant: (tree) => extended(tree, file, text) };
}

/** Text of ours in a section of requirements. */
function requirement(side: "device" | "driver", text: string): string {
  return `\\${side}normative{\\section}{Planted}{Planted ${side}}\n${text}`;
}

const whole = (tree: SourceTree): SourceTree => extended(tree, "main.tex", "\\begin{document}");

const PLANTS: Readonly<Record<string, readonly Plant[]>> = {
  "label-unlisted": [
    {
      file: MMIO,
      message: /devicenormative:.*MMIO Device Register Layout/,
      plant: (tree) =>
        edited(
          tree,
          "conformance.tex",
          /\\item \\ref\{devicenormative:[^}]*MMIO Device Register Layout\}\n/,
          "",
        ),
    },
    {
      file: CCW,
      message: /drivernormative:.*Basic Concepts; one that differs in case only is/,
      plant: (tree) =>
        edited(
          tree,
          "conformance.tex",
          /(drivernormative:[^}]*channel I\/O \/ Basic )Concepts/,
          "$1concepts",
        ),
    },
    added(
      BLK,
      "\\drivernormative{\\subsection}{Planted}{Device Types / Planted}",
      /Device Types \/ Planted/,
    ),
  ],
  "label-undefined": [
    {
      ...added(MMIO, "See \\ref{sec:Planted}.", /sec:Planted/),
      plant: (tree) => whole(extended(tree, MMIO, "See \\ref{sec:Planted}.")),
    },
    {
      ...added(CCW, "", /there is sec:Device Types$/),
      plant: (tree) => whole(extended(tree, CCW, "\\nameref{sec:device types}")),
    },
    {
      ...added(NET, "", /par:Nowhere/),
      plant: (tree) => whole(extended(tree, NET, "\\hyperref[par:Nowhere]{here}")),
    },
  ],
  "label-duplicate": [
    added(NET, "\\section{Planted}\\label{sec:Device Types}", /sec:Device Types/),
    added(BLK, "\\label{sec:Device\nTypes}", /sec:Device Types/),
    added(
      CCW,
      requirement(
        "device",
        "\\label{devicenormative:Basic Facilities of a Virtio Device / Device Reset}",
      ),
      /Device Reset/,
    ),
  ],
  "label-case": [
    added(
      MMIO,
      "\\section{Planted}\\label{sec:device types}",
      /device types, another Device Types/,
    ),
    added(
      CCW,
      "\\section{Planted}\\label{sec:Device Types / Network device / Planted}",
      /Network device, another/,
    ),
    added(
      BLK,
      "\\paragraph{Planted}\\label{par:Conformance / device Conformance / Planted}",
      /device Conformance, another/,
    ),
  ],
  "name-undefined": [
    replaced(
      CCW,
      /CCW_CMD_VDEV_RESET command\. /,
      "CCW_CMD_VDEV_REST command. ",
      /CCW_CMD_VDEV_REST.*nearest.*CCW_CMD_VDEV_RESET/,
    ),
    replaced(
      PART_TYPES,
      /For VIRTIO_DEV_PART_VQ_CFG, /,
      "For VIRTIO_DEV_PART_VQ_CONFIG, ",
      /VIRTIO_DEV_PART_VQ_CONFIG/,
    ),
    added(NET, "Planted: VIRTIO_NET_F_PLANTED is a feature.", /VIRTIO_NET_F_PLANTED/),
  ],
  "status-unlisted": [
    replaced(CAPS, "VIRTIO_ADMIN_STATUS_EBUSY", "VIRTIO_ADMIN_STATUS_EPERM", /EPERM/),
    replaced(
      ADMIN,
      "either VIRTIO_ADMIN_STATUS_EAGAIN",
      "either VIRTIO_ADMIN_STATUS_EAGIAN",
      /EAGIAN/,
    ),
    replaced(OBJECTS, "VIRTIO_ADMIN_STATUS_ENOSPC", "VIRTIO_ADMIN_STATUS_Q_NOSPACE", /Q_NOSPACE/),
  ],
  "struct-undefined": [
    replaced(
      PART_TYPES,
      "length of \\field{struct virtio_dev_part_vq_cfg}",
      "length of \\field{struct virtio_dev_part_vq_config}",
      /virtio_dev_part_vq_config/,
    ),
    replaced(
      ADMIN,
      "\\field{struct virtio_admin_cmd_list} describing",
      "\\field{struct virtio_admin_command_list} describing",
      /virtio_admin_command_list/,
    ),
    added(PCI, "Planted: as struct virtio_pci_capability has it.", /virtio_pci_capability/),
  ],
  "field-misspelt": [
    replaced(
      PCI,
      "\\field{queue_notify_off} is",
      "\\field{queue_notfy_off} is",
      /queue_notfy_off.*queue_notify_off/,
    ),
    replaced(
      MMIO,
      "writing its index to \\field{QueueSel}",
      "writing its index to \\field{QueueSell}",
      /QueueSell.*QueueSel/,
    ),
    replaced(
      CAPS,
      "\\field{cap_specific_data} and",
      "\\field{cap_specifc_data} and",
      /cap_specifc_data/,
    ),
  ],
  "value-duplicate": [
    replaced(
      ADMIN,
      /12( +& VIRTIO_ADMIN_STATUS_ENOMEM)/,
      "11$1",
      /ENOMEM is 0xb \(11\), and so is VIRTIO_ADMIN_STATUS_EAGAIN/,
    ),
    replaced(MMIO, "{0x0c0}", "{0x0a4}", /QueueReset is 0xa4 \(164\), and so is QueueDeviceHigh/),
    replaced(MMIO, "{0x0fc}", "{0x0c0}", /ConfigGeneration is 0xc0 \(192\), and so is QueueReset/),
  ],
  "value-mismatch": [
    replaced(CAPS, "is set to 0x8.", "is set to 0x18.", /DEVICE_CAP_GET is 0x18/),
    replaced(PART_TYPES, "is set to 0x103.", "is set to 0x130.", /DEVICE_STATUS is 0x130/),
    replaced(NET, /(#define VIRTIO_NET_F_GUEST_ECN +)9/, "$18", /GUEST_ECN is/),
  ],
  "table-coverage": [
    replaced(ADMIN, "0x08-0xFFFF", "0x09-0xFFFF", /leaves out 0x8/),
    replaced(CAPS, "0x1000 - 0xFFFF", "0x0fff - 0xFFFF", /more than one row/),
    replaced(OBJECTS, "0x500-0xffff", "0x600-0xffff", /leaves out 0x500-0x5ff/),
  ],
  "range-conflict": [
    replaced(CAPS, "0x0001-0x07ff", "0x0001-0x08ff", /0x1-0x8ff \(.*capability/),
    replaced(OBJECTS, "0x001-0x1ff", "0x001-0x2ff", /0x1-0x2ff/),
    added(PART_TYPES, "Parts \\field{0x0500 - 0x06FF} are planted parts.", /0x500-0x6ff/),
  ],
  "feature-bit": [
    replaced(
      "content.tex",
      "VIRTIO_F_RING_RESET(40)",
      "VIRTIO_F_RING_RESET(44)",
      /RING_RESET has bit 44/,
    ),
    replaced(
      BLK,
      /VIRTIO_BLK_F_BLK_SIZE \(6\)/,
      "VIRTIO_BLK_F_BLK_SIZE (30)",
      /BLK_SIZE has bit 30/,
    ),
    replaced(
      CONSOLE,
      /VIRTIO_CONSOLE_F_MULTIPORT ?\(1\)/,
      "VIRTIO_CONSOLE_F_MULTIPORT(0)",
      /MULTIPORT has bit 0, and so has/,
    ),
  ],
  "requirement-party": [
    added(
      MMIO,
      requirement("driver", "Planted words first. A device MUST be planted."),
      /on a device/,
    ),
    added(CCW, requirement("device", "The owner driver SHOULD NOT be planted."), /on a driver/),
    added(
      BLK,
      requirement("driver", "\\begin{itemize}\\item The device MAY be planted.\\end{itemize}"),
      /on a device/,
    ),
  ],
  "requirement-place": [
    added(MMIO, "\\section{Planted one}\nIt MUST be planted.", /MUST in "Planted one"/),
    added(PCI, "\\section{Planted two}\nIt SHOULD NOT be planted.", /SHOULD NOT in "Planted two"/),
    added(
      NET,
      "\\section{Planted three}\n\\begin{itemize}\\item It is OPTIONAL.\\end{itemize}",
      /OPTIONAL in "Planted three"/,
    ),
  ],
  "requirement-word": [
    added(MMIO, requirement("driver", "The driver MUST\nnot be planted."), /MUST not/),
    added(CCW, requirement("device", "The device SHOULD not be planted."), /SHOULD not/),
    added(BLK, requirement("device", "The device MAY NOT be planted."), /MAY NOT/),
  ],
  "requirement-strength": ["MUST/SHOULD", "SHALL/MAY", "SHOULD NOT/MUST NOT"].map((pair, index) => {
    const [one, other] = pair.split("/");
    const rule = (word: string | undefined) =>
      `The device ${word} use the planted flag of a planted queue in every planted mode.`;
    return added(
      [MMIO, CCW, BLK][index] ?? MMIO,
      requirement("device", `${rule(one)} More words.\n\n${rule(other)}`),
      new RegExp(`${other} here and ${one}`),
    );
  }),
  "comment-open": [
    replaced(
      PCI,
      "device_feature_select;     /* read-write */",
      "device_feature_select;     /* read-write",
      /no end/,
    ),
    replaced(CCW, "/* previously known as max_num */", "/* previously known as max_num", /no end/),
    replaced(LEGACY, /(\/\* Offset within bar\.) \*\//, "$1", /no end/),
  ],
  "struct-size": [
    replaced(CCW, /exactly 5 bytes/, "exactly 6 bytes", /virtio_feature_desc has 5 bytes/),
    replaced(CCW, "        u8 isc;", "        u8 isc[2];", /virtio_thinint_area has 26 bytes/),
    added(
      BLK,
      "\\begin{lstlisting}\nstruct vq_config_block { be16 index; be32 size; };\n\\end{lstlisting}",
      /vq_config_block has/,
    ),
  ],
  "struct-wrong": [
    replaced(
      CAPS,
      "\\field{struct virtio_admin_cmd_cap_get_data}",
      "\\field{struct virtio_admin_cmd_cap_set_data}",
      /virtio_admin_cmd_cap_get_data/,
    ),
    replaced(
      OBJECTS,
      "\\field{struct virtio_admin_cmd_resource_modify_data}",
      "\\field{struct virtio_admin_cmd_resource_obj_create_data}",
      /virtio_admin_cmd_resource_modify_data/,
    ),
    replaced(
      PARTS,
      "\\field{struct virtio_admin_cmd_dev_mode_set_data}",
      "\\field{struct virtio_dev_part_hdr}",
      /virtio_admin_cmd_dev_mode_set_data/,
    ),
  ],
  "write-list": [MMIO, CCW, BLK].map((file, index) =>
    added(
      file,
      `\\begin{lstlisting}\nstruct virtio_planted_${index} {\n u8 one; /* read-only */\n u8 two; /* read-only for driver */\n u8 three; /* Read-only */\n};\n\\end{lstlisting}\n${requirement("driver", "The driver MUST NOT write \\field{one} or \\field{three}.")}`,
      new RegExp(`virtio_planted_${index} no two`),
    ),
  ),
  "length-formula": ["max_planted", "top_planted", "last_planted"].map((name, index) =>
    added(
      [MMIO, CCW, BLK][index] ?? MMIO,
      `The length is $DIV_ROUND_UP(${name}, 8)$ bytes; \\field{${name}} is the highest planted number.`,
      new RegExp(name),
    ),
  ),
  "element-size": [
    replaced(CAPS, "u8 reserved[6];", "u8 reserved[5];", /cap_get_data has 7 bytes/),
    replaced(
      OBJECTS,
      /(resource_modify_data \{\s*struct virtio_admin_cmd_resource_obj_cmd_hdr hdr;\s*)le64 flags/,
      "$1le32 flags",
      /resource_modify_data has 12 bytes/,
    ),
    replaced(
      PARTS,
      /(parts_metadata_data \{\s*struct virtio_admin_cmd_resource_obj_cmd_hdr hdr;\s*u8 type;\s*)u8 reserved\[7\]/,
      "$1u8 reserved[3]",
      /parts_metadata_data has 12 bytes/,
    ),
  ],
};

/** What is found where nothing is planted: everything, looked for once. */
let before: readonly Finding[] | undefined;
function unplanted(): readonly Finding[] {
  before ??= lintSpec(specification()).findings;
  return before;
}

function messages(tree: SourceTree, rule: string, file: string): string[] {
  return lintSpec(tree, { rules: [rule] })
    .findings.filter((finding) => finding.file === file)
    .map(({ message }) => message);
}

describeSpecification("defects planted in virtio 1.4", () => {
  it("are three for every rule", () => {
    expect(Object.keys(PLANTS).sort()).toEqual(LINT_RULES.map(({ name }) => name).sort());
    for (const plants of Object.values(PLANTS)) expect(plants).toHaveLength(3);
  });

  it.each(
    Object.entries(PLANTS).flatMap(([rule, plants]) => plants.map((plant) => ({ rule, ...plant }))),
  )("$rule in $file: $message", ({ rule, file, message, plant }) => {
    const there = unplanted().filter((finding) => finding.rule === rule && finding.file === file);
    expect(there.filter((finding) => message.test(finding.message))).toEqual([]);
    const found = messages(plant(specification()), rule, file);
    expect(found.filter((text) => message.test(text))).not.toEqual([]);
  });
});
