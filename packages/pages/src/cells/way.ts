/** The way of a command, moment by moment, against the same command that is sent in Node. */
import { readFileSync } from "node:fs";
import { toHex } from "@virtio-admin/core";
import {
  followCommand,
  LIVE_COMMANDS,
  type Moment,
  momentOf,
  readTraceFile,
  TraceContext,
} from "@virtio-admin/workbench";
import type { Page } from "playwright-core";
import { holds, same } from "../expect.ts";
import type { Sitting } from "../sitting.ts";
import type { Cell } from "./types.ts";

const TRACES = new URL("../../../fixtures/traces/", import.meta.url);

interface Shown {
  readonly station: string | null;
  readonly title: string;
  readonly text: string;
  readonly bytes: readonly string[];
  readonly fields: readonly string[];
}

function shownInPage(page: Page): Promise<Shown> {
  return page.evaluate(() => ({
    station: document.querySelector(".stations [data-here=true] b")?.textContent ?? null,
    title: document.querySelector(".now h2")?.textContent?.replace(/^[↓↑]\s*/, "") ?? "",
    text: document.querySelector(".now .text")?.textContent ?? "",
    bytes: [...document.querySelectorAll(".dump")].map((dump) =>
      [...dump.querySelectorAll("span")].map((span) => span.textContent).join(""),
    ),
    fields: [...document.querySelectorAll(".bytes tbody tr")].map((row) => {
      const [name, , value] = [...row.children].map((cell) => cell.textContent?.trim());
      return `${name} ${value}`;
    }),
  }));
}

function shownInNode({ station, title, text, blocks }: Moment): Shown {
  return {
    station,
    title,
    text,
    bytes: blocks.map(({ bytes }) => toHex(bytes)),
    fields: blocks.flatMap(({ spans }) => spans.map(({ name, value }) => `${name} ${value}`)),
  };
}

async function walk(sitting: Sitting, what: string, moments: readonly Moment[]): Promise<void> {
  const { page } = sitting;
  await sitting.settled();
  same(
    `${what}, how many`,
    await page.locator(".scrub output").textContent(),
    `1 / ${moments.length}`,
  );
  for (const [i, moment] of moments.entries()) {
    if (i > 0) {
      await page.getByRole("button", { name: "Step" }).click();
      await page.waitForFunction(
        (count) => document.querySelector(".scrub output")?.textContent?.startsWith(`${count} /`),
        i + 1,
      );
    }
    same(`${what}, moment ${i + 1}`, await shownInPage(page), shownInNode(moment));
  }
}

/** Commands that are sent. */
export const LIVE: Cell = {
  name: "way-of-a-command",
  checks: "each command on each transport, step by step, with the bytes that it has in Node",
  run: async ({ open }) => {
    let steps = 0;
    let commands = 0;
    for (const transport of ["pci", "mmio", "ccw"] as const) {
      const sitting = await open(`#way?transport=${transport}`);
      for (const command of LIVE_COMMANDS) {
        await sitting.page.locator("select[name=command]").selectOption(command.name);
        await sitting.page.waitForFunction(
          (name) => location.hash.includes(name),
          new URLSearchParams({ command: command.name }).toString(),
        );
        const moments = await followCommand(transport, command);
        await walk(sitting, `${command.name} on ${transport}`, moments);
        steps += moments.length;
        commands++;
      }
    }
    return [`${commands} commands, ${steps} moments`];
  },
};

/** Traces that were recorded, and one that is dropped in. */
export const RECORDED: Cell = {
  name: "recorded-traces",
  checks:
    "recorded traffic of stock Linux, played and scrubbed, with the fields that it has in Node",
  run: async ({ open }) => {
    const file = readFileSync(new URL("pci-linux-7.3.4.jsonl", TRACES), "utf8");
    const { trace } = readTraceFile(file);
    const events = (trace?.events ?? []).map(({ event }) => event);
    const context = new TraceContext("pci", events);
    const sitting = await open("#way?trace=linux-pci");
    const { page } = sitting;
    const check = async (at: number) => {
      await page.waitForFunction(
        (count) => document.querySelector(".scrub output")?.textContent?.startsWith(`${count} /`),
        at + 1,
      );
      const event = events[at];
      holds(`there is an event ${at}`, event !== undefined);
      if (event === undefined) return;
      same(`moment ${at}`, await shownInPage(page), shownInNode(momentOf(event, context)));
    };
    await check(0);
    const slider = page.locator("input[name=at]");
    for (const at of [1, 57, 128, 200, 290, events.length - 1]) {
      await slider.fill(String(at));
      await check(at);
    }
    // Commands, by their button; and all the rest by keys.
    await slider.fill("0");
    const admin = events.flatMap((event, i) =>
      event.op === "buffer" && context.isAdmin(event.queue) ? [i] : [],
    );
    for (const at of admin) {
      await page.getByRole("button", { name: "Next command" }).click();
      await check(at);
    }
    await page.locator("[role=listbox]").focus();
    await page.keyboard.press("Home");
    await check(0);
    await page.keyboard.press("PageDown");
    await check(20);
    await page.keyboard.press("ArrowDown");
    await check(21);
    same("the address", new URL(page.url()).hash, "#way?trace=linux-pci&at=21");
    await page.reload();
    await sitting.settled();
    await check(21);
    await page.locator("select[name=speed]").selectOption("100");
    await page.getByRole("button", { name: "Play" }).click();
    await page.waitForFunction(
      (length) => document.querySelector(".scrub output")?.textContent === `${length} / ${length}`,
      events.length,
    );
    await check(events.length - 1);
    // The same file, dropped.
    await page.locator("input[type=file]").setInputFiles({
      name: "mine.jsonl",
      mimeType: "application/jsonl",
      buffer: Buffer.from(file),
    });
    await page.waitForFunction(() => location.hash.includes("trace=own"));
    await sitting.settled();
    await check(0);
    await page.keyboard.press("End");
    return [`${events.length} events, ${admin.length} administration commands`];
  },
};
