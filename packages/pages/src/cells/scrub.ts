/** Ten thousand events, scrubbed by the mouse: how long a frame takes. */
import { JsonlSink, type TraceEvent, toHex } from "@virtio-admin/core";
import { holds, same } from "../expect.ts";
import type { Cell } from "./types.ts";

const EVENTS = 10_000;
const MOVES = 240;

function trace(): string {
  const lines: string[] = [];
  const sink = new JsonlSink((line) => lines.push(line), {
    transport: "mmio",
    now: () => lines.length,
  });
  const events: readonly TraceEvent[] = [
    { op: "write", offset: 0x50, size: 4, data: "01000000", name: "QueueNotify" },
    {
      op: "command",
      queue: 1,
      opcode: 0x102,
      name: "MSIX_COUNT_SET",
      group: 0xff00,
      member: 1,
      status: 0,
      qualifier: 0,
    },
    {
      op: "buffer",
      queue: 1,
      descriptors: [
        { length: 512, writable: false },
        { length: 512, writable: true },
      ],
      readable: `0201${toHex(new Uint8Array(510).map((_, i) => i))}`,
      used: 512,
      written: toHex(new Uint8Array(512).map((_, i) => 255 - i)),
    },
    { op: "interrupt", queue: 1 },
    { op: "read", offset: 0x60, size: 4, data: "01000000", name: "InterruptStatus" },
  ];
  for (let i = 0; i < EVENTS; i++) sink.emit(events[i % events.length] as TraceEvent);
  return `${lines.join("\n")}\n`;
}

/** Scrubbing. */
export const SCRUB: Cell = {
  name: "scrub-10000",
  checks: "10,000 events are scrubbed from end to end; the 95th percentile of the frames is told",
  run: async ({ open }) => {
    const sitting = await open("#way");
    const { page } = sitting;
    await page.locator("input[type=file]").setInputFiles({
      name: "long.jsonl",
      mimeType: "application/jsonl",
      buffer: Buffer.from(trace()),
    });
    await page.waitForFunction(
      () => document.querySelector(".scrub output")?.textContent === "1 / 10000",
    );
    const box = await page.locator("input[name=at]").boundingBox();
    holds("there is a slider", box !== null);
    if (box === null) return [];
    const y = box.y + box.height / 2;
    await page.mouse.move(box.x + 4, y);
    await page.mouse.down();
    await page.evaluate(() => {
      const frames: number[] = [];
      const seen = new Set<string>();
      let last = performance.now();
      let running = true;
      const next = (now: number) => {
        frames.push(now - last);
        last = now;
        seen.add(document.querySelector(".scrub output")?.textContent ?? "");
        if (running) requestAnimationFrame(next);
      };
      requestAnimationFrame(next);
      Object.assign(globalThis, {
        scrubbed: () => {
          running = false;
          return { frames: frames.slice(1), seen: seen.size };
        },
      });
    });
    for (let i = 0; i <= MOVES; i++) {
      await page.mouse.move(box.x + 4 + ((box.width - 8) * i) / MOVES, y);
    }
    await page.mouse.up();
    const { frames, seen } = await page.evaluate(() =>
      (globalThis as unknown as { scrubbed(): { frames: number[]; seen: number } }).scrubbed(),
    );
    const [at = 0] = ((await page.locator(".scrub output").textContent()) ?? "")
      .split(" / ")
      .map(Number);
    holds(`the slider is at the end, not at ${at}`, at > EVENTS * 0.99);
    same("moments were seen on the way", seen > 10, true);
    const sorted = frames.toSorted((a, b) => a - b);
    const part = (share: number) => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(1);
    return [
      `${frames.length} frames, ${seen} moments seen; p50 ${part(0.5)} ms, p95 ${part(0.95)} ms`,
    ];
  },
};
