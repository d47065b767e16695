/** `virtio-admin outcomes`: every status and qualifier, provoked through the wire of each transport. */
import { type AdminQualifierName, qualifierName, statusName } from "@virtio-admin/core";
import {
  OUTCOME_GROUP,
  type OutcomeScenario,
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
  readonly source: OutcomeScenario["source"];
  readonly how: string;
  readonly right: boolean;
}

/** Prints the table; 0 when every outcome was provoked everywhere, 1 otherwise. */
export async function outcomes(output: Output): Promise<number> {
  const rows = [];
  for (const { kind, name, value, scenarios } of outcomeTable()) {
    const provoked: Provoked[] = [];
    for (const transport of TRANSPORTS) {
      output.progress(`${name} on ${transport}`);
      for (const scenario of scenarios) provoked.push(await provoke(scenario, transport));
    }
    rows.push({ kind, name, value, provoked });
  }
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
  output.line(table.toString());
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

async function provoke(scenario: OutcomeScenario, transport: TransportName): Promise<Provoked> {
  const bench = await openCommandBench({ transport, group: OUTCOME_GROUP });
  const answer = await scenario.provoke(bench);
  await bench.close();
  const got: [string | undefined, AdminQualifierName | undefined] = [
    statusName(answer.status),
    qualifierName(answer.qualifier),
  ];
  const right = got[0] === scenario.status && got[1] === scenario.qualifier;
  return { transport, source: scenario.source, how: scenario.how, right };
}

function cell(provoked: Provoked | undefined, { colours }: Output): string {
  if (provoked === undefined) return "";
  return provoked.right ? colours.green("✓") : colours.red("✗");
}
