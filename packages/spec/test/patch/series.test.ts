import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Finding, lintSpec, type SourceTree, specPatches } from "@virtio-admin/spec";
import { describe, expect, it } from "vitest";
import { describeSpecification, edited, specification } from "../specification.ts";
import { miniature } from "./miniature.ts";

const HAS_GIT = spawnSync("git", ["--version"]).status === 0;
const WITHOUT_GIT = HAS_GIT ? "" : " (skipped: there is no git)";
const AUTHOR = { from: "Ada Author <ada@example.org>", date: new Date(0) };

/** Commits a tree, applies the series with git and hands over what is there then. */
function applied(
  tree: SourceTree,
  check: (directory: string, git: (...words: string[]) => string) => void,
): void {
  const directory = mkdtempSync(join(tmpdir(), "virtio-admin-spec-"));
  try {
    const git = (...words: string[]): string =>
      execFileSync("git", ["-c", "user.name=T", "-c", "user.email=t@example.org", ...words], {
        cwd: directory,
        encoding: "utf8",
        env: { PATH: process.env["PATH"], HOME: directory, GIT_CONFIG_NOSYSTEM: "1" },
        stdio: ["ignore", "pipe", "pipe"],
      });
    git("init", "--quiet");
    for (const { path, text } of tree.files.values()) {
      mkdirSync(dirname(join(directory, path)), { recursive: true });
      writeFileSync(join(directory, path), text);
    }
    git("add", ".");
    git("commit", "--quiet", "--message", "before");
    const { patches } = specPatches(tree, AUTHOR);
    const names = patches.map(({ name, text }) => {
      const path = join(directory, ".git", name);
      writeFileSync(path, text);
      return path;
    });
    git("am", "--quiet", "--whitespace=error", ...names);
    check(directory, git);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A finding without the numbers of lines, which move. */
function still({ rule, file, message }: Finding): string {
  return `${rule} ${file} ${message.replace(/:\d+|\blines? [\d, ]+/g, "")}`;
}

function news(tree: SourceTree): string[] {
  const before = new Set(lintSpec(tree).findings.map(still));
  return lintSpec(specPatches(tree, AUTHOR).patched)
    .findings.map(still)
    .filter((finding) => !before.has(finding));
}

const SUBJECTS = [
  "conformance: list the requirements on administration commands and virtqueues",
  "newtransport: say what administration virtqueues need of a transport",
  "mmio: add AdminQueueIndex and AdminQueueNum",
  "ccw: say what a virtqueue that is not available answers",
  "ccw: add revision 3 with CCW_CMD_READ_ADMIN_VQ",
  "content: allow VIRTIO_F_ADMIN_VQ on MMIO and channel I/O",
];

describe("the series, on a specification of a few lines", () => {
  const { patches, patched } = specPatches(miniature(), AUTHOR);
  const text = (path: string): string => patched.files.get(path)?.text ?? "";

  it("has a patch for each topic, in order", () => {
    expect(patches.map(({ subject }) => subject)).toEqual(SUBJECTS);
    expect(patches.map(({ name }) => name.slice(0, 5))).toEqual(
      SUBJECTS.map((_, index) => `000${index + 1}-`),
    );
  });

  it("adds the rows, the command and the revision as the layouts have them", () => {
    expect(text("transport-mmio.tex")).toMatch(
      /0x0c0[\s\S]*\\mmioreg\{AdminQueueIndex\}\{[^}]+\}\{0x0e0\}\{R\}[\s\S]*\\mmioreg\{AdminQueueNum\}\{[^}]+\}\{0x0e4\}\{R\}[\s\S]*0x0fc/,
    );
    const ccw = text("transport-ccw.tex");
    expect(ccw).toContain("0x72\n#define CCW_CMD_READ_ADMIN_VQ 0x92\n\\end{lstlisting}");
    expect(ccw).toContain(
      "\\hline\n3     & 0   & <empty> & CCW_CMD_READ_ADMIN_VQ support \\\\\n\\hline\n4-n   &",
    );
    expect(ccw).toMatch(/be16 admin_queue_index;\s+be16 admin_queue_num;/);
  });

  it("takes the feature off what is reserved, and a list with it that would be empty", () => {
    const mmio = text("transport-mmio.tex");
    expect(mmio).not.toContain("reserved for future use");
    expect(mmio.endsWith("interface}\n\nWords.\n")).toBe(true);
    const ccw = text("transport-ccw.tex");
    expect(ccw).toContain("\\begin{itemize}\n\\item VIRTIO_F_RING_RESET\n");
    expect(text("content.tex")).not.toContain("words that go away");
    expect(text("content.tex")).toContain("\\item[VIRTIO_F_SUSPEND (43)]");
  });

  it("takes the list also from between other sections", () => {
    const between = edited(
      miniature(),
      "transport-mmio.tex",
      /$/,
      "\n\n\\subsection{After}\nWords.\n",
    );
    const after = specPatches(between, AUTHOR).patched.files.get("transport-mmio.tex")?.text;
    expect(after).toMatch(/Words\.\n\n\\subsection\{After\}\nWords\.\n$/);
    expect(after).not.toContain("Reserved");
  });

  it("leaves nothing for the linter to find", () => {
    expect(news(miniature())).toEqual([]);
  });

  it("leaves out what is there already", () => {
    const listed = specPatches(miniature(), AUTHOR).patched.files.get("conformance.tex");
    const [first] = patches;
    const partly = miniature().with("conformance.tex", listed?.text ?? "");
    const subjects = specPatches(partly, AUTHOR).patches.map(({ subject }) => subject);
    expect(subjects).not.toContain(first?.subject);
  });

  it("ends its lines as the file does that they come into", () => {
    const { patched: unix } = specPatches(miniature(), AUTHOR);
    let tree = miniature();
    for (const { path, text } of tree.files.values()) {
      tree = tree.with(path, text.replaceAll("\n", "\r\n"));
    }
    for (const { path, text } of specPatches(tree, AUTHOR).patched.files.values()) {
      expect(text).toBe(unix.files.get(path)?.text.replaceAll("\n", "\r\n"));
    }
  });

  it("is refused where it has been applied", () => {
    expect(() => specPatches(patched, AUTHOR)).toThrow(
      expect.objectContaining({ code: "SPEC_ANCHOR", message: expect.stringContaining("taken") }),
    );
  });

  it.each<[string, string | RegExp, string, RegExp]>([
    [
      "conformance.tex",
      /Conformance \/ Driver Conformance\}/,
      "Conformance / Drivers}",
      /sec:Conformance \/ Driver Conformance/,
    ],
    [
      "conformance.tex",
      /(MMIO Device Conformance)\}\n[\s\S]*?\\item[^\n]*/,
      "$1}\n",
      /list of requirements/,
    ],
    ["admin.tex", /sec:[^}]*Virtqueues/, "sec:Elsewhere", /Administration Virtqueues/],
    [
      "admin.tex",
      /\\devicenormative\{\\subsection\}\{Queues\}\{[^}]*\}/,
      "",
      /devicenormative:.*Administration virtqueues/,
    ],
    ["newtransport.tex", "\\label{sec:Creating New Transports}", "", /Creating New Transports/],
    ["transport-pci.tex", "Common", "Uncommon", /Common configuration structure layout/],
    ["transport-mmio.tex", "MMIO Device Register Layout", "Layout", /MMIO Device Register Layout/],
    ["transport-mmio.tex", "{0x0fc}", "{0x0dc}", /row behind/],
    ["transport-mmio.tex", "{0x0c0}", "{0x0e4}", /0x0e4, for AdminQueueNum, is taken/],
    ["transport-mmio.tex", "MMIO-specific", "Specific", /MMIO-specific Initialization/],
    ["transport-mmio.tex", "\\item VIRTIO_F_ADMIN_VQ", "\\item Others", /item VIRTIO_F_ADMIN_VQ/],
    [
      "transport-mmio.tex",
      "Features reserved for future use",
      "Reserved",
      /Features reserved for future use/,
    ],
    ["transport-ccw.tex", "Channel Commands for Virtio", "Commands", /Channel Commands for Virtio/],
    ["transport-ccw.tex", /#define CCW_CMD_/g, "#define CMD_", /#define CCW_CMD_/],
    ["transport-ccw.tex", "0x72", "0x92", /0x92, for CCW_CMD_READ_ADMIN_VQ, is taken/],
    ["transport-ccw.tex", "3-n", "4-n", /reserves revision 3/],
    [
      "transport-ccw.tex",
      /\\begin\{tabular\}[\s\S]*\\end\{tabular\}/,
      "",
      /the table is not there/,
    ],
    ["transport-ccw.tex", "\\field{max_queue_size}", "\\field{max_num}", /max_queue_size/],
    [
      "transport-ccw.tex",
      /\\devicenormative\{\\paragraph\}\{Configuring\}\{[^}]*\}/,
      "",
      /device requirements/,
    ],
    [
      "content.tex",
      /$/,
      "See \\ref{sec:Virtio Transport Options / Virtio Over MMIO / Features reserved for future use}.",
      /is referred to/,
    ],
    ["newtransport.tex", "Words.", "W\ufffdrds.", /not UTF-8/],
    ["content.tex", "VIRTIO_F_ADMIN_VQ (41)", "VIRTIO_F_ADMIN_VQ (44)", /VIRTIO_F_ADMIN_VQ\(41\)/],
    ["content.tex", "\\label{sec:Reserved Feature Bits}", "", /Reserved Feature Bits/],
  ])("names the place in %s that is missing: %s", (path, place, by, message) => {
    expect(() => specPatches(edited(miniature(), path, place, by), AUTHOR)).toThrow(
      expect.objectContaining({ code: "SPEC_ANCHOR", message: expect.stringMatching(message) }),
    );
  });

  it.skipIf(!HAS_GIT)(`is taken by git am${WITHOUT_GIT}`, () => {
    applied(miniature(), (directory, git) => {
      for (const file of patched.files.values()) {
        expect(readFileSync(join(directory, file.path), "utf8")).toBe(file.text);
      }
      const log = git("log", "--reverse", "--format=%an <%ae> %s", "HEAD~6..").trim().split("\n");
      expect(log).toEqual(SUBJECTS.map((subject) => `${AUTHOR.from} ${subject}`));
    });
  });
});

