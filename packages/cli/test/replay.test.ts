import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { loadTrace, recordedTraces, replayPlanOf } from "@virtio-admin/fixtures";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "./command.ts";

describe("virtio-admin replay", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "virtio-admin-test-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each(recordedTraces())("finds $transport as recorded: $title", async ({ file, transport }) => {
    const { code, out } = await run("replay", file, "--transport", transport);
    for (const mode of replayPlanOf(loadTrace(file).trace).modes) expect(out).toContain(mode);
    expect(code).toBe(0);
  });

  it("names file, line, offset, expected and got when one recorded byte is another", async () => {
    const mmio = recordedTraces().find(({ transport }) => transport === "mmio");
    const lines = readFileSync(mmio?.file ?? "", "utf8").split("\n");
    const at = lines.findIndex((line) => line.includes('"offset":8,') && line.includes('"read"'));
    const changed = lines.map((line, i) =>
      i === at ? line.replace('"data":"04000000"', '"data":"04000100"') : line,
    );
    expect(changed[at]).not.toBe(lines[at]);
    const file = join(folder, basename(mmio?.file ?? ""));
    writeFileSync(file, changed.join("\n"));
    const { code, out } = await run("replay", file, "--transport", "mmio", "--mode", "strict");
    expect(code).toBe(1);
    expect(out).toContain(`${basename(file)}:${at + 1}: read DeviceID: byte 2 differs`);
    expect(out).toContain("expected 04000100, got 04000000");
    const json = await run("replay", file, "--transport", "mmio", "--mode", "strict", "--json");
    expect(json.code).toBe(1);
    expect(JSON.parse(json.out).replays[0].mismatches).toEqual([
      expect.objectContaining({ line: at + 1, offset: 2, expected: "04000100", got: "04000000" }),
    ]);
  });

  it("refuses a trace of another transport", async () => {
    const mmio = recordedTraces().find(({ transport }) => transport === "mmio");
    const { code, err } = await run("replay", mmio?.file ?? "", "--transport", "pci");
    expect(code).toBe(2);
    expect(err).toContain("mmio");
  });

  it.each([
    ["no such file", "absent.jsonl", undefined],
    ["a file that is no trace", "prose.jsonl", "not a trace\n"],
    ["an empty file", "empty.jsonl", ""],
    ["broken expectations", "broken.jsonl", "copy"],
  ])("answers %s with an error and exit code 2", async (_, name, content) => {
    const file = join(folder, name);
    if (content === "copy") {
      copyFileSync(recordedTraces()[0]?.file ?? "", file);
      writeFileSync(join(folder, "broken.expect.json"), "[{]");
    } else if (content !== undefined) {
      writeFileSync(file, content);
    }
    const { code, out, err } = await run("replay", file);
    expect(code).toBe(2);
    expect(out).toBe("");
    expect(err).not.toBe("");
  });
});
