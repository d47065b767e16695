// The clause report: which normative statements the tests name, and which no test names yet.
// Fails only when a test names a clause that does not exist.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** The TypeScript files below a directory. */
function sourcesBelow(directory) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

function testSources() {
  const tests = readdirSync(join(root, "packages")).flatMap((name) =>
    sourcesBelow(join(root, "packages", name, "test")),
  );
  // Cases and scenarios are data, named by the tests that run them.
  const data = ["testkit/src", "fixtures/src/commands"];
  return [...tests, ...data.flatMap((path) => sourcesBelow(join(root, "packages", path)))];
}

const { CLAUSES } = await import("../packages/core/dist/index.js");
if (!Array.isArray(CLAUSES)) {
  throw new Error(
    "@virtio-admin/core exports no CLAUSES: run `npm run build`, or export the table",
  );
}

const slugOf = (id) => id.replace(/-\d+$/, "");
const slugs = new Set(CLAUSES.map(({ id }) => slugOf(id)));
const namedIn = new Map(CLAUSES.map(({ id }) => [id, new Set()]));
const unknown = [];

const ID = /[a-z][a-z0-9]*(?:-[a-z0-9]+)*-\d+/g;
/** A title that starts with its clauses: "[id] …", "[id, id] …". */
const TITLE = /["'`]\[([^\]\n]+)\] /g;
/** An id in brackets or as a string, anywhere. */
const MENTION = new RegExp(`(?<=[["'\`,]\\s*)${ID.source}(?=\\s*[\\]"'\`,])`, "g");

for (const file of testSources()) {
  const path = relative(root, file);
  const text = readFileSync(file, "utf8");
  const titled = new Set([...text.matchAll(TITLE)].flatMap(([, ids]) => ids.match(ID) ?? []));
  const mentioned = new Set(text.match(MENTION) ?? []);
  for (const id of new Set([...titled, ...mentioned])) {
    if (namedIn.has(id)) namedIn.get(id).add(path);
    // Outside a title, only what has the label of a clause is surely meant as one.
    else if (titled.has(id) || slugs.has(slugOf(id))) unknown.push({ id, path });
  }
}

const tally = new Map();
for (const { id, role, level } of CLAUSES) {
  const key = `${role}\t${level}`;
  const row = tally.get(key) ?? { total: 0, named: 0 };
  row.total += 1;
  if (namedIn.get(id).size > 0) row.named += 1;
  tally.set(key, row);
}

const print = (line) => process.stdout.write(`${line}\n`);
const columns = (role, level, total, named) =>
  `${role.padEnd(10)} ${level.padEnd(12)} ${String(total).padStart(6)} ${String(named).padStart(15)}`;
print(columns("role", "level", "total", "named by tests"));
for (const [key, { total, named }] of [...tally].sort(([a], [b]) => a.localeCompare(b))) {
  const [role, level] = key.split("\t");
  print(columns(role, level, total, named));
}
const unnamed = CLAUSES.filter(({ id }) => namedIn.get(id).size === 0);
print(columns("all", "", CLAUSES.length, CLAUSES.length - unnamed.length));
if (unnamed.length > 0) {
  print(`\nnamed by no test (${unnamed.length}):`);
  for (const { id, level, text } of unnamed)
    print(`  ${id.padEnd(40)} ${level.padEnd(10)} ${text}`);
}
if (unknown.length > 0) {
  print(`\nnamed by a test, but not in the table (${unknown.length}):`);
  for (const { id, path } of unknown) print(`  ${id.padEnd(40)} ${path}`);
  process.exitCode = 1;
}
