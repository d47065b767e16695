/**
 * The compliance kit with its halves in two threads: the device half in a worker, the driver half
 * here, MMIO registers between them, rings and buffers in memory that both reach.
 */
import { MMIO_FIXTURE } from "@virtio-admin/fixtures";
import { TwoThreads } from "@virtio-admin/fixtures/threads";
import { COMPLIANCE_CASES, type ComplianceCase, runCase } from "@virtio-admin/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bundle, bundle } from "./bundle.ts";

/** See worker-that-ends.ts. */
const FATAL_STATUS = 0x66;
const WORKER = new URL("../../fixtures/src/threads/worker.ts", import.meta.url).href;

describe("compliance of mmio in two threads", () => {
  let program: Bundle;
  let threads: TwoThreads;
  beforeAll(async () => {
    program = await bundle("worker", WORKER);
    threads = new TwoThreads(program.url);
  });
  afterAll(async () => {
    await threads.close();
    await program.remove();
  });

  test.each(
    COMPLIANCE_CASES.map((one) => [`[${one.clauses.join("] [")}] ${one.id}`, one] as const),
  )("%s", async (_title, one) => {
    const { outcome, reason, error } = await threads.run(one);
    if (error !== undefined) throw error;
    // No case is skipped for being in two threads: what does not apply here does not apply to MMIO.
    const here = await runCase(MMIO_FIXTURE, one);
    expect([outcome, reason]).toEqual([here.outcome, here.reason]);
  });
});

describe("a thread of devices that is of no use", () => {
  let program: Bundle;
  beforeAll(async () => {
    program = await bundle("worker-that-ends");
  });
  afterAll(() => program.remove());

  const named = (id: string): ComplianceCase => {
    const found = COMPLIANCE_CASES.find((one) => one.id === id);
    if (found === undefined) throw new Error(`there is no case ${id}`);
    return found;
  };

  test.each([
    ["ends", "identity", "ended with 3"],
    ["fails", "status-steps", "nobody catches this"],
    ["hangs", "status-order", "an end"],
    ["never answers", "status-not-cleared", "none within 3000 ms"],
  ])("fails the case in which it %s, and no other", async (_how, id, reason) => {
    const threads = new TwoThreads(program.url, { caseLimit: 3000 });
    const failed = await threads.run(named(id));
    expect(failed.outcome).toBe("failed");
    expect(failed.reason).toContain(reason);
    for (const other of ["features-all-words", "driver-exchange"]) {
      expect(await threads.run(named(other))).toMatchObject({ id: other, outcome: "passed" });
    }
    await threads.close();
  });

  test("fails the case whose driver half it leaves alone, whatever that makes of it", async () => {
    const threads = new TwoThreads(program.url);
    let code: string | undefined;
    const failed = await threads.run({
      ...named("driver-exchange"),
      run: async (context) => {
        const bench = context.driver();
        const driven = await bench.bringUp();
        bench.device.raiseStatus(FATAL_STATUS);
        await new Promise((resolve) => driven.onFailure(resolve));
        code = driven.failure?.code;
      },
    });
    expect(code).toBe("DEVICE_FAILED");
    expect([failed.outcome, failed.reason]).toEqual([
      "failed",
      "Error: the thread of devices ended with 4",
    ]);
    expect(await threads.run(named("driver-exchange"))).toMatchObject({ outcome: "passed" });
    await threads.close();
  });

  test("fails a case that it does not know", async () => {
    const threads = new TwoThreads(program.url);
    const { outcome, reason } = await threads.run({ ...named("identity"), id: "no-such-case" });
    expect([outcome, reason]).toEqual(["failed", "TypeError: there is no case no-such-case"]);
    await threads.close();
  });

  test("is none at all where the program is none", async () => {
    const url = new URL("data:text/javascript,throw new Error('no program')");
    const threads = new TwoThreads(url, { caseLimit: 1000 });
    for (const id of ["identity", "driver-exchange"]) {
      expect(await threads.run(named(id))).toMatchObject({ id, outcome: "failed" });
    }
    await threads.close();
  });
});
