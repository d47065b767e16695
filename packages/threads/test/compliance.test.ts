/**
 * The compliance kit with its halves in two threads: the device half in a worker, the driver half
 * here, MMIO registers, rings and buffers in shared memory.
 */
import { MMIO_FIXTURE } from "@virtio-admin/fixtures";
import { TwoThreads } from "@virtio-admin/fixtures/threads";
import { COMPLIANCE_CASES, runCase } from "@virtio-admin/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bundle, bundle } from "./bundle.ts";

/** Cases that do not run across threads although they run on MMIO in one, and why. */
const ONE_THREAD: Readonly<Record<string, string>> = {};

let program: Bundle;
let threads: TwoThreads;
beforeAll(async () => {
  program = await bundle(
    "worker",
    new URL("../../fixtures/src/threads/worker.ts", import.meta.url).href,
  );
  threads = new TwoThreads(program.url);
});
afterAll(async () => {
  await threads.close();
  await program.remove();
});

describe("compliance of mmio in two threads", () => {
  test.each(
    COMPLIANCE_CASES.map((one) => [`[${one.clauses.join("] [")}] ${one.id}`, one] as const),
  )("%s", async (_title, one) => {
    const { outcome, reason, error } = await threads.run(one);
    if (error !== undefined) throw error;
    if (outcome !== "skipped") return;
    // What does not apply to two threads does not apply to MMIO at all.
    const here = await runCase(MMIO_FIXTURE, one);
    expect([here.outcome, here.reason]).toEqual([outcome, reason]);
  });
});
