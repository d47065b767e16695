/** `virtio-admin transports`: the table that a consumer chooses by, as the plug-ins describe themselves. */
import {
  type DialectPlace,
  FEATURE,
  featureName,
  type TransportDescription,
} from "@virtio-admin/core";
import { TRANSPORT } from "@virtio-admin/core/di";
import Table from "cli-table3";
import { createApplication } from "../application.ts";
import type { Output } from "../output.ts";

const ROWS: readonly (readonly [string, (transport: TransportDescription) => string])[] = [
  ["specification", ({ title }) => title],
  ["admin_queue_index", ({ adminQueueLocation }) => adminQueueLocation],
  ["form", ({ adminQueueForm }) => adminQueueForm],
  ["gate", ({ adminQueueGate }) => adminQueueGate],
  ["status", ({ adminQueueStatus }) => adminQueueStatus],
  ["other dialects", ({ dialects = [] }) => dialects.map(placeText).join(", ")],
  ["group types", ({ groupTypes }) => groupTypes.join(", ")],
  ["interrupts", ({ interrupts }) => interrupts],
  ["stopping one queue", ({ queueReset }) => queueReset],
  ["reserved features", ({ reservedFeatures }) => reservedFeatures.map(featureText).join(", ")],
  ["layouts", ({ layouts }) => layouts.map(({ name }) => name).join(", ")],
];
const COLUMN_WIDTH = 36;
const LABEL_WIDTH = 20;

/** Prints the table; always 0. */
export function transports(output: Output): number {
  const descriptions = createApplication()
    .resolveAll(TRANSPORT)
    .map(({ description }) => description);
  const table = new Table({
    head: ["", ...descriptions.map(({ name }) => name)],
    style: { head: [], border: [] },
    colWidths: [LABEL_WIDTH, ...descriptions.map(() => COLUMN_WIDTH)],
    wordWrap: true,
  });
  for (const [label, cell] of ROWS) table.push([label, ...descriptions.map(cell)]);
  output.line(table.toString());
  output.document({
    transports: descriptions.map(({ layouts, ...rest }) => ({
      ...rest,
      layouts: layouts.map(({ name }) => name),
    })),
  });
  return 0;
}

function placeText({ label, location }: DialectPlace): string {
  return `${label}: ${location}`;
}

function featureText(bit: number): string {
  const known = Object.values(FEATURE).some((value) => value === bit);
  return known ? `${featureName(bit)} (${bit})` : featureName(bit);
}
