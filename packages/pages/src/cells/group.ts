/** What is clicked is what the devices do: the same calls in Node, and the same devices after them. */
import type { CommandEvent, TraceEvent } from "@virtio-admin/core";
import { Bench as DeviceBench, featureWords, type TransportName } from "@virtio-admin/workbench";
import type { Page } from "playwright-core";
import { same } from "../expect.ts";
import type { Sitting } from "../sitting.ts";
import type { Cell } from "./types.ts";

const MEMBERS = 3;

/** One thing to do, in the page and in Node. */
interface Step {
  readonly name: string;
  readonly click: (page: Page) => Promise<void>;
  readonly call: (bench: DeviceBench) => Promise<string>;
}

const card = (page: Page, id: number) => page.locator(`[data-member="${id}"]`);

function vectors(id: number, count: number): Step {
  return {
    name: `member ${id}: ${count} vectors`,
    click: async (page) => {
      await card(page, id).locator("input[name=vectors]").fill(String(count));
      await card(page, id).getByRole("button", { name: "Set", exact: true }).click();
    },
    call: (bench) => bench.setVectors(id, count),
  };
}

function feature(id: number, name: string, bit: number, on: boolean): Step {
  return {
    name: `member ${id}: ${name} ${on ? "on" : "off"}`,
    click: (page) => card(page, id).getByLabel(name, { exact: true }).click(),
    call: (bench) => bench.setFeature(id, bit, on),
  };
}

const button = (id: number, name: string, call: (bench: DeviceBench) => Promise<string>): Step => ({
  name: `member ${id}: ${name}`,
  click: (page) => card(page, id).getByRole("button", { name }).click(),
  call,
});

const use = (id: number) => button(id, "Bring up", (bench) => bench.use(id));
const reset = (id: number) => button(id, "Reset", (bench) => bench.reset(id));
const remove = (id: number) => button(id, "Remove", (bench) => bench.remove(id));
const ADD: Step = {
  name: "add a member",
  click: (page) => page.getByRole("button", { name: "Add a member" }).click(),
  call: (bench) => bench.add(),
};
const RESET_OWNER: Step = {
  name: "reset the owner",
  click: (page) => page.getByRole("button", { name: "Reset and bring up" }).click(),
  call: (bench) => bench.resetOwner(),
};

const EVENT_IDX = 29;
const INDIRECT_DESC = 28;

const STEPS: readonly Step[] = [
  vectors(2, 7),
  vectors(2, 9),
  feature(1, "EVENT_IDX", EVENT_IDX, false),
  feature(1, "INDIRECT_DESC", INDIRECT_DESC, false),
  feature(1, "EVENT_IDX", EVENT_IDX, true),
  use(3),
  vectors(3, 4),
  feature(3, "EVENT_IDX", EVENT_IDX, false),
  use(1),
  reset(3),
  vectors(3, 8),
  vectors(1, 8),
  vectors(3, 0),
  // Room for two more members in the pool.
  vectors(3, 2),
  ADD,
  vectors(4, 3),
  ADD,
  use(5),
  remove(5),
  remove(4),
  RESET_OWNER,
  vectors(2, 3),
  use(2),
];

/** What is seen of the devices, as text. */
interface Seen {
  readonly owner: Readonly<Record<string, unknown>>;
  readonly members: readonly Readonly<Record<string, unknown>>[];
  readonly commands: readonly string[];
}

