// Shows that the boundary rules can fail: plants one violation of each kind in a temporary copy of
// the sources, runs dependency-cruiser there, and asks that every plant is caught by its own rule.
import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Rule → the file planted and the lines that break the rule. */
const PLANTS = [
  [
    "floor-of-transport-mmio",
    "transport-mmio/src/plant.ts",
    'import "@virtio-admin/transport-pci";',
  ],
  ["floor-of-core", "core/src/device/plant.ts", 'import "@virtio-admin/transport-ccw";'],
  ["floor-of-devices", "devices/src/plant.ts", 'import "@virtio-admin/testkit";'],
  ["floor-of-testkit", "testkit/src/plant.ts", 'import "@virtio-admin/transport-mmio";'],
  ["floor-of-vfio-user", "vfio-user/src/plant.ts", 'import "@virtio-admin/transport-mmio";'],
  ["floor-of-threads", "threads/src/plant.ts", 'import "@virtio-admin/transport-pci";'],
  ["floor-of-peers", "peers/src/plant.ts", 'import "../../cli/src/index.ts";'],
  ["floor-of-cli", "cli/src/plant.ts", 'import "../../examples/src/index.ts";'],
  ["declared-by-transport-pci", "transport-pci/src/plant.ts", 'import "@virtio-admin/devices";'],
  ["core-floor-of-layout", "core/src/layout/plant.ts", 'import "../index.ts";'],
  ["core-floor-of-memory", "core/src/memory/plant.ts", 'import "../virtqueue/plant.ts";'],
  ["core-floor-of-virtqueue", "core/src/virtqueue/plant.ts", 'import "../device/plant.ts";'],
  ["tsyringe-only-in-di", "core/src/device/plant-tsyringe.ts", 'import "tsyringe";'],
  ["tsyringe-only-in-di", "transport-ccw/src/plant-tsyringe.ts", 'import "tsyringe";'],
  ["di-is-a-thin-layer", "core/src/device/plant-di.ts", 'import "../di/index.ts";'],
  ["di-is-a-thin-layer", "transport-ccw/src/plant-di.ts", 'import "@virtio-admin/core/di";'],
  ["runs-in-a-browser", "core/src/device/plant-node.ts", 'import "node:fs";'],
  ["runs-in-a-browser", "devices/src/block/plant-node.ts", 'import "node:fs";'],
  ["node-entry-stands-alone", "devices/src/block/plant-file.ts", 'import "./file.ts";'],
  ["no-undeclared-dependency", "core/src/device/plant-undeclared.ts", 'import "fast-check";'],
  ["no-unresolvable", "core/src/device/plant-unresolvable.ts", 'import "./nowhere.ts";'],
  ["no-test-from-source", "core/src/device/plant-test.ts", 'import "../../test/plant.ts";'],
  ["no-circular", "devices/src/plant-a.ts", 'import "./plant-b.ts";'],
];
/** Files the plants point at and that break no rule themselves. */
const TARGETS = [
  ["core/test/plant.ts", "export {};"],
  ["devices/src/plant-b.ts", 'import "./plant-a.ts";'],
];

/** Copies what the rules look at; links of packages to packages stay inside the copy. */
function copySources(to) {
  for (const name of [".dependency-cruiser.cjs", "package.json", "tsconfig.base.json"]) {
    cpSync(join(root, name), join(to, name));
  }
  for (const name of readdirSync(join(root, "packages"))) {
    for (const part of ["package.json", "src", "node_modules"]) {
      const from = join(root, "packages", name, part);
      if (!existsSync(from)) continue;
      cpSync(from, join(to, "packages", name, part), {
        recursive: true,
        verbatimSymlinks: true,
        // Below `from`: where the workspace itself lies may have any name.
        filter: (path) => !/[\\/]\.(vite|cache)/.test(path.slice(from.length)),
      });
    }
  }
  mkdirSync(join(to, "node_modules"));
  for (const name of readdirSync(join(root, "node_modules"))) {
    const from = join(root, "node_modules", name);
    const copy = join(to, "node_modules", name);
    if (name === "@virtio-admin") cpSync(from, copy, { recursive: true, verbatimSymlinks: true });
    else symlinkSync(from, copy);
  }
}

function violationsIn(directory) {
  const cruiser = join(root, "node_modules/dependency-cruiser/bin/dependency-cruise.mjs");
  const options = [
    "--config",
    ".dependency-cruiser.cjs",
    "--output-type",
    "json",
    "packages/*/src",
  ];
  let output;
  try {
    output = execFileSync(process.execPath, [cruiser, ...options], {
      cwd: directory,
      encoding: "utf8",
      maxBuffer: 1 << 28,
    });
  } catch (error) {
    // The exit code tells the number of violations; the report is on stdout all the same.
    if (!error.stdout) throw error;
    output = error.stdout;
  }
  return JSON.parse(output).summary.violations;
}

const copy = realpathSync(mkdtempSync(join(tmpdir(), "virtio-admin-boundaries-")));
let missed = 0;
try {
  copySources(copy);
  for (const [path, text] of [...PLANTS.map(([, ...plant]) => plant), ...TARGETS]) {
    const file = join(copy, "packages", path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `${text}\n`);
  }
  const violations = violationsIn(copy);
  for (const [rule, path] of PLANTS) {
    const caught = violations.some(
      (violation) => violation.rule.name === rule && violation.from === `packages/${path}`,
    );
    if (!caught) missed += 1;
    process.stdout.write(`${caught ? "caught" : "MISSED"}  ${rule}  packages/${path}\n`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
process.stdout.write(`${PLANTS.length - missed} of ${PLANTS.length} planted violations caught\n`);
process.exitCode = missed === 0 ? 0 : 1;
