/**
 * Every command of both dialects as one buffer in and one buffer out: the header with the data, and
 * the answer's header with the result, written down from the text byte by byte. One answer is a
 * success, the other a refusal. Of a command that changes something, another one shows what.
 */
import {
  type AdminCommand,
  CAP_ID_LIST_QUERY,
  CAPS_ACCEPT,
  CAPS_IDENTIFY,
  DEV_MODE_SET,
  DEV_PARTS_GET,
  DEV_PARTS_METADATA_GET,
  DEV_PARTS_SET,
  DEVICE_CAP_GET,
  DIALECTS,
  DRIVER_CAP_SET,
  FEATURES_GET,
  FEATURES_SET,
  LEGACY_COMMON_CFG_READ,
  LEGACY_COMMON_CFG_WRITE,
  LEGACY_DEV_CFG_READ,
  LEGACY_DEV_CFG_WRITE,
  LEGACY_NOTIFY_INFO,
  LIST_QUERY,
  LIST_USE,
  MGMT_ATTRS_GET,
  MSIX_COUNT_GET,
  MSIX_COUNT_SET,
  resourceObjectCommands,
} from "../../src/admin/index.ts";
import { PartsRig } from "./device-parts-rig.ts";
import { LegacyAccessRig } from "./legacy-rig.ts";
import { ManagementRig, MEMBER_FEATURES, type MsixMember } from "./management-rig.ts";
import { ObjectRig } from "./object-rig.ts";
import { ProposalRig } from "./proposal-v5-rig.ts";
import type { AdminRig } from "./rig.ts";

/** A buffer of one command. */
export interface BufferVector {
  readonly command: AdminCommand;
  /** What it shows. */
  readonly title: string;
  /** Whether the command succeeds. */
  readonly succeeds: boolean;
  /** An owner that is ready for it. */
  readonly owner: () => AdminRig;
  /** The readable part, hex. */
  readonly request: string;
  /** How much room the writable part has for a result; enough for all when absent. */
  readonly room?: number;
  /** What the device has written, hex. */
  readonly answer: string;
  /** Another command, which shows what this one has done. */
  readonly next?: Exchange;
}

/** A command and its answer, hex, and how much room there is for a result. */
export type Exchange = readonly [request: string, answer: string, room?: number];

const NO_RESULT = (bytes: number) => "00".repeat(bytes);
const RESERVED = "000000000000000000000000";
const NOBODY = "0000000000000000";
const MEMBER_1 = "0100000000000000";
const MEMBER_2 = "0200000000000000";
const MEMBER_9 = "0900000000000000";
const OK = "0000 0000 00000000";
const ENXIO = "0600 0300 00000000";
const EBUSY = "1000 0100 00000000";
const EEXIST = "1100 0300 00000000";
const INVALID_OPCODE = "1600 0200 00000000";
const INVALID_FIELD = "1600 0300 00000000";
const INVALID_GROUP = "1600 0400 00000000";
const INVALID_MEMBER = "1600 0500 00000000";

/** Member 1 has an object that captures, id 0, and one that restores, id 1. */
const parts = () => new PartsRig().prepare(1);
const stopped = () => {
  const rig = parts();
  rig.stop(1);
  return rig;
};
const prose = () => {
  const rig = new ObjectRig({ opcodes: "prose" });
  rig.limitParts();
  rig.create(0, 0, "0000000000000000", { group: 1, member: 1 });
  return rig;
};
const accepted = () => {
  const rig = new ProposalRig();
  rig.acceptAll();
  return rig;
};
const running = () => {
  const rig = parts();
  rig.member(1).bringUp();
  return rig;
};
/** An owner whose device allows 3 objects that capture and 9 that restore. */
const unequal = () => new PartsRig({ limits: [3, 9] });
const legacy = () => new LegacyAccessRig();
const notified = () => {
  const rig = legacy();
  rig.first.notifyPlaces = [
    { of: "member", bar: 4, offset: 0x1234_5678_9abc },
    { of: "owner", bar: 3, offset: 0x0102_0304 },
  ];
  return rig;
};
const managed = () => new ManagementRig();
/** Member 1 no longer offers feature 100, and member 2 has 6 vectors. */
const provision = <T extends ManagementRig | ProposalRig>(
  rig: T,
  [first, second]: readonly (MsixMember | undefined)[],
): T => {
  first?.provisionFeatures(MEMBER_FEATURES.without(100));
  second?.provisionVectors(6);
  return rig;
};
const provisioned = () => {
  const rig = managed();
  return provision(rig, rig.virtual.all);
};
const acceptedProvisioned = () => {
  const rig = accepted();
  return provision(rig, rig.group.all);
};

