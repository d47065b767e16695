import { COMPLIANCE_CASES } from "@virtio-admin/testkit";
import { describe, expect, it } from "vitest";
import { run } from "./command.ts";

describe("virtio-admin compliance", () => {
  it("lists every case by name, with its outcome and why it does not apply", async () => {
    const { code, out } = await run("compliance", "--transport", "mmio");
    expect(code).toBe(0);
    for (const { id } of COMPLIANCE_CASES) expect(out).toContain(` ${id} `);
    expect(out).toMatch(/\d+ cases on mmio: \d+ passed, 0 failed, \d+ do not apply\n$/);
  });

  it("gives the same as JSON", async () => {
    const { code, out } = await run("compliance", "--transport", "ccw", "--json");
    expect(code).toBe(0);
    const { results, passed, failed, skipped } = JSON.parse(out);
    expect(failed).toBe(0);
    expect(passed + skipped).toBe(results.length);
    expect(results.length).toBe(COMPLIANCE_CASES.length);
  });
});
