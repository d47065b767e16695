/**
 * The kit in two threads, the driver half's being this one: a worker too, so that nothing is left of
 * sources with a fault in them. Runs one case and tells how it ended.
 */
import { parentPort, workerData } from "node:worker_threads";
import { TwoThreads } from "@virtio-admin/fixtures/threads";
import { COMPLIANCE_CASES } from "@virtio-admin/testkit";

/** What it is started with. */
export interface KitInit {
  /** The program of the other thread. */
  readonly program: string;
  /** The ids of the cases. */
  readonly cases: readonly string[];
}

/** What it tells of one case. */
export interface KitOutcome {
  readonly id: string;
  readonly outcome: string;
  readonly reason: string | undefined;
}

/** How long a case may take that a fault keeps from its end, in milliseconds. */
const LIMIT = 10_000;

const { program, cases } = workerData as KitInit;
const threads = new TwoThreads(new URL(program), { caseLimit: LIMIT });
for (const one of COMPLIANCE_CASES) {
  if (!cases.includes(one.id)) continue;
  const { id, outcome, reason } = await threads.run(one);
  const told: KitOutcome = { id, outcome, reason };
  parentPort?.postMessage(told);
}
await threads.close();
