/**
 * The programs of the guides: each guide's blocks are one program, which is compiled as a consumer
 * would compile it, and run. `expression; // => value` says what the expression is.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as core from "@virtio-admin/core";
import * as devices from "@virtio-admin/devices";
import * as fixtures from "@virtio-admin/fixtures";
import * as testkit from "@virtio-admin/testkit";
import * as ccw from "@virtio-admin/transport-ccw";
import * as mmio from "@virtio-admin/transport-mmio";
import * as pci from "@virtio-admin/transport-pci";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { costTable } from "../src/site/costs.ts";
import { transportTable } from "../src/site/documents.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const GUIDES = `${ROOT}docs/guides/`;
/** A guide with a test of its own. */
const ELSEWHERE = ["prototyping-an-extension.md"];
const MODULES: Readonly<Record<string, object>> = {
  "@virtio-admin/core": core,
  "@virtio-admin/devices": devices,
  "@virtio-admin/fixtures": fixtures,
  "@virtio-admin/testkit": testkit,
  "@virtio-admin/transport-ccw": ccw,
  "@virtio-admin/transport-mmio": mmio,
  "@virtio-admin/transport-pci": pci,
};

const guides = readdirSync(GUIDES).filter(
  (name) => name.endsWith(".md") && !ELSEWHERE.includes(name),
);

/** The program of a guide, line for line where it stands there. */
function programOf(guide: string): string {
  const lines = readFileSync(`${GUIDES}${guide}`, "utf8").split("\n");
  let isCode = false;
  return lines
    .map((line) => {
      if (line.startsWith("```")) {
        isCode = line === "```ts";
        return "";
      }
      return isCode ? line : "";
    })
    .join("\n");
}

/** `expression; // => value`, also when the expression begins some lines before. */
function withChecks(program: string): string {
  const source = ts.createSourceFile("guide.ts", program, ts.ScriptTarget.ES2023, true);
  const edits: { start: number; end: number; text: string }[] = [];
  for (const statement of source.statements) {
    if (!ts.isExpressionStatement(statement)) continue;
    const end = statement.getEnd();
    const rest = program.slice(end, program.indexOf("\n", end));
    const value = /^ \/\/ => (.*)$/.exec(rest)?.[1];
    if (value === undefined) continue;
    const { line } = source.getLineAndCharacterOfPosition(end);
    const expression = statement.expression.getText();
    edits.push({
      start: statement.getStart(),
      end,
      text: `CHECK((${expression}), (${value}), ${line + 1});`,
    });
  }
  return edits
    .reverse()
    .reduce(
      (text, { start, end, text: by }) => text.slice(0, start) + by + text.slice(end),
      program,
    );
}

/** One mistake of a program, and where. */
function mistakes(programs: ReadonlyMap<string, string>): string[] {
  const config = ts.readConfigFile(`${ROOT}tsconfig.test.json`, ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, ROOT);
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (name) => programs.has(name) || fileExists(name);
  host.readFile = (name) => programs.get(name) ?? readFile(name);
  host.getSourceFile = (name, version, ...rest) => {
    const text = programs.get(name);
    if (text === undefined) return getSourceFile(name, version, ...rest);
    return ts.createSourceFile(name, text, version);
  };
  const program = ts.createProgram([...programs.keys()], options, host);
  return [...programs.keys()].flatMap((name) => {
    const file = program.getSourceFile(name);
    return ts.getPreEmitDiagnostics(program, file).map(({ start = 0, messageText }) => {
      const line = file?.getLineAndCharacterOfPosition(start).line ?? 0;
      return `${name}:${line + 1}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
    });
  });
}

const AsyncFunction = (async () => undefined).constructor as new (
  ...words: string[]
) => (...values: unknown[]) => Promise<void>;

async function run(guide: string): Promise<number> {
  const { outputText } = ts.transpileModule(withChecks(programOf(guide)), {
    compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
  });
  // A function body has no imports: what they name comes from the modules under test.
  const body = outputText
    .replaceAll(/import (\{[^}]*\}) from ("[^"]*");/g, "const $1 = MODULES[$2];")
    .replace(/export \{\};\s*$/, "");
  let checks = 0;
  const check = (got: unknown, wanted: unknown, line: number) => {
    checks++;
    expect(got, `${guide}:${line}`).toEqual(wanted);
  };
  await new AsyncFunction("MODULES", "CHECK", body)(MODULES, check);
  return checks;
}

const withPrograms = guides.filter((guide) => programOf(guide).trim() !== "");

describe("the guides", () => {
  it("have programs that compile", () => {
    const programs = new Map(
      withPrograms.map((guide) => [
        `${ROOT}packages/pages/test/${guide.replace(".md", ".guide.ts")}`,
        `${programOf(guide)}\nexport {};`,
      ]),
    );
    expect(mistakes(programs)).toEqual([]);
  }, 180_000);

  it.each(withPrograms)("%s does what it says", async (guide) => {
    expect(await run(guide)).toBeGreaterThan(0);
  });

  it("show the transports as they describe themselves", () => {
    const text = readFileSync(`${GUIDES}choosing-a-transport.md`, "utf8");
    expect(text).toContain(`<!-- transports -->\n${transportTable()}\n<!-- end -->`);
  });

  it("show what a command costs on them, as it is counted", async () => {
    const text = readFileSync(`${GUIDES}choosing-a-transport.md`, "utf8");
    expect(text).toContain(`<!-- costs -->\n${await costTable()}\n<!-- end -->`);
  });
});
