import type { ComplianceCase } from "../types.ts";
export const DRIVER_QUEUE_CASES: readonly ComplianceCase[] = [];
