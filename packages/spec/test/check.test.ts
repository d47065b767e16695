import { type Layout, layoutToJson } from "@virtio-admin/core";
import {
  CHECK_RULES,
  type CheckRule,
  type CheckSeverity,
  checkLayoutDesign,
  checkLayoutText,
  freePlaces,
  isRefused,
  LAYOUT_CATALOGUE,
  layoutNamed,
  NEIGHBOURHOODS,
  neighbourhoodOf,
  renderYaml,
} from "@virtio-admin/spec";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { layouts } from "./arbitrary-layout.ts";

const HEAD = "format: virtio-admin.layout\nversion: 1\ncite: a test\ndoc: A test.\n";
const MMIO = "format: virtio-admin.layout-variant\nversion: 1\nbase: virtio_mmio_admin\n";
const CCW = "format: virtio-admin.layout-variant\nversion: 1\nbase: virtio_ccw_commands_admin\n";

const struct = (...fields: string[]) =>
  `${HEAD}kind: struct\nname: s\nfields:\n${fields.map((field) => `  - { ${field}, doc: A. }\n`).join("")}`;
const map = (...regs: string[]) =>
  `${HEAD}kind: registers\nname: m\nbusWidth: 32\nregisters:\n${regs.map((reg) => `  - { ${reg}, doc: A. }\n`).join("")}`;

