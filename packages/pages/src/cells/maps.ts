/** The register maps, against the layouts that they are of. */
import { type Layout, layoutFromJson, layoutToJson } from "@virtio-admin/core";
import { CCW_TRANSPORT } from "@virtio-admin/transport-ccw";
import { MMIO_REFERENCE_LAYOUT, MMIO_TRANSPORT } from "@virtio-admin/transport-mmio";
import { PCI_TRANSPORT } from "@virtio-admin/transport-pci";
import {
  differencesOf,
  differenceWords,
  gridOf,
  stripsOf,
  type TransportName,
} from "@virtio-admin/workbench";
import type { Locator } from "playwright-core";
import { holds, same } from "../expect.ts";
import type { Cell } from "./types.ts";

const LAYOUTS: Readonly<Record<TransportName, readonly Layout[]>> = {
  pci: PCI_TRANSPORT.description.layouts,
  mmio: MMIO_TRANSPORT.description.layouts,
  ccw: CCW_TRANSPORT.description.layouts,
};
/** How far a side may be off, in pixels: the space between pieces. */
const NEAR = 3;

const keysOf = (column: Locator) =>
  column
    .locator("[data-key]")
    .evaluateAll((all) => all.map((each) => each.getAttribute("data-key")));

/** Sides of the named pieces, by key. */
const boxesOf = (column: Locator) =>
  column.locator(".grid [data-key]").evaluateAll((all) =>
    all.map((each) => {
      const { width, height } = each.getBoundingClientRect();
      return { key: each.getAttribute("data-key"), width, height };
    }),
  );

async function checkMap(column: Locator, layout: Layout): Promise<number> {
  const strips = stripsOf(layout);
  const wanted = strips.flatMap(({ key, head, fields }) => [
    ...(head === undefined ? [] : [key]),
    ...fields.map((field) => field.key),
  ]);
  const got = await keysOf(column);
  same(`the fields of ${layout.name}`, [...got].sort(), [...wanted].sort());
  const boxes = new Map((await boxesOf(column)).map((box) => [box.key, box]));
  const pieces = strips.flatMap((strip) => gridOf(strip).pieces).filter(({ named }) => named);
  const byte = Math.min(
    ...pieces.flatMap(({ field, columnSpan }) => {
      const box = boxes.get(field?.key ?? "");
      return box === undefined ? [] : [(box.width + 2) / columnSpan];
    }),
  );
  const row = Math.min(...[...boxes.values()].map(({ height }) => height + 2));
  for (const { field, rowSpan, columnSpan } of pieces) {
    const box = boxes.get(field?.key ?? "");
    if (box === undefined) continue;
    const isTrue =
      Math.abs(box.width - (byte * columnSpan - 2)) < NEAR &&
      Math.abs(box.height - (row * rowSpan - 2)) < NEAR;
    holds(`${field?.key} of ${layout.name} is ${columnSpan} by ${rowSpan} to scale`, isTrue);
  }
  return wanted.length;
}

/** Every layout is drawn to scale, with every field. */
export const TO_SCALE: Cell = {
  name: "maps-to-scale",
  checks: "every field of every layout is there, as wide and as high as its bytes",
  run: async ({ open }) => {
    const { page } = await open("#maps");
    let fields = 0;
    let layouts = 0;
    for (const [transport, all] of Object.entries(LAYOUTS)) {
      const column = page.locator(`[data-transport=${transport}]`);
      for (const layout of all) {
        await page.locator(`select[name=${transport}]`).selectOption(layout.name);
        fields += await checkMap(column.locator(".map"), layout);
        layouts++;
      }
    }
    return [`${layouts} layouts, ${fields} fields`];
  },
};

