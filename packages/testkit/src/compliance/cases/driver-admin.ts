import type { ComplianceCase } from "../types.ts";
export const DRIVER_ADMIN_CASES: readonly ComplianceCase[] = [];
