// A typedoc plugin. A layout's fields, registers and commands are documented once, in their
// declaration; so are the rows of a table of texts. This takes their words for the API reference,
// so that they need not be written a second time as comments.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Comment, Converter, ReflectionKind } from "typedoc";

const packages = join(dirname(dirname(fileURLToPath(import.meta.url))), "packages");

/** Package name → what its entry points export. */
async function exportsOfPackages() {
  const found = new Map();
  for (const folder of readdirSync(packages)) {
    const manifest = JSON.parse(readFileSync(join(packages, folder, "package.json"), "utf8"));
    const values = {};
    for (const [name, entry] of Object.entries(manifest.exports ?? {})) {
      if (manifest.private || typeof entry !== "object" || name.includes("*")) continue;
      Object.assign(
        values,
        await import(pathToFileURL(join(packages, folder, entry.default)).href),
      );
    }
    found.set(manifest.name, values);
  }
  return found;
}

/** What the declaration says of the member with this path of names. */
function wordsOf(value, [name, ...rest]) {
  const members = value?.fields ?? value?.registers ?? value?.commands ?? value?.payload?.fields;
  const member = (members ?? value)?.[name];
  if (rest.length > 0) return wordsOf(member, rest);
  return typeof member === "string" ? member : member?.doc;
}

/** The variable that a member belongs to, and the names from there to the member. */
function placeOf(member) {
  const names = [];
  for (let at = member; at !== undefined; at = at.parent) {
    if (at.kindOf(ReflectionKind.Variable)) return { variable: at, names };
    if (at.kindOf(ReflectionKind.Property)) names.unshift(at.name);
  }
  return undefined;
}

/** Called by typedoc. */
export async function load(app) {
  const values = await exportsOfPackages();
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    const exported = values.get(project.packageName) ?? {};
    for (const member of project.getReflectionsByKind(ReflectionKind.Property)) {
      if (member.hasComment()) continue;
      const place = placeOf(member);
      const words = place && wordsOf(exported[place.variable.name], place.names);
      if (words) member.comment = new Comment([{ kind: "text", text: words }]);
    }
  });
}
