import { readFileSync } from "node:fs";
import { isVirtioError, type Layout, layoutFromJson, layoutToJson } from "@virtio-admin/core";
import { layoutFixtures } from "@virtio-admin/fixtures";
import { isVariantDocument, layoutNamed, tryLayout, variantDocument } from "@virtio-admin/spec";
import { COMPLIANCE_CASES } from "@virtio-admin/testkit";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const HEAD = { format: "virtio-admin.layout-variant", version: 1 } as const;
const MMIO = { ...HEAD, base: "virtio_mmio_admin" };
const CCW = { ...HEAD, base: "virtio_ccw_commands_admin" };

const matchesSchema = new Ajv2020({ strict: true, strictRequired: false }).compile(
  JSON.parse(readFileSync(new URL("../schema/variant.schema.json", import.meta.url), "utf8")),
);

function made(document: object): Layout {
  return layoutFromJson(variantDocument(document));
}

describe("a variant", () => {
  it("of nothing is its base", () => {
    expect(made(MMIO)).toEqual(layoutNamed("virtio_mmio_admin"));
    expect(isVariantDocument(MMIO)).toBe(true);
    expect(isVariantDocument(layoutToJson(layoutNamed("virtio_mmio")))).toBe(false);
  });

  it("changes, adds and removes entries, in order of the offsets", () => {
    const layout = made({
      ...MMIO,
      name: "other",
      doc: "Another.",
      cite: "somewhere",
      change: { AdminQueueIndex: { offset: 0x0f0, gate: null } },
      remove: ["QueueReset"],
      add: [{ name: "New", offset: 0x0e8, type: "le32", access: "R", doc: "New." }],
    });
    expect(layout).toMatchObject({ name: "other", doc: "Another.", cite: "somewhere" });
    const { registers } = layout as Extract<Layout, { kind: "registers" }>;
    expect(registers["AdminQueueIndex"]).toMatchObject({ offset: 0x0f0, gate: undefined });
    expect(registers["QueueReset"]).toBeUndefined();
    expect(Object.keys(registers).slice(-5)).toEqual([
      "AdminQueueNum",
      "New",
      "AdminQueueIndex",
      "ConfigGeneration",
      "Config",
    ]);
  });

  it("changes payloads in place, or replaces them; a size that was the end still is", () => {
    const field = { name: "depth", offset: 4, type: "be16", doc: "Depth." };
    const payload = (document: object) => {
      const { commands } = made(document) as Extract<Layout, { kind: "commands" }>;
      return commands["READ_ADMIN_VQ"]?.payload;
    };
    const edited = { READ_ADMIN_VQ: { payload: { add: [field] } } };
    expect(payload({ ...CCW, change: edited })).toMatchObject({ name: "admin_vq_block", size: 6 });
    const replaced = {
      READ_ADMIN_VQ: {
        payload: { name: "p", cite: "c", doc: "d", fields: [{ ...field, offset: 0 }] },
      },
    };
    expect(payload({ ...CCW, change: replaced })).toMatchObject({ name: "p", size: 2 });
  });

  it.each([
    ["no object", 1, "variant"],
    ["another format", { ...MMIO, format: "x" }, "variant.format"],
    ["a later version", { ...MMIO, version: 2 }, "variant.version"],
    ["no base", HEAD, "variant.base"],
    ["an unknown base", { ...HEAD, base: "x" }, "layout"],
    ["an unknown member", { ...MMIO, moves: {} }, "variant.moves"],
    ["changes as a list", { ...MMIO, change: [] }, "variant.change"],
    ["a change of what is not there", { ...MMIO, change: { X: {} } }, "variant.change.X"],
    ["a change that is no object", { ...MMIO, change: { Status: 1 } }, "variant.change.Status"],
    [
      "another name for an entry",
      { ...MMIO, change: { Status: { name: "X" } } },
      "variant.change.Status.name",
    ],
    ["a removal of what is not there", { ...MMIO, remove: ["X"] }, "variant.remove[0]"],
    ["removals as a map", { ...MMIO, remove: {} }, "variant.remove"],
    [
      "an addition of what is there",
      { ...MMIO, add: [{ name: "Status", doc: "A." }] },
      "variant.add[0].name",
    ],
    ["an addition that is no object", { ...MMIO, add: [1] }, "variant.add[0]"],
    [
      "an unknown member in a payload",
      { ...CCW, change: { READ_ADMIN_VQ: { payload: { add: [], size: 4 } } } },
      "variant.change.READ_ADMIN_VQ.payload.size",
    ],
  ])("with %s is refused by path", (_, document, path) => {
    expect(() => variantDocument(document)).toThrow(expect.objectContaining({ path }));
    // That the base has it, or has it not, no schema can tell.
    expect(matchesSchema(document)).toBe(BEYOND_SCHEMA.includes(path));
  });

  it("is refused at once with more entries than a layout has", () => {
    const entry = { name: "New", offset: 0x0e8, type: "le32", access: "R", doc: "New." };
    const add = Array.from({ length: 200_000 }, (_, i) => ({ ...entry, name: `New${i}` }));
    for (const changes of [{ add }, { remove: add.map(({ name }) => name) }]) {
      expect(() => variantDocument({ ...MMIO, ...changes })).toThrow(/at most 1024 members/);
    }
  });

  it("throws nothing but VirtioError, and changes no layout", () => {
    const before = JSON.stringify(layoutToJson(layoutNamed("virtio_mmio_admin")));
    const change = fc.dictionary(fc.constantFrom("Status", "QueueSel", "__proto__"), fc.anything());
    fc.assert(
      fc.property(change, fc.anything(), fc.anything(), (changes, add, remove) => {
        try {
          variantDocument({ ...MMIO, change: changes, add, remove });
        } catch (error) {
          expect(isVirtioError(error)).toBe(true);
        }
      }),
    );
    expect(JSON.stringify(layoutToJson(layoutNamed("virtio_mmio_admin")))).toBe(before);
  });
});

