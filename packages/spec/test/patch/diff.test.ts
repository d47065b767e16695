import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyChanges, hunks, type LineChange } from "../../src/patch/diff.ts";

/** Applies hunks as `patch` would: what they keep and take away has to be there. */
function applyHunks(text: string, patch: string): string {
  const lines = text.split("\n");
  const result: string[] = [];
  let at = 0;
  for (const line of patch.split("\n").slice(0, -1)) {
    const head = /^@@ -(\d+),(\d+) \+(\d+),(\d+) @@$/.exec(line);
    if (head !== null) {
      const from = Number(head[1]) - 1;
      result.push(...lines.slice(at, from));
      at = from;
      expect(result.length).toBe(Number(head[3]) - 1);
      continue;
    }
    if (line.startsWith("\\")) continue;
    if (line.startsWith("+")) {
      result.push(line.slice(1));
      continue;
    }
    expect(lines[at]).toBe(line.slice(1));
    if (line.startsWith(" ")) result.push(line.slice(1));
    at += 1;
  }
  return [...result, ...lines.slice(at)].join("\n");
}

const LINES = fc.array(fc.constantFrom("a", "b", "", "  c"), { minLength: 1, maxLength: 40 });

describe("hunks", () => {
  it("say what the changes do", () => {
    fc.assert(
      fc.property(
        LINES,
        fc.array(fc.tuple(fc.nat(8), fc.nat(2), LINES), { maxLength: 5 }),
        (lines, edits) => {
          const text = `${lines.join("\n")}\n`;
          const changes: LineChange[] = [];
          let line = 1;
          for (const [gap, remove, insert] of edits) {
            line += gap;
            if (line + remove > lines.length) break;
            changes.push({ line, remove, insert });
            line += remove + 1;
          }
          fc.pre(changes.length > 0);
          expect(applyHunks(text, hunks(text, changes))).toBe(applyChanges(text, changes));
        },
      ),
    );
  });

  it("shows three lines around, and changes that are near each other together", () => {
    const text = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n17\n18\n";
    const changes = [
      { line: 4, remove: 1, insert: ["four"] },
      { line: 8, remove: 0, insert: ["seven and a half"] },
      { line: 18, remove: 1, insert: [] },
    ];
    expect(
      hunks(text, changes)
        .split("\n")
        .filter((line) => line.startsWith("@@")),
    ).toEqual(["@@ -1,10 +1,11 @@", "@@ -15,4 +16,3 @@"]);
  });

  it("ends a last line that was not, when something comes behind it or it goes", () => {
    const behind = [{ line: 3, remove: 0, insert: ["3"] }];
    expect(applyChanges("1\n2", behind)).toBe("1\n2\n3\n");
    expect(hunks("1\n2", behind)).toBe(
      "@@ -1,2 +1,3 @@\n 1\n-2\n\\ No newline at end of file\n+2\n+3\n",
    );
    expect(applyChanges("1\n2", [{ line: 2, remove: 1, insert: [] }])).toBe("1\n");
  });

  it("says where the last line has no end", () => {
    expect(hunks("1\n2", [{ line: 1, remove: 1, insert: ["one"] }])).toBe(
      "@@ -1,2 +1,2 @@\n-1\n+one\n 2\n\\ No newline at end of file\n",
    );
  });
});
