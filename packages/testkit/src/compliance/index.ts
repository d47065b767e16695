/** The compliance kit: cases, how they are run, and what they report. */
export type { HandAnswer, HandCommand } from "./admin-bench.ts";
export { COMPLIANCE_CASES } from "./cases/index.ts";
export { ComplianceContext } from "./context.ts";
export {
  type BenchQueue,
  type BenchRing,
  DeviceBench,
  type DeviceBenchOptions,
  type Heard,
} from "./device-bench.ts";
export { type DeviceHand, LocalDeviceHand } from "./device-hand.ts";
export { DriverBench, type DriverBenchOptions, PLAIN_BRING_UP } from "./driver-bench.ts";
export { type DriverHand, LocalDriverHand } from "./driver-hand.ts";
export { ComplianceFailure } from "./failure.ts";
export { fence } from "./fence.ts";
export {
  type AvailableBuffer,
  HandDeviceQueue,
  type WritableElement,
} from "./hand-device-queue.ts";
export { HandPackedDeviceQueue } from "./hand-packed-device-queue.ts";
export {
  HandPackedRing,
  PACKED_DESCRIPTOR,
  PACKED_EVENT,
  PACKED_WRAP,
  type PackedDescriptor,
} from "./hand-packed-ring.ts";
export { type Descriptor, type HandBuffer, HandRing, type UsedEntry } from "./hand-ring.ts";
export { LegacyBench, type LegacyGuest, type RegisterName } from "./legacy-bench.ts";
export { ProbeFamily } from "./probe-family.ts";
export { ProbeModel } from "./probe-model.ts";
export { type ComplianceOptions, runCase, runCompliance } from "./run.ts";
export {
  type DeviceCall,
  type DeviceCallName,
  type DeviceScript,
  ScriptedDevice,
  type ScriptedPlace,
} from "./scripted-device.ts";
export type {
  ComplianceCase,
  ComplianceReport,
  ComplianceResult,
  ComplianceSide,
} from "./types.ts";
