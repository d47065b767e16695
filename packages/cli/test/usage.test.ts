import { describe, expect, it } from "vitest";
import { run } from "./command.ts";

describe("virtio-admin", () => {
  it.each([
    [["frobnicate"]],
    [["demo", "--transport", "pigeon"]],
    [["demo", "--trace", "xml"]],
    [["demo", "--trace", "jsonl"]],
    [["group"]],
    [["serve"]],
    [["serve", "a.yaml", "--transport", "mmio"]],
    [["ctl"]],
    [["group", "a.yaml", "--transport", "pci"]],
    [["replay"]],
    [["replay", "a.jsonl", "--mode", "lax"]],
    [[]],
  ])("answers wrong words with exit code 2: %j", async (words) => {
    const { code, err } = await run(...words);
    expect(code).toBe(2);
    expect(err).not.toBe("");
  });

  it("explains itself", async () => {
    const { code, out } = await run("--help");
    expect(code).toBe(0);
    for (const command of ["demo", "transports", "dialects", "group", "serve", "ctl", "replay"]) {
      expect(out).toContain(command);
    }
  });
});

describe("virtio-admin transports", () => {
  it("prints a column for each transport", async () => {
    const { code, out } = await run("transports");
    expect(code).toBe(0);
    for (const text of ["pci", "mmio", "ccw", "0x0e0", "0x92", "offsets 60"]) {
      expect(out).toContain(text);
    }
  });

  it("prints what the plug-ins say as JSON", async () => {
    const { code, out } = await run("transports", "--json");
    expect(code).toBe(0);
    const { transports } = JSON.parse(out) as {
      transports: { name: string; dialects: { label: string }[] }[];
    };
    expect(transports.map(({ name }) => name)).toEqual(["pci", "mmio", "ccw"]);
    for (const { dialects } of transports) {
      expect(dialects.map(({ label }) => label)).toEqual(["proposal-v5 (reconstruction)"]);
    }
  });
});