/** The paths of refusals that depend on the base. */
const BEYOND_SCHEMA = ["layout", "variant.change.X", "variant.remove[0]", "variant.add[0].name"];

/** What is tried, and the rules that it breaks; empty when it holds. */
const TRIALS: readonly (readonly [string, object, readonly string[]])[] = [
  [
    "the registers elsewhere",
    { ...MMIO, change: { AdminQueueIndex: { offset: 0x0e8 }, AdminQueueNum: { offset: 0x0ec } } },
    [],
  ],
  [
    "one more register",
    {
      ...MMIO,
      add: [
        {
          name: "AdminQueueDepth",
          offset: 0x0e8,
          type: "le32",
          access: "R",
          gate: { feature: 41 },
          reset: 8,
          doc: "A.",
        },
      ],
    },
    [],
  ],
  ["another command code", { ...CCW, change: { READ_ADMIN_VQ: { code: 0x42 } } }, []],
  [
    "one more field in the payload",
    {
      ...CCW,
      change: {
        READ_ADMIN_VQ: {
          payload: { add: [{ name: "depth", offset: 4, type: "be32", doc: "A." }] },
        },
      },
    },
    [],
  ],
  [
    "a number that no driver may read",
    { ...MMIO, change: { AdminQueueNum: { access: "W" } } },
    ["admin-vq-1", "mmio-admin-device-8"],
  ],
  [
    "a register of virtio 1.4 elsewhere",
    { ...MMIO, change: { QueueSel: { offset: 0x0e8 } } },
    ["ratified", "mmio-layout-4", "mmio-device-6"],
  ],
  [
    "a command without its revision",
    { ...CCW, change: { READ_ADMIN_VQ: { gate: null } } },
    ["gate", "features-device-4", "admin-unnegotiated-device-5"],
  ],
  [
    "a place that others use",
    { ...MMIO, change: { AdminQueueIndex: { offset: 0x0c4 } } },
    ["squatter"],
  ],
];

