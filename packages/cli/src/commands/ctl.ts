/** `virtio-admin ctl SOCKET …`: the owner behind a socket, driven for one command. */
import process from "node:process";
import {
  AdminCommandError,
  isVirtioError,
  MSIX_VECTOR_LIMIT,
  SR_IOV_GROUP,
} from "@virtio-admin/core";
import { Command, Option } from "commander";
import { attrs, exec, features, list, members, msix, sayRefusal } from "../ctl/answers.ts";
import { type OwnerDriver, withOwner } from "../ctl/owner-driver.ts";
import { bytesOf, groupOf, memberOf, numberOf, opcodeOf } from "../ctl/words.ts";
import { exitCodeOf } from "../exit-codes.ts";
import { Output, type Streams } from "../output.ts";

/** What a shell answers for a command that Ctrl-C ended. */
const INTERRUPTED = 130;
const DEFAULT_ROOM = 4096;
const LARGEST_ROOM = 2 ** 16;

interface CommonOptions {
  readonly group?: string;
  readonly json?: true;
}
interface FeatureOptions extends CommonOptions {
  readonly set?: readonly string[];
  readonly clear?: readonly string[];
}
interface ExecOptions extends CommonOptions {
  readonly member: string;
  readonly data: string;
  readonly room: string;
}

/** What is done with an owner. */
type Work = (owner: OwnerDriver, output: Output) => Promise<void>;

/** What `ctl` can do, as it explains itself. */
export const CTL_HELP = `
Commands:
  list                          the commands that the owner has
  attrs                         what can be managed: the pool of vectors, the features
  members [id...]               the members, as their owner has them
  msix get MEMBER               how many MSI-X vectors a member has
  msix set MEMBER VECTORS       gives it another number
  features get MEMBER           what a member offers
  features set MEMBER           switches features: --set NAME... --clear NAME...
  exec OPCODE                   any command: --data HEX --member ID --group TYPE

Each has --json, and --group self, sr-iov, platform or a number.
Exit codes: 0 done, 1 refused by the device, 2 wrong words, 3 nobody or somebody else there.`;

/**
 * Runs the words behind the socket: 0 when it is done, 1 when the device refused, 2 for wrong
 * words, 3 when the owner cannot be had, 130 when a signal ended it. The device is reset then.
 *
 * @throws CommanderError and VirtioError for wrong words, and for help
 */
export async function ctl(
  socket: string,
  words: readonly string[],
  streams: Streams,
): Promise<number> {
  let code = 0;
  const run = async ({ json }: CommonOptions, work: Work) => {
    code = await drive(socket, new Output(streams, json === true), work);
  };
  const program = new Command("virtio-admin ctl SOCKET")
    .exitOverride()
    .configureOutput({ writeOut: streams.out, writeErr: streams.err });
  addCommands(program, run);
  await program.parseAsync(words, { from: "user" });
  return code;
}

type Run = (options: CommonOptions, work: Work) => Promise<void>;

/** Words are looked at before anybody is connected to: what is wrong with them throws. */
function addCommands(program: Command, run: Run): void {
  common(program.command("list"))
    .description("the commands that the owner has, all of them taken into use")
    .action((options: CommonOptions) => {
      const group = groupIn(options);
      return run(options, (owner, output) => list(owner, { group }, output));
    });
  common(program.command("attrs"))
    .description("what can be managed")
    .action((options: CommonOptions) => {
      const group = groupIn(options);
      return run(options, (owner, output) => attrs(owner, { group }, output));
    });
  common(program.command("members").argument("[id...]", "identifiers; absent: from 1 on"))
    .description("the members, as their owner has them")
    .action((words: readonly string[], options: CommonOptions) => {
      const request = { group: groupIn(options), ids: words.map(memberOf) };
      return run(options, (owner, output) => members(owner, request, output));
    });
  const vectors = program.command("msix").description("how many MSI-X vectors a member has");
  common(vectors.command("get").argument("<member>")).action(
    (member: string, options: CommonOptions) => {
      const request = { group: groupIn(options), member: memberOf(member) };
      return run(options, (owner, output) => msix(owner, request, output));
    },
  );
  common(vectors.command("set").argument("<member>").argument("<vectors>")).action(
    (member: string, count: string, options: CommonOptions) => {
      const set = numberOf("vectors", count, MSIX_VECTOR_LIMIT);
      const request = { group: groupIn(options), member: memberOf(member), set };
      return run(options, (owner, output) => msix(owner, request, output));
    },
  );
  const offered = program.command("features").description("which features a member offers");
  common(offered.command("get").argument("<member>")).action(
    (member: string, options: CommonOptions) => {
      const request = { group: groupIn(options), member: memberOf(member) };
      return run(options, (owner, output) => features(owner, request, output));
    },
  );
  common(offered.command("set").argument("<member>"))
    .option("--set <feature...>", "features to switch on: names, or numbers of bits")
    .option("--clear <feature...>", "features to switch off")
    .action((member: string, options: FeatureOptions) => {
      const { set = [], clear = [] } = options;
      if (set.length + clear.length === 0) {
        program.error("error: nothing is switched; there are --set and --clear");
      }
      const request = { group: groupIn(options), member: memberOf(member), set, clear };
      return run(options, (owner, output) => features(owner, request, output));
    });
  common(program.command("exec").argument("<opcode>"))
    .description("sends one command as it is given, whatever the lists say")
    .option("--data <hex>", "its data, in memory order", "")
    .option("--member <id>", "the member it is for", "0")
    .option("--room <bytes>", "room for its result", String(DEFAULT_ROOM))
    .action((word: string, options: ExecOptions) => {
      const request = {
        opcode: opcodeOf(word),
        group: groupIn(options) ?? SR_IOV_GROUP.id,
        member: memberOf(options.member),
        data: bytesOf(options.data),
        room: numberOf("room", options.room, LARGEST_ROOM),
      };
      return run(options, (owner, output) => exec(owner, request, output));
    });
}

function common(command: Command): Command {
  return command
    .addOption(new Option("--group <type>", "self, sr-iov, platform, or a number"))
    .addOption(new Option("--json", "answer with one JSON document"));
}

function groupIn({ group }: CommonOptions): number | undefined {
  return group === undefined ? undefined : groupOf(group);
}

async function drive(socket: string, output: Output, work: Work): Promise<number> {
  const interrupt = new AbortController();
  const stop = () => interrupt.abort();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, stop);
  try {
    await withOwner(socket, interrupt.signal, (owner) => work(owner, output));
    return 0;
  } catch (error) {
    if (interrupt.signal.aborted) return INTERRUPTED;
    if (error instanceof AdminCommandError) sayRefusal(error, output);
    else if (isVirtioError(error)) output.error(error.message);
    return exitCodeOf(error);
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, stop);
  }
}
