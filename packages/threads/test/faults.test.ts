/**
 * Plants faults and sees the kit find them across threads. `VIRTIO_ADMIN_FAULTS=all` plants every
 * fault of packages/fixtures/test that a case on MMIO could find, and sees the same become of it as
 * with both halves in one thread.
 */
import process from "node:process";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FAULTS } from "../../fixtures/test/faults.ts";
import { MutatedSources, type Mutation, occurrences } from "../../fixtures/test/mutated.ts";
import { bundle } from "./bundle.ts";
import type { KitInit, KitOutcome } from "./kit.ts";
import { PLANTED_ACROSS, THREAD_FAULTS } from "./thread-faults.ts";

const WORKER = new URL("../../fixtures/src/threads/worker.ts", import.meta.url).href;

/** What becomes of these cases with a fault in the sources of both threads. */
async function outcomes(cases: readonly string[], fault?: Mutation): Promise<KitOutcome[]> {
  const [kit, program] = await Promise.all([
    bundle("kit", import.meta.url, fault),
    bundle("worker", WORKER, fault),
  ]);
  try {
    const told: KitOutcome[] = [];
    const init: KitInit = { program: program.url.href, cases };
    const thread = new Worker(kit.url, { workerData: init });
    thread.on("message", (outcome: KitOutcome) => told.push(outcome));
    await new Promise((resolve, reject) => {
      thread.on("exit", resolve);
      thread.on("error", reject);
    });
    return told;
  } finally {
    await kit.remove();
    await program.remove();
  }
}

describe("faults across threads", () => {
  test("the tables name each fault once, and texts that occur once", () => {
    const ids = [...THREAD_FAULTS.map(({ id }) => id), ...PLANTED_ACROSS];
    expect(new Set(ids).size).toBe(ids.length);
    expect(THREAD_FAULTS.filter((fault) => occurrences(fault) !== 1)).toEqual([]);
  });

  test("without one, the cases that find them hold", async () => {
    const planted = FAULTS.filter(({ id }) => PLANTED_ACROSS.includes(id));
    const cases = [...THREAD_FAULTS, ...planted].map(({ killedBy }) => killedBy);
    const told = await outcomes(cases);
    expect(told).toEqual(told.map(({ id }) => ({ id, outcome: "passed", reason: undefined })));
    expect(told.length).toBe(new Set(cases).size);
  });

  test.each(THREAD_FAULTS.map((fault) => [fault.id, fault.killedBy, fault] as const))(
    "%s is found by %s",
    async (_id, killedBy, fault) => {
      const [told] = await outcomes([killedBy], fault);
      expect(told?.outcome).toBe("failed");
    },
  );

  test.each(PLANTED_ACROSS)("%s is found across threads too", async (id) => {
    const fault = FAULTS.find((each) => each.id === id);
    if (fault === undefined) throw new Error(`there is no fault ${id}`);
    const [told] = await outcomes([fault.killedBy], fault);
    expect(told?.outcome).toBe("failed");
  });
});

// Apart from the tests above: it takes minutes.
if (process.env["VIRTIO_ADMIN_FAULTS"] === "all") {
  let sources: MutatedSources;
  beforeAll(async () => {
    sources = await MutatedSources.start();
  });
  afterAll(() => sources.close());

  const anywhere = FAULTS.filter(
    ({ transport, file }) => transport === "mmio" || file.startsWith("packages/core/"),
  );
  test.each(anywhere.map((fault) => [fault.id, fault] as const))(
    "%s is found as in one thread",
    async (_id, fault) => {
      const kit = await sources.load("mmio", fault);
      const named = kit.cases.find(({ id }) => id === fault.killedBy);
      if (named === undefined) throw new Error(`there is no case ${fault.killedBy}`);
      const here = await kit.run(named);
      const [told] = await outcomes([fault.killedBy], fault);
      expect(told?.outcome).toBe(here.outcome);
    },
  );
}
