/** A physical function, its virtual functions, and what tests do to them. */
import {
  AdminExecutor,
  AdminQueues,
  bringUp,
  type CommandFamily,
  createGuestMemory,
  type DeviceModel,
  DmaArena,
  type DriverDevice,
  FEATURE,
  MANAGEMENT_FAMILY,
  openAdminClient,
  SelfGroup,
  VirtioDevice,
} from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import {
  loopbackBus,
  PciDevice,
  PciDriver,
  type PciPlacement,
  SRIOV_CAPABILITY_LAYOUT,
  SriovDriver,
  SriovGroup,
  type SriovGroupInit,
} from "@virtio-admin/transport-pci";
import { MEMORY_BASE, MEMORY_LENGTH } from "./rig.ts";

export const SRIOV = SRIOV_CAPABILITY_LAYOUT.fields;
export const SRIOV_AT = 0x100;
export const VF_ENABLE = 1;
export const VF_MSE = 8;
export const VF_BARS_AT = 0x8000_0000;
export const GROUP = 1;
const PF_BARS_AT = 0xe000_0000;

type SriovField = keyof typeof SRIOV;

/** Memory, a model, and a virtio device; every byte that virtual function `id` gives is `id`. */
export function makeMember(id: number, model?: DeviceModel) {
  const memory = createGuestMemory([{ base: MEMORY_BASE, bytes: new Uint8Array(0x4000) }]);
  const device = new VirtioDevice({
    memory,
    model: model ?? createEntropy({ source: (target) => void target.fill(id), queueSize: 8 }),
  });
  return { device, dma: new DmaArena(memory, MEMORY_BASE, 0x4000) };
}

export interface SriovRigOptions extends Partial<SriovGroupInit> {
  readonly families?: readonly CommandFamily[];
  readonly models?: (id: number) => DeviceModel;
  /** Where the owner has what; see `PciDeviceInit`. */
  readonly ownerPlacement?: PciPlacement;
}

/** Both halves of an owner; virtual functions as many as are asked for. */
export function makeSriovRig(options: SriovRigOptions = {}) {
  const { families = [MANAGEMENT_FAMILY], models, ownerPlacement, ...init } = options;
  const members = new Map<number, Pick<ReturnType<typeof makeMember>, "device" | "dma">>();
  const vfs = new SriovGroup({
    totalVfs: 8,
    makeDevice: (id) => {
      const member = makeMember(id, models?.(id));
      members.set(id, member);
      return member.device;
    },
    ...init,
  });
  const memory = createGuestMemory([{ base: MEMORY_BASE, bytes: new Uint8Array(MEMORY_LENGTH) }]);
  const dma = new DmaArena(memory, MEMORY_BASE, MEMORY_LENGTH);
  const executor = new AdminExecutor({ groups: [new SelfGroup(), vfs], families });
  const device = new VirtioDevice({
    memory,
    model: createEntropy({ source: (target) => void target.fill(0xee) }),
    admin: new AdminQueues({ executor, count: 2, maxSize: 16 }),
  });
  const pf = new PciDevice({ ...ownerPlacement, device, sriov: vfs });
  const bus = loopbackBus(pf);
  const rig = {
    vfs,
    pf,
    bus,
    device,
    executor,
    /** What {@link SriovGroupInit.makeDevice} has made. */
    members,
    get: (field: SriovField) =>
      pf.configRead(SRIOV_AT + SRIOV[field].offset, SRIOV[field].width) >>> 0,
    set: (field: SriovField, value: number) =>
      pf.configWrite(SRIOV_AT + SRIOV[field].offset, SRIOV[field].width, value),
    /** NumVFs and VF Enable with VF MSE, as a driver writes them. */
    enable: (count: number) => {
      rig.set("num_vfs", count);
      rig.set("control", VF_ENABLE | VF_MSE);
    },
    disable: () => rig.set("control", 0),
    /** Brings the owner up, with VIRTIO_F_SR_IOV. */
    bringUp: async (features: readonly number[] = [FEATURE.VIRTIO_F_SR_IOV]) => {
      const driver = new PciDriver({ bus, dma, assignBarsAt: PF_BARS_AT });
      return bringUp(driver, {
        queues: [{ index: 0 }],
        adminQueues: "all",
        requiredFeatures: features,
      });
    },
    /** The owner's driver, its client, and its SR-IOV driver. */
    start: async () => {
      const owner = await rig.bringUp();
      const sriov = await SriovDriver.open(bus, owner.features);
      return { owner, client: openAdminClient(owner), sriov };
    },
    /** Brings virtual function `id` up through a bus of its own. */
    bringUpMember: async (sriov: SriovDriver, id: number): Promise<DriverDevice> => {
      const pci = rig.functionOf(id);
      const driver = new PciDriver({
        bus: loopbackBus(pci),
        dma: members.get(id)!.dma,
        virtualFunction: sriov.virtualFunction(id),
      });
      return bringUp(driver, { queues: [{ index: 0, size: 8 }] });
    },
    functionOf: (id: number): PciDevice => {
      const pci = vfs.function(id);
      if (pci === undefined) throw new Error(`there is no virtual function ${id}`);
      return pci;
    },
    /** One command straight to the executor; answers status and qualifier. */
    command: (opcode: number, member: number | bigint, data: readonly number[] = []) => {
      const request = new Uint8Array(24 + data.length);
      const view = new DataView(request.buffer);
      view.setUint16(0, opcode, true);
      view.setUint16(2, GROUP, true);
      view.setBigUint64(16, BigInt(member), true);
      request.set(data, 24);
      const response = new Uint8Array(128);
      executor.execute(request, response);
      const answer = new DataView(response.buffer);
      return [answer.getUint16(0, true), answer.getUint16(2, true)] as const;
    },
    /** Uses every command that is reported for the SR-IOV group. */
    useAll: () => {
      const opcodes = executor.supported(GROUP);
      const words = new Uint8Array(64);
      for (const opcode of opcodes) words[opcode >>> 3]! |= 1 << (opcode & 7);
      return rig.command(1, 0, [...words]);
    },
  };
  return rig;
}

export type SriovRig = ReturnType<typeof makeSriovRig>;
