import { COMPLIANCE_CASES } from "@virtio-admin/testkit";
import { describe, expect, it } from "vitest";
import { bundle } from "../../threads/test/bundle.ts";
import { compliance } from "../src/commands/compliance.ts";
import { Output } from "../src/output.ts";
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

  it("runs the kit with its halves in two threads", async () => {
    const worker = new URL("../../fixtures/src/threads/worker.ts", import.meta.url);
    const { url, remove } = await bundle("worker", worker.href);
    let out = "";
    const told = (text: string) => {
      out += text;
    };
    const streams = { out: told, err: () => {}, interactive: false, colour: false };
    const code = await compliance({ threads: true, program: url }, new Output(streams, false));
    await remove();
    expect(code).toBe(0);
    for (const { id } of COMPLIANCE_CASES) expect(out).toContain(` ${id} `);
    expect(out).toMatch(
      /\d+ cases on mmio, two threads: \d+ passed, 0 failed, \d+ do not apply\n$/,
    );
  });

  it("has no threads for another transport than mmio", async () => {
    const { code, err } = await run("compliance", "--threads", "--transport", "pci");
    expect(code).not.toBe(0);
    expect(err).toContain("'--threads' cannot be used with option '--transport");
  });
});
