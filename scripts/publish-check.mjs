// Checks what would be published: packs every public package as pnpm publishes it, lints each
// archive (publint, Are the Types Wrong), then installs the archives beside one another, without
// the workspace, and imports every entry point as a consumer does.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import {
  archiveOf,
  install,
  manifestOf,
  pack,
  publicPackages,
  report,
  root,
  run,
} from "./pack.mjs";

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

function checkInstalled({ manifest }, consumer) {
  const installed = join(consumer, "node_modules", manifest.name);
  const packed = manifestOf(installed);
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
  const { ok, output } = run(process.execPath, [program], { cwd: consumer });
  if (!ok) problems.push(`cannot be imported: ${output}`);
  return problems;
}

const work = mkdtempSync(join(tmpdir(), "virtio-admin-publish-"));
let failed = 0;
try {
  const packages = publicPackages();
  const archives = join(work, "archives");
  pack(packages, archives);
  const consumer = join(work, "consumer");
  mkdirSync(consumer);
  const names = packages.map(({ manifest }) => manifest.name);
  install(names, packages, archives, consumer);
  for (const each of packages) {
    const archive = archiveOf(each.manifest, archives);
    const problems = [
      ...(await lint(archive)),
      ...checkTypes(archive),
      ...checkInstalled(each, consumer),
    ];
    if (!report(each.manifest.name, problems)) failed += 1;
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
process.exitCode = failed === 0 ? 0 : 1;