type Half = readonly [
  title: string,
  request: string,
  answer: string,
  more?: { readonly room?: number; readonly next?: Exchange },
];

function one(
  command: AdminCommand,
  owner: () => AdminRig,
  [title, request, answer, more = {}]: Half,
  succeeds = true,
): BufferVector {
  return { command, title, succeeds, owner, request, answer, ...more };
}

function pair(
  command: AdminCommand,
  owner: () => AdminRig,
  success: Half,
  refusal: Half,
  refusedBy: () => AdminRig = owner,
): readonly BufferVector[] {
  return [one(command, owner, success), one(command, refusedBy, refusal, false)];
}

const LISTS = [
  ...pair(
    LIST_QUERY,
    parts,
    ["reports 0, 1 and 0xa to 0x11", `0000 0100 ${RESERVED} ${NOBODY}`, `${OK} 03fc030000000000`],
    ["knows no group of type 2", `0000 0200 ${RESERVED} ${NOBODY}`, INVALID_GROUP],
  ),
  ...pair(
    LIST_USE,
    parts,
    ["takes what is reported", `0100 0100 ${RESERVED} ${NOBODY} 03fc030000000000`, OK],
    ["takes no 0x12", `0100 0100 ${RESERVED} ${NOBODY} 03fc070000000000`, INVALID_FIELD],
  ),
];

const LEGACY = [
  ...pair(
    LEGACY_COMMON_CFG_WRITE,
    legacy,
    [
      "writes a le16",
      `0200 0100 ${RESERVED} ${MEMBER_1} 04 00000000000000 3412`,
      OK,
      { next: [`0300 0100 ${RESERVED} ${MEMBER_1} 04`, `${OK} 3412`, 2] },
    ],
    [
      "writes no half of a field",
      `0200 0100 ${RESERVED} ${MEMBER_1} 05 00000000000000 3412`,
      INVALID_FIELD,
    ],
  ),
  ...pair(
    LEGACY_COMMON_CFG_READ,
    legacy,
    ["reads four bytes", `0300 0100 ${RESERVED} ${MEMBER_1} 00`, `${OK} 10111213`, { room: 4 }],
    [
      "reads nothing between fields",
      `0300 0100 ${RESERVED} ${MEMBER_1} 07`,
      INVALID_FIELD,
      { room: 1 },
    ],
  ),
  ...pair(
    LEGACY_DEV_CFG_WRITE,
    legacy,
    [
      "writes a le16",
      `0400 0100 ${RESERVED} ${MEMBER_1} 14 00000000000000 3412`,
      OK,
      { next: [`0500 0100 ${RESERVED} ${MEMBER_1} 14`, `${OK} 3412`, 2] },
    ],
    [
      "writes nothing behind the end",
      `0400 0100 ${RESERVED} ${MEMBER_1} 16 00000000000000 34`,
      INVALID_FIELD,
    ],
  ),
  ...pair(
    LEGACY_DEV_CFG_READ,
    legacy,
    ["reads two bytes", `0500 0100 ${RESERVED} ${MEMBER_1} 14`, `${OK} 5455`, { room: 2 }],
    [
      "reads nothing behind the end",
      `0500 0100 ${RESERVED} ${MEMBER_1} 16`,
      INVALID_FIELD,
      { room: 1 },
    ],
  ),
  ...pair(
    LEGACY_NOTIFY_INFO,
    notified,
    [
      "tells a place of the member, one of the owner, and the end",
      `0600 0100 ${RESERVED} ${MEMBER_1}`,
      `${OK} 02 04 000000000000 bc9a785634120000 01 03 000000000000 0403020100000000 ${NO_RESULT(32)}`,
    ],
    [
      "tells nothing of a member that there is not",
      `0600 0100 ${RESERVED} ${MEMBER_9}`,
      `${INVALID_MEMBER} ${NO_RESULT(64)}`,
    ],
  ),
];

