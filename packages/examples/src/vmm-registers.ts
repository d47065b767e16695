/**
 * What the author of a VMM does: give the register accesses that trap to an MmioDevice, and its
 * interrupt line to the interrupt controller. The guest here is played by hand, access by access
 * from the reset to a buffer of entropy, so that every exit can be seen.
 */
import {
  AdminExecutor,
  AdminQueues,
  createDriverQueue,
  createGuestMemory,
  FEATURE,
  FeatureSet,
  SelfGroup,
  STATUS,
  VirtioDevice,
} from "@virtio-admin/core";
import { createEntropy, ENTROPY_REQUESTQ } from "@virtio-admin/devices";
import { MMIO_REFERENCE_LAYOUT, MmioDevice, type MmioRegister } from "@virtio-admin/transport-mmio";

const GUEST_BASE = 0x8000_0000;
const WINDOW_BASE = 0x0a00_0000;
const REGISTER_BYTES = 4;
/** The widest access that a guest can make: wider than any register, and not to be trusted. */
const ACCESS_BYTES = 8;

/** Runs the example. */
export async function vmmRegisters() {
  // The VMM. Its guest memory would be a SharedArrayBuffer or a mapped file.
  const memory = createGuestMemory([{ base: GUEST_BASE, bytes: new Uint8Array(0x4000) }]);
  const admin = new AdminQueues({ executor: new AdminExecutor({ groups: [new SelfGroup()] }) });
  const device = new VirtioDevice({ model: createEntropy(), memory, admin });
  const interruptLine: boolean[] = [];
  const window = new MmioDevice({ device, onInterrupt: (high) => interruptLine.push(high) });
  let exits = 0;
  /** An exit of a virtual CPU, as hypervisors report it; what is read is answered in `data`. */
  const handleExit = (address: number, isWrite: boolean, data: Uint8Array): void => {
    exits++;
    const offset = address - WINDOW_BASE;
    const bytes = new Uint8Array(ACCESS_BYTES);
    const view = new DataView(bytes.buffer);
    bytes.set(data);
    if (isWrite) window.write(offset, data.length, view.getUint32(0, true));
    else view.setUint32(0, window.read(offset, data.length), true);
    data.set(bytes.subarray(0, data.length));
  };

  // The guest: loads and stores of 32 bits, each of which traps.
  const access = (name: MmioRegister, isWrite: boolean, value = 0): number => {
    const offset = MMIO_REFERENCE_LAYOUT.registers[name]?.offset ?? Number.NaN;
    const data = new Uint8Array(REGISTER_BYTES);
    const view = new DataView(data.buffer);
    view.setUint32(0, value, true);
    handleExit(WINDOW_BASE + offset, isWrite, data);
    return view.getUint32(0, true);
  };
  const load = (name: MmioRegister) => access(name, false);
  const store = (name: MmioRegister, value: number) => access(name, true, value);

  const magic = load("MagicValue");
  const deviceId = load("DeviceID");
  store("Status", 0);
  store("Status", STATUS.ACKNOWLEDGE);
  store("Status", STATUS.ACKNOWLEDGE | STATUS.DRIVER);
  const wanted = FeatureSet.of(FEATURE.VIRTIO_F_VERSION_1, FEATURE.VIRTIO_F_ADMIN_VQ);
  for (const word of [0, 1]) {
    store("DriverFeaturesSel", word);
    store("DriverFeatures", wanted.word(word));
  }
  const settled = STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.FEATURES_OK;
  store("Status", settled);
  const featuresTaken = (load("Status") & STATUS.FEATURES_OK) !== 0;
  const adminQueues = { index: load("AdminQueueIndex"), count: load("AdminQueueNum") };

  // A queue of 8 entries: each of its three areas fits a page.
  const areas = {
    descriptorArea: GUEST_BASE,
    driverArea: GUEST_BASE + 0x1000,
    deviceArea: GUEST_BASE + 0x2000,
  };
  const queue = createDriverQueue({ ...areas, size: 8, memory, eventIdx: false, indirect: false });
  store("QueueSel", ENTROPY_REQUESTQ);
  store("QueueSize", queue.size);
  store("QueueDescLow", areas.descriptorArea);
  store("QueueDriverLow", areas.driverArea);
  store("QueueDeviceLow", areas.deviceArea);
  store("QueueReady", 1);
  store("Status", settled | STATUS.DRIVER_OK);

  // One buffer: offered, notified of, used within that exit, and the interrupt acknowledged.
  const buffer = GUEST_BASE + 0x3000;
  const bytes = new Uint8Array(16);
  queue.add([buffer], [bytes.length], 1, 0);
  if (queue.publish()) store("QueueNotify", ENTROPY_REQUESTQ);
  store("InterruptACK", load("InterruptStatus"));
  queue.reap();
  memory.read(buffer, bytes);
  return { magic, deviceId, featuresTaken, adminQueues, bytes, interruptLine, exits };
}

if (process.argv[1]?.endsWith("vmm-registers.js")) console.log(await vmmRegisters());
