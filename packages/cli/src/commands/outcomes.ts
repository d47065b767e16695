/** `virtio-admin outcomes`: every status and qualifier, provoked through the wire of each transport. */
import { DIALECTS, type DialectName } from "@virtio-admin/core";
import {
  OUTCOME_GROUPS,
  type OutcomeProvocation,
  openCommandBench,
  outcomeTable,
  TRANSPORT_FIXTURES,
  type TransportName,
} from "@virtio-admin/fixtures";
import Table from "cli-table3";
import type { Output } from "../output.ts";

const TRANSPORTS = Object.keys(TRANSPORT_FIXTURES) as TransportName[];

/** One outcome on one transport. */
interface Provoked {
  readonly transport: TransportName;
  readonly source: OutcomeProvocation["source"];
  readonly how: string;
  readonly right: boolean;
}

/** One status or qualifier with what became of it everywhere. */
interface Row {
  readonly dialect: DialectName;
  readonly kind: string;
  readonly name: string;
  readonly value: number;
  readonly provoked: readonly Provoked[];
}

/** Prints the tables; 0 when every outcome was provoked everywhere, 1 otherwise. */
export async function outcomes(output: Output): Promise<number> {
  const rows: Row[] = [];
  for (const dialect of Object.keys(DIALECTS) as DialectName[]) {
    const own = await rowsOf(dialect, output);
    rows.push(...own);
    output.line(DIALECTS[dialect].label);
    output.line(tableOf(own, output));
  }
  const wrong = rows.filter(({ provoked }) =>
    TRANSPORTS.some(
      (name) => !provoked.some(({ transport, right }) => transport === name && right),
    ),
  );
  output.line(`${rows.length} statuses and qualifiers, ${wrong.length} not provoked everywhere`);
  output.document({ outcomes: rows, missing: wrong.map(({ name }) => name) });
  return wrong.length === 0 && rows.every(({ provoked }) => provoked.every(({ right }) => right))
    ? 0
    : 1;
}

async function rowsOf(dialect: DialectName, output: Output): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const { kind, name, value, scenarios } of outcomeTable(dialect)) {
    const provoked: Provoked[] = [];
    for (const transport of TRANSPORTS) {
      output.progress(`${name} on ${transport}`);
      for (const scenario of scenarios) {
        provoked.push(await provoke(scenario, transport, dialect));
      }
    }
    rows.push({ dialect, kind, name, value, provoked });
  }
  return rows;
}

function tableOf(rows: readonly Row[], output: Output): string {
  const table = new Table({
    head: ["", "value", "provoked by", ...TRANSPORTS],
    style: { head: [], border: [] },
    chars: { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" },
  });
  for (const { kind, name, value, provoked } of rows) {
    const ways = [...new Map(provoked.map((each) => [each.how, each])).values()];
    ways.forEach(({ how, source }, i) => {
      const cells = TRANSPORTS.map((transport) =>
        cell(
          provoked.find((each) => each.how === how && each.transport === transport),
          output,
        ),
      );
      const first = i === 0 ? [`${kind} ${name}`, value] : ["", ""];
      table.push([...first, `${source}: ${how}`, ...cells]);
    });
  }
  return table.toString();
}

async function provoke(
  scenario: OutcomeProvocation,
  transport: TransportName,
  dialect: DialectName,
): Promise<Provoked> {
  const place = { transport, group: OUTCOME_GROUPS[dialect] };
  const bench = await openCommandBench(dialect === "virtio-1.4" ? place : { ...place, dialect });
  const answer = await scenario.provoke(bench);
  await bench.close();
  const { source, how } = scenario;
  return { transport, source, how, right: scenario.isRight(answer) };
}

function cell(provoked: Provoked | undefined, { colours }: Output): string {
  if (provoked === undefined) return "";
  return provoked.right ? colours.green("✓") : colours.red("✗");
}
