/**
 * Checks of plug-ins: group types, command families, command interfaces, device types and trace
 * sinks. Each is handed a fixture and returns a report; transports have the compliance kit.
 */
export {
  COMMAND_FAMILY_CASES,
  type CommandFamilyFixture,
  checkCommandFamily,
} from "./command-family.ts";
export {
  adminQueueInterface,
  type CarrierUnderTest,
  COMMAND_INTERFACE_CASES,
  type CommandInterfaceFixture,
  checkCommandInterface,
} from "./command-interface.ts";
export {
  checkDeviceType,
  DEVICE_TYPE_CASES,
  type DeviceRequest,
  type DeviceTypeFixture,
} from "./device-type.ts";
export {
  checkGroupType,
  GROUP_TYPE_CASES,
  type GroupTypeFixture,
  type GroupUnderTest,
} from "./group-type.ts";
export type {
  PluginCase,
  PluginCheckOptions,
  PluginPoint,
  PluginReport,
  PluginResult,
} from "./run.ts";
export {
  checkTraceSink,
  type SinkUnderTest,
  TRACE_SINK_CASES,
  type TraceSinkFixture,
} from "./trace-sink.ts";
