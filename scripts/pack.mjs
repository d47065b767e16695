// Packs the public packages as pnpm publishes them, and installs the archives somewhere else as a
// consumer would have them: nothing there is a link, and nothing of the workspace can be reached.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** The root of the workspace. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Runs a program; answers its output, or the output it failed with. */
export function run(program, args, options = {}) {
  try {
    const stdio = ["ignore", "pipe", "pipe"];
    const output = execFileSync(program, args, { cwd: root, encoding: "utf8", stdio, ...options });
    return { ok: true, output };
  } catch (error) {
    return { ok: false, output: `${error.stdout ?? ""}${error.stderr ?? ""}` || String(error) };
  }
}

/** Reads the manifest of a package. */
export function manifestOf(folder) {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}

/** The packages of the workspace that are published: folder and manifest. */
export function publicPackages() {
  return readdirSync(join(root, "packages"))
    .map((name) => join(root, "packages", name))
    .filter((folder) => existsSync(join(folder, "package.json")))
    .map((folder) => ({ folder, manifest: manifestOf(folder) }))
    .filter(({ manifest }) => manifest.private !== true);
}

/** Where {@link pack} puts the archive of a package. */
export function archiveOf(manifest, archives) {
  const name = manifest.name.replace("@", "").replace("/", "-");
  return join(archives, `${name}-${manifest.version}.tgz`);
}

/** Packs these packages into a directory. */
export function pack(packages, archives) {
  const filters = packages.flatMap(({ manifest }) => ["--filter", manifest.name]);
  const args = ["-r", ...filters, "pack", "--pack-destination", archives];
  execFileSync("npm", ["run", "--silent", "pnpm", "--", ...args], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
  });
}

/**
 * Installs packages by name into `consumer`, with what their packed manifests say they need:
 * packages of the workspace from their archives, all others copied from where pnpm has them.
 */
export function install(names, packages, archives, consumer) {
  const unpack = (name, { folder, manifest }) => {
    const target = join(consumer, "node_modules", name);
    if (existsSync(target)) return;
    mkdirSync(target, { recursive: true });
    const archive = archiveOf(manifest, archives);
    execFileSync("tar", ["-xzf", archive, "-C", target, "--strip-components=1"]);
    needsOf(target, folder);
  };
  /** Beside the others; below its dependent where another version is there already. */
  const copy = (name, dependent, requester) => {
    const source = locate(name, dependent);
    const { version } = manifestOf(source);
    const shared = join(consumer, "node_modules", name);
    const taken = existsSync(shared) && manifestOf(shared).version !== version;
    const target = taken ? join(requester, "node_modules", name) : shared;
    if (existsSync(target)) return;
    const own = (path) => !relative(source, path).split(sep).includes("node_modules");
    cpSync(source, target, { recursive: true, dereference: true, filter: own });
    needsOf(target, source);
  };
  /** Installs what the package in `target` depends on; `source` is where pnpm has that package. */
  const needsOf = (target, source) => {
    for (const name of Object.keys(manifestOf(target).dependencies ?? {})) {
      const packed = packages.find(({ manifest }) => manifest.name === name);
      if (packed === undefined) copy(name, source, target);
      else unpack(name, packed);
    }
  };
  for (const name of names) {
    const packed = packages.find(({ manifest }) => manifest.name === name);
    if (packed === undefined) throw new Error(`${name} is no public package of the workspace`);
    unpack(name, packed);
  }
}

/** Where a package that another one depends on is, as Node finds it. */
function locate(name, dependent) {
  for (let folder = realpathSync(dependent); ; folder = dirname(folder)) {
    const found = join(folder, "node_modules", name);
    if (existsSync(found)) return realpathSync(found);
    if (folder === dirname(folder)) throw new Error(`${dependent} needs ${name}, not installed`);
  }
}

/** The longest line that says what is wrong: a bundle's line may be the whole bundle. */
const LINE_MAX = 2000;

/** Writes a line about a check, and what is wrong; answers whether nothing is. */
export function report(title, problems) {
  process.stdout.write(`${problems.length === 0 ? "ok    " : "FAILED"}  ${title}\n`);
  for (const line of problems.flatMap((problem) => problem.split("\n")))
    process.stdout.write(`        ${line.slice(0, LINE_MAX)}\n`);
  return problems.length === 0;
}
