/**
 * The seventeen contradictions of virtio 1.4 that are known: each is found, and no longer once it is
 * mended. Nothing of the text is kept here: what is edited is named by identifiers and numbers.
 */
import { type Finding, lintSpec, type SourceTree } from "@virtio-admin/spec";
import { expect, it } from "vitest";
import { describeSpecification, edited, specification } from "../specification.ts";

interface Known {
  readonly defect: string;
  readonly rule: string;
  readonly file: string;
  /** What the message says. */
  readonly message: RegExp;
  /** How the text is mended. */
  readonly mend: (tree: SourceTree) => SourceTree;
}

const CAPS = "admin-cmds-capabilities.tex";
const LEGACY = "admin-cmds-legacy-interface.tex";
const OBJECTS = "admin-cmds-resource-objects.tex";
const PARTS = "admin-cmds-device-parts.tex";
const GROUPS = "Basic Facilities of a Virtio Device / Device groups";
const COMMANDS = `${GROUPS} / Group administration commands`;
const QUEUES = "Basic Facilities of a Virtio Device / Administration virtqueues";

/** Lists a label where the device parts of that side are listed. */
function listed(tree: SourceTree, side: string, path: string): SourceTree {
  const parts = `\\item \\ref{${side}normative:${COMMANDS} / Device parts}`;
  return edited(tree, "conformance.tex", parts, `${parts}\n\\item \\ref{${side}normative:${path}}`);
}

