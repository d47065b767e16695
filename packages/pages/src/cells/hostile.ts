/** Files that mean no good: each is refused in words, and costs what it may. */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { holds, same } from "../expect.ts";
import type { Sitting } from "../sitting.ts";
import type { Cell } from "./types.ts";

const MIB = 1 << 20;
/** How much more the page may have in memory after all of them than before, in bytes. */
const GROWTH = 48 * MIB;

const DEEP = "[".repeat(200_000);
const TRACE_HEAD = '{"format":"virtio-admin-trace","version":1,"transport":"pci"}\n';

const FILES: readonly (readonly [name: string, make: () => Buffer])[] = [
  ["nothing", () => Buffer.alloc(0)],
  ["zeros", () => Buffer.alloc(4 * MIB)],
  ["random", () => randomBytes(2 * MIB)],
  ["deep", () => Buffer.from(DEEP)],
  ["deep-object", () => Buffer.from('{"a":'.repeat(100_000))],
  ["prototype", () => Buffer.from('{"__proto__":{"kind":"registers"},"constructor":1}')],
  ["huge-line", () => Buffer.from(`${TRACE_HEAD}{"op":"read","data":"${"0".repeat(8 * MIB)}"}`)],
  ["many-lines", () => Buffer.from(TRACE_HEAD + '{"op":"reset"}\n'.repeat(300_000))],
  ["too-large", () => Buffer.alloc(40 * MIB, 0x20)],
  ["script", () => Buffer.from("<script>alert(1)</script>")],
  ["markup-in-a-name", () => Buffer.from(`${TRACE_HEAD}{"op":"fly<img src=x onerror=alert(1)>"}`)],
  [
    "layout-that-overlaps",
    () =>
      Buffer.from(
        JSON.stringify({
          format: "virtio-admin-layout",
          version: 1,
          kind: "registers",
          name: "x",
          cite: "x",
          doc: "x",
          busWidth: 32,
          registers: Array.from({ length: 2000 }, (_, i) => ({
            name: `r${i}`,
            offset: 0,
            type: "le32",
            access: "R",
            doc: "x",
          })),
        }),
      ),
  ],
];

async function heapOf({ page }: Sitting): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize;
}

/** Both places where a file can be dropped. */
export const HOSTILE: Cell = {
  name: "hostile-files",
  checks: "files that are no layouts and no traces are refused in words, and the page goes on",
  run: async ({ open, scratch }) => {
    const notes: string[] = [];
    const folder = scratch();
    for (const panel of ["maps", "way"]) {
      const sitting = await open(`#${panel}`);
      const { page } = sitting;
      const before = await heapOf(sitting);
      for (const [name, make] of FILES) {
        // By a path: what goes through the browser's own connection takes long.
        const file = join(folder, name);
        writeFileSync(file, make());
        await page.locator("input[type=file]").setInputFiles(file);
        const alert = page.locator("[role=alert]", { hasText: name });
        await alert.waitFor();
        holds(`${name} is told of in few words`, ((await alert.textContent()) ?? "").length < 6000);
        same(`markup in ${name}`, await page.locator("main img, main script").count(), 0);
      }
      const growth = (await heapOf(sitting)) - before;
      holds(`the page has grown by ${growth} bytes at most ${GROWTH}`, growth < GROWTH);
      same("what the page should not have done", sitting.complaints, []);
      // It goes on.
      await page.getByRole("link", { name: "Device group" }).click();
      await sitting.settled();
      await page.locator("[data-member]").first().waitFor();
      notes.push(`${panel}: ${FILES.length} files, heap ${(growth / MIB).toFixed(1)} MiB more`);
    }
    // Addresses are files too.
    for (const hash of [
      "#maps?own=AAAA&mmio=own&at=mmio/%00",
      `#maps?own=${"A".repeat(60_000)}`,
      "#group?transport=usb&do=v1.99999,x,f1.500.1,v9999.1,,,u77,r9",
      "#way?trace=own",
      "#way?transport=pci&command=nothing&at=-5",
      "#way?trace=linux-pci&at=1e9",
      `#${"x".repeat(100_000)}`,
    ]) {
      const sitting = await open(hash);
      same(`what the page did at ${hash.slice(0, 60)}`, sitting.complaints, []);
    }
    return notes;
  },
};
