import { type Layout, layoutFingerprint, layoutFromJson } from "@virtio-admin/core";
import {
  CHANGE_CLASSES,
  type ChangeClass,
  diffLayouts,
  gravest,
  isAtLeast,
  LAYOUT_CATALOGUE,
  layoutNamed,
  renderDiffMarkdown,
  summaryOf,
  variantDocument,
} from "@virtio-admin/spec";
import { MMIO_REFERENCE_LAYOUT } from "@virtio-admin/transport-mmio";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { layouts, structs } from "./arbitrary-layout.ts";

function variant(base: string, edit: object): Layout {
  const document = { format: "virtio-admin.layout-variant", version: 1, base, ...edit };
  return layoutFromJson(variantDocument(document));
}

const NEW = { name: "New", offset: 0x0e8, type: "le32", access: "R", doc: "New." };
const ADMIN_QUEUE_NUM_DOC = MMIO_REFERENCE_LAYOUT.registers.AdminQueueNum.doc;
const GATED = { ...NEW, gate: { feature: 41 } };

/** What is edited in which layout, and what is said of it: class, path behind the layout's name, kind. */
const EDITS: readonly (readonly [string, string, object, ChangeClass, string, string])[] = [
  [
    "a register elsewhere",
    "virtio_mmio_admin",
    { change: { AdminQueueNum: { offset: 0x0ec } } },
    "breaking",
    "AdminQueueNum.offset",
    "changed",
  ],
  [
    "a register that is gone",
    "virtio_mmio_admin",
    { remove: ["QueueReset"] },
    "breaking",
    "QueueReset",
    "removed",
  ],
  [
    "a new register behind a feature that the old layout knows",
    "virtio_mmio_admin",
    { add: [GATED] },
    "behavioural",
    "New",
    "added",
  ],
  [
    "a new register behind a feature that the old layout does not know",
    "virtio_mmio",
    { add: [GATED] },
    "compatible",
    "New",
    "added",
  ],
  [
    "a new register behind a feature that everybody has",
    "virtio_mmio",
    { add: [{ ...NEW, gate: { feature: 32 } }] },
    "behavioural",
    "New",
    "added",
  ],
  [
    "a new register that is not",
    "virtio_mmio_admin",
    { add: [NEW] },
    "behavioural",
    "New",
    "added",
  ],
  [
    "less access",
    "virtio_mmio_admin",
    { change: { Status: { access: "R" } } },
    "breaking",
    "Status.access",
    "changed",
  ],
  [
    "more access",
    "virtio_mmio_admin",
    { change: { AdminQueueNum: { access: "RW" } } },
    "behavioural",
    "AdminQueueNum.access",
    "changed",
  ],
  [
    "another reset value",
    "virtio_mmio_admin",
    { change: { Version: { reset: 3 } } },
    "behavioural",
    "Version.reset",
    "changed",
  ],
  [
    "a reset value of 0 that was none",
    "virtio_mmio_admin",
    { change: { DeviceID: { reset: 0 } } },
    "editorial",
    "DeviceID.reset",
    "changed",
  ],
  [
    "a gate",
    "virtio_mmio_admin",
    { change: { QueueReady: { gate: { feature: 40 } } } },
    "breaking",
    "QueueReady.gate",
    "added",
  ],
  [
    "no gate any more",
    "virtio_mmio_admin",
    { change: { QueueReset: { gate: null } } },
    "behavioural",
    "QueueReset.gate",
    "removed",
  ],
  [
    "another description",
    "virtio_mmio_admin",
    { change: { Status: { doc: "Other." } } },
    "editorial",
    "Status.doc",
    "changed",
  ],
  ["another name", "virtio_mmio_admin", { name: "other" }, "editorial", "name", "changed"],
  [
    "a register renamed",
    "virtio_mmio_admin",
    {
      remove: ["AdminQueueNum"],
      add: [
        {
          name: "AdminQueueCount",
          offset: 0x0e4,
          type: "le32",
          access: "R",
          gate: { feature: 41 },
          doc: ADMIN_QUEUE_NUM_DOC,
        },
      ],
    },
    "editorial",
    "AdminQueueNum",
    "renamed",
  ],
  [
    "another register in the place of one, the same but for what it is",
    "virtio_mmio_admin",
    {
      remove: ["AdminQueueNum"],
      add: [{ ...GATED, offset: 0x0e4 }],
    },
    "behavioural",
    "AdminQueueNum",
    "renamed",
  ],
  [
    "bits that are gone",
    "virtio_mmio_admin",
    { change: { InterruptStatus: { bits: null } } },
    "breaking",
    "InterruptStatus.bits.used_buffer",
    "removed",
  ],
  [
    "bits that are new",
    "virtio_mmio_admin",
    { change: { Status: { bits: [{ name: "acknowledge", at: 0, doc: "A." }] } } },
    "behavioural",
    "Status.bits.acknowledge",
    "added",
  ],
  [
    "bits elsewhere",
    "virtio_mmio_admin",
    {
      change: {
        AdminQueueNum: { bits: [{ name: "admin_queue_num", at: 16, width: 16, doc: "A." }] },
      },
    },
    "breaking",
    "AdminQueueNum.bits.admin_queue_num",
    "changed",
  ],
  [
    "another code",
    "virtio_ccw_commands_admin",
    { change: { READ_ADMIN_VQ: { code: 0x42 } } },
    "breaking",
    "READ_ADMIN_VQ.code",
    "changed",
  ],
  [
    "another direction",
    "virtio_ccw_commands_admin",
    { change: { READ_CONF: { direction: "control" } } },
    "breaking",
    "READ_CONF.direction",
    "changed",
  ],
  [
    "a command that is gone",
    "virtio_ccw_commands_admin",
    { remove: ["SET_IND"] },
    "breaking",
    "SET_IND",
    "removed",
  ],
  [
    "a later revision",
    "virtio_ccw_commands_admin",
    { change: { READ_ADMIN_VQ: { gate: { revision: 4 } } } },
    "breaking",
    "READ_ADMIN_VQ.gate",
    "changed",
  ],
  [
    "an earlier revision",
    "virtio_ccw_commands_admin",
    { change: { READ_ADMIN_VQ: { gate: { revision: 2 } } } },
    "behavioural",
    "READ_ADMIN_VQ.gate",
    "changed",
  ],
  [
    "a new command with a revision",
    "virtio_ccw_commands",
    { add: [{ name: "X", code: 0x42, direction: "read", gate: { revision: 3 }, doc: "X." }] },
    "compatible",
    "X",
    "added",
  ],
  [
    "a new command with a revision that the old layout knows",
    "virtio_ccw_commands_admin",
    { add: [{ name: "X", code: 0x42, direction: "read", gate: { revision: 3 }, doc: "X." }] },
    "behavioural",
    "X",
    "added",
  ],
  [
    "a new command without",
    "virtio_ccw_commands",
    { add: [{ name: "X", code: 0x42, direction: "read", doc: "X." }] },
    "behavioural",
    "X",
    "added",
  ],
  [
    "a payload that is gone",
    "virtio_ccw_commands_admin",
    { change: { READ_VQ_CONF: { payload: null } } },
    "breaking",
    "READ_VQ_CONF.payload",
    "removed",
  ],
  [
    "a longer payload",
    "virtio_ccw_commands_admin",
    {
      change: {
        READ_ADMIN_VQ: {
          payload: {
            add: [{ name: "depth", offset: 4, type: "be32", gate: { revision: 4 }, doc: "A." }],
          },
        },
      },
    },
    "behavioural",
    "READ_ADMIN_VQ.payload.size",
    "changed",
  ],
  [
    "another byte order",
    "virtio_ccw_commands_admin",
    { change: { READ_ADMIN_VQ: { payload: { change: { admin_queue_num: { type: "le16" } } } } } },
    "breaking",
    "READ_ADMIN_VQ.payload.admin_queue_num.type",
    "changed",
  ],
  [
    "an array that is longer",
    "virtio_admin_cmd",
    { change: { reserved1: { count: 11 } } },
    "editorial",
    "reserved1.count",
    "changed",
  ],
  [
    "reserved bytes with a meaning that is negotiated",
    "virtio_admin_cmd",
    {
      remove: ["reserved1"],
      add: [{ name: "tag", offset: 4, type: "le32", gate: { feature: 45 }, doc: "A." }],
    },
    "compatible",
    "reserved1",
    "removed",
  ],
  [
    "reserved bytes with a meaning that is not",
    "virtio_admin_cmd",
    { remove: ["reserved1"], add: [{ name: "tag", offset: 4, type: "le32", doc: "A." }] },
    "behavioural",
    "reserved1",
    "removed",
  ],
];

