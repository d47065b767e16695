// Draws what `virtio-admin demo` prints as docs/demo.svg: `node scripts/picture.mjs`, after a build.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const COLUMN = 7.25;
const ROW = 17;
const MARGIN = 16;

const command = join(root, "packages/cli/bin/virtio-admin.js");
const text = execFileSync(process.execPath, [command, "demo"], { encoding: "utf8" });
const lines = ["$ npm start", "", ...text.trimEnd().split("\n")];
const width = Math.ceil(Math.max(...lines.map((line) => line.length)) * COLUMN + 2 * MARGIN);
const height = lines.length * ROW + 2 * MARGIN;

const escaped = (part) =>
  part.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function row(line, index) {
  const y = MARGIN + (index + 0.75) * ROW;
  const mark = /^( +)([✓✗])/.exec(line);
  const kind = index === 0 ? "c" : /^\S/.test(line) ? "h" : "t";
  const body =
    mark === null
      ? escaped(line)
      : `${mark[1]}<tspan class="${mark[2] === "✓" ? "y" : "n"}">${mark[2]}</tspan>${escaped(line.slice(mark[0].length))}`;
  return `<text class="${kind}" x="${MARGIN}" y="${y}">${body}</text>`;
}

const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" xml:space="preserve" role="img" aria-label="The output of npm start">
<style>
text { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; white-space: pre; fill: #d7dce2 }
.h { font-weight: bold; fill: #ffffff } .c { fill: #8fb8ff } .y { fill: #6fd38a } .n { fill: #ff7b72 }
</style>
<rect width="100%" height="100%" rx="8" fill="#14181f"/>
${lines.map(row).join("\n")}
</svg>
`;
writeFileSync(join(root, "docs/demo.svg"), svg);
