import { parseTrace } from "@virtio-admin/testkit";
import { describe, expect, it } from "vitest";
import { run } from "./command.ts";

interface Document {
  readonly transports: {
    readonly transport: string;
    readonly checks: { readonly step: string; readonly found: string; readonly ok: boolean }[];
  }[];
  readonly replays: { readonly mode: string; readonly checked: number }[];
  readonly passed: number;
  readonly failed: number;
}

describe("virtio-admin demo", () => {
  it("runs every step on three transports and ends with the count", async () => {
    const { code, out, err } = await run("demo");
    expect(err).toBe("");
    expect(out).not.toContain("✗");
    expect(code).toBe(0);
    expect(out.trimEnd().split("\n").at(-1)).toMatch(
      /^\d+ steps and \d+ recorded answers: \d+ right, 0 wrong$/,
    );
  });

  it("says in JSON where admin_queue_index was read, and what was refused", async () => {
    const { code, out } = await run("demo", "--json");
    expect(code).toBe(0);
    const { transports, replays, passed, failed } = JSON.parse(out) as Document;
    expect(failed).toBe(0);
    expect(transports.map(({ transport }) => transport)).toEqual(["pci", "mmio", "ccw"]);
    for (const { transport, checks } of transports) {
      const found = (step: string) => checks.find((check) => check.step === step)?.found;
      expect(found("admin_queue_index")).toContain(
        { pci: "offsets 60 and 62", mmio: "0x0e0", ccw: "0x92" }[transport],
      );
      const refused = checks.filter(({ step }) => step.startsWith("refused"));
      expect(refused.map((check) => check.found)).toEqual([
        "EINVAL, INVALID_GROUP (22, 4)",
        "EINVAL, INVALID_OPCODE (22, 2)",
        "EINVAL, INVALID_MEMBER (22, 5)",
      ]);
      expect(found("64 commands outstanding")).toContain("64 answered");
    }
    const steps = transports.flatMap(({ checks }) => checks).length;
    const answers = replays.reduce((sum, { checked }) => sum + checked, 0);
    expect(passed).toBe(steps + answers);
  });

  it.each(["pci", "mmio", "ccw"])("keeps to the transport that is asked for: %s", async (name) => {
    const { out } = await run("demo", "--json", "--transport", name);
    const { transports } = JSON.parse(out) as Document;
    expect(transports.map(({ transport }) => transport)).toEqual([name]);
  });

  it.each(["pci", "mmio", "ccw"])(
    "prints a trace that replay can read, apart from its answer: %s",
    async (name) => {
      const { out, err } = await run("demo", "--json", "--transport", name, "--trace", "jsonl");
      expect(() => JSON.parse(out)).not.toThrow();
      const trace = parseTrace(err, "stderr");
      expect(trace.transport).toBe(name);
      const queues = new Set(
        trace.lines.flatMap((one) => (one.op === "buffer" ? [one.queue] : [])),
      );
      expect([...queues].sort()).toEqual([1, 2]);
    },
  );

  it("prints a trace for Chrome that is one JSON document", async () => {
    const { err } = await run("demo", "--transport", "mmio", "--trace", "chrome");
    const events = JSON.parse(err) as { ph: string; cat?: string }[];
    expect(events.filter(({ cat }) => cat === "command").length).toBeGreaterThan(64);
  });

  it("prints a trace for people", async () => {
    const { err } = await run("demo", "--trace", "pretty");
    expect(err).toContain("DEMO_HOLD");
  });
});