const CAPABILITIES = [
  ...pair(
    CAP_ID_LIST_QUERY,
    parts,
    ["reports id 0", `0700 0000 ${RESERVED} ${NOBODY}`, `${OK} 0100000000000000`],
    ["is for the Self group alone", `0700 0100 ${RESERVED} ${NOBODY}`, INVALID_OPCODE],
  ),
  ...pair(
    DEVICE_CAP_GET,
    unequal,
    [
      "reports limits of 3 and 9",
      `0800 0000 ${RESERVED} ${NOBODY} 0000 000000000000`,
      `${OK} 03 09 000000000000`,
    ],
    ["has no id 1", `0800 0000 ${RESERVED} ${NOBODY} 0100 000000000000`, ENXIO],
  ),
  ...pair(
    DRIVER_CAP_SET,
    unequal,
    ["sets 3 and 9", `0900 0000 ${RESERVED} ${NOBODY} 0000 000000000000 03 09`, OK],
    [
      "sets no second limit above the device's",
      `0900 0000 ${RESERVED} ${NOBODY} 0000 000000000000 03 0a`,
      INVALID_FIELD,
    ],
  ),
  one(
    DRIVER_CAP_SET,
    unequal,
    [
      "sets no first limit above the device's",
      `0900 0000 ${RESERVED} ${NOBODY} 0000 000000000000 04 02`,
      INVALID_FIELD,
    ],
    false,
  ),
];

const { CREATE, QUERY, MODIFY, DESTROY } = resourceObjectCommands("table");
const { QUERY: PROSE_QUERY, MODIFY: PROSE_MODIFY } = resourceObjectCommands("prose");
const NO_FLAGS = "0000000000000000";
const RESTORES = "01 00000000000000";
const CAPTURES = "00 00000000000000";

const OBJECTS = [
  ...pair(
    CREATE,
    parts,
    [
      "creates object 5 of type 0 that restores",
      `0a00 0100 ${RESERVED} ${MEMBER_1} 0000 0000 05000000 ${NO_FLAGS} ${RESTORES}`,
      OK,
      {
        next: [
          `0b00 0100 ${RESERVED} ${MEMBER_1} 0000 0000 05000000 ${NO_FLAGS}`,
          `${OK} ${RESTORES}`,
        ],
      },
    ],
    [
      "creates no second object 0",
      `0a00 0100 ${RESERVED} ${MEMBER_1} 0000 0000 00000000 ${NO_FLAGS} ${CAPTURES}`,
      EEXIST,
    ],
  ),
  ...pair(
    QUERY,
    parts,
    [
      "reports object 1, which restores",
      `0b00 0100 ${RESERVED} ${MEMBER_1} 0000 0000 01000000 ${NO_FLAGS}`,
      `${OK} ${RESTORES}`,
    ],
    [
      "reports no object 9",
      `0b00 0100 ${RESERVED} ${MEMBER_1} 0000 0000 09000000 ${NO_FLAGS}`,
      ENXIO,
    ],
  ),
  ...pair(
    MODIFY,
    parts,
    [
      "modifies object 0",
      `0c00 0100 ${RESERVED} ${MEMBER_1} 0000 0000 00000000 ${NO_FLAGS} ${RESTORES}`,
      OK,
      {
        next: [
          `0b00 0100 ${RESERVED} ${MEMBER_1} 0000 0000 00000000 ${NO_FLAGS}`,
          `${OK} ${RESTORES}`,
        ],
      },
    ],
    [
      "modifies no object 9",
      `0c00 0100 ${RESERVED} ${MEMBER_1} 0000 0000 09000000 ${NO_FLAGS} ${CAPTURES}`,
      ENXIO,
    ],
  ),
  ...pair(
    DESTROY,
    parts,
    [
      "destroys object 1",
      `0d00 0100 ${RESERVED} ${MEMBER_1} 0000 0000 01000000`,
      OK,
      { next: [`0b00 0100 ${RESERVED} ${MEMBER_1} 0000 0000 01000000 ${NO_FLAGS}`, ENXIO] },
    ],
    ["destroys no object 9", `0d00 0100 ${RESERVED} ${MEMBER_1} 0000 0000 09000000`, ENXIO],
  ),
  // The sections of the two commands have the opcodes the other way round.
  ...pair(
    PROSE_QUERY,
    prose,
    [
      "reports object 0, which captures",
      `0c00 0100 ${RESERVED} ${MEMBER_1} 0000 0000 00000000 ${NO_FLAGS}`,
      `${OK} ${CAPTURES}`,
    ],
    [
      "reports no object 9",
      `0c00 0100 ${RESERVED} ${MEMBER_1} 0000 0000 09000000 ${NO_FLAGS}`,
      ENXIO,
    ],
  ),
  ...pair(
    PROSE_MODIFY,
    prose,
    [
      "modifies object 0",
      `0b00 0100 ${RESERVED} ${MEMBER_1} 0000 0000 00000000 ${NO_FLAGS} ${RESTORES}`,
      OK,
      {
        next: [
          `0c00 0100 ${RESERVED} ${MEMBER_1} 0000 0000 00000000 ${NO_FLAGS}`,
          `${OK} ${RESTORES}`,
        ],
      },
    ],
    [
      "modifies no object 9",
      `0b00 0100 ${RESERVED} ${MEMBER_1} 0000 0000 09000000 ${NO_FLAGS} ${CAPTURES}`,
      ENXIO,
    ],
  ),
];

