import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lintSpec, readSpec, SOURCE_FILE_LIMIT } from "@virtio-admin/spec";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "virtio-admin-sources-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

function put(path: string, text = "Words."): string {
  mkdirSync(join(directory, path, ".."), { recursive: true });
  writeFileSync(join(directory, path), text);
  return join(directory, path);
}

describe("readSpec", () => {
  it("reads sources and what they list, and not the lists of changes", () => {
    for (const path of ["b.tex", "a/deep.tex", "n.c", "q.h", "changelog.tex", "cl-os.tex"])
      put(path);
    put("picture.svg");
    put(".git/c.tex");
    expect([...readSpec(directory).files.keys()]).toEqual(["a/deep.tex", "b.tex", "n.c", "q.h"]);
  });

  it("follows no links", () => {
    put("a.tex");
    symlinkSync(directory, join(directory, "again"));
    symlinkSync(join(directory, "a.tex"), join(directory, "b.tex"));
    expect([...readSpec(directory).files.keys()]).toEqual(["a.tex"]);
  });

  it("leaves out a file that is too long, and the linter says so", () => {
    put("a.tex");
    truncateSync(put("huge.tex"), SOURCE_FILE_LIMIT + 1);
    const tree = readSpec(directory);
    expect([...tree.files.keys()]).toEqual(["a.tex"]);
    expect(lintSpec(tree).findings).toEqual([
      { rule: "file-size", file: "huge.tex", line: 1, message: expect.any(String) },
    ]);
  });

  it.each([
    ["that is missing", () => join(directory, "missing")],
    ["that is a file", () => put("a.tex")],
    ["without sources", () => directory],
  ])("refuses a folder %s", (_, folder) => {
    expect(() => readSpec(folder())).toThrow(expect.objectContaining({ code: "SPEC_TREE" }));
  });
});
