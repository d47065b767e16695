/** The words of `virtio-admin layout`. */
import {
  CHANGE_CLASSES,
  CHECK_RULES,
  type ChangeClass,
  type CheckRule,
  LAYOUT_CATALOGUE,
} from "@virtio-admin/spec";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Streams } from "../output.ts";
import {
  type CheckOptions,
  checkLayouts,
  type FreeOptions,
  freeLayout,
  rulesText,
} from "./check.ts";
import { type DiffOptions, diffFiles } from "./diff.ts";
import { type HeaderCommandOptions, headerOf } from "./header.ts";
import { RENDER_FORMATS, type RenderOptions, renderLayouts, showLayout } from "./show.ts";
import { type TryOptions, tryFile } from "./try.ts";

const HELP = `
A layout is named (virtio-admin layout show lists ${LAYOUT_CATALOGUE.size}), or is a file, as YAML or JSON: a whole
layout, as render --format yaml writes it, or a variant, which says what becomes of a base:

  format: virtio-admin.layout-variant
  version: 1
  base: virtio_mmio_admin
  change: { AdminQueueIndex: { offset: 0x0e8 }, AdminQueueNum: { offset: 0x0ec } }

Exit codes: 0 as it should be, 1 findings, 2 wrong words or a file that cannot be read, 3 something is
missing around the command. See docs/guides/prototyping-an-extension.md.
`;

/** Adds the commands to `program`; `end` takes the exit code of the one that runs. */
export function addLayoutCommands(
  program: Command,
  streams: Streams,
  end: (code: number) => void,
): void {
  const layout = program
    .command("layout")
    .description("registers, commands and structures: show, render, check, compare and try them")
    .addHelpText("after", HELP);
  const out = () => new Option("--out <path>", "a file or a folder, in place of standard output");
  const format = (...formats: readonly string[]) =>
    new Option("--format <format>", "the form of the answer").choices([...formats]);
  const allow = () =>
    new Option("--allow <rules...>", "rules that may be broken").choices(Object.keys(CHECK_RULES));

  layout
    .command("show")
    .description("a layout as a table, or the list of layouts")
    .argument("[layout]", "a name or a file")
    .addOption(format("table", "json"))
    .addOption(out())
    .action((word: string | undefined, options: RenderOptions) => {
      end(showLayout(word, options, streams));
    });

  layout
    .command("render")
    .description("layouts as text of the specification, C, Markdown, data or a diagram")
    .argument("<layouts...>", "names or files")
    .addOption(format(...RENDER_FORMATS).default("table"))
    .addOption(new Option("--only <names...>", "only these registers or commands (latex)"))
    .addOption(
      new Option("--theme <theme>", "colours of a diagram; in a folder, both unless told").choices([
        "light",
        "dark",
      ]),
    )
    .addOption(out())
    .action((words: string[], options: RenderOptions) => {
      end(renderLayouts(words, options, streams));
    });

  layout
    .command("header")
    .description("a C header; with --compare, what Linux's headers have under the same names")
    .argument("[layouts...]", "names or files; all of the project's when there is none")
    .addOption(new Option("--compare <folder>", "headers, as /usr/include has them"))
    .addOption(format("text", "json"))
    .addOption(out())
    .action((words: string[], options: HeaderCommandOptions) => {
      end(headerOf(words, options, streams));
    });

  layout
    .command("check")
    .description("whether layouts are sound and well made; each finding with its remedy")
    .argument("[layouts...]", "names or files; all of the project's when there is none")
    .addOption(allow())
    .addOption(format("text", "json"))
    .addOption(out())
    .addHelpText("after", `\nThe rules:\n${rulesText()}\n`)
    .action((words: string[], options: CheckOptions & { allow?: CheckRule[] }) => {
      end(checkLayouts(words, options, streams));
    });

  layout
    .command("diff")
    .description("what is otherwise in the second layout, and whom it breaks")
    .argument("<before>", "a name or a file")
    .argument("<after>", "a name or a file")
    .addOption(
      new Option(
        "--fail-on <class>",
        "exit with 1 for a change of this class, or a graver one",
      ).choices([...CHANGE_CLASSES]),
    )
    .addOption(format("text", "json", "markdown"))
    .addOption(out())
    .action((before: string, after: string, options: DiffOptions & { failOn?: ChangeClass }) => {
      end(diffFiles(before, after, options, streams));
    });

  layout
    .command("free")
    .description("what a layout leaves free, who else is known to be there, and where to go")
    .argument("<layout>", "a name or a file")
    .addOption(
      new Option("--count <n>", "how many are needed one behind the other").argParser(whole),
    )
    .addOption(new Option("--width <bytes>", "how wide each is").argParser(whole))
    .addOption(
      new Option("--direction <direction>", "what the commands do").choices([
        "read",
        "write",
        "control",
      ]),
    )
    .addOption(format("text", "json"))
    .addOption(out())
    .action((word: string, options: FreeOptions) => {
      end(freeLayout(word, options, streams));
    });

  layout
    .command("try")
    .description("run a layout: the compliance kit, a driver of virtio 1.4 on it, and the tour")
    .argument("<layout>", "registers for MMIO or channel commands for CCW: a name or a file")
    .addOption(allow())
    .addOption(format("text", "json", "markdown"))
    .addOption(out())
    .action(async (word: string, options: TryOptions) => {
      end(await tryFile(word, options, streams));
    });
}

const LARGEST = 0x1_0000;

function whole(word: string): number {
  const value = Number(word);
  if (Number.isInteger(value) && value >= 1 && value <= LARGEST) return value;
  throw new InvalidArgumentError(`It is a whole number from 1 to ${LARGEST}.`);
}
