import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { layoutFromJson, layoutToJson } from "@virtio-admin/core";
import { LAYOUT_CATALOGUE } from "@virtio-admin/spec";
import { afterAll, describe, expect, it } from "vitest";
import { run } from "./command.ts";

const folder = mkdtempSync(join(tmpdir(), "virtio-admin-layout-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Writes a file of the folder; returns its path. */
function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const HEAD = "format: virtio-admin.layout-variant\nversion: 1\nbase: virtio_mmio_admin\n";
const GOOD = file(
  "good.yaml",
  `${HEAD}name: good\nchange: { AdminQueueIndex: { offset: 0x0e8 }, AdminQueueNum: { offset: 0x0ec } }\n`,
);
const SQUATTING = file(
  "squatting.yaml",
  `${HEAD}name: squatting\nchange: { AdminQueueIndex: { offset: 0x0c4 } }\n`,
);
const COLLIDING = file(
  "colliding.json",
  JSON.stringify({
    format: "virtio-admin.layout-variant",
    version: 1,
    base: "virtio_mmio_admin",
    change: { AdminQueueNum: { offset: 0x0e0 } },
  }),
);
const BROKEN = file("broken.yaml", "a: [");
const MISSING = join(folder, "missing.yaml");

const layout = (...words: string[]) => run("layout", ...words);

describe("virtio-admin layout", () => {
  it.each([
    ["nothing", 2, []],
    ["another command", 2, ["frobnicate"]],
    ["a layout that there is not", 2, ["show", "virtio_nope"]],
    ["a file that there is not", 2, ["show", MISSING]],
    ["a folder as a file", 2, ["check", folder]],
    ["a file that is no layout, to show", 2, ["show", BROKEN]],
    ["a file that is no layout, to compare", 2, ["diff", "virtio_mmio", COLLIDING]],
    ["another form", 2, ["render", "virtio_mmio", "--format", "troff"]],
    ["a rule that there is not", 2, ["check", "--allow", "everything"]],
    ["a count of nothing", 2, ["free", "virtio_mmio", "--count", "0"]],
    [
      "several files in one",
      2,
      [
        "render",
        "virtio_mmio",
        "virtio_mmio_admin",
        "--out",
        join(folder, "x.md"),
        "--format",
        "markdown",
      ],
    ],
    ["a place that cannot be written", 2, ["show", "--out", join(GOOD, "x")]],
    ["no headers to compare with", 3, ["header", "--compare", join(folder, "nowhere")]],
    ["a file that is no layout, to check", 1, ["check", BROKEN]],
    ["a file that is no layout, to try", 1, ["try", COLLIDING]],
    ["a layout to mend", 1, ["check", SQUATTING]],
    ["a rule that may be broken", 0, ["check", SQUATTING, "--allow", "squatter"]],
    ["all of ours", 0, ["check"]],
    ["a list", 0, ["show"]],
    ["a sound file", 0, ["show", GOOD]],
    ["no room", 1, ["free", "virtio_mmio", "--count", "64"]],
    ["a breaking difference", 1, ["diff", "virtio_mmio_admin", GOOD, "--fail-on", "compatible"]],
    [
      "a difference below the limit",
      0,
      ["diff", "virtio_mmio", "virtio_mmio_admin", "--fail-on", "behavioural"],
    ],
    ["a difference without a limit", 0, ["diff", "virtio_mmio_admin", GOOD]],
  ] as const)("with %s ends with %i", async (_, code, words) => {
    const ended = await layout(...words);
    expect(ended.code, ended.out + ended.err).toBe(code);
    if (code >= 2) expect(ended.err).not.toBe("");
    else expect(ended.out).not.toBe("");
  });

  it("explains itself, with a variant to begin with", async () => {
    const { code, out } = await layout("--help");
    expect(code).toBe(0);
    for (const command of ["show", "render", "header", "check", "diff", "free", "try"]) {
      expect(out).toMatch(new RegExp(`^ {2}${command} `, "m"));
    }
    expect(out).toContain("base: virtio_mmio_admin");
    expect((await layout("check", "--help")).out).toContain("squatter ");
  });
});

describe("render", () => {
  it.each([
    ["table", "│ 0x0e0  │ AdminQueueIndex"],
    ["latex", "\\mmioreg{AdminQueueIndex}"],
    ["header", "#define VIRTIO_MMIO_ADMIN_QUEUE_INDEX"],
    ["markdown", "| `0x0e0` | `AdminQueueIndex` |"],
    ["yaml", "offset: 0xe0"],
    ["json", '"offset": 224'],
    ["svg", "</svg>"],
  ])("writes %s", async (format, part) => {
    const { code, out } = await layout("render", "virtio_mmio_admin", "--format", format);
    expect(code).toBe(0);
    expect(out).toContain(part);
  });

  it("writes data that is read back", async () => {
    const path = join(folder, "again.yaml");
    const written = await layout("render", GOOD, "--format", "yaml", "--out", path);
    expect(written).toMatchObject({ code: 0, out: "", err: `wrote ${path}\n` });
    const { out } = await layout("render", path, "--format", "json");
    expect((await layout("diff", GOOD, path)).out).toBe("no change\n");
    expect(layoutToJson(layoutFromJson(JSON.parse(out)))).toMatchObject({ name: "good" });
  });

  it("fills a folder, with diagrams in both themes", async () => {
    const out = `${join(folder, "pictures")}/`;
    await layout("render", "virtio_pci_cap", "virtio_mmio", "--format", "svg", "--out", out);
    expect(readdirSync(out).sort()).toEqual([
      "virtio_mmio-dark.svg",
      "virtio_mmio-light.svg",
      "virtio_pci_cap-dark.svg",
      "virtio_pci_cap-light.svg",
    ]);
  });

  it("takes some registers alone", async () => {
    const words = ["virtio_mmio", "--format", "latex", "--only", "QueueSel"];
    const { out } = await layout("render", ...words);
    expect(out.match(/\\mmioreg/g)).toHaveLength(1);
  });
});

describe("show", () => {
  it("lists every layout", async () => {
    const { out } = await layout("show", "--format", "json");
    const names = (JSON.parse(out) as { name: string }[]).map(({ name }) => name);
    expect(names).toEqual([...LAYOUT_CATALOGUE.keys()]);
  });
});

describe("check", () => {
  it("says where, what and what to do", async () => {
    const { out } = await layout("check", SQUATTING);
    expect(out).toContain(`${SQUATTING}:5 layout.registers[28].offset: warning: squatter\n`);
    expect(out).toMatch(/MsiState is known to be, at 0x0c4/);
    expect(out).toMatch(/→ nobody is known to use 0x0e8/);
    expect(out).toContain("1 layout: 2 to mend\n");
  });

  it("answers with JSON", async () => {
    const { out } = await layout("check", SQUATTING, "virtio_mmio", "--format", "json");
    expect(JSON.parse(out)).toMatchObject({
      refused: 2,
      layouts: [
        {
          from: SQUATTING,
          name: "squatting",
          usable: true,
          findings: [{ rule: "squatter", line: 5 }, {}],
        },
        { from: "virtio_mmio", findings: [] },
      ],
    });
  });
});

describe("diff", () => {
  it.each([
    ["text", /^breaking {4}virtio_mmio_admin\.AdminQueueIndex\.offset: 0x0e0 → 0x0e8$/m],
    ["markdown", /^\| breaking \| `virtio_mmio_admin\.AdminQueueIndex\.offset` \|/m],
    ["json", /"class": "breaking"/],
  ])("answers with %s", async (format, part) => {
    expect((await layout("diff", "virtio_mmio_admin", GOOD, "--format", format)).out).toMatch(part);
  });
});

describe("free", () => {
  it("names who is there, and what nobody has", async () => {
    const { out } = await layout("free", "virtio_mmio", "--count", "2");
    expect(out).toMatch(/0x0c4 MsiState: virtio-dev/);
    expect(out).toMatch(/best first: 0x0e0 /);
    const codes = await layout("free", "virtio_ccw_commands", "--direction", "read");
    expect(codes.out).toMatch(/not 0xfa/);
    expect(codes.out).not.toMatch(/^control/m);
    const data = JSON.parse((await layout("free", "virtio_mmio", "--format", "json")).out);
    expect(data).toMatchObject({ layout: "virtio_mmio", proposals: expect.any(Array) });
  });
});

describe("header", () => {
  it("prints one for all layouts, or for some", async () => {
    expect((await layout("header")).out).toContain("struct virtio_pci_common_cfg {");
    const { out } = await layout("header", "admin_vq_block");
    expect(out).toContain("#ifndef _ADMIN_VQ_BLOCK_H");
    expect(out).not.toContain("VIRTIO_MMIO");
  });

  it("compares with a folder of headers, name by name", async () => {
    file("virtio_mmio.h", "#define VIRTIO_MMIO_QUEUE_SEL 0x030\n#define VIRTIO_MMIO_OLD 4\n");
    const right = await layout("header", "virtio_mmio", "--compare", folder);
    expect(right.code).toBe(0);
    expect(right.out).toContain(
      "same       virtio_mmio.QueueSel 0x30  VIRTIO_MMIO_QUEUE_SEL 0x30\n",
    );
    expect(right.out).toContain("linux-only – –  VIRTIO_MMIO_OLD 0x4\n");
    file("virtio_mmio.h", "#define VIRTIO_MMIO_QUEUE_SEL 0x034\n");
    const wrong = await layout("header", "virtio_mmio", "--compare", folder, "--format", "json");
    expect(wrong.code).toBe(1);
    expect(JSON.parse(wrong.out).rows).toContainEqual({
      layout: "virtio_mmio",
      name: "QueueSel",
      linux: "VIRTIO_MMIO_QUEUE_SEL",
      ours: 0x30,
      theirs: 0x34,
      verdict: "differs",
    });
  });
});

describe("try", () => {
  it("runs a variant, with the tour, and says that it holds", async () => {
    const { code, out } = await layout("try", GOOD);
    expect(code, out).toBe(0);
    expect(out).toMatch(/both halves with the layout: \d+ cases, \d+ passed, 0 failed/);
    expect(out).toMatch(/a driver of virtio 1\.4 on a device with the layout: \d+ cases/);
    expect(out).toMatch(/the tour: \d+ steps, 0 wrong\ngood holds\n$/);
  }, 240_000);

  it("names the rules that a variant breaks, and writes a report", async () => {
    const bad = file("write-only.yaml", `${HEAD}change: { AdminQueueNum: { access: W } }\n`);
    const report = join(folder, "report.md");
    const { code } = await layout("try", bad, "--format", "markdown", "--out", report);
    expect(code).toBe(1);
    const text = readFileSync(report, "utf8");
    expect(text).toMatch(/^\*\*virtio_mmio_admin breaks \d+ rules\.\*\*$/m);
    expect(text).toMatch(/^\| `mmio-admin-device-8` \| AdminQueueNum is 1 to/m);
    expect(text).toMatch(/^\| `tour` \|/m);
  }, 240_000);

  it("does not run what cannot run", async () => {
    const { code, out } = await layout("try", "virtio_pci_common_cfg", "--format", "json");
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({ holds: false, broken: [{ rule: "transport" }] });
  });
});

describe("the guide to prototyping an extension", () => {
  const guide = readFileSync(
    new URL("../../../docs/guides/prototyping-an-extension.md", import.meta.url),
    "utf8",
  );
  const blocks = [...guide.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, kind, text]) => ({
    kind,
    text: text ?? "",
  }));
  const depth = file("depth.yaml", blocks.find(({ kind }) => kind === "yaml")?.text ?? "");
  /** What is printed, under the name that the guide has for the file; figures of the kit grow with it. */
  const plain = (text: string) =>
    text.replaceAll(depth, "depth.yaml").replaceAll(/\d+ (cases|passed|steps|do not)/g, "N $1");
  const shown = (out: string) => blocks.some(({ text }) => plain(text) === plain(out));

  it.each([
    [["check"], []],
    [
      ["diff", "virtio_mmio_admin"],
      ["--fail-on", "breaking"],
    ],
    [["render"], ["--format", "latex", "--only", "AdminQueueDepth"]],
    [["try"], []],
  ] as const)(
    "shows what %j prints",
    async (before, after) => {
      const { code, out } = await layout(...before, depth, ...after);
      expect(code).toBe(0);
      expect(shown(out), out).toBe(true);
    },
    240_000,
  );

  it("shows where there is room, and what is said of a place that is taken", async () => {
    const { out } = await layout("free", "virtio_mmio_admin");
    expect(shown(`${out.trimEnd().split("\n").at(-1)}\n`)).toBe(true);
    const taken = file("depth-taken.yaml", readFileSync(depth, "utf8").replace("0x0e8", "0x0c4"));
    const { out: said } = await layout("check", taken);
    const first = said.split("\n").slice(0, 3).join("\n").replaceAll(taken, "depth.yaml");
    expect(shown(`${first}\n`), first).toBe(true);
  });
});
