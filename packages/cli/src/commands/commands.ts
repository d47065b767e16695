/** `virtio-admin commands`: the register of commands, each scenario of it played. */
import { DIALECTS, type DialectName } from "@virtio-admin/core";
import {
  type CommandPlace,
  type CommandScenario,
  commandRegister,
  openCommandBench,
  placeName,
  type RegisterCell,
  type RegisterField,
} from "@virtio-admin/fixtures";
import Table from "cli-table3";
import type { Output } from "../output.ts";

/** The options of `commands`. */
export interface CommandsOptions {
  /** Only the command of this name, with its scenarios by name. */
  readonly command?: string;
}

const DIALECT_NAMES = Object.keys(DIALECTS) as DialectName[];
const dialectOf = ({ dialect = "virtio-1.4" }: CommandPlace) => dialect;

/** How one scenario ended in one place; `error` is there when it failed. */
interface Played {
  readonly id: string;
  readonly title: string;
  readonly error?: string;
}

/** A field of the register once it was played. */
interface PlayedField {
  readonly scenarios: readonly Played[];
  /** Why there are none. */
  readonly reason?: string;
}

interface PlayedCell {
  readonly cell: RegisterCell;
  readonly positive: PlayedField;
  readonly negative: PlayedField;
}

/** Plays every scenario of the register; 0 when all hold, 1 otherwise, 2 for an unknown command. */
export async function commands(options: CommandsOptions, output: Output): Promise<number> {
  const register = DIALECT_NAMES.flatMap((dialect) => commandRegister(dialect)).filter(
    ({ command }) => options.command === undefined || command.name === options.command,
  );
  if (register.length === 0) {
    output.error(`there is no command ${options.command}: \`virtio-admin commands\` lists them`);
    return 2;
  }
  const played: PlayedCell[] = [];
  for (const cell of register) {
    output.progress(`${cell.command.name}, ${cell.side}, ${placeName(cell.place)}`);
    played.push({
      cell,
      positive: await playField(cell, cell.positive),
      negative: await playField(cell, cell.negative),
    });
  }
  if (options.command === undefined) {
    for (const dialect of DIALECT_NAMES) {
      const cells = played.filter(({ cell: { place } }) => dialectOf(place) === dialect);
      output.line(output.colours.bold(DIALECTS[dialect].label));
      printTable(cells, output);
    }
    output.line("+ scenarios in which the command succeeds, - in which it is refused;");
    output.line("--command NAME names them, and says why a command never succeeds in a place.");
  } else {
    printCells(played, output);
  }
  const failures = played.flatMap(({ cell, positive, negative }) =>
    [...positive.scenarios, ...negative.scenarios].flatMap(({ id, error }) =>
      error === undefined ? [] : [`${placeName(cell.place)}, ${id}: ${error}`],
    ),
  );
  for (const failure of failures) output.line(output.colours.red(`✗ ${failure}`));
  const count = played.reduce(
    (sum, { positive, negative }) => sum + positive.scenarios.length + negative.scenarios.length,
    0,
  );
  output.line();
  output.line(
    `${count} scenarios played: ${count - failures.length} hold, ${failures.length} do not`,
  );
  output.document({
    register: played.map(({ cell: { family, command, side, place }, positive, negative }) => ({
      opcode: command.opcode,
      command: command.name,
      family: family.name,
      private: family.private,
      dialect: DIALECTS[dialectOf(place)].label,
      side,
      transport: place.transport,
      group: place.group.name,
      positive,
      negative,
    })),
    held: count - failures.length,
    failed: failures.length,
  });
  return failures.length === 0 ? 0 : 1;
}

async function playField({ place }: RegisterCell, field: RegisterField): Promise<PlayedField> {
  if (typeof field === "string") return { scenarios: [], reason: field };
  const scenarios: Played[] = [];
  for (const scenario of field) scenarios.push(await play(scenario, place));
  return { scenarios };
}

async function play(
  { id, title, run }: CommandScenario,
  place: RegisterCell["place"],
): Promise<Played> {
  try {
    const bench = await openCommandBench(place);
    await run(bench);
    await bench.close();
    return { id, title };
  } catch (error) {
    return { id, title, error: error instanceof Error ? error.message : String(error) };
  }
}

/** A row for each command and side, a column for each place: how many hold, and are refused. */
function printTable(played: readonly PlayedCell[], output: Output): void {
  const { dim, green, red } = output.colours;
  const columns = [...new Set(played.map(({ cell: { place } }) => place))];
  const head = columns.map(({ transport, group }) => `${transport}\n${group.name}`);
  const table = new Table({
    head: ["", "", "side", ...head],
    style: { head: [], border: [] },
    // No line between rows: there are many.
    chars: { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" },
  });
  for (let at = 0; at < played.length; at += columns.length) {
    const row = played.slice(at, at + columns.length);
    const first = row[0]?.cell;
    if (first === undefined) continue;
    const { command, family, side } = first;
    table.push([
      `0x${command.opcode.toString(16).padStart(4, "0")}`,
      `${command.name}${family.private ? dim(" private") : ""}`,
      side,
      ...row.map(({ positive, negative }) => {
        const all = [...positive.scenarios, ...negative.scenarios];
        const text = `+${positive.scenarios.length} -${negative.scenarios.length}`;
        if (all.some(({ error }) => error !== undefined)) return red(text);
        return positive.scenarios.length > 0 ? green(text) : dim(text);
      }),
    ]);
  }
  output.line(table.toString());
}

/** Every place of one command, with its scenarios by name. */
function printCells(played: readonly PlayedCell[], output: Output): void {
  const { bold, dim } = output.colours;
  for (const { cell, positive, negative } of played) {
    output.line(bold(`${cell.command.name}, ${cell.side} half, ${placeName(cell.place)}`));
    for (const [sign, field] of [
      ["+", positive],
      ["-", negative],
    ] as const) {
      if (field.reason !== undefined) output.line(dim(`  ${sign} none: ${field.reason}`));
      for (const { id, title } of field.scenarios) output.line(`  ${sign} ${id}: ${title}`);
    }
  }
}