/** What is bad, the file, and what is said of it. */
const BAD: readonly (readonly [string, string, CheckRule, CheckSeverity, string, RegExp])[] = [
  ["no YAML", "a: [", "text", "error", "layout", /./],
  ["a name twice", "a: 1\na: 2\n", "text", "error", "layout", /unique/],
  ["no object", "- 1\n", "form", "error", "layout", /an object/],
  ["another format", "format: x\n", "form", "error", "layout.format", /virtio-admin\.layout/],
  [
    "no type",
    struct("name: a, offset: 0"),
    "form",
    "error",
    "layout.fields[0].type",
    /a type is one of|missing/,
  ],
  [
    "an overlap",
    struct("name: a, offset: 0, type: le32", "name: b, offset: 2, type: le16"),
    "overlap",
    "error",
    "layout.fields[1].offset",
    /b shares bytes with a/,
  ],
  [
    "an overlap of bits",
    struct(
      "name: a, offset: 0, type: u8, bits: [{name: x, at: 1, width: 2, doc: A.}, {name: y, at: 2, doc: A.}]",
    ),
    "overlap",
    "error",
    "layout.fields[0].bits[1].at",
    /bit 2 belongs to x/,
  ],
  [
    "a register at an odd place",
    map("name: A, offset: 2, type: le32, access: R"),
    "alignment",
    "error",
    "layout.registers[0].offset",
    /a multiple of 4/,
  ],
  [
    "a register that is wider than the bus",
    map("name: A, offset: 0, type: le64, access: R"),
    "bus-width",
    "error",
    "layout.registers[0].type",
    /no access of 64 bits/,
  ],
  [
    "an array of elements that the bus cannot access",
    map("name: A, offset: 0, type: le16, count: 2, access: R"),
    "bus-width",
    "warning",
    "layout.registers[0].type",
    /no access of 16 bits/,
  ],
  [
    "a register without access",
    map("name: A, offset: 0, type: le32"),
    "form",
    "error",
    "layout.registers[0].access",
    /says who may access it/,
  ],
  [
    "a register of another byte order",
    map("name: A, offset: 0, type: be32, access: R").replace(
      "busWidth: 32",
      "busWidth: 32\nbyteOrder: little",
    ),
    "byte-order",
    "error",
    "layout.registers[0].type",
    /little-endian/,
  ],
  [
    "a reset value that nobody reads",
    map("name: A, offset: 0, type: le32, access: W, reset: 1"),
    "access",
    "warning",
    "layout.registers[0].reset",
    /write-only/,
  ],
  [
    "a reset value that does not fit",
    struct("name: a, offset: 0, type: u8, reset: 256"),
    "reset",
    "error",
    "layout.fields[0].reset",
    /does not fit u8/,
  ],
  [
    "halves that are accessed differently",
    map(
      "name: ALow, offset: 0, type: le32, access: R",
      "name: AHigh, offset: 4, type: le32, access: W",
    ),
    "access",
    "warning",
    "layout.registers[1].access",
    /AHigh is W/,
  ],
  [
    "halves that are apart",
    map(
      "name: ALow, offset: 0, type: le32, access: R",
      "name: AHigh, offset: 8, type: le32, access: R",
    ),
    "access",
    "warning",
    "layout.registers[1].offset",
    /does not follow/,
  ],
  [
    "half a value",
    map("name: ALow, offset: 0, type: le32, access: R"),
    "access",
    "warning",
    "layout.registers[0].name",
    /without a high half/,
  ],
  [
    "a size that is too small",
    `${struct("name: a, offset: 0, type: le32")}size: 2\n`,
    "size",
    "error",
    "layout.size",
    /end at 4/,
  ],
  [
    "bits beyond the field",
    struct("name: a, offset: 0, type: u8, bits: [{name: x, at: 8, doc: A.}]"),
    "bits",
    "error",
    "layout.fields[0].bits[0].at",
    /0 to 7/,
  ],
  [
    "a name twice in the layout",
    struct("name: a, offset: 0, type: u8", "name: a, offset: 1, type: u8"),
    "name",
    "error",
    "layout.fields[1].name",
    /another field/,
  ],
  [
    "a name in another spelling",
    map(
      "name: QueueSel, offset: 0, type: le32, access: R",
      "name: queue_sel, offset: 4, type: le32, access: R",
    ),
    "name-collision",
    "warning",
    "layout.registers[1].name",
    /another spelling/,
  ],
  [
    "names that are one macro",
    map(
      "name: A, offset: 0, type: le32, access: R, linux: V_X",
      "name: B, offset: 4, type: le32, access: R, linux: V_X",
    ),
    "name-collision",
    "warning",
    "layout.registers[1].linux",
    /both V_X/,
  ],
  [
    "a word of C",
    struct("name: int, offset: 0, type: u8"),
    "keyword",
    "note",
    "layout.fields[0].name",
    /int/,
  ],
  [
    "a hole",
    struct("name: a, offset: 0, type: u8", "name: b, offset: 4, type: le32"),
    "hole",
    "warning",
    "layout",
    /3 bytes at 0x01/,
  ],
  [
    "a field at an odd place",
    struct("name: a, offset: 0, type: u8", "name: b, offset: 1, type: le32"),
    "packed",
    "warning",
    "layout.fields[1].offset",
    /no multiple of 4/,
  ],
  [
    "an odd size",
    struct("name: a, offset: 0, type: le32", "name: b, offset: 4, type: u8"),
    "packed",
    "warning",
    "layout.size",
    /the size 5/,
  ],
  [
    "a union of registers",
    map(
      "name: A, offset: 0, type: le32, access: R",
      "name: B, offset: 0, type: le32, access: R, overlay: true",
    ),
    "union",
    "warning",
    "layout.registers[1].overlay",
    /shares its bytes with A/,
  ],
  [
    "a union with nothing",
    struct("name: a, offset: 0, type: u8, overlay: true"),
    "union",
    "note",
    "layout.fields[0].overlay",
    /with no plain field/,
  ],
  [
    "a feature that nobody has defined",
    struct("name: a, offset: 0, type: u8, gate: { feature: 45 }"),
    "gate",
    "warning",
    "layout.fields[0].gate.feature",
    /feature bit 45/,
  ],
  [
    "a feature that the transport never carries",
    `${MMIO}change: { AdminQueueNum: { gate: { feature: 37 } } }\n`,
    "gate",
    "error",
    "layout.registers[29].gate.feature",
    /mmio does not carry VIRTIO_F_SR_IOV/,
  ],
  [
    "a revision where there are none",
    `${MMIO}change: { AdminQueueNum: { gate: { revision: 3 } } }\n`,
    "gate",
    "error",
    "layout.registers[29].gate.revision",
    /no revisions/,
  ],
  [
    "a new command without a revision",
    `${CCW}change: { READ_ADMIN_VQ: { gate: null } }\n`,
    "gate",
    "warning",
    "layout.commands[13].gate",
    /belongs to no revision/,
  ],
  [
    "a field that is there before its command",
    `${CCW}change: { READ_ADMIN_VQ: { payload: { change: { admin_queue_num: { gate: { revision: 2 } } } } } }\n`,
    "gate",
    "warning",
    "layout.commands[13].payload.fields[1].gate.revision",
    /from revision 2/,
  ],
  [
    "a code whose low bits say another direction",
    `${CCW}change: { READ_ADMIN_VQ: { code: 0x93 } }\n`,
    "direction",
    "warning",
    "layout.commands[13].code",
    /say control/,
  ],
  [
    "a code that is taken",
    `${CCW}change: { READ_ADMIN_VQ: { code: 0x72 } }\n`,
    "code",
    "error",
    "layout.commands[13].code",
    /taken by READ_STATUS/,
  ],
  [
    "a code that others use",
    `${CCW}change: { READ_ADMIN_VQ: { code: 0xfa } }\n`,
    "squatter",
    "warning",
    "layout.commands[13].code",
    /READ_CONFIGURATION_DATA/,
  ],
  [
    "an offset that others use",
    `${MMIO}change: { AdminQueueNum: { offset: 0x0c8 } }\n`,
    "squatter",
    "warning",
    "layout.registers[28].offset",
    /MsiCmd/,
  ],
  [
    "an offset of the legacy interface",
    `${MMIO}change: { AdminQueueNum: { offset: 0x028 } }\n`,
    "squatter",
    "warning",
    "layout.registers[8].offset",
    /GuestPageSize/,
  ],
  [
    "a register of virtio 1.4 elsewhere",
    `${MMIO}change: { QueueSel: { offset: 0x0e8 } }\n`,
    "ratified",
    "warning",
    "layout.registers[29]",
    /le32 W at 0x030/,
  ],
  [
    "a register of virtio 1.4 that is missing",
    `${MMIO}remove: [QueueReset]\n`,
    "ratified",
    "warning",
    "layout.registers",
    /QueueReset of virtio 1.4 is missing/,
  ],
  [
    "something in the place of a register of virtio 1.4",
    `${MMIO}remove: [QueueReset]\nadd: [{ name: X, offset: 0x0c0, type: le32, access: R, doc: A. }]\n`,
    "ratified",
    "warning",
    "layout.registers[27].offset",
    /virtio 1.4 has QueueReset at/,
  ],
  [
    "a variant of nothing",
    MMIO.replace("virtio_mmio_admin", "x"),
    "variant",
    "error",
    "layout",
    /no layout/,
  ],
  [
    "a variant of what the base lacks",
    `${MMIO}change: { Nope: { offset: 0 } }\n`,
    "variant",
    "error",
    "variant.change.Nope",
    /no such entry/,
  ],
  [
    "a variant that makes no sound layout",
    `${MMIO}change: { AdminQueueNum: { offset: 0x0e0 } }\n`,
    "overlap",
    "error",
    "layout.registers[29].offset",
    /shares bytes with AdminQueueIndex/,
  ],
];

