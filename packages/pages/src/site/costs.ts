/** What one command costs on each transport, counted on devices: what the two halves exchange for it. */
import type { TraceEvent } from "@virtio-admin/core";
import { Bench, TRANSPORT_NAMES } from "@virtio-admin/workbench";
import { table } from "./documents.ts";

const TITLES = { pci: "PCI", mmio: "MMIO", ccw: "CCW" } as const;
const COUNTED: readonly (readonly [string, (event: TraceEvent) => boolean])[] = [
  ["registers written", ({ op }) => op === "write"],
  ["registers read", ({ op }) => op === "read"],
  ["channel commands", ({ op }) => op === "ccw"],
  ["notifications of the device", ({ op }) => op === "notify"],
  ["interrupts", ({ op }) => op === "interrupt"],
];

/** A table of what is exchanged for one command, from the call to the answer. */
export async function costTable(): Promise<string> {
  const columns: TraceEvent[][] = [];
  for (const transport of TRANSPORT_NAMES) {
    const events: TraceEvent[] = [];
    const bench = await Bench.open({
      transport,
      members: 1,
      trace: { emit: (event) => events.push(event) },
    });
    events.length = 0;
    await bench.management.msixCount(bench.groupType, 1);
    columns.push([...events]);
    await bench.close();
  }
  return table(
    ["for one command", ...TRANSPORT_NAMES.map((name) => TITLES[name])],
    COUNTED.map(([name, counts]) => [
      name,
      ...columns.map((events) => String(events.filter(counts).length)),
    ]),
  );
}