const KNOWN: readonly Known[] = [
  {
    defect: "1: MODIFY and QUERY have each other's opcode in the prose",
    rule: "value-mismatch",
    file: OBJECTS,
    message: /OBJ_(?:MODIFY|QUERY) is/,
    mend: (tree) =>
      edited(
        edited(tree, OBJECTS, "is set to 0xb.", "is set to 0xC."),
        OBJECTS,
        "is set to 0xc.",
        "is set to 0xb.",
      ),
  },
  {
    defect: "2: LIST_USE fails with a status that is none",
    rule: "status-unlisted",
    file: "admin.tex",
    message: /STATUS_INVALID_FIELD/,
    mend: (tree) =>
      edited(tree, "admin.tex", "VIRTIO_ADMIN_STATUS_INVALID_FIELD", "VIRTIO_ADMIN_STATUS_EINVAL"),
  },
  {
    defect: "3: EEXIST is not in the table",
    rule: "status-unlisted",
    file: OBJECTS,
    message: /EEXIST/,
    mend: (tree) =>
      edited(
        tree,
        "admin.tex",
        "22   &",
        "17   & VIRTIO_ADMIN_STATUS_EEXIST & there \\\\\n\\hline\n22   &",
      ),
  },
  {
    defect: "4: DRIVER_CAP_GET is no command",
    rule: "name-undefined",
    file: CAPS,
    message: /DRIVER_CAP_GET/,
    mend: (tree) => edited(tree, CAPS, /DRIVER_CAP_GET/g, "DEVICE_CAP_GET"),
  },
  {
    defect: "4: the same is a MUST and a SHOULD",
    rule: "requirement-strength",
    file: CAPS,
    message: /SHOULD here and MUST/,
    mend: (tree) =>
      edited(
        tree,
        CAPS,
        /The device SHOULD complete the commands VIRTIO_ADMIN_CMD_CAP_ID_LIST_QUERY,[^.]*\./,
        "",
      ),
  },
  {
    defect: "5: RESOURCE_QUERY is no command",
    rule: "name-undefined",
    file: OBJECTS,
    message: /CMD_RESOURCE_QUERY/,
    mend: (tree) => edited(tree, OBJECTS, "CMD_RESOURCE_QUERY", "CMD_RESOURCE_OBJ_QUERY"),
  },
  {
    defect: "6: the flag of DEV_MODE_SET has two names",
    rule: "name-undefined",
    file: PARTS,
    message: /DEV_MODE_FLAGS_STOPPED/,
    mend: (tree) => edited(tree, PARTS, /DEV_MODE_FLAGS_STOPPED/g, "DEV_MODE_F_STOPPED"),
  },
  {
    defect: "7: the common parts have two ranges",
    rule: "range-conflict",
    file: "device-parts.tex",
    message: /0x106-0x2ff/,
    mend: (tree) => edited(tree, "device-parts.tex", "0x106 - 0x2FF", "0x106 - 0x1FF"),
  },
  {
    defect: "8: opcode 0x12 is in no row",
    rule: "table-coverage",
    file: "admin.tex",
    message: /0x12/,
    mend: (tree) => edited(tree, "admin.tex", "0x0013 - 0x7FFF", "0x0012 - 0x7FFF"),
  },
  {
    defect: "9: ADMIN_VQ is among the bits of device types",
    rule: "feature-bit",
    file: "content.tex",
    message: /VIRTIO_F_ADMIN_VQ/,
    mend: (tree) =>
      edited(
        edited(tree, "content.tex", "23, 41, 42", "23, 42"),
        "content.tex",
        "24 to 40, and 43",
        "24 to 41, and 43",
      ),
  },
  ...["device", "driver"].flatMap((side) =>
    [COMMANDS, QUEUES].map((path) => ({
      defect: `10: no clause lists the ${side}'s ${path}`,
      rule: "label-unlisted",
      file: "admin.tex",
      message: new RegExp(`${side}normative:${path}$`),
      mend: (tree: SourceTree) => listed(tree, side, path),
    })),
  ),
  {
    defect: "11: a requirement on the device among those on the driver",
    rule: "requirement-party",
    file: "admin.tex",
    message: /on a device/,
    mend: (tree) =>
      edited(tree, "admin.tex", "The device MUST supply both", "The driver MUST supply both"),
  },
  {
    defect: "12: a comment has no end",
    rule: "comment-open",
    file: "admin.tex",
    message: /no end/,
    mend: (tree) => edited(tree, "admin.tex", /(\/\* Indicates [^\n*]*)\n/, "$1 */\n"),
  },
  {
    defect: "13: the length of the list is short at multiples of 64",
    rule: "length-formula",
    file: "admin.tex",
    message: /max_cmd/,
    mend: (tree) => edited(tree, "admin.tex", "(max_cmd, 64)", "(max_cmd + 1, 64)"),
  },
  {
    defect: "14: LEGACY_DEV_CFG_READ names another command's structure",
    rule: "struct-wrong",
    file: LEGACY,
    message: /legacy_dev_cfg_rd_data/,
    mend: (tree) =>
      edited(
        tree,
        LEGACY,
        /(LEGACY-DEV-CFG-READ\}[\s\S]*?struct virtio_admin_cmd_legacy_)common(_cfg_rd_data)/,
        "$1dev$2",
      ),
  },
  {
    defect: "15: the fields that a driver does not write lack two",
    rule: "write-list",
    file: "transport-pci.tex",
    message: /admin_queue_index, admin_queue_num/,
    mend: (tree) =>
      edited(
        tree,
        "transport-pci.tex",
        /(MUST NOT write to \\field\{device_feature\},)/,
        "$1 \\field{admin_queue_index}, \\field{admin_queue_num},",
      ),
  },
  {
    defect: "16: data of a byte in an array of eight",
    rule: "element-size",
    file: LEGACY,
    message: /common_cfg_rd_data has 1 byte/,
    mend: (tree) =>
      edited(tree, LEGACY, /(rd_data \{\n\s*u8 offset;[^\n]*\n)/, "$1        u8 reserved[7];\n"),
  },
  {
    defect: "16: the length of what is written is that of the data",
    rule: "element-size",
    file: LEGACY,
    message: /common_cfg_wr_data/,
    mend: (tree) => edited(tree, LEGACY, /The length of the data to write is simply[^.]*\./, ""),
  },
  {
    defect: "17: labels that differ in case",
    rule: "label-case",
    file: "admin.tex",
    message: /Administration [vV]irtqueues, another/,
    mend: (tree) =>
      edited(
        tree,
        "admin.tex",
        new RegExp(`normative\\{([^}]*)\\}\\{([^}]*)\\}\\{${QUEUES}\\}`, "g"),
        `normative{$1}{$2}{${QUEUES.replace("virtqueues", "Virtqueues")}}`,
      ),
  },
];

/** What is found before anything is mended: everything, looked for once. */
let unmended: readonly Finding[] | undefined;

function of(findings: readonly Finding[], { rule, file, message }: Known): Finding[] {
  return findings.filter(
    (finding) => finding.rule === rule && finding.file === file && message.test(finding.message),
  );
}

describeSpecification("the known contradictions of virtio 1.4", () => {
  it.each(KNOWN)("$defect", (known) => {
    unmended ??= lintSpec(specification()).findings;
    expect(of(unmended, known)).not.toEqual([]);
    const { findings } = lintSpec(known.mend(specification()), { rules: [known.rule] });
    expect(of(findings, known)).toEqual([]);
  });
});
