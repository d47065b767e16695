/** The thread of devices with a few cases in it that bring it to an end. */
import process from "node:process";
import { COMPLIANCE_CASES, type ComplianceCase, ScriptedDevice } from "@virtio-admin/testkit";
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

/** What a case about the driver half would have to do; nobody else does. */
const FATAL_STATUS = 0x66;
const { raiseStatus } = ScriptedDevice.prototype;
ScriptedDevice.prototype.raiseStatus = function (bits) {
  if (bits === FATAL_STATUS) setImmediate(() => process.exit(4));
  raiseStatus.call(this, bits);
};