describe("a bad layout", () => {
  it.each(BAD)("with %s is found", (_, text, rule, severity, path, message) => {
    const { findings } = checkLayoutText(text);
    const found = findings.find((each) => each.rule === rule && each.path === path);
    expect(found, JSON.stringify(findings)).toMatchObject({ severity });
    expect(found?.message).toMatch(message);
    expect(found?.remedy).not.toBe("");
    expect(isRefused(findings)).toBe(severity !== "note");
  });

  it("is in the table for every rule", () => {
    const tried = new Set(BAD.map(([, , rule]) => rule));
    expect(Object.keys(CHECK_RULES).filter((rule) => !tried.has(rule as CheckRule))).toEqual([]);
  });

  it("is pointed at by the line of its file", () => {
    const text = `${MMIO}change:\n  AdminQueueIndex: { offset: 0x0e8 }\n  AdminQueueNum:\n    offset: 0x0c4\n`;
    expect(checkLayoutText(text).findings[0]).toMatchObject({ rule: "squatter", line: 7 });
    const whole = renderYaml(layoutNamed("virtio_mmio_admin")).replace(
      "offset: 0xe4",
      "offset: 0xe0",
    );
    const [finding] = checkLayoutText(whole).findings;
    expect(whole.split("\n")[(finding?.line ?? 0) - 1]).toMatch(/offset: 0xe0/);
    expect(checkLayoutText("a: 1\nb: [\n").findings[0]).toMatchObject({ rule: "text", line: 3 });
  });
});

describe("our own layouts", () => {
  it.each([...LAYOUT_CATALOGUE.keys()])("%s is not refused", (name) => {
    const { layout, findings } = checkLayoutDesign(layoutNamed(name));
    expect(layout).toEqual(layoutNamed(name));
    expect(findings.filter(({ severity }) => severity !== "note")).toEqual([]);
  });
});

describe("a check", () => {
  it("throws for nothing that it is given", () => {
    const judge = (value: unknown) => {
      const { layout, findings } = checkLayoutDesign(value);
      if (layout === undefined) expect(findings.length).toBeGreaterThan(0);
    };
    fc.assert(fc.property(fc.anything({ withNullPrototype: true, withBigInt: true }), judge), {
      numRuns: 60,
    });
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => void checkLayoutText(text)),
      { numRuns: 60 },
    );
    const hostile = new Proxy(
      {},
      {
        get: () => {
          throw new Error("no");
        },
        ownKeys: () => {
          throw new Error("no");
        },
      },
    );
    judge(hostile);
    judge({
      format: "virtio-admin.layout-variant",
      version: 1,
      base: "virtio_mmio",
      change: hostile,
    });
  });

  it("finds in a layout that was damaged anywhere either an error or a layout", () => {
    const pool = [layoutNamed("virtio_mmio_admin"), layoutNamed("virtio_ccw_commands_admin")];
    fc.assert(
      fc.property(
        fc.constantFrom(...pool),
        fc.array(fc.nat(), { minLength: 1, maxLength: 5 }),
        fc.anything(),
        (layout, way, value) => {
          const { layout: made, findings } = checkLayoutDesign(damaged(layout, way, value));
          const isBroken = findings.some(({ severity }) => severity === "error");
          if (made === undefined) expect(isBroken).toBe(true);
        },
      ),
    );
  });

  it("does not follow aliases without end", () => {
    const bomb = `a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n`;
    expect(checkLayoutText(bomb)).toMatchObject({ layout: undefined });
    expect(checkLayoutText("a: &a [*a]\n")).toMatchObject({ layout: undefined });
  });

  it("accepts what anybody declares soundly", () => {
    fc.assert(
      fc.property(layouts, (layout) => {
        expect(checkLayoutDesign(layout).layout).toEqual(layout);
      }),
      { numRuns: 40 },
    );
  });
});