function seenInPage(page: Page): Promise<Seen> {
  return page.evaluate(() => {
    const text = (within: Element | null, selector: string) =>
      within?.querySelector(selector)?.textContent?.trim() ?? null;
    const owner = document.querySelector(".owner");
    return {
      owner: {
        status: Number(owner?.querySelector(".status")?.getAttribute("data-status")),
        driver: text(owner, "[data-driver]"),
        features: text(owner, '[data-fact="features"]'),
        queue: text(owner, '[data-fact="admin queue"]'),
        commands: text(owner, '[data-fact="commands"]'),
        pool: text(owner, "figcaption"),
      },
      members: [...document.querySelectorAll("[data-member]")].map((member) => ({
        id: Number(member.getAttribute("data-member")),
        status: Number(member.querySelector(".status")?.getAttribute("data-status")),
        driver: text(member, "[data-driver]"),
        vectors: text(member, '[data-fact="vectors"]'),
        found: text(member, '[data-fact="its driver found"]'),
        force: text(member, '[data-fact="in force"]'),
        offered: [...member.querySelectorAll<HTMLInputElement>(".features input:checked")]
          .map((input) => input.parentElement?.textContent?.trim())
          .join(", "),
      })),
      commands: [...document.querySelectorAll(".log li")]
        .reverse()
        .map((each) => (each.textContent ?? "").replaceAll(/\s+/g, " ").trim()),
    };
  });
}

function seenInNode(bench: DeviceBench, commands: readonly string[]): Seen {
  const owner = bench.owner();
  const { total, free, min, max } = owner.pool;
  return {
    owner: {
      status: owner.status,
      driver: owner.driver,
      features: featureWords(owner.negotiated),
      queue: owner.adminQueues,
      commands: owner.opcodes
        .map((opcode) => `0x${opcode.toString(16).padStart(4, "0")}`)
        .join(" "),
      pool: `MSI-X vectors: ${total}, ${free} free, ${min} to ${max} each`,
    },
    members: bench.members.map((id) => {
      const member = bench.member(id);
      if (member === undefined) throw new Error(`member ${id} is gone`);
      const isDriven = member.driver !== "none";
      return {
        id,
        status: member.status,
        driver: member.driver,
        vectors: String(member.vectors),
        found: member.found === undefined ? null : `${member.found} vectors`,
        force: isDriven ? featureWords(member.negotiated) : null,
        offered: featureWords(member.offered),
      };
    }),
    commands,
  };
}

const GROUPS: Readonly<Record<number, string>> = { 0: "Self", 1: "SR-IOV", 65280: "65280" };
const STATUS: Readonly<Record<number, string>> = {
  0: "OK",
  16: "EBUSY",
  22: "EINVAL",
  28: "ENOSPC",
};

function commandText({ name, group, member, status, qualifier }: CommandEvent): string {
  const whom = member === 0 ? "" : `, member ${member}`;
  return `${name} ${GROUPS[group]}${whom}: ${STATUS[status]} (${status}, ${qualifier})`;
}

async function checkTransport(sitting: Sitting, transport: TransportName): Promise<string> {
  const { page } = sitting;
  const commands: string[] = [];
  const emit = (event: TraceEvent) => {
    if (event.op === "command") commands.push(commandText(event));
  };
  const bench = await DeviceBench.open({ transport, members: MEMBERS, trace: { emit } });
  try {
    const compare = async (what: string) => {
      await sitting.settled();
      // The page keeps the last fifty commands.
      const wanted = seenInNode(bench, commands.slice(-50));
      same(`${transport}, ${what}`, await seenInPage(page), wanted);
    };
    await compare("at first");
    for (const { name, click, call } of STEPS) {
      const before = new URL(page.url()).hash;
      await click(page);
      const outcome = await call(bench);
      await page.waitForFunction((hash) => location.hash !== hash, before);
      await compare(name);
      same(
        `${transport}, ${name}, its outcome`,
        await page.locator(".told b").textContent(),
        outcome,
      );
    }
    // What was done is in the address: a reload does it all again.
    await page.reload();
    await compare("after a reload");
    return `${transport}: ${STEPS.length} steps, ${commands.length} commands`;
  } finally {
    await bench.close();
  }
}

/** A running group on every transport. */
export const GROUP: Cell = {
  name: "device-group",
  checks:
    "members, vectors, features, reset and removal, on each transport, as the same calls in Node",
  run: async ({ open }) => {
    const notes: string[] = [];
    for (const transport of ["pci", "mmio", "ccw"] as const) {
      const sitting = await open(`#group?transport=${transport}`);
      notes.push(await checkTransport(sitting, transport));
    }
    return notes;
  },
};