/** What is looked at is told; what is the same elsewhere is marked. */
export const INSPECTOR: Cell = {
  name: "maps-inspector",
  checks:
    "offset, type, access, gate and section on hover and focus; the same field elsewhere; the address",
  run: async ({ open, site }) => {
    const sitting = await open("#maps");
    const { page } = sitting;
    const inspector = page.locator(".inspector");
    await page.locator("[data-transport=mmio] [data-key=AdminQueueIndex]").hover();
    const { AdminQueueIndex: field } = MMIO_REFERENCE_LAYOUT.registers;
    const text = ((await inspector.textContent()) ?? "").replaceAll(/\s+/g, " ");
    for (const part of [
      field.doc,
      "0x0e0",
      "le32",
      "the driver reads",
      "VIRTIO_F_ADMIN_VQ",
      field.cite,
    ]) {
      holds(`the inspector says "${part}"`, text.includes(part));
    }
    const marked = await page
      .locator("[data-same=true][data-key]")
      .evaluateAll((all) => all.map((each) => each.getAttribute("data-key")));
    same("the same elsewhere", marked, [
      "admin_queue_index",
      "READ_ADMIN_VQ",
      "READ_ADMIN_VQ.admin_queue_index",
    ]);
    same(
      "the administration fields",
      await page
        .locator("button[data-admin=true]")
        .evaluateAll((all) => all.map((each) => each.getAttribute("data-key"))),
      [
        "admin_queue_index",
        "admin_queue_num",
        "AdminQueueIndex",
        "AdminQueueNum",
        "READ_ADMIN_VQ.admin_queue_index",
        "READ_ADMIN_VQ.admin_queue_num",
      ],
    );
    // By the keyboard: into the first map, down, and over to the next transport.
    await page.mouse.move(0, 0);
    await page.locator("[data-transport=pci] [data-key=device_feature_select]").focus();
    await page.keyboard.press("ArrowDown");
    same(
      "the field in focus",
      await page.evaluate(() => document.activeElement?.getAttribute("data-key")),
      "device_feature",
    );
    await page.keyboard.press("ArrowRight");
    same(
      "beside it",
      await page.evaluate(() => document.activeElement?.getAttribute("data-key")),
      "DeviceFeatures",
    );
    await page.keyboard.press("ArrowRight");
    same(
      "and beside that",
      await page.evaluate(() => document.activeElement?.getAttribute("data-key")),
      "READ_FEAT.features",
    );
    same("the address", new URL(page.url()).hash, "#maps?at=ccw%2FREAD_FEAT.features");
    await page.reload();
    await sitting.settled();
    holds(
      "the field is there after a reload",
      ((await inspector.textContent()) ?? "").startsWith("features"),
    );
    holds("the site is a folder", site.length > 0);
    return [];
  },
};

/** The differences of layouts, with the reader's own among them. */
export const DIFFERENCES: Cell = {
  name: "maps-differences",
  checks:
    "differences from another layout and from a file, as they are told in Node; the file is in the address",
  run: async ({ open }) => {
    const sitting = await open("#maps");
    const { page } = sitting;
    const told = (transport: string) =>
      page
        .locator(`[data-transport=${transport}] .differences li`)
        .evaluateAll((all) =>
          all.map((each) => (each.textContent ?? "").replaceAll(/\s+/g, " ").trim()),
        );
    const wanted = (base: Layout, other: Layout) =>
      differencesOf(base, other).map(
        (each) => `${each.class} ${differenceWords(base, each)} ${each.reason}`,
      );
    let count = 0;
    for (const transport of ["mmio", "ccw"] as const) {
      const [reference, ratified] = LAYOUTS[transport] as readonly [Layout, Layout];
      await page.locator(`select[name=${transport}Vs]`).selectOption(ratified.name);
      const differences = wanted(ratified, reference);
      same(`the differences on ${transport}`, await told(transport), differences);
      count += differences.length;
    }
    const document = layoutToJson(MMIO_REFERENCE_LAYOUT);
    const registers = document.registers.map((register) =>
      register.name === "AdminQueueNum" ? { ...register, offset: 0xe8, doc: "Moved." } : register,
    );
    const own = { ...document, name: "virtio_mmio_mine", registers };
    await page.locator("input[type=file]").setInputFiles({
      name: "mine.json",
      mimeType: "application/json",
      buffer: Buffer.from(JSON.stringify(own)),
    });
    const mine = layoutFromJson(own);
    await page.locator("[data-transport=mmio] .differences li").first().waitFor();
    const check = async () => {
      same("the differences of the file", await told("mmio"), wanted(MMIO_REFERENCE_LAYOUT, mine));
      same(
        "the offset of the moved register",
        await page
          .locator("[data-transport=mmio] [data-key=AdminQueueNum]")
          .getAttribute("aria-label"),
        "AdminQueueNum, offset 0x0e8, le32, R, VIRTIO_F_ADMIN_VQ negotiated, admin, changed",
      );
    };
    await check();
    await page.reload();
    await sitting.settled();
    await page.locator("[data-transport=mmio] .differences li").first().waitFor();
    await check();
    return [
      `${count + 1} differences; the address with a file has ${page.url().length} characters`,
    ];
  },
};
