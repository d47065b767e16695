/**
 * What is the same thing on every transport: the fields of each that a driver uses for it. A reader
 * who looks at one sees the others.
 */
import type { TransportName } from "../transports.ts";

/** One thing and its fields, by the keys of `stripsOf`. */
export type Counterpart = Readonly<Record<TransportName, readonly string[]>>;

/** Everything that more than one transport has a place for. */
export const COUNTERPARTS: readonly Counterpart[] = [
  { pci: [], mmio: ["DeviceID"], ccw: ["SENSE_ID.cu_model"] },
  {
    pci: ["device_feature_select"],
    mmio: ["DeviceFeaturesSel"],
    ccw: ["READ_FEAT", "READ_FEAT.index"],
  },
  { pci: ["device_feature"], mmio: ["DeviceFeatures"], ccw: ["READ_FEAT.features"] },
  {
    pci: ["driver_feature_select"],
    mmio: ["DriverFeaturesSel"],
    ccw: ["WRITE_FEAT", "WRITE_FEAT.index"],
  },
  { pci: ["driver_feature"], mmio: ["DriverFeatures"], ccw: ["WRITE_FEAT.features"] },
  { pci: ["config_msix_vector"], mmio: ["InterruptStatus"], ccw: ["SET_CONF_IND.address"] },
  {
    pci: ["device_status"],
    mmio: ["Status"],
    ccw: ["READ_STATUS", "READ_STATUS.status", "WRITE_STATUS", "WRITE_STATUS.status"],
  },
  { pci: ["config_generation"], mmio: ["ConfigGeneration"], ccw: [] },
  {
    pci: ["queue_select"],
    mmio: ["QueueSel"],
    ccw: ["READ_VQ_CONF.index", "SET_VQ.index"],
  },
  {
    pci: ["queue_size"],
    mmio: ["QueueSizeMax", "QueueSize"],
    ccw: ["READ_VQ_CONF.max_queue_size", "SET_VQ.size"],
  },
  {
    pci: ["queue_msix_vector"],
    mmio: ["InterruptStatus"],
    ccw: ["SET_IND.address", "SET_IND_ADAPTER.indicator"],
  },
  { pci: ["queue_enable"], mmio: ["QueueReady"], ccw: ["SET_VQ"] },
  { pci: ["queue_notify_off"], mmio: ["QueueNotify"], ccw: [] },
  { pci: ["queue_desc"], mmio: ["QueueDescLow", "QueueDescHigh"], ccw: ["SET_VQ.desc"] },
  { pci: ["queue_driver"], mmio: ["QueueDriverLow", "QueueDriverHigh"], ccw: ["SET_VQ.driver"] },
  { pci: ["queue_device"], mmio: ["QueueDeviceLow", "QueueDeviceHigh"], ccw: ["SET_VQ.device"] },
  { pci: ["queue_reset"], mmio: ["QueueReset"], ccw: [] },
  {
    pci: ["admin_queue_index"],
    mmio: ["AdminQueueIndex"],
    ccw: ["READ_ADMIN_VQ", "READ_ADMIN_VQ.admin_queue_index"],
  },
  {
    pci: ["admin_queue_num"],
    mmio: ["AdminQueueNum"],
    ccw: ["READ_ADMIN_VQ", "READ_ADMIN_VQ.admin_queue_num"],
  },
];

/** The keys on every transport that are the same thing as this one; none when nothing is. */
export function counterpartsOf(
  transport: TransportName,
  key: string,
): Readonly<Record<TransportName, ReadonlySet<string>>> {
  const same = COUNTERPARTS.filter((each) => each[transport].includes(key));
  const keysOn = (name: TransportName) =>
    new Set(name === transport ? [] : same.flatMap((each) => each[name]));
  return { pci: keysOn("pci"), mmio: keysOn("mmio"), ccw: keysOn("ccw") };
}