const fixtures = (layout: Layout) => Object.values(layoutFixtures(layout));
/** Cases that find what is wrong with the variants that break something; who holds passes all. */
const TELLING =
  /^(admin-place|admin-unaccepted|features-|queue-size-max|reset-queues|driver-admin-place)/;
const telling = (layout: Layout) =>
  fixtures(layout).map((each) => ({
    ...each,
    only: (each.only ?? COMPLIANCE_CASES.map(({ id }) => id)).filter((id: string) =>
      TELLING.test(id),
    ),
  }));

describe("a trial", () => {
  it.each(TRIALS)(
    "of %s names the rules that are broken",
    async (_, document, rules) => {
      expect(matchesSchema(document)).toBe(true);
      const holds = rules.length === 0;
      const report = await tryLayout(made(document), { fixtures: holds ? fixtures : telling });
      const broken = report.broken.map(({ rule }) => rule);
      if (rules.length === 0) expect(report.broken).toEqual([]);
      for (const rule of rules) expect(broken).toContain(rule);
      expect(report.holds).toBe(holds);
      expect(report.runs).toHaveLength(2);
      for (const { report: run } of report.runs)
        expect(run.passed).toBeGreaterThan(holds ? 100 : 5);
      // A clause of another transport says nothing about this one.
      const other = report.runs[0]?.report.transport === "mmio" ? /^(pci|ccw)-/ : /^(pci|mmio)-/;
      expect(broken.filter((rule) => other.test(rule))).toEqual([]);
    },
    240_000,
  );

  it("passes over rules that may be broken", async () => {
    const layout = made({ ...MMIO, change: { AdminQueueIndex: { offset: 0x0c4 } } });
    const report = await tryLayout(layout, { fixtures: () => [], allow: ["squatter"] });
    expect(report.holds).toBe(true);
    expect(report.findings.map(({ rule }) => rule)).toContain("squatter");
  });

  it("says why a layout cannot run at all, and takes no tour then", async () => {
    let taken = false;
    const tour = async () => {
      taken = true;
      return [];
    };
    for (const layout of [
      layoutNamed("virtio_pci_common_cfg"),
      made({ ...MMIO, remove: ["QueueReady"] }),
      made({ ...MMIO, change: { Status: { access: "R" } } }),
      made({ ...CCW, change: { READ_ADMIN_VQ: { direction: "control", code: 0x93 } } }),
      made({ ...CCW, change: { READ_VQ_CONF: { payload: null } } }),
    ]) {
      const report = await tryLayout(layout, { fixtures, tour });
      expect(report.broken.map(({ rule }) => rule)).toContain("transport");
      expect(report).toMatchObject({ holds: false, runs: [] });
    }
    expect(taken).toBe(false);
  });

  it("reports the steps of a tour, also of one that breaks off", async () => {
    const layout = layoutNamed("virtio_mmio_admin");
    const one = {
      fixtures: (each: Layout) => [{ ...layoutFixtures(each).both, only: ["admin-place"] }],
    };
    const right = await tryLayout(layout, {
      ...one,
      tour: async () => [{ step: "a", found: "b", ok: true }],
    });
    expect(right).toMatchObject({ holds: true, tour: [{ step: "a" }] });
    const wrong = await tryLayout(layout, {
      ...one,
      tour: async () => [{ step: "a", found: "b", ok: false }],
    });
    expect(wrong.broken).toMatchObject([{ rule: "tour", shownBy: ["a"], reason: "b" }]);
    const broken = await tryLayout(layout, {
      ...one,
      tour: () => Promise.reject(new Error("lost")),
    });
    expect(broken.broken).toMatchObject([{ rule: "tour", reason: "lost" }]);
  });
});