const CAPTURING = "0000 0000 00000000";
const RESTORING = "0000 0000 01000000";
const PADDING = "00000000000000";
const NO_SELECTOR = "0000000000000000";
const DEV_FEATURES = `0001 01 00 ${NO_SELECTOR} 10000000`;
const DRV_FEATURES = `0101 00 00 ${NO_SELECTOR} 10000000`;
const DEVICE_STATUS = `0301 00 00 ${NO_SELECTOR} 01000000`;
const QUEUE_0 = "0401 00 00 0000000000000000 20000000";
/** A ring of 8 without a vector, enabled, its areas one behind the other from 0x100000. */
const SET_UP = "0800 ffff 0100 0000 0000100000000000 8000100000000000 9800100000000000";
const QUEUE_1 = "0401 00 00 0100000000000000 20000000";

const PARTS = [
  // Features twice, a status and two queues: 2 * (16 + 16) + (16 + 1) + 2 * (16 + 32) bytes.
  ...pair(
    DEV_PARTS_METADATA_GET,
    parts,
    [
      "tells the size of all parts",
      `0e00 0100 ${RESERVED} ${MEMBER_1} ${CAPTURING} 00 ${PADDING}`,
      `${OK} b1000000 00000000`,
    ],
    [
      "tells nothing of type 3",
      `0e00 0100 ${RESERVED} ${MEMBER_1} ${CAPTURING} 03 ${PADDING}`,
      `${INVALID_FIELD} ${NO_RESULT(8)}`,
    ],
  ),
  one(DEV_PARTS_METADATA_GET, parts, [
    "tells how many parts there are",
    `0e00 0100 ${RESERVED} ${MEMBER_1} ${CAPTURING} 01 ${PADDING}`,
    `${OK} 05000000 00000000`,
  ]),
  one(DEV_PARTS_METADATA_GET, parts, [
    "lists the headers of all parts",
    `0e00 0100 ${RESERVED} ${MEMBER_1} ${CAPTURING} 02 ${PADDING}`,
    `${OK} 05000000 00000000 ${DEV_FEATURES} ${DRV_FEATURES} ${DEVICE_STATUS} ${QUEUE_0} ${QUEUE_1}`,
  ]),
  one(DEV_PARTS_GET, running, [
    "reads all parts, one behind the other",
    `0f00 0100 ${RESERVED} ${MEMBER_1} ${CAPTURING} 01 ${PADDING}`,
    `${OK} ${DEV_FEATURES} 0300003001010000 ${NO_RESULT(8)} ${DRV_FEATURES} 0000000001000000 ${NO_RESULT(8)} ${DEVICE_STATUS} 0f ${QUEUE_0} ${SET_UP} ${QUEUE_1} 0800 ffff ${NO_RESULT(28)} ${NO_RESULT(7)}`,
  ]),
  ...pair(
    DEV_PARTS_GET,
    running,
    [
      "reads the status alone",
      `0f00 0100 ${RESERVED} ${MEMBER_1} ${CAPTURING} 00 ${PADDING} 0301 00 00 ${NO_SELECTOR} 00000000`,
      `${OK} ${DEVICE_STATUS} 0f ${PADDING}`,
    ],
    [
      "reads nothing through an object that restores",
      `0f00 0100 ${RESERVED} ${MEMBER_1} ${RESTORING} 01 ${PADDING}`,
      INVALID_FIELD,
    ],
  ),
  ...pair(
    DEV_PARTS_SET,
    stopped,
    [
      "sets the status of a stopped member",
      `1000 0100 ${RESERVED} ${MEMBER_1} ${RESTORING} ${DEVICE_STATUS} 01`,
      OK,
      {
        next: [
          `0f00 0100 ${RESERVED} ${MEMBER_1} ${CAPTURING} 00 ${PADDING} 0301 00 00 ${NO_SELECTOR} 00000000`,
          `${OK} ${DEVICE_STATUS} 01 ${PADDING}`,
        ],
      },
    ],
    [
      "sets nothing on one that works",
      `1000 0100 ${RESERVED} ${MEMBER_1} ${RESTORING} 0301 00 00 ${NO_SELECTOR} 01000000 01`,
      EBUSY,
    ],
    parts,
  ),
  ...pair(
    DEV_MODE_SET,
    parts,
    ["stops a member", `1100 0100 ${RESERVED} ${MEMBER_1} 01`, OK],
    ["knows no other mode", `1100 0100 ${RESERVED} ${MEMBER_1} 02`, INVALID_FIELD],
  ),
  ...pair(
    DEV_MODE_SET,
    stopped,
    ["lets a member go on", `1100 0100 ${RESERVED} ${MEMBER_1} 00`, OK],
    ["needs a member", `1100 0100 ${RESERVED} ${MEMBER_9} 00`, INVALID_MEMBER],
  ),
];

