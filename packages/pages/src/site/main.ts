/** Writes the documents that typedoc reads: called by `npm run docs`, before it. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { documents } from "./documents.ts";

const FOLDER = fileURLToPath(new URL("../documents/", import.meta.url));

mkdirSync(FOLDER, { recursive: true });
for (const [name, text] of documents()) writeFileSync(join(FOLDER, name), text);
