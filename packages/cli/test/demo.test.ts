import { DeviceMember, VirtioDevice } from "@virtio-admin/core";
import { parseTrace } from "@virtio-admin/testkit";
import { PciDevice } from "@virtio-admin/transport-pci";
import { afterEach, describe, expect, it, vi } from "vitest";
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
  afterEach(() => {
    vi.restoreAllMocks();
  });

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
      expect(found("member 5: busy, its driver uses it")).toBe(
        "EBUSY, INVALID_COMMAND; once the driver is gone, OK",
      );
      expect(found("members 4 to 8")).toBe("as before");
    }
    const steps = transports.flatMap(({ checks }) => checks).length;
    const answers = replays.reduce((sum, { checked }) => sum + checked, 0);
    expect(passed).toBe(steps + answers);
  });

  it("[management-device-12] shows vectors and features of virtual functions as their drivers find them", async () => {
    const { out } = await run("demo", "--json", "--transport", "pci");
    const { transports } = JSON.parse(out) as Document;
    const found = (step: string) =>
      transports[0]?.checks.find((check) => check.step === step)?.found;
    expect(found("SR-IOV: an owner and 8 VFs")).toBe(
      "their drivers find vectors 4, features 0x10130000000",
    );
    expect(found("MGMT_ATTRS_GET")).toMatch(/^40 vectors, 8 free, 1 to 16 each; settable /);
    const was = "its driver found vectors 4, features 0x10130000000; now";
    expect([
      found("member 1: vectors 12, no EVENT_IDX"),
      found("member 2: vectors 1, no INDIRECT_DESC"),
      found("member 3: vectors 6, neither"),
    ]).toEqual([
      `${was} vectors 12, features 0x10110000000`,
      `${was} vectors 1, features 0x10120000000`,
      `${was} vectors 6, features 0x10100000000`,
    ]);
    expect(found("member 4: vectors 8, pool exhausted")).toBe(
      "ENOSPC, NORESOURCE; 1 free, it keeps 4",
    );
    expect(found("VF Enable cleared")).toBe("0 members");
  });

  it.each([
    ["mmio", "0x101"],
    ["ccw", "0x1"],
  ])(
    "shows features of a platform group as the members' drivers find them: %s",
    async (name, high) => {
      const { out } = await run("demo", "--json", "--transport", name);
      const { transports } = JSON.parse(out) as Document;
      const checks = transports[0]?.checks ?? [];
      const found = (step: string) => checks.find((check) => check.step === step)?.found;
      const was = `its driver found features ${high}30000000; now`;
      expect([
        found("member 1: no EVENT_IDX"),
        found("member 2: no INDIRECT_DESC"),
        found("member 3: neither"),
      ]).toEqual([
        `${was} features ${high}10000000`,
        `${was} features ${high}20000000`,
        `${was} features ${high}00000000`,
      ]);
      expect(found("MGMT_ATTRS_GET")).toMatch(/^no MSI-X; settable /);
      expect(checks.some(({ step }) => step.includes("vectors"))).toBe(false);
    },
  );

  it.each<[string, string, () => unknown, RegExp]>([
    [
      "vectors that are not set",
      "pci",
      () => vi.spyOn(PciDevice.prototype, "setMsixVectors").mockReturnValue(undefined),
      /✗ member 1: vectors 12/,
    ],
    [
      "features that are not set",
      "mmio",
      () => vi.spyOn(VirtioDevice.prototype, "provisionFeatures").mockReturnValue(undefined),
      /✗ member 1: no EVENT_IDX/,
    ],
    [
      "a member in use that is provisioned",
      "ccw",
      () => {
        vi.spyOn(DeviceMember.prototype, "deviceStatus", "get").mockReturnValue(0);
        return vi.spyOn(VirtioDevice.prototype, "provisionFeatures").mockReturnValue(undefined);
      },
      /✗ member 5: busy/,
    ],
  ])("finds fault, and answers 1: %s", async (_, name, plant, line) => {
    plant();
    const { code, out } = await run("demo", "--transport", name);
    expect(out).toMatch(line);
    expect(code).toBe(1);
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
