/** Every path makes its round trips, and every way to provision reaches its members. */
import { CCW_TRANSPORT } from "@virtio-admin/transport-ccw";
import { MMIO_TRANSPORT } from "@virtio-admin/transport-mmio";
import { PCI_TRANSPORT } from "@virtio-admin/transport-pci";
import { describe, expect, it } from "vitest";
import {
  commandBatch,
  commandExecutor,
  commandPromise,
  commandSubjects,
  promisePerBatch,
} from "../src/admin-paths.ts";
import { measureAllocations } from "../src/allocations.ts";
import { measureCodecLibraries } from "../src/codec-libraries.ts";
import { handReference } from "../src/hand-ring.ts";
import { measureIdleBytes } from "../src/idle-bytes.ts";
import { measureProvisioning, provisioningReport } from "../src/mailbox-report.ts";
import { combined, type Ratio, type Row, shortestOf } from "../src/measure-path.ts";
import { platformMembers } from "../src/measured-groups.ts";
import { featuresPath, functionsPath, membersPath } from "../src/member-paths.ts";
import { throughMailbox, throughQueues, vectorsOf } from "../src/provisioning.ts";
import { rawPacked } from "../src/raw-packed.ts";
import { rawSplit } from "../src/raw-split.ts";
import { measureRegisterAccess } from "../src/register-access.ts";
import { speedReport, withSection } from "../src/speed-report.ts";
import { transportPath } from "../src/transport-paths.ts";

/** But `two-threads`, whose worker has to be compiled: see the tests of `threads`. */
const SUBJECTS = [
  () => handReference(),
  () => rawSplit(),
  () => rawSplit(true),
  () => rawPacked(),
  () => rawPacked(true),
  () => commandExecutor(),
  () => commandBatch(),
  () => commandBatch(true),
  () => commandPromise(),
  () => promisePerBatch(),
  () => transportPath(PCI_TRANSPORT),
  () => transportPath(MMIO_TRANSPORT),
  () => transportPath(CCW_TRANSPORT),
  () => membersPath(1),
  () => membersPath(300),
  () => featuresPath(1),
  () => featuresPath(300),
  () => functionsPath(1),
  () => functionsPath(300),
];

describe("a path of the benchmark", () => {
  it("makes its round trips, and takes some time for each", async () => {
    const names = new Set<string>();
    for (const make of SUBJECTS) {
      const subject = await make();
      names.add(subject.path);
      for (const outstanding of [1, 32, 128]) {
        expect(await subject.slice(outstanding, 3), subject.path).toBeGreaterThan(0);
      }
    }
    expect(names.size).toBe(SUBJECTS.length);
  });
});

describe("the rows of several processes", () => {
  const row = (over_c: Ratio | null, c_ns: number | null): Row => ({
    path: "raw",
    outstanding: 32,
    ns: c_ns ?? 1,
    over_c,
    over_hand: null,
    over_v86: null,
    over_one: null,
    c_program: "split",
    c_ns,
  });

  it("become one: medians, the shortest of the reference, and how far the processes are apart", () => {
    const found = [4, 5, 4.2].map((ratio) => [row({ ratio, spread: 0.01 }, 2.5 * ratio)]);
    expect(combined(found)).toEqual([
      { ...row({ ratio: 4.2, spread: (5 - 4.2) / 4.2 }, 10), ns: 2.5 * 4.2 },
    ]);
    expect(shortestOf(found.flat())).toEqual({ "split 32": 10 });
  });

  it("have the spread within a process where that is more, and none where there is no reference", () => {
    const wide = { ratio: 4, spread: 0.3 };
    expect(combined([[row(wide, 10)], [row(wide, 10)]])[0]?.over_c).toEqual(wide);
    expect(combined([[row(null, null)]])).toEqual([row(null, null)]);
    expect(shortestOf([row(null, null)])).toEqual({});
    expect(combined([])).toEqual([]);
  });
});

describe("the rest of the report", () => {
  it("has the libraries and the transports, and counts what is allocated where that can be", async () => {
    const libraries = await measureCodecLibraries(1);
    const registers = await measureRegisterAccess(1, 10);
    expect(registers.map(({ transport }) => transport)).toEqual(["pci", "mmio", "ccw"]);
    for (const { ns } of [...libraries, ...registers]) expect(ns).toBeGreaterThan(0);
    const report = speedReport({
      rows: [
        {
          path: "raw",
          outstanding: 32,
          ns: 50,
          over_c: { ratio: 4, spread: 0.1 },
          over_hand: { ratio: 1.5, spread: 0.02 },
          over_v86: null,
          over_one: null,
          c_program: "split",
          c_ns: 12.5,
        },
      ],
      registers,
      libraries,
      allocations: undefined,
      load: [0.5, 1.5],
      v86: "0",
      processes: 5,
    });
    expect(report).toContain("| raw  |          32 | 50 | 4.00 ±10% | 1.50 ±2% |     – |");
    for (const { name } of libraries) expect(report).toContain(`| ${name}`);
    expect(measureAllocations() === undefined).toBe(
      (globalThis as { gc?: unknown }).gc === undefined,
    );
    for (const run of Object.values(commandSubjects())) run(8, 2);
  });

  it("takes the place of the section of its title, and leaves the others", () => {
    const first = withSection("", "One", "## One\n\nold\n");
    const both = withSection(first, "Two", "## Two\n\ntwo\n");
    const again = withSection(both, "One", "## One\n\nnew\n");
    expect(again.match(/^## .*$/gm)).toEqual(["## One", "## Two"]);
    expect(again).toContain("new");
    expect(again).not.toContain("old");
    expect(again.startsWith("# Benchmarks\n")).toBe(true);
  });
});

describe("provisioning", () => {
  const plan = { members: 20, runs: 5, latenciesUs: [0, 50], queueCounts: [1, 4] };

  it("has a row for each path and latency, and a report that names them", async () => {
    const rows = await measureProvisioning(plan);
    expect(rows.map(({ path, latency_us }) => [path, latency_us])).toEqual([
      ["mailbox", 0],
      ["1 queue", 0],
      ["4 queues", 0],
      ["mailbox", 50],
      ["1 queue", 50],
      ["4 queues", 50],
    ]);
    for (const row of rows) {
      expect(row.ms).toBeGreaterThan(0);
      if (row.path === "mailbox") expect(row.mailbox_over).toBe(1);
    }
    const report = provisioningReport(rows, plan, 0.5);
    expect(report).toContain("load average was 0.5");
    for (const { path } of rows) expect(report).toContain(`| ${path}`);
  });

  it("reaches every member in every run", async () => {
    for (const latencyMs of [0, 0.05]) {
      const groups = [platformMembers(20), platformMembers(20), platformMembers(20)] as const;
      const [first, second, third] = groups;
      const paths = [
        throughMailbox(first, latencyMs),
        await throughQueues(1, second, latencyMs),
        await throughQueues(4, third, latencyMs),
      ];
      for (const run of [1, 2]) {
        for (const path of paths) await path.run();
        for (const group of groups) {
          for (const { id, msixVectors } of group.managedMembers()) {
            expect(msixVectors).toBe(vectorsOf(id, run));
          }
        }
      }
    }
  });
});

describe("the memory of idle members", () => {
  it("is measured exactly when a collection can be forced", () => {
    const idle = measureIdleBytes(64);
    expect(idle === undefined).toBe((globalThis as { gc?: unknown }).gc === undefined);
  });
});
