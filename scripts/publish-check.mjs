// Checks what would be published: packs every public package as pnpm publishes it, lints each
// archive (publint, Are the Types Wrong), then installs the archives beside one another, without
// the workspace, and imports every entry point as a consumer does.
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { publint } from "publint";
import { formatMessage } from "publint/utils";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Runs a program; answers its output, or the output it failed with. */
function run(program, args, cwd = root) {
  try {
    const stdio = ["ignore", "pipe", "pipe"];
    return { ok: true, output: execFileSync(program, args, { cwd, encoding: "utf8", stdio }) };
  } catch (error) {
    return { ok: false, output: `${error.stdout ?? ""}${error.stderr ?? ""}` || String(error) };
  }
}

function publicPackages() {
  return readdirSync(join(root, "packages"))
    .map((folder) => join(root, "packages", folder))
    .filter((folder) => existsSync(join(folder, "package.json")))
    .map((folder) => ({
      folder,
      manifest: JSON.parse(readFileSync(join(folder, "package.json"), "utf8")),
    }))
    .filter(({ manifest }) => manifest.private !== true);
}

function archiveOf(manifest, directory) {
  const name = manifest.name.replace("@", "").replace("/", "-");
  return join(directory, `${name}-${manifest.version}.tgz`);
}

async function lint(archive) {
  const bytes = readFileSync(archive);
  const tarball = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const { messages, pkg } = await publint({ strict: true, pack: { tarball } });
  return messages
    .filter(({ type }) => type !== "suggestion")
    .map((message) => `publint: ${formatMessage(message, pkg, { color: false })}`);
}

function checkTypes(archive) {
  const attw = join(root, "node_modules/.bin/attw");
  const { ok, output } = run(attw, [archive, "--profile", "esm-only", "--no-emoji", "--no-color"]);
  return ok ? [] : [output];
}

/** Unpacks the archives into one node_modules; third-party packages are linked as installed. */
function install(packages, archives, consumer) {
  for (const { folder, manifest } of packages) {
    const target = join(consumer, "node_modules", manifest.name);
    mkdirSync(target, { recursive: true });
    const archive = archiveOf(manifest, archives);
    execFileSync("tar", ["-xzf", archive, "-C", target, "--strip-components=1"]);
    for (const dependency of Object.keys(manifest.dependencies ?? {})) {
      const link = join(consumer, "node_modules", dependency);
      if (packages.some((other) => other.manifest.name === dependency) || existsSync(link))
        continue;
      mkdirSync(dirname(link), { recursive: true });
      symlinkSync(join(folder, "node_modules", dependency), link);
    }
  }
}

function checkInstalled({ manifest }, consumer) {
  const installed = join(consumer, "node_modules", manifest.name);
  const packed = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
  const problems = [];
  for (const [name, range] of Object.entries(packed.dependencies ?? {})) {
    if (range.startsWith("workspace:")) problems.push(`${name} is still ${range}`);
  }
  if (!existsSync(join(installed, "LICENSE"))) problems.push("LICENSE is not packed");
  const entries = Object.entries(manifest.exports)
    .filter(([, target]) => typeof target === "object")
    .map(([subpath]) => `${manifest.name}${subpath.slice(1)}`);
  const program = join(consumer, "imports.mjs");
  writeFileSync(program, entries.map((entry) => `await import("${entry}");\n`).join(""));
  const { ok, output } = run(process.execPath, [program], consumer);
  if (!ok) problems.push(`cannot be imported: ${output}`);
  return problems;
}

const work = mkdtempSync(join(tmpdir(), "virtio-admin-publish-"));
let failed = 0;
try {
  const packages = publicPackages();
  const filters = packages.flatMap(({ manifest }) => ["--filter", manifest.name]);
  const archives = join(work, "archives");
  const pack = ["-r", ...filters, "pack", "--pack-destination", archives];
  execFileSync("npm", ["run", "--silent", "pnpm", "--", ...pack], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
  });
  const consumer = join(work, "consumer");
  mkdirSync(consumer);
  install(packages, archives, consumer);
  for (const each of packages) {
    const archive = archiveOf(each.manifest, archives);
    const problems = [
      ...(await lint(archive)),
      ...checkTypes(archive),
      ...checkInstalled(each, consumer),
    ];
    if (problems.length > 0) failed += 1;
    process.stdout.write(`${problems.length === 0 ? "ok    " : "FAILED"}  ${each.manifest.name}\n`);
    for (const problem of problems) process.stdout.write(`        ${problem}\n`);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
process.exitCode = failed === 0 ? 0 : 1;
