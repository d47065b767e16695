"use strict";
// The floors of the house: a package imports only from packages below it, never from a sibling.
// Measured on the sources (condition `virtio-source`): through dist, a forbidden edge goes unseen.
const { readdirSync, readFileSync, existsSync } = require("node:fs");
const { join } = require("node:path");

/** Package folder → floor. A new package needs a line here. */
const FLOORS = {
  core: 1,
  devices: 2,
  "transport-pci": 3,
  "transport-mmio": 3,
  "transport-ccw": 3,
  testkit: 4,
  "vfio-user": 4,
  peers: 6,
  threads: 4,
  spec: 5,
  fixtures: 5,
  cli: 6,
  workbench: 6,
  examples: 6,
  bench: 6,
  pages: 7,
};

/**
 * What a package may not import although it lies below: fixtures reach the kit from outside, and
 * what vfio-user serves are PCI functions; a device in a thread has registers of MMIO.
 */
const NOT_BELOW = {
  testkit: /^transport-/,
  "vfio-user": /^transport-(?!pci$)/,
  threads: /^transport-(?!mmio$)/,
};

/** Folder of core → the other folders (and files) of core it may import; the rest see all but di. */
const CORE_FLOORS = {
  layout: ["errors.ts"],
  memory: ["errors.ts", "layout/"],
  clause: ["errors.ts"],
  virtqueue: ["errors.ts", "layout/", "memory/"],
};

const anyOf = (names) => `(${names.join("|")})`;
const literal = (name) => name.replaceAll(".", "\\.");
const sourcesOf = (name) => `^packages/${name}/(src|bin)/`;

const present = readdirSync(join(__dirname, "packages")).filter((name) =>
  existsSync(join(__dirname, "packages", name, "package.json")),
);
const unplaced = present.filter((name) => !(name in FLOORS));
if (unplaced.length > 0) throw new Error(`no floor is given for ${unplaced.join(", ")}`);

const floors = present.map((name) => {
  const above = Object.keys(FLOORS).filter(
    (other) =>
      other !== name && (FLOORS[other] >= FLOORS[name] || NOT_BELOW[name]?.test(other) === true),
  );
  return {
    name: `floor-of-${name}`,
    comment: `${name} is on floor ${FLOORS[name]}; it imports only from lower floors.`,
    severity: "error",
    from: { path: sourcesOf(name) },
    to: { path: `^packages/${anyOf(above)}/` },
  };
});

// A workspace package that is not declared still resolves, through the links of the root.
const declared = present.map((name) => {
  const manifest = JSON.parse(
    readFileSync(join(__dirname, "packages", name, "package.json"), "utf8"),
  );
  const known = Object.keys(manifest.dependencies ?? {})
    .filter((dependency) => dependency.startsWith("@virtio-admin/"))
    .map((dependency) => dependency.slice("@virtio-admin/".length));
  return {
    name: `declared-by-${name}`,
    comment: `${name} imports only the workspace packages its package.json names.`,
    severity: "error",
    from: { path: sourcesOf(name) },
    to: { path: "^packages/", pathNot: `^packages/${anyOf([name, ...known])}/` },
  };
});

const coreFloors = Object.entries(CORE_FLOORS).map(([folder, below]) => ({
  name: `core-floor-of-${folder}`,
  comment: `core/src/${folder} imports only ${below.join(", ")} of core.`,
  severity: "error",
  from: { path: `^packages/core/src/${folder}/` },
  to: {
    path: "^packages/core/src/",
    pathNot: `^packages/core/src/${anyOf([`${folder}/`, ...below.map(literal)])}`,
  },
}));

const TSYRINGE = "(^|/)node_modules/(tsyringe|reflect-metadata)/|^(tsyringe|reflect-metadata)$";

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...floors,
    ...declared,
    ...coreFloors,
    {
      name: "no-circular",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "no-unresolvable",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: "no-undeclared-dependency",
      severity: "error",
      from: { path: sourcesOf("[^/]+") },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"] },
    },
    {
      name: "no-development-dependency",
      comment: "What is published runs without development dependencies.",
      severity: "error",
      from: { path: sourcesOf("[^/]+"), pathNot: "^packages/bench/" },
      to: { dependencyTypes: ["npm-dev"] },
    },
    {
      name: "no-built-file",
      comment: "Sources and tests see sources: through dist the floors could not be told.",
      severity: "error",
      from: { path: "^packages/[^/]+/(src|test)/" },
      to: { path: "^packages/[^/]+/dist/" },
    },
    {
      name: "no-test-from-source",
      severity: "error",
      from: { path: sourcesOf("[^/]+") },
      to: { path: "^packages/[^/]+/test/" },
    },
    {
      name: "tsyringe-only-in-di",
      comment: "Core and transports are plain classes; transports reach tsyringe by core/di.",
      severity: "error",
      from: { path: "^packages/", pathNot: "^packages/(core/(src|test)/di/|examples/)" },
      to: { path: TSYRINGE },
    },
    {
      name: "di-is-a-thin-layer",
      comment: "Libraries import the container only from their di module.",
      severity: "error",
      from: {
        path: "^packages/(core|devices|transport-[^/]+|testkit|vfio-user|threads)/src/",
        pathNot: "^packages/[^/]+/src/di(/|\\.ts$)",
      },
      to: { path: "^packages/[^/]+/src/di(/|\\.ts$)" },
    },
    {
      name: "runs-in-a-browser",
      comment:
        "Core, device types, transports and the workbench use no module of Node.js, but for block storage in a" +
        " file: an entry point of its own (@virtio-admin/devices/file).",
      severity: "error",
      from: {
        path: "^packages/(core|devices|transport-[^/]+|workbench)/src/",
        pathNot: "^packages/devices/src/block/file\\.ts$",
      },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "node-entry-stands-alone",
      comment:
        "What runs in a browser does not reach the storage in a file by an import of its own.",
      severity: "error",
      from: { path: "^packages/(core|devices|transport-[^/]+)/src/" },
      to: { path: "^packages/devices/src/block/file\\.ts$" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules|/dist/" },
    tsPreCompilationDeps: true,
    combinedDependencies: false,
    tsConfig: { fileName: "tsconfig.base.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["virtio-source", "import", "types", "default"],
    },
  },
};