describe("a difference", () => {
  it.each(EDITS)("that is %s has its class", (_, base, edit, found, path, what) => {
    const changes = diffLayouts(layoutNamed(base), variant(base, edit));
    const change = changes.find((each) => each.path === `${base}.${path}`);
    expect(change, JSON.stringify(changes)).toMatchObject({ class: found, what });
    expect(change?.reason).not.toBe("");
  });

  it.each(["unused_buffers", "reserved_lkey", "paddingLength"])(
    "of bytes called %s is one of bytes with a meaning",
    (name) => {
      const at = (offset: number) =>
        variant("virtio_mmio", { add: [{ ...NEW, name, offset }], change: {} });
      expect(gravest(diffLayouts(at(0x0e8), at(0x0ec)))).toBe("breaking");
    },
  );

  it("to the ratified layouts is compatible for both of ours", () => {
    for (const name of ["virtio_mmio", "virtio_ccw_commands"]) {
      expect(gravest(diffLayouts(layoutNamed(name), layoutNamed(`${name}_admin`)))).toBe(
        "compatible",
      );
      expect(gravest(diffLayouts(layoutNamed(`${name}_admin`), layoutNamed(name)))).toBe(
        "breaking",
      );
    }
  });

  it("to nothing is nothing", () => {
    for (const layout of LAYOUT_CATALOGUE.values()) expect(diffLayouts(layout, layout)).toEqual([]);
    fc.assert(
      fc.property(layouts, (layout) => {
        expect(diffLayouts(layout, layout)).toEqual([]);
      }),
      { numRuns: 50 },
    );
    expect(summaryOf([])).toBe("no change");
    expect(renderDiffMarkdown([])).toBe("No change.\n");
  });
});

