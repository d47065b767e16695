/** The words of `virtio-admin spec`. */
import { DEFAULT_AUTHOR, LINT_RULES } from "@virtio-admin/spec";
import { type Command, InvalidArgumentError, Option } from "commander";
import { Output, type Streams } from "../output.ts";
import { lintFolder, type SpecLintOptions } from "./lint.ts";
import { patchFolder, type SpecPatchOptions } from "./patch.ts";

type JsonOption = { readonly json?: true };

/** One line, a name and an address: it becomes the head of a mail. */
const ADDRESS = /^[^<>\p{C}]{1,200} <[^<>\s\p{C}]{1,200}@[^<>\s\p{C}]{1,200}>$/u;

/** Adds the commands to `program`; `end` takes the exit code of the one that runs. */
export function addSpecCommands(
  program: Command,
  streams: Streams,
  end: (code: number) => void,
): void {
  const spec = program
    .command("spec")
    .description("patches and checks for the sources of the specification");
  const folder = () =>
    new Option("--spec <folder>", "the sources: a checkout, or its chapters").makeOptionMandatory();
  const json = () => new Option("--json", "answer with one JSON document");

  spec
    .command("lint")
    .description("find what contradicts itself in the sources; every finding by file and line")
    .addOption(folder())
    .addOption(
      new Option("--rule <names...>", "only these rules").choices(
        LINT_RULES.map(({ name }) => name),
      ),
    )
    .addOption(json())
    .addHelpText("after", rulesText)
    .action((options: SpecLintOptions & JsonOption) => {
      end(lintFolder(options, new Output(streams, options.json === true)));
    });

  spec
    .command("patch")
    .description("write patches that add the administration virtqueues of MMIO and channel I/O")
    .addOption(folder())
    .addOption(
      new Option("--out <folder>", "where the patches go, for git am").makeOptionMandatory(),
    )
    .option("--from <author>", "who they are from", author, DEFAULT_AUTHOR)
    .option("--sign-off", "sign them off as this author")
    .addOption(json())
    .action((options: SpecPatchOptions & JsonOption) => {
      end(patchFolder(options, new Output(streams, options.json === true)));
    });
}

function author(text: string): string {
  if (ADDRESS.test(text)) return text;
  throw new InvalidArgumentError('It has the form "Name <name@example.org>".');
}

function rulesText(): string {
  const width = Math.max(...LINT_RULES.map(({ name }) => name.length));
  const rows = LINT_RULES.map(
    ({ name, doc, judgement }) =>
      `  ${name.padEnd(width)}  ${doc}${judgement === true ? " (a matter of judgement)" : ""}`,
  );
  return ["", "Rules:", ...rows].join("\n");
}
