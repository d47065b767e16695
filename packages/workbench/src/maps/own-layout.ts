/**
 * A layout of the reader's own: a file that nobody vouches for. What it may cost is bounded, and
 * whatever is wrong with it is an answer.
 */
import { checkLayout, type Layout, type LayoutFinding, layoutFromJson } from "@virtio-admin/core";
import type { TransportName } from "../transports.ts";

/** The most characters of a layout's file. */
export const LAYOUT_FILE_LIMIT = 1 << 20;

/** One thing about a file: what core says of a layout, or why the file is none. */
export type OwnFinding = Pick<LayoutFinding, "severity" | "path" | "message" | "hint">;

/** What a file was found to be. */
export type OwnLayout =
  | {
      /** The layout. */
      readonly layout: Layout;
      /** What there is to think about: warnings. */
      readonly findings: readonly OwnFinding[];
    }
  | {
      /** There is none. */
      readonly layout?: undefined;
      /** What is wrong with the file; at least one thing. */
      readonly findings: readonly OwnFinding[];
    };

/** Reads the text of a file; never throws. */
export function readOwnLayout(text: string): OwnLayout {
  if (text.length > LAYOUT_FILE_LIMIT) {
    return refused(`a layout has at most ${LAYOUT_FILE_LIMIT} characters`);
  }
  try {
    const json: unknown = JSON.parse(text);
    const findings = checkLayout(json);
    if (findings.some(({ severity }) => severity === "error")) return { findings };
    return { layout: layoutFromJson(json), findings };
  } catch (error) {
    return refused(error instanceof Error ? error.message : "it cannot be read");
  }
}

/** The transport that a layout is shown beside: where its kind is at home. */
export function homeOf(layout: Layout): TransportName {
  return layout.kind === "commands" ? "ccw" : layout.kind === "registers" ? "mmio" : "pci";
}

function refused(message: string): OwnLayout {
  return { findings: [{ severity: "error", path: "file", message }] };
}
