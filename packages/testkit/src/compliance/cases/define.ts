/** How the kit's own cases are put down. */
import type { ComplianceContext } from "../context.ts";
import type { ComplianceCase } from "../types.ts";

type Run = (context: ComplianceContext) => Promise<void>;

/** A case about the device half. */
export function deviceCase(
  id: string,
  title: string,
  clauses: readonly string[],
  run: Run,
): ComplianceCase {
  return { id, title, side: "device", clauses, run };
}

/** A case about the driver half. */
export function driverCase(
  id: string,
  title: string,
  clauses: readonly string[],
  run: Run,
): ComplianceCase {
  return { id, title, side: "driver", clauses, run };
}
