/** The transport as a registration in a container of its own. */
import {
  bringUp,
  createGuestMemory,
  DmaArena,
  FEATURE,
  MANAGEMENT_FAMILY,
  openAdminClient,
} from "@virtio-admin/core";
import {
  COMMAND_FAMILY,
  composeHost,
  connectOwner,
  container,
  createScope,
  DEVICE_MODEL,
  DMA,
  GROUP_TYPE,
  GUEST_MEMORY,
  registerCore,
  resolveMembers,
  resolveTransport,
  type Scope,
} from "@virtio-admin/core/di";
import { createEntropy, EntropyDriver } from "@virtio-admin/devices";
import {
  loopbackBus,
  PCI_TRANSPORT,
  type PciBus,
  PciDevice,
  PciDriver,
  SriovDriver,
  SriovGroup,
} from "@virtio-admin/transport-pci";
import { registerPci } from "@virtio-admin/transport-pci/di";
import { describe, expect, it } from "vitest";
import { MEMORY_BASE, MEMORY_LENGTH } from "./rig.ts";

describe("registerPci", () => {
  it("puts the transport into the container it is given, made once", async () => {
    const child = container.createChildContainer();
    registerCore(child);
    registerPci(child, { interrupts: "intx" });
    expect(resolveTransport(child, "pci")).toBe(resolveTransport(child, "pci"));
    const memory = createGuestMemory([{ base: MEMORY_BASE, bytes: new Uint8Array(MEMORY_LENGTH) }]);
    child.register(DEVICE_MODEL, { useValue: createEntropy() });
    child.register(GUEST_MEMORY, { useValue: memory });
    child.register(DMA, { useValue: new DmaArena(memory, MEMORY_BASE, MEMORY_LENGTH) });
    const device = await bringUp(connectOwner(child, "pci").driver, {
      queues: [{ index: 0 }],
      adminQueues: 1,
    });
    expect(device.transport).toBe("pci");
    await device.close();
  });
});

describe("a host of an SR-IOV group", () => {
  const BARS_AT = 0xe000_0000;
  const VF_BARS_AT = 0x8000_0000;

  it("is composed of members that the group puts into its functions", async () => {
    const application = createScope();
    const register = (byte: number) => (scope: Scope) => {
      scope.provide(DEVICE_MODEL, () =>
        createEntropy({ source: (target) => void target.fill(byte), queueSize: 8 }),
      );
      scope.provide(GUEST_MEMORY, () =>
        createGuestMemory([{ base: MEMORY_BASE, bytes: new Uint8Array(MEMORY_LENGTH) }]),
      );
      scope.provide(
        DMA,
        (own) => new DmaArena(own.resolve(GUEST_MEMORY), MEMORY_BASE, MEMORY_LENGTH),
      );
    };
    let group: SriovGroup | undefined;
    let bus: PciBus | undefined;
    const host = await composeHost(application, {
      owner: {
        register: (scope) => {
          register(0xee)(scope);
          registerCore(scope.container);
          scope.container.registerInstance(COMMAND_FAMILY, MANAGEMENT_FAMILY);
          scope.provide(GROUP_TYPE, (own) => {
            const members = resolveMembers(own);
            group = new SriovGroup({
              totalVfs: members.length,
              makeDevice: (id) => members[id - 1]!.device,
            });
            return group;
          });
        },
        // A physical function's transport is its own: it has the group's registers.
        transport: () => ({
          ...PCI_TRANSPORT,
          loopback: (device, { dma }) => {
            bus = loopbackBus(new PciDevice({ device, sriov: group! }));
            const driver = new PciDriver({ bus, dma, assignBarsAt: BARS_AT });
            return { driver, close: () => bus?.onInterrupt(undefined) };
          },
        }),
      },
      members: [1, 2].map((id) => ({ id, register: register(id) })),
    });
    const owner = await bringUp(host.driver, {
      queues: [],
      adminQueues: 1,
      requiredFeatures: [FEATURE.VIRTIO_F_SR_IOV],
    });
    const client = openAdminClient(owner);
    const sriov = await SriovDriver.open(bus!, owner.features);
    await sriov.enable(2, { barsAt: VF_BARS_AT });
    for (const { id, scope } of host.members.values()) {
      const driver = new PciDriver({
        bus: loopbackBus(group!.function(id)!),
        dma: scope.container.resolve(DMA),
        virtualFunction: sriov.virtualFunction(id),
      });
      const member = await bringUp(driver, { queues: [{ index: 0, size: 8 }] });
      expect([...(await new EntropyDriver(member).read(2))]).toEqual([id, id]);
      await member.close();
    }
    await sriov.disable(client);
    await owner.close();
    client.close();
    await application.dispose();
    expect([...host.members.values()].map(({ device }) => device.status)).toEqual([0, 0]);
  });
});
