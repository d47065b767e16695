/** The command line: words in, exit code out. */
import { isVirtioError } from "@virtio-admin/core";
import { REPLAY_TARGETS } from "@virtio-admin/fixtures";
import { REPLAY_MODES, type ReplayMode } from "@virtio-admin/testkit";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { type CommandsOptions, commands } from "./commands/commands.ts";
import { type ComplianceCommandOptions, compliance } from "./commands/compliance.ts";
import { CTL_HELP, ctl } from "./commands/ctl.ts";
import { type DemoOptions, demo } from "./commands/demo.ts";
import { type DialectsOptions, dialects } from "./commands/dialects.ts";
import { group } from "./commands/group.ts";
import { outcomes } from "./commands/outcomes.ts";
import { type ReplayCommandOptions, replayFile } from "./commands/replay.ts";
import { type ServeOptions, serve } from "./commands/serve.ts";
import { transports } from "./commands/transports.ts";
import { addLayoutCommands } from "./layout/program.ts";
import { Output, processStreams, type Streams } from "./output.ts";
import { addSpecCommands } from "./spec/program.ts";
import { TRACE_FORMS } from "./tracing.ts";

/** The exit codes of every command. */
export const EXIT = {
  /** Everything is as it should be. */
  ok: 0,
  /** A mismatch, or findings. */
  mismatch: 1,
  /** The words of the call are wrong, or a file cannot be read. */
  usage: 2,
  /** Something that the call needs is missing or busy. */
  environment: 3,
} as const;

/** The longest that `serve` may look at a queue in which nothing happens, in milliseconds. */
const POLL_TIME_LIMIT = 10_000;

type JsonOption = { readonly json?: true };

/** Runs the command with these words; resolves with the exit code. */
export async function main(
  words: readonly string[],
  streams: Streams = processStreams(),
): Promise<number> {
  let code: number = EXIT.ok;
  const json = () => new Option("--json", "answer with one JSON document");
  const transport = () =>
    new Option("--transport <name>", "only this transport").choices(Object.keys(REPLAY_TARGETS));
  const program = new Command("virtio-admin")
    .description("virtio device groups, administration commands and administration virtqueues")
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ writeOut: streams.out, writeErr: streams.err });

  program
    .command("demo")
    .description("an administration command all the way on each transport, and recorded traffic")
    .addOption(transport())
    .addOption(
      new Option("--trace <form>", "print every event to standard error").choices(TRACE_FORMS),
    )
    .addOption(json())
    .action(async (options: DemoOptions & JsonOption) => {
      if (options.trace !== undefined && options.trace !== "pretty" && !options.transport) {
        program.error(
          `error: --trace ${options.trace} needs --transport: a trace has one transport`,
        );
      }
      code = await demo(options, new Output(streams, options.json === true));
    });

  program
    .command("transports")
    .description("what each transport has, and where it has admin_queue_index")
    .addOption(json())
    .action((options: JsonOption) => {
      code = transports(new Output(streams, options.json === true));
    });

  program
    .command("dialects")
    .description("what the ideas of the first proposal (a reconstruction) became in virtio 1.4")
    .addOption(
      new Option("--markdown", "print the document that docs/dialects.md holds").conflicts("json"),
    )
    .addOption(json())
    .action((options: DialectsOptions & JsonOption) => {
      code = dialects(options, new Output(streams, options.json === true));
    });

  program
    .command("group")
    .description("run a device group as a file describes it and print the state of its members")
    .argument("<file>", "a description (.yaml, or JSON), as core's schema/group.schema.json has it")
    .addOption(json())
    .action(async (file: string, options: JsonOption) => {
      code = await group(file, new Output(streams, options.json === true));
    });

  program
    .command("serve")
    .description("serve every device of a group, as a file describes it, at a vfio-user socket")
    .argument("<file>", "a description, as for group, of a group on pci")
    .option("--dir <directory>", "where the sockets are, for nobody else to reach")
    .option("--strict", "tolerate nothing that stock drivers do and the text does not allow")
    .option("--record <trace>", "record what the owner's drivers do, for replay (.jsonl)")
    .option("--trace", "print the owner's commands to standard error")
    .addOption(
      new Option("--poll-time <ms>", "look at queues this long after the last buffer, 0 for never")
        .default(1)
        .argParser(pollTime),
    )
    .addOption(new Option("--json", "answer with lines of JSON, one for everything that happens"))
    .action(async (file: string, options: ServeOptions & JsonOption) => {
      code = await serve(file, options, new Output(streams, options.json === true));
    });

  program
    .command("ctl")
    .description("manage the members of an owner that is served, while no guest has it")
    .argument("<socket>", "the owner's socket")
    .argument("<command...>", "what to do, see below")
    .passThroughOptions()
    .addHelpText("after", CTL_HELP)
    .action(async (socket: string, command: readonly string[]) => {
      code = await ctl(socket, command, streams);
    });

  program
    .command("replay")
    .description("replay a recorded trace on our device and compare every answer")
    .argument("<file>", "a trace (.jsonl); expectations are read from .expect.json beside it")
    .addOption(transport())
    .addOption(new Option("--mode <mode>", "only this mode").choices(REPLAY_MODES))
    .addOption(json())
    .action((file: string, options: ReplayCommandOptions & JsonOption & { mode?: ReplayMode }) => {
      code = replayFile(file, options, new Output(streams, options.json === true));
    });

  program
    .command("compliance")
    .description("run the compliance kit on each transport and list every case")
    .addOption(transport())
    .addOption(
      new Option(
        "--threads",
        "on mmio alone, with the device in one thread and its driver in another",
      ).conflicts("transport"),
    )
    .addOption(json())
    .action(async (options: ComplianceCommandOptions & JsonOption) => {
      code = await compliance(options, new Output(streams, options.json === true));
    });

  program
    .command("commands")
    .description("the register of administration commands, each of its scenarios played")
    .option("--command <name>", "only this command, with its scenarios by name")
    .addOption(json())
    .action(async (options: CommandsOptions & JsonOption) => {
      code = await commands(options, new Output(streams, options.json === true));
    });

  program
    .command("outcomes")
    .description("every status and qualifier, provoked through the wire of each transport")
    .addOption(json())
    .action(async (options: JsonOption) => {
      code = await outcomes(new Output(streams, options.json === true));
    });

  addLayoutCommands(program, streams, (found) => {
    code = found;
  });

  addSpecCommands(program, streams, (found) => {
    code = found;
  });

  try {
    await program.parseAsync(words, { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (!isVirtioError(error)) throw error;
    streams.err(`${error.message}\n`);
    return EXIT.usage;
  }
  return code;
}

function pollTime(word: string): number {
  const milliseconds = word.trim() === "" ? Number.NaN : Number(word);
  if (milliseconds >= 0 && milliseconds <= POLL_TIME_LIMIT) return milliseconds;
  throw new InvalidArgumentError(`a number of milliseconds from 0 to ${POLL_TIME_LIMIT}`);
}