describeSpecification("the series, on virtio 1.4", () => {
  it.skipIf(!HAS_GIT)(`is taken by git am${WITHOUT_GIT}`, () => {
    const tree = specification();
    const { patched } = specPatches(tree, AUTHOR);
    applied(tree, (directory, git) => {
      for (const file of patched.files.values()) {
        expect(readFileSync(join(directory, file.path), "utf8")).toBe(file.text);
      }
      const log = git("log", "--reverse", "--format=%s", "HEAD~6..").trim().split("\n");
      expect(log).toEqual(SUBJECTS);
    });
  });

  it("leaves nothing new for the linter to find, and mends what it lists", () => {
    const tree = specification();
    expect(news(tree)).toEqual([]);
    const after = lintSpec(specPatches(tree, AUTHOR).patched, { rules: ["label-unlisted"] });
    const unlisted = after.findings.filter(({ file }) => file === "admin.tex");
    expect(unlisted).toEqual([]);
  });

  it("repeats no sentence of the text that it adds to", () => {
    const tree = specification();
    const words = [...tree.files.values()].map(({ text }) => text.replace(/\s+/g, " ")).join(" ");
    const sentences = specPatches(tree, AUTHOR)
      .patches.flatMap(({ text }) => text.split("\n").filter((line) => /^\+[A-Z]/.test(line)))
      .filter((line) => !/\\|^\+struct|VIRTIO_F_ADMIN_VQ has(?: not)? been/.test(line));
    expect(sentences.length).toBeGreaterThan(10);
    for (const line of sentences) {
      if (line.length > 50) expect(words).not.toContain(line.slice(1));
    }
  });
});
