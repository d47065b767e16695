/** Clauses of the MMIO transport. */
import { defineSection, type SectionContext } from "./section.ts";

const CONTEXT: SectionContext = { scope: "mmio", file: "transport-mmio.tex" };
const MMIO = "Virtio Transport Options / Virtio Over MMIO";
const OPERATION = `${MMIO} / MMIO-specific Initialization And Device Operation`;
const TITLE = "MMIO Device Register Layout";

/** Sections of the MMIO transport; see {@link CLAUSE_SECTIONS}. */
export const MMIO_SECTIONS = [
  defineSection(CONTEXT, {
    slug: "mmio-layout",
    role: "device",
    title: TITLE,
    label: `sec:${MMIO} / MMIO Device Register Layout`,
    rules: {
      "1 must": "All registers are little-endian.",
      "2 must":
        "DeviceFeatures shows the 32 offered bits from 32 * DeviceFeaturesSel on, zero where none are defined.",
      "3 must": "DriverFeatures sets the 32 accepted bits from 32 * DriverFeaturesSel on.",
      "4 must": "QueueSizeMax reads 0 while QueueSel selects a queue that is not available.",
      "5 must": "QueueReady reads the last value written for the selected queue.",
      "6 must": "Writing 0 to Status resets the device; other values set the status bits.",
      "7 must":
        "SHMLen and SHMBase read all ones while SHMSel selects a region that does not exist.",
      "8 must":
        "ConfigGeneration reads the same before and after accesses to Config between which no part of it has changed.",
      "9 must": "Config starts at offset 0x100 and is accessed by bytes.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "mmio-device",
    role: "device",
    title: TITLE,
    label: `devicenormative:${MMIO} / MMIO Device Register Layout`,
    rules: {
      "1 must": "MagicValue reads 0x74726976.",
      "2 must": "Version reads 2.",
      "3 must":
        "An event's bit in InterruptStatus is set from the event until the driver writes the bit to InterruptACK.",
      "4 must": "InterruptStatus bits of events that did not take place are zero.",
      "5 must": "A reset clears all bits of InterruptStatus.",
      "6 must": "A reset clears QueueReady of every queue.",
      "7 must":
        "ConfigGeneration changes whenever the driver could otherwise see an inconsistent configuration.",
      "8 must-not": "The device does not access the contents of a virtqueue whose QueueReady is 0.",
      "9 must": "With VIRTIO_F_RING_RESET, QueueReset reads 0 after a reset.",
      "10 must":
        "With VIRTIO_F_RING_RESET, QueueReset reads 0 once QueueReady has enabled the queue.",
      "11 must": "Writing 1 to QueueReset resets the selected queue.",
      "12 must": "QueueReset reads 1 as long as the reset of the queue is under way.",
      "13 must": "QueueReset and QueueReady read 0 once the reset of the queue is complete.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "mmio-driver",
    role: "driver",
    title: TITLE,
    label: `drivernormative:${MMIO} / MMIO Device Register Layout`,
    rules: {
      "1 must-not": "The driver does not access offsets for which no register is described.",
      "2 must-not": "The driver does not write a read-only register.",
      "3 must-not": "The driver does not read a write-only register.",
      "4 must": "The driver accesses control registers by aligned 32-bit reads and writes only.",
      "5 must":
        "The driver accesses configuration fields by their own width, aligned, and 64-bit fields in 32-bit halves.",
      "6 must": "The driver leaves alone a device whose MagicValue is not 0x74726976.",
      "7 must": "The driver leaves alone a device whose Version is not 2.",
      "8 may": "The driver may report a wrong MagicValue or Version as an error.",
      "9 must": "The driver leaves alone a device whose DeviceID is 0.",
      "10 must-not": "The driver does not report a DeviceID of 0 as an error.",
      "11 must": "The driver writes DeviceFeaturesSel before it reads DeviceFeatures.",
      "12 must": "The driver writes DriverFeaturesSel before it writes DriverFeatures.",
      "13 must": "The driver writes a QueueSize no larger than QueueSizeMax.",
      "14 must-not":
        "The driver does not access a queue's size and address registers while QueueReady is not 0.",
      "15 must": "The driver writes 0 to QueueReady to stop a queue.",
      "16 must": "The driver reads QueueReady back after it has written 0 there.",
      "17 must": "The driver disregards undefined bits of InterruptStatus.",
      "18 must": "The driver writes the events it has handled to InterruptACK when it is done.",
      "19 must-not": "The driver does not set undefined bits in InterruptACK.",
      "20 must-not":
        "The driver does not take the reset of a queue as complete before QueueReset reads 0 again.",
      "21 may":
        "The driver may enable a queue again through QueueReady after its reset, with other values if it likes.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "mmio-init-driver",
    role: "driver",
    title: "Device Initialization",
    label: `drivernormative:${OPERATION} / Device Initialization`,
    rules: {
      "1 must": "The driver reads and checks MagicValue and Version first of all.",
      "2 must": "The driver reads DeviceID when MagicValue and Version are valid.",
      "3 must": "The driver ends initialization when DeviceID is 0.",
      "4 must-not":
        "The driver does not access a further register after it has read a DeviceID of 0.",
      "5 must-not":
        "A driver that expects no shared memory does not use the shared memory registers.",
      "6 must": "After these checks the driver follows the general sequence of initialization.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "mmio-notify-driver",
    role: "driver",
    title: "Available Buffer Notifications",
    label: `sec:${OPERATION} / Available Buffer Notifications`,
    rules: {
      "1 must":
        "Without VIRTIO_F_NOTIFICATION_DATA the driver writes the 16-bit virtqueue index to QueueNotify.",
      "2 must":
        "With VIRTIO_F_NOTIFICATION_DATA the driver writes index and position as one 32-bit value to QueueNotify.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "mmio-interrupt-driver",
    role: "driver",
    title: "Notifications From The Device",
    label: `drivernormative:${OPERATION} / Notifications From The Device`,
    rules: {
      "1 must": "The driver reads InterruptStatus after an interrupt to learn its cause.",
      "2 should":
        "The driver takes bit 0 of InterruptStatus as a used buffer notification for every active virtqueue.",
      "3 must": "The driver acknowledges handled events in InterruptACK after the interrupt.",
    },
  }),
] as const;
