import type { ComplianceCase } from "../types.ts";
export const BRING_UP_CASES: readonly ComplianceCase[] = [];