/** The document with one member, found by the numbers, replaced. */
function damaged(layout: Layout, way: readonly number[], value: unknown): unknown {
  const document = JSON.parse(JSON.stringify(layoutToJson(layout)));
  let node = document;
  for (const [i, step] of way.entries()) {
    const keys = Object.keys(node);
    const key = keys[step % keys.length] as string;
    const next = node[key];
    if (i === way.length - 1 || typeof next !== "object" || next === null) {
      node[key] = value;
      break;
    }
    node = next;
  }
  return document;
}

describe("free places", () => {
  it("of MMIO are what no register takes, and say who else is there", () => {
    const { ranges, proposals } = freePlaces(layoutNamed("virtio_mmio"), { count: 2 });
    const at = ranges.find(({ start }) => start === 0x0c4);
    expect(at).toMatchObject({ end: 0x0fc });
    expect(at?.squatters.map(({ name }) => name)).toContain("MsiVecSel");
    expect(proposals[0]).toBe(0x0e0);
  });

  it("of CCW end in the digit of their family, and belong to nobody", () => {
    const { codes, proposals } = freePlaces(layoutNamed("virtio_ccw_commands"));
    expect(proposals.slice(0, 5)).toEqual([0x42, 0x52, 0x62, 0x82, 0x92]);
    expect(codes.find(({ code }) => code === 0xfa)?.squatters).toHaveLength(1);
    expect(codes.some(({ code }) => code === 0x12)).toBe(false);
    const control = freePlaces(layoutNamed("virtio_ccw_commands"), { direction: "control" });
    expect(control.proposals.every((code) => (code & 3) === 3)).toBe(true);
  });

  it("of a structure are its holes, and its end", () => {
    const { ranges, proposals } = freePlaces(layoutNamed("pci_sriov_capability"), { width: 2 });
    expect(ranges.map(({ start }) => start)).toEqual([0x13, 0x18]);
    expect(proposals).toEqual([0x18, layoutSize("pci_sriov_capability")]);
  });

  it("are none where nothing fits", () => {
    expect(freePlaces(layoutNamed("virtio_mmio"), { count: 0x100 }).proposals).toEqual([]);
  });

  it("of any layout are free, and what is proposed for MMIO and CCW is refused by no rule about places", () => {
    fc.assert(
      fc.property(layouts, fc.integer({ min: 1, max: 4 }), (layout, count) => {
        const { ranges, proposals } = freePlaces(layout, { count, width: 1 });
        if (layout.kind === "commands") {
          const taken = Object.values(layout.commands).map(({ code }) => code);
          for (const code of proposals) expect(taken).not.toContain(code);
          return;
        }
        const fields = Object.values(
          layout.kind === "registers" ? layout.registers : layout.fields,
        );
        for (const { start, end } of ranges) {
          for (const { offset, width, count: many } of fields) {
            const length = many === "rest" ? 0 : width * (many ?? 1);
            expect(offset >= end || offset + length <= start).toBe(true);
          }
        }
      }),
      { numRuns: 50 },
    );
    for (const at of freePlaces(layoutNamed("virtio_mmio")).proposals) {
      const text = `${MMIO.replace("_admin", "")}add: [{ name: New, offset: ${at}, type: le32, access: R, gate: { feature: 41 }, doc: A. }]\n`;
      expect(isRefused(checkLayoutText(text).findings)).toBe(false);
    }
  });
});

describe("neighbours", () => {
  it("are those of the transport whose layout it mostly is", () => {
    for (const { ratified, transport } of NEIGHBOURHOODS) {
      expect(neighbourhoodOf(ratified)?.transport).toBe(transport);
    }
    expect(neighbourhoodOf(layoutNamed("virtio_pci_common_cfg"))).toBeUndefined();
  });
});

function layoutSize(name: string): number {
  const layout = layoutNamed(name);
  return layout.kind === "commands" ? 0 : layout.size;
}