const SETTABLE_LOW = "0300003000010000";
const OFFERED_LOW = "0300003001010000";
const HIGH = "0000000010000000";
/** Two kinds of attributes, 20 vectors, 8 of them free, 2 to 8 a member, the settable features. */
const ATTRS = `0300000000000000 14000000 08000000 0200 0800 00000000 ${SETTABLE_LOW} ${HIGH}`;
/** The vectors of a member and their default; what it offers and what is settable. */
const COUNTS = "0600 0400 00000000";
const FEATURES = `${OFFERED_LOW} ${SETTABLE_LOW} ${NO_RESULT(8)} ${HIGH}`;
const WITHOUT_EVENT_IDX = `0300001001010000 ${SETTABLE_LOW} ${HIGH} ${HIGH}`;
const EVENT_IDX_OFF = `0000002000000000 ${NO_RESULT(24)}`;
const VERSION_1_OFF = `0000000001000000 ${NO_RESULT(24)}`;

const MANAGEMENT = [
  ...pair(
    MGMT_ATTRS_GET,
    managed,
    ["tells the pool and the features", `0001 0100 ${RESERVED} ${NOBODY}`, `${OK} ${ATTRS}`],
    ["is not for the Self group", `0001 0000 ${RESERVED} ${NOBODY}`, INVALID_OPCODE],
  ),
  ...pair(
    MSIX_COUNT_GET,
    provisioned,
    ["tells the vectors of a member", `0101 0100 ${RESERVED} ${MEMBER_2}`, `${OK} ${COUNTS}`],
    ["needs a member", `0101 0100 ${RESERVED} ${MEMBER_9}`, `${INVALID_MEMBER} ${NO_RESULT(8)}`],
  ),
  ...pair(
    MSIX_COUNT_SET,
    managed,
    [
      "gives a member 6",
      `0201 0100 ${RESERVED} ${MEMBER_2} 0600 000000000000`,
      OK,
      { next: [`0101 0100 ${RESERVED} ${MEMBER_2}`, `${OK} ${COUNTS}`] },
    ],
    ["gives no member 9", `0201 0100 ${RESERVED} ${MEMBER_2} 0900 000000000000`, INVALID_FIELD],
  ),
  ...pair(
    FEATURES_GET,
    provisioned,
    ["tells what a member offers", `0301 0100 ${RESERVED} ${MEMBER_1}`, `${OK} ${FEATURES}`],
    ["needs a member", `0301 0100 ${RESERVED} ${MEMBER_9}`, `${INVALID_MEMBER} ${NO_RESULT(32)}`],
  ),
  ...pair(
    FEATURES_SET,
    managed,
    [
      "switches a feature off",
      `0401 0100 ${RESERVED} ${MEMBER_1} ${EVENT_IDX_OFF}`,
      OK,
      { next: [`0301 0100 ${RESERVED} ${MEMBER_1}`, `${OK} ${WITHOUT_EVENT_IDX}`] },
    ],
    [
      "never switches VERSION_1",
      `0401 0100 ${RESERVED} ${MEMBER_1} ${VERSION_1_OFF}`,
      INVALID_FIELD,
    ],
  ),
];

