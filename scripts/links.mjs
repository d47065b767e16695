// Follows every link of the site and of the documents in the repository: files, and places in them.
// A page may ask no other host for anything; a link to one is for the reader to follow, and is counted.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const SITE = join(ROOT, "site");
/** What a page loads by itself, as against what a reader follows. */
const LOADED =
  /<(script|img|iframe|source|video|audio|embed|object|link)\b[^>]*?\s(?:src|href|data)="([^"]*)"/g;
const FOLLOWED = /<a\b[^>]*?\shref="([^"]*)"/g;
const PLACES = /\s(?:id|name)="([^"]*)"/g;
const ELSEWHERE = /^(?:[a-z][a-z0-9+.-]*:|\/\/)/i;

const broken = [];
let followed = 0;
let foreign = 0;

/** Entities that typedoc writes. */
const unescaped = (text) =>
  text
    .replaceAll("&amp;", "&")
    .replaceAll("&quot;", '"')
    .replaceAll("&#x27;", "'")
    .replaceAll("&lt;", "<");

const placesOf = new Map();

/** The places that a page has; made once. */
function places(file) {
  let known = placesOf.get(file);
  if (known === undefined) {
    const text = readFileSync(file, "utf8");
    known = new Set(
      file.endsWith(".md")
        ? headingsOf(text)
        : [...text.matchAll(PLACES)].map(([, place]) => unescaped(place)),
    );
    placesOf.set(file, known);
  }
  return known;
}

/** The anchors that a reader of Markdown makes of headings, and those that are written. */
function headingsOf(text) {
  const counts = new Map();
  const headings = [...text.matchAll(/^#{1,6} +(.*)$/gm)].map(([, words]) => {
    const slug = words
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .trim()
      .replaceAll(" ", "-");
    const count = counts.get(slug) ?? 0;
    counts.set(slug, count + 1);
    return count === 0 ? slug : `${slug}-${count}`;
  });
  return [...headings, ...[...text.matchAll(/<a id="([^"]*)">/g)].map(([, id]) => id)];
}

function follow(from, link, isLoaded) {
  const text = unescaped(link);
  if (text === "" || text.startsWith("data:")) return;
  if (ELSEWHERE.test(text)) {
    foreign++;
    if (isLoaded) broken.push(`${relative(ROOT, from)} loads ${text}`);
    return;
  }
  followed++;
  const [path, place] = text.split("#", 2);
  const bare = decodeURIComponent(path.split("?", 1)[0]);
  const target = bare === "" ? from : resolve(dirname(from), bare);
  if (!existsSync(target)) {
    broken.push(`${relative(ROOT, from)}: there is no ${text}`);
    return;
  }
  const file =
    statSync(target).isDirectory() && target.startsWith(SITE) ? join(target, "index.html") : target;
  // What is behind the mark in an address of the workbench is its state.
  if (place === undefined || place === "" || file.startsWith(join(SITE, "workbench"))) return;
  if (!/\.(html|md)$/.test(file)) return;
  if (!places(file).has(decodeURIComponent(place))) {
    broken.push(`${relative(ROOT, from)}: ${relative(ROOT, file)} has no place ${place}`);
  }
}

function filesIn(folder, ending) {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name));
}

if (!existsSync(join(SITE, "index.html"))) {
  console.error("there is no site: npm run docs makes it");
  process.exit(1);
}

const pages = filesIn(SITE, ".html");
for (const page of pages) {
  const text = readFileSync(page, "utf8");
  for (const [, , link] of text.matchAll(LOADED)) follow(page, link, true);
  for (const [, link] of text.matchAll(FOLLOWED)) follow(page, link, false);
}
for (const sheet of filesIn(SITE, ".css")) {
  for (const [, link] of readFileSync(sheet, "utf8").matchAll(/url\(["']?([^)"']+)["']?\)/g)) {
    follow(sheet, link, true);
  }
}

const documents = [
  ...readdirSync(ROOT)
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(ROOT, name)),
  ...filesIn(join(ROOT, "docs"), ".md").filter(
    (name) => !name.startsWith(join(ROOT, "docs", "api")),
  ),
];
for (const document of documents) {
  const text = readFileSync(document, "utf8")
    .replaceAll(/^```.*?^```/gms, "")
    .replaceAll(/`[^`]*`/g, "");
  for (const [, link] of text.matchAll(/\]\(([^)\s]+)\)/g)) follow(document, link, false);
}

for (const each of broken) console.error(each);
console.log(
  `${pages.length} pages and ${documents.length} documents: ${followed} links followed, ${broken.length} broken, ${foreign} lead elsewhere`,
);
process.exitCode = broken.length === 0 ? 0 : 1;
