/** axe over every panel, light and dark, wide and narrow; and what only a keyboard can show. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AxeResults } from "axe-core";
import { holds, same } from "../expect.ts";
import type { Sitting } from "../sitting.ts";
import type { Cell } from "./types.ts";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Addresses that show everything there is to show. */
const ADDRESSES = [
  "#maps",
  "#maps?at=mmio/AdminQueueIndex&mmioVs=virtio_mmio&ccwVs=virtio_ccw_commands&on=mmio",
  "#maps?own=AAAA&mmio=own",
  "#group",
  "#group?transport=ccw&do=v2.7,u3,v3.4,f1.29.0,a",
  "#way",
  "#way?transport=pci&command=absent+member&at=5",
  "#way?trace=linux-pci&at=200",
  "#way?trace=own",
];
const WIDTHS = [360, 1440];

async function violations({ page }: Sitting): Promise<string[]> {
  await page.evaluate(AXE);
  const { violations: found } = await page.evaluate(() =>
    (globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
  );
  return found.map(
    ({ id, nodes }) =>
      `${id}: ${nodes
        .map(({ html, failureSummary }) => `${html.slice(0, 120)} ${failureSummary ?? ""}`)
        .slice(0, 2)
        .join(" | ")}`,
  );
}

/** What axe finds: nothing. */
export const AXE_CELL: Cell = {
  name: "axe",
  checks: "axe finds no violation in any panel, light and dark, wide and narrow",
  run: async ({ open }) => {
    let count = 0;
    for (const scheme of ["light", "dark"] as const) {
      for (const width of WIDTHS) {
        for (const hash of ADDRESSES) {
          const sitting = await open(hash, { scheme, width });
          same(`axe at ${hash}, ${scheme}, ${width}`, await violations(sitting), []);
          await sitting.close();
          count++;
        }
      }
    }
    return [`${count} pages`];
  },
};

/** A group and a command, without a mouse. */
export const KEYBOARD: Cell = {
  name: "keyboard",
  checks: "every panel is used from end to end with the keyboard alone, and the focus is seen",
  run: async ({ open }) => {
    const sitting = await open("#maps");
    const { page } = sitting;
    const focused = () =>
      page.evaluate(() => {
        const { activeElement: element } = document;
        if (element === null) return "";
        const label = element.getAttribute("aria-label") ?? element.textContent ?? "";
        const named = element.closest("label")?.textContent ?? "";
        return `${element.tagName} ${label || named}`.trim();
      });
    const tabTo = async (wanted: string, key = "Tab") => {
      for (let i = 0; i < 200; i++) {
        await page.keyboard.press(key);
        if ((await focused()).includes(wanted)) {
          const outline = await page.evaluate(() => {
            const { activeElement: element } = document;
            const shown = element?.closest("label:has(input[type=radio])") ?? element;
            return shown === null ? "none" : getComputedStyle(shown).outlineStyle;
          });
          holds(`the focus is seen on ${wanted}`, outline !== "none");
          return;
        }
      }
      throw new Error(`the tabulator does not come to ${wanted}`);
    };
    await page.keyboard.press("Tab");
    same("what is first", await focused(), "BUTTON Skip to the panel");
    await page.keyboard.press("Enter");
    same("where it leads", await page.evaluate(() => document.activeElement?.id), "main");
    await tabTo("Show admin_queue_index");
    await page.keyboard.press("Enter");
    await tabTo("admin_queue_index, offset 0x03c");
    await tabTo("Device group", "Shift+Tab");
    await page.keyboard.press("Enter");
    await page.locator("[data-member]").first().waitFor();
    await tabTo("Add a member");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelectorAll("[data-member]").length === 4);
    await tabTo("MSI-X vectors");
    await page.keyboard.press("Control+A");
    await page.keyboard.type("5");
    await page.keyboard.press("Enter");
    await page.locator(".told", { hasText: "member 1: 5 vectors: OK" }).waitFor();
    await tabTo("EVENT_IDX");
    await page.keyboard.press("Space");
    await page.locator(".told", { hasText: "EVENT_IDX off: OK" }).waitFor();
    await tabTo("Way of a command", "Shift+Tab");
    await page.keyboard.press("Enter");
    await page.locator(".now").waitFor();
    await tabTo("PCI", "Tab").catch(() => tabTo("MMIO", "Shift+Tab"));
    await tabTo("Step");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() =>
      document.querySelector(".scrub output")?.textContent?.startsWith("2 /"),
    );
    await tabTo("Moment");
    await page.keyboard.press("End");
    await page.waitForFunction(() =>
      document.querySelector(".now h2")?.textContent?.includes("settles"),
    );
    return [];
  },
};
