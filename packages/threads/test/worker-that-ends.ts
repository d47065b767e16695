/** The thread of devices with four cases in it that bring it to an end. */
import process from "node:process";
import { COMPLIANCE_CASES, type ComplianceCase } from "@virtio-admin/testkit";
import "../../fixtures/src/threads/worker.ts";

const RUNS: Readonly<Record<string, ComplianceCase["run"]>> = {
  identity: () => process.exit(3),
  "status-steps": () => {
    setTimeout(() => {
      throw new Error("nobody catches this");
    }, 0);
    return new Promise(() => undefined);
  },
  "status-order": () => {
    for (;;);
  },
  "status-not-cleared": async (context) => {
    const bench = await context.device();
    // The other thread serves nobody while it waits for this one, which is gone.
    bench.heard.used.push = () => {
      for (;;);
    };
    await bench.echo(await bench.runWith(0));
    await bench.settle();
  },
};

for (const [id, run] of Object.entries(RUNS)) {
  Object.assign(COMPLIANCE_CASES.find((one) => one.id === id) ?? {}, { run });
}
