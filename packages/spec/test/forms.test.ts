import { type Layout, layoutFromJson } from "@virtio-admin/core";
import {
  checkLayoutText,
  entriesOf,
  LAYOUT_CATALOGUE,
  layoutNamed,
  renderJson,
  renderMarkdown,
  renderSvg,
  renderYaml,
} from "@virtio-admin/spec";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { layouts } from "./arbitrary-layout.ts";

const KNOWN = [...LAYOUT_CATALOGUE.values()];

function namesOf(layout: Layout): string[] {
  if (layout.kind === "commands") return Object.keys(layout.commands);
  return Object.keys(layout.kind === "registers" ? layout.registers : layout.fields);
}

describe("the catalogue", () => {
  it("has every layout under a name of its own", () => {
    for (const [name, layout] of LAYOUT_CATALOGUE) expect(layoutNamed(name)).toBe(layout);
    for (const name of [
      "virtio_mmio_admin",
      "virtio_ccw_commands_admin",
      "virtio_pci_common_cfg",
    ]) {
      expect(LAYOUT_CATALOGUE.has(name)).toBe(true);
    }
  });

  it("says what is near a name that it does not have", () => {
    expect(() => layoutNamed("virtio_pci_common_config")).toThrow(
      expect.objectContaining({ code: "LAYOUT_UNKNOWN_NAME", hint: expect.any(String) }),
    );
    expect(() => layoutNamed("pci-common-cfg")).toThrow(/did you mean virtio_pci_common_cfg\?/);
  });
});

describe("data", () => {
  it("is read back as the same layout", () => {
    const judge = (layout: Layout) => {
      expect(layoutFromJson(JSON.parse(renderJson(layout)))).toEqual(layout);
      for (const text of [renderJson(layout), renderYaml(layout)]) {
        expect(checkLayoutText(text).layout).toEqual(layout);
      }
    };
    for (const layout of KNOWN) judge(layout);
    fc.assert(fc.property(layouts, judge), { numRuns: 40 });
  });

  it("has offsets and codes in hexadecimal digits for people", () => {
    expect(renderYaml(layoutNamed("virtio_mmio_admin"))).toMatch(
      /name: AdminQueueIndex\n +offset: 0xe0\n/,
    );
    expect(renderYaml(layoutNamed("virtio_ccw_commands_admin"))).toMatch(/code: 0x92\n/);
  });
});

describe("tables", () => {
  it("have a row for each entry, in order of place", () => {
    for (const layout of KNOWN) {
      const { columns, entries } = entriesOf(layout);
      expect(entries.map(({ name }) => name).sort()).toEqual(namesOf(layout).sort());
      for (const { cells } of entries) expect(cells).toHaveLength(columns.length);
      const offsets = entries.map(({ field }) => field?.offset ?? 0);
      expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
    }
  });

  it("of Markdown keep their columns, whatever a layout says", () => {
    const judge = (layout: Layout) => {
      const rows = renderMarkdown(layout).split("\n");
      let columns = 0;
      for (const [i, row] of rows.entries()) {
        if (!row.startsWith("| ")) continue;
        const cells = row.replaceAll("\\|", "").split("|").length;
        if (rows[i - 1]?.startsWith("| ") !== true) columns = cells;
        expect(cells).toBe(columns);
      }
    };
    for (const layout of KNOWN) judge(layout);
    fc.assert(fc.property(layouts, judge));
  });

  it("of Markdown show bits and payloads", () => {
    const text = renderMarkdown(layoutNamed("virtio_mmio_admin"));
    expect(text).toContain("Bits of `InterruptStatus`:");
    expect(text).toContain("| 0–15 | `admin_queue_index` |");
    expect(renderMarkdown(layoutNamed("virtio_ccw_commands_admin"))).toContain(
      "### `admin_vq_block`",
    );
  });
});

/** The texts of an SVG, as long as its elements are closed in order. */
function textsOf(svg: string): string[] {
  const open: string[] = [];
  const texts: string[] = [];
  for (const [, closing, tag, , self, text] of svg.matchAll(
    /<(\/?)([a-z]+)((?:\s[a-zA-Z][a-zA-Z0-9-]*="[^"<>]*")*)\s*(\/?)>([^<]*)/g,
  )) {
    if (closing === "/") expect(open.pop()).toBe(tag);
    else if (self !== "/") open.push(tag ?? "");
    if (text?.trim()) texts.push(text.trim());
  }
  expect(open).toEqual([]);
  expect(
    svg.replaceAll(/<\/?[a-z]+(?:\s[a-zA-Z][a-zA-Z0-9-]*="[^"<>]*")*\s*\/?>/g, ""),
  ).not.toMatch(/[<>]/);
  return texts;
}

describe("diagrams", () => {
  it("are well-formed for any layout, in both themes", () => {
    for (const layout of KNOWN) {
      for (const theme of ["light", "dark"] as const) textsOf(renderSvg(layout, { theme }));
    }
    fc.assert(
      fc.property(layouts, (layout) => {
        textsOf(renderSvg(layout));
      }),
      { numRuns: 25 },
    );
  });

  it("show every register with its offset and access, and what is free", () => {
    const texts = textsOf(renderSvg(layoutNamed("virtio_mmio_admin")));
    for (const wanted of ["QueueSel", "0x030", "AdminQueueIndex", "0x0e0", "free to 0x0fb"]) {
      expect(texts).toContain(wanted);
    }
    expect(texts).toContain("R, VIRTIO_F_ADMIN_VQ");
  });

  it("show a structure by its fields, and a long array shorter than it is", () => {
    const texts = textsOf(renderSvg(layoutNamed("sense_id")));
    for (const wanted of ["cu_type", "extended u8[249]", "0x0fc"]) expect(texts).toContain(wanted);
    expect(texts).not.toContain("0x080");
  });

  it("differ between the themes in colours alone", () => {
    const layout = layoutNamed("virtio_pci_common_cfg");
    const plain = (svg: string) => svg.replaceAll(/#[0-9a-f]{6}/g, "");
    const light = renderSvg(layout, { theme: "light" });
    const dark = renderSvg(layout, { theme: "dark" });
    expect(light).not.toBe(dark);
    expect(plain(light)).toBe(plain(dark));
  });
});
