// Uses the public packages as their consumers do: packs them, installs the archives outside the
// workspace, and lets the programs of scripts/consumers run administration commands over every
// transport: a program without a build, a strict TypeScript project without decorators, and
// bundles for a browser. `--all-nodes` runs them on each supported version of Node as well.
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { isAbsolute, join, sep } from "node:path";
import process from "node:process";
import { isDeepStrictEqual } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "vite";
import { install, manifestOf, pack, publicPackages, report, root, run } from "./pack.mjs";

/** The oldest version of Node that the packages support, and the newest of each later line. */
const NODE_VERSIONS = ["20.19.0", "22", "24"];

/** What each program has to answer for each transport: its one queue, then the admin virtqueue. */
const ANSWER = ["pci", "mmio", "ccw"].map((transport) => ({
  transport,
  adminQueueIndex: 1,
  adminQueueCount: 1,
  opcodes: [0x0000, 0x0001, 0x0180],
  usedBefore: [0x0000, 0x0001],
  usedAfter: [0x0000, 0x0001, 0x0180],
  vendorCommands: 1,
  entropyBytes: 16,
  leakedBytes: 0,
}));

/** Bundles: their name, and the module of the consumers that each is made of. */
const BUNDLES = { plain: "plain/round-trips.mjs", container: "typescript/container.ts" };

/** Every program: its title, and what follows `node`. */
const PROGRAMS = [
  ["plain program", "plain/program.mjs"],
  ["TypeScript, plain classes", "typescript/program.mjs", "plain"],
  ["TypeScript, container", "typescript/program.mjs", "container"],
  ["browser bundle, plain classes", "browser/program.mjs", "browser/dist/plain.js"],
  ["browser bundle, container", "browser/program.mjs", "browser/dist/container.js"],
];

/** Nothing by which Node would find modules or options of the surroundings. */
const { NODE_OPTIONS: _options, NODE_PATH: _path, ...environment } = process.env;

/** What in the folder would lead back into the workspace: links, and files that name its place. */
function leaks(folder) {
  const problems = [];
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (entry.isSymbolicLink()) problems.push(`${path} is a link`);
    else if (entry.isFile() && readFileSync(path).includes(root))
      problems.push(`${path} names a path of the workspace`);
  }
  return problems;
}

/** Compiles the TypeScript project; it must read its own folder and the compiler's, and no other. */
function compile(folder) {
  const compiler = realpathSync(join(root, "node_modules/typescript"));
  const tsc = join(compiler, "bin/tsc");
  const args = [tsc, "-p", join(folder, "typescript"), "--listFiles"];
  const { ok, output } = run(process.execPath, args, { cwd: folder, env: environment });
  const lines = output.split("\n").filter((line) => line !== "");
  if (!ok) return lines.filter((line) => !isAbsolute(line));
  return lines
    .filter((file) => !file.startsWith(folder + sep) && !file.startsWith(compiler + sep))
    .map((file) => `the compiler read ${file}`);
}

/** Bundles one module as a classic script for browsers, and tells its size. */
async function bundle(folder, name) {
  const problems = [];
  const { output } = (
    await build({
      root: folder,
      configFile: false,
      envDir: false,
      logLevel: "silent",
      build: {
        outDir: join(folder, "browser/dist"),
        emptyOutDir: false,
        lib: {
          entry: join(folder, BUNDLES[name]),
          name: "consumer",
          formats: ["iife"],
          fileName: () => `${name}.js`,
        },
        rolldownOptions: {
          onLog: (level, { message }) => {
            if (level === "warn") problems.push(message);
          },
        },
      },
    })
  )[0];
  for (const id of output.flatMap((chunk) => Object.keys(chunk.modules ?? {}))) {
    const virtual = id.startsWith("\0") && !id.includes("browser-external");
    if (!virtual && !id.startsWith(folder + sep)) problems.push(`the bundle has ${id} in it`);
  }
  const script = readFileSync(join(folder, "browser/dist", `${name}.js`));
  const sizes = `${script.length} bytes, ${gzipSync(script).length} gzipped`;
  return report(`bundle ${name}: ${sizes}`, problems);
}

/** Runs every program on one Node. */
function runPrograms(node, folder) {
  const { output: version } = run(node, ["--version"]);
  let right = true;
  for (const [title, ...args] of PROGRAMS) {
    const { ok, output } = run(node, args, { cwd: folder, env: environment });
    right =
      report(`${title}, Node ${version.trim()}`, ok ? differences(output) : [output]) && right;
  }
  return right;
}

function differences(output) {
  let answer;
  try {
    answer = JSON.parse(output);
  } catch {
    return [`no JSON: ${output}`];
  }
  if (isDeepStrictEqual(answer, ANSWER)) return [];
  return [`answered ${JSON.stringify(answer)}`, `expected ${JSON.stringify(ANSWER)}`];
}

/** The program of a version of Node, out of the npm package that holds it for this platform. */
function nodeOfVersion(version, folder) {
  const platform = process.platform === "win32" ? "win" : process.platform;
  const name = `node-${platform}-${process.arch}`;
  // Without a cache folder of one's own it is installed for this run only: in a shared temporary
  // folder anyone could have put it there.
  const cache = join(process.env.XDG_CACHE_HOME ?? folder, "virtio-admin-nodes", version);
  const node = join(cache, "node_modules", name, "bin", `node${platform === "win" ? ".exe" : ""}`);
  if (existsSync(node)) return { node };
  mkdirSync(cache, { recursive: true });
  const options = ["--prefix", cache, "--no-save", "--no-audit", "--no-fund", "--ignore-scripts"];
  const { ok, output } = run("npm", ["install", ...options, `${name}@${version}`], { cwd: cache });
  return ok && existsSync(node) ? { node } : { reason: output.trim() };
}

const started = performance.now();
const work = realpathSync(mkdtempSync(join(tmpdir(), "virtio-admin-consumers-")));
const done = [];
let missing = 0;
try {
  const folder = join(work, "consumers");
  cpSync(join(root, "scripts/consumers"), folder, { recursive: true });
  const archives = join(work, "archives");
  const packages = publicPackages();
  pack(packages, archives);
  install(Object.keys(manifestOf(folder).dependencies), packages, archives, folder);
  done.push(report("installed without the workspace", leaks(folder)));
  done.push(report("TypeScript compiles, strict, without skipLibCheck", compile(folder)));
  for (const name of Object.keys(BUNDLES)) done.push(await bundle(folder, name));
  done.push(runPrograms(process.execPath, folder));
  for (const version of process.argv.includes("--all-nodes") ? NODE_VERSIONS : []) {
    const { node, reason } = nodeOfVersion(version, work);
    if (node !== undefined) {
      done.push(runPrograms(node, folder));
    } else {
      missing += 1;
      process.stdout.write(`absent  Node ${version} did not run: ${reason}\n`);
    }
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
process.stdout.write(`${((performance.now() - started) / 1000).toFixed(1)} s\n`);
if (done.includes(false)) process.exitCode = 1;
else if (missing > 0) process.exitCode = 3;
