// The clause report: which normative statements the tests name, and which no test names yet; of the
// administration sections, what is tested how. Fails when a test names a clause that does not exist, or
// a clause of an administration section is neither tested, positive or negative, nor not applicable.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { NOT_APPLICABLE } from "./not-applicable.mjs";

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

const { CLAUSES, CLAUSE_SECTIONS } = await import("../packages/core/dist/index.js");
const { COMMAND_SCENARIOS } = await import("../packages/fixtures/dist/index.js");
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
const MENTION = new RegExp(`(?<=[["'\`,]\\s*)${ID.source}(?=[+-]{0,2}\\s*[\\]"'\`,])`, "g");
/** An id in a title with what the test is: "[id+] …", "[id-] …", "[id+-] …". */
const MARKED = new RegExp(`\\[(${ID.source})([+-]{1,2})\\] `, "g");

/** The clauses that a test has found kept where all is as it should be, and where something is not. */
const tested = { "+": new Set(), "-": new Set() };
for (const { kind, clauses } of COMMAND_SCENARIOS) {
  for (const id of clauses) tested[kind === "positive" ? "+" : "-"].add(id);
}

for (const file of testSources()) {
  const path = relative(root, file);
  const text = readFileSync(file, "utf8");
  const titled = new Set([...text.matchAll(TITLE)].flatMap(([, ids]) => ids.match(ID) ?? []));
  const mentioned = new Set(text.match(MENTION) ?? []);
  for (const [, id, marks] of text.matchAll(MARKED)) for (const mark of marks) tested[mark].add(id);
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
const unnamed = CLAUSES.filter(({ id }) => namedIn.get(id).size === 0 && !(id in NOT_APPLICABLE));
const named = CLAUSES.filter(({ id }) => namedIn.get(id).size > 0);
print(columns("all", "", CLAUSES.length, named.length));
if (unnamed.length > 0) {
  print(`\nnamed by no test (${unnamed.length}):`);
  for (const { id, level, text } of unnamed)
    print(`  ${id.padEnd(40)} ${level.padEnd(10)} ${text}`);
}
print("\nadministration sections:");
const ADMIN_COLUMNS = ["in scope", "positive", "negative", "both", "not applicable", "untested"];
const adminRow = (name, values) =>
  `${name.padEnd(24)} ${values.map((value, i) => String(value).padStart(ADMIN_COLUMNS[i].length)).join("  ")}`;
print(adminRow("section", ADMIN_COLUMNS));
const isTested = (id, mark) => tested[mark].has(id);
const untested = [];
const totals = ADMIN_COLUMNS.map(() => 0);
for (const { slug, clauses } of CLAUSE_SECTIONS.values()) {
  const ids = clauses.filter(({ scope }) => scope === "admin").map(({ id }) => id);
  if (ids.length === 0) continue;
  const none = ids.filter(
    (id) => !isTested(id, "+") && !isTested(id, "-") && !(id in NOT_APPLICABLE),
  );
  const row = [
    ids.length,
    ids.filter((id) => isTested(id, "+")).length,
    ids.filter((id) => isTested(id, "-")).length,
    ids.filter((id) => isTested(id, "+") && isTested(id, "-")).length,
    ids.filter((id) => id in NOT_APPLICABLE).length,
    none.length,
  ];
  untested.push(...none);
  row.forEach((value, i) => {
    totals[i] += value;
  });
  print(adminRow(slug, row));
}
print(adminRow("all", totals));
for (const [id, reason] of Object.entries(NOT_APPLICABLE)) print(`  ${id}: ${reason}`);
const problems = [
  ...untested.map((id) => `${id} is tested by nobody; mark a title [${id}+] or [${id}-]`),
  ...Object.keys(NOT_APPLICABLE).flatMap((id) => {
    if (!namedIn.has(id)) return [`${id} is not applicable, but does not exist`];
    return namedIn.get(id).size > 0 ? [`${id} is not applicable, but named by a test`] : [];
  }),
];
if (problems.length > 0) {
  for (const problem of problems) print(`  ${problem}`);
  process.exitCode = 1;
}
if (unknown.length > 0) {
  print(`\nnamed by a test, but not in the table (${unknown.length}):`);
  for (const { id, path } of unknown) print(`  ${id.padEnd(40)} ${path}`);
  process.exitCode = 1;
}
