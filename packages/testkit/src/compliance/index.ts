/** The compliance kit: cases, how they are run, and what they report. */
export { COMPLIANCE_CASES } from "./cases/index.ts";
export { ComplianceContext } from "./context.ts";
export {
  type BenchQueue,
  DeviceBench,
  type DeviceBenchOptions,
  type Heard,
} from "./device-bench.ts";
export { DriverBench, type DriverBenchOptions, PLAIN_BRING_UP } from "./driver-bench.ts";
export { type AvailableBuffer, HandDeviceQueue } from "./hand-device-queue.ts";
export { type Descriptor, type HandBuffer, HandRing, type UsedEntry } from "./hand-ring.ts";
export { ProbeFamily } from "./probe-family.ts";
export { ProbeModel } from "./probe-model.ts";
export { type ComplianceOptions, runCase, runCompliance } from "./run.ts";
export { type DeviceCall, type DeviceScript, ScriptedDevice } from "./scripted-device.ts";
export {
  type ComplianceCase,
  ComplianceFailure,
  type ComplianceReport,
  type ComplianceResult,
  type ComplianceSide,
} from "./types.ts";