const V5_OK = "00 00 000000000000";
const V5_INVALID = "03 00 000000000000";
const [V5_ATTRS, V5_COUNT_GET, V5_COUNT_SET, V5_FEATURES_GET, V5_FEATURES_SET] = DIALECTS[
  "proposal-v5"
].management as readonly [AdminCommand, AdminCommand, AdminCommand, AdminCommand, AdminCommand];

const PROPOSAL_V5 = [
  ...pair(
    CAPS_IDENTIFY,
    accepted,
    ["reports 0 to 6", `0000 0000 00000000 ${NOBODY}`, `${V5_OK} 7f00000000000000`],
    ["is not for a member", `0000 0100 00000000 ${MEMBER_1}`, V5_INVALID],
  ),
  ...pair(
    CAPS_ACCEPT,
    accepted,
    ["accepts 2 to 6", `0100 0000 00000000 ${NOBODY} 7c00000000000000`, V5_OK],
    ["accepts no 7", `0100 0000 00000000 ${NOBODY} ff00000000000000`, V5_INVALID],
  ),
  ...pair(
    V5_ATTRS,
    accepted,
    ["tells the pool and the features", `0200 0100 00000000 ${NOBODY}`, `${V5_OK} ${ATTRS}`],
    ["is not for the device itself", `0200 0000 00000000 ${NOBODY}`, V5_INVALID],
  ),
  ...pair(
    V5_COUNT_GET,
    acceptedProvisioned,
    ["tells the vectors of a member", `0300 0100 00000000 ${MEMBER_2}`, `${V5_OK} ${COUNTS}`],
    ["needs a member", `0300 0100 00000000 ${MEMBER_9}`, `${V5_INVALID} ${NO_RESULT(8)}`],
  ),
  ...pair(
    V5_COUNT_SET,
    accepted,
    [
      "gives a member 6",
      `0400 0100 00000000 ${MEMBER_2} 0600 000000000000`,
      V5_OK,
      { next: [`0300 0100 00000000 ${MEMBER_2}`, `${V5_OK} ${COUNTS}`] },
    ],
    ["gives no member 9", `0400 0100 00000000 ${MEMBER_2} 0900 000000000000`, V5_INVALID],
  ),
  ...pair(
    V5_FEATURES_GET,
    acceptedProvisioned,
    ["tells what a member offers", `0500 0100 00000000 ${MEMBER_1}`, `${V5_OK} ${FEATURES}`],
    ["needs a member", `0500 0100 00000000 ${MEMBER_9}`, `${V5_INVALID} ${NO_RESULT(32)}`],
  ),
  ...pair(
    V5_FEATURES_SET,
    accepted,
    [
      "switches a feature off",
      `0600 0100 00000000 ${MEMBER_1} ${EVENT_IDX_OFF}`,
      V5_OK,
      { next: [`0500 0100 00000000 ${MEMBER_1}`, `${V5_OK} ${WITHOUT_EVENT_IDX}`] },
    ],
    ["never switches VERSION_1", `0600 0100 00000000 ${MEMBER_1} ${VERSION_1_OFF}`, V5_INVALID],
  ),
];

/** All of them. */
export const BUFFER_VECTORS: readonly BufferVector[] = [
  ...LISTS,
  ...LEGACY,
  ...CAPABILITIES,
  ...OBJECTS,
  ...PARTS,
  ...MANAGEMENT,
  ...PROPOSAL_V5,
];