/** Edits of text and edits of the wire, of one entry of the reference layout of MMIO. */
const names = Object.keys(
  (layoutNamed("virtio_mmio_admin") as { registers?: object }).registers ?? {},
).filter((name) => name !== "Config");
const proseEdit = fc.tuple(
  fc.constantFrom(...names),
  fc.record(
    { doc: fc.stringMatching(/^[a-z]{1,9}$/), title: fc.stringMatching(/^[a-z]{1,9}$/) },
    { requiredKeys: ["doc"] },
  ),
);
const wireEdit = fc.tuple(
  fc.constantFrom(...names),
  fc.constantFrom(0x018, 0x048, 0x054, 0x0e8, 0x0f0).map((offset) => ({ offset })),
);

describe("classes", () => {
  // A variant has its registers in order of their offsets, and so has what it is compared with.
  const base = variant("virtio_mmio_admin", {});

  it("are editorial exactly where no byte is otherwise", () => {
    const edits = fc.uniqueArray(fc.oneof(proseEdit, wireEdit), {
      maxLength: 4,
      selector: ([name]) => name,
    });
    fc.assert(
      fc.property(edits, (list) => {
        const offsets = list.flatMap(([, edit]) => ("offset" in edit ? [edit.offset] : []));
        fc.pre(new Set(offsets).size === offsets.length);
        const after = variant("virtio_mmio_admin", { change: Object.fromEntries(list) });
        const changes = diffLayouts(base, after);
        expect(changes.every((change) => change.class === "editorial")).toBe(
          layoutFingerprint(base) === layoutFingerprint(after),
        );
        expect(gravest(changes) === "breaking").toBe(offsets.length > 0);
      }),
    );
  });

  it("name the same entries in both directions", () => {
    fc.assert(
      fc.property(structs, structs, (a, b) => {
        const entries = (changes: ReturnType<typeof diffLayouts>, from: string) =>
          changes
            .filter(({ what, path }) => what !== "renamed" && path.split(".").length > 2)
            .map(({ path }) => path.slice(from.length + 1).split(".")[0])
            .filter(
              (name) => Object.hasOwn(a.fields, name ?? "") && Object.hasOwn(b.fields, name ?? ""),
            );
        expect(new Set(entries(diffLayouts(a, b), a.name))).toEqual(
          new Set(entries(diffLayouts(b, a), b.name)),
        );
      }),
      { numRuns: 50 },
    );
  });

  it("are ordered: a limit is reached by the graver ones too", () => {
    for (const [i, each] of CHANGE_CLASSES.entries()) {
      const changes = [{ class: each, path: "p", what: "changed", reason: "r" }] as const;
      for (const [j, limit] of CHANGE_CLASSES.entries()) {
        expect(isAtLeast(changes, limit)).toBe(i <= j);
      }
    }
    expect(isAtLeast([], "editorial")).toBe(false);
  });

  it("of Markdown are a table, the gravest first", () => {
    const after = variant("virtio_mmio_admin", {
      name: "other",
      change: { AdminQueueNum: { offset: 0x0e8 } },
    });
    const rows = renderDiffMarkdown(diffLayouts(base, after)).split("\n");
    expect(rows[2]).toMatch(
      /^\| breaking \| `virtio_mmio_admin\.AdminQueueNum\.offset` \| 0x0e4 → 0x0e8 \|/,
    );
    expect(rows.at(-2)).toBe("1 breaking, 1 editorial.");
  });
});
