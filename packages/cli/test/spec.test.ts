import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { run } from "./command.ts";

const SPECIFICATION = process.env["VIRTIO_SPEC"];
const REASON = SPECIFICATION === undefined ? " (skipped: VIRTIO_SPEC names no folder)" : "";
const WRONG = "\\section{A}\nIt MUST work.\n\n\\begin{lstlisting}\n/* open\n\\end{lstlisting}\n";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "virtio-admin-cli-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** A folder of sources with this text in a file. */
function sources(text: string): string {
  const folder = join(directory, "spec");
  mkdirSync(folder);
  writeFileSync(join(folder, "a.tex"), text);
  return folder;
}

describe("virtio-admin spec lint", () => {
  it("prints findings by file, each with file:line, and answers with 1", async () => {
    const folder = sources(WRONG);
    const { code, out } = await run("spec", "lint", "--spec", folder);
    expect(code).toBe(1);
    expect(out).toContain(`a.tex\n  ${folder}/a.tex:2  requirement-place\n`);
    expect(out).toContain(`${folder}/a.tex:5  comment-open`);
    expect(out).toMatch(/2 findings in 1 file: /);
    expect(out).toContain("not checked: label-undefined");
  });

  it("answers with JSON", async () => {
    const { code, out } = await run("spec", "lint", "--spec", sources(WRONG), "--json");
    expect(code).toBe(1);
    const { findings } = JSON.parse(out) as { findings: unknown[] };
    expect(findings).toEqual([
      { rule: "requirement-place", file: "a.tex", line: 2, message: expect.any(String) },
      { rule: "comment-open", file: "a.tex", line: 5, message: expect.any(String) },
    ]);
  });

  it("answers with 0 when nothing is found, by the rules that are asked for", async () => {
    const folder = sources(WRONG);
    const { code, out } = await run("spec", "lint", "--spec", folder, "--rule", "label-case");
    expect(code).toBe(0);
    expect(out).toContain("nothing found");
  });

  it.each([
    ["a missing folder", ["--spec", "/nowhere/at/all"], 3, /SPEC_TREE|not there/],
    ["no folder", [], 2, /--spec/],
    ["a rule that is none", ["--spec", ".", "--rule", "frobnicate"], 2, /Allowed choices/],
  ])("answers to %s with its own code", async (_, words, expected, message) => {
    const { code, err } = await run("spec", "lint", ...words);
    expect(code).toBe(expected);
    expect(err).toMatch(message);
  });

  it("says in JSON, too, what is missing", async () => {
    const { code, out } = await run("spec", "lint", "--spec", "/nowhere/at/all", "--json");
    expect(code).toBe(3);
    expect(JSON.parse(out)).toMatchObject({ error: { code: "SPEC_TREE" } });
  });
});

describe("virtio-admin spec patch", () => {
  it("names the place that is missing and writes nothing", async () => {
    const out = join(directory, "out");
    const { code, err } = await run("spec", "patch", "--spec", sources(WRONG), "--out", out);
    expect(code).toBe(1);
    expect(err).toContain("sec:Conformance / Driver Conformance");
    expect(readdirSync(directory)).toEqual(["spec"]);
  });

  it.each([
    ["no folder to write to", ["--spec", "."], 2],
    ["an author without an address", ["--spec", ".", "--out", "out", "--from", "Ada"], 2],
    ["an author of two lines", ["--spec", ".", "--out", "out", "--from", "A\nB: c <a@b.org>"], 2],
    ["missing sources", ["--spec", "/nowhere/at/all", "--out", "out"], 3],
  ])("answers to %s with its own code", async (_, words, expected) => {
    const { code, err } = await run("spec", "patch", ...words);
    expect(code).toBe(expected);
    expect(err).not.toBe("");
  });

  it.skipIf(SPECIFICATION === undefined)(`writes patches and says so${REASON}`, async () => {
    const out = join(directory, "out", "here");
    const words = ["--spec", SPECIFICATION ?? "", "--out", out, "--from", "Ada <ada@example.org>"];
    const { code, out: text } = await run("spec", "patch", ...words, "--sign-off");
    expect(code).toBe(0);
    const names = readdirSync(out).sort();
    expect(names).toHaveLength(6);
    for (const name of names) {
      expect(text).toContain(name);
      const mail = readFileSync(join(out, name), "utf8");
      expect(mail).toMatch(/^From 0{40} /);
      expect(mail).toContain("\nFrom: Ada <ada@example.org>\n");
      expect(mail).toContain("\n\nSigned-off-by: Ada <ada@example.org>\n---\n");
    }
    const { code: again, out: json } = await run("spec", "patch", ...words, "--json");
    expect(again).toBe(0);
    expect(JSON.parse(json)).toMatchObject({
      patches: names.map((name) => ({ file: join(out, name) })),
    });
    writeFileSync(join(out, "0009-other.patch"), "");
    const { code: mixed, err } = await run("spec", "patch", ...words);
    expect(mixed).toBe(2);
    expect(err).toContain("0009-other.patch");
  });
});
