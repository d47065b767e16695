/** Both halves in one process: bring-up, data and commands, with every kind of interrupt. */
import {
  AdminExecutor,
  AdminQueues,
  bringUp,
  createGuestMemory,
  DmaArena,
  FEATURE,
  SelfGroup,
  VirtioDevice,
} from "@virtio-admin/core";
import { createEntropy, ENTROPY_DEVICE_ID, EntropyDriver } from "@virtio-admin/devices";
import { type PciTransportOptions, pciTransport } from "@virtio-admin/transport-pci";
import { describe, expect, it } from "vitest";
import { MEMORY_BASE, MEMORY_LENGTH } from "./rig.ts";

const BYTES = Uint8Array.from({ length: 64 }, (_, i) => i ^ 0xa5);

function make(options: PciTransportOptions = {}, adminCount = 1) {
  const memory = createGuestMemory([{ base: MEMORY_BASE, bytes: new Uint8Array(MEMORY_LENGTH) }]);
  const dma = new DmaArena(memory, MEMORY_BASE, MEMORY_LENGTH);
  const executor = new AdminExecutor({ groups: [new SelfGroup()] });
  const device = new VirtioDevice({
    model: createEntropy({ source: (target) => target.set(BYTES.subarray(0, target.length)) }),
    memory,
    ...(adminCount === 0 ? {} : { admin: new AdminQueues({ executor, count: adminCount }) }),
  });
  const pair = pciTransport(options).loopback(device, { dma });
  return { device, dma, driver: pair.driver, pair };
}

const PLACEMENTS: readonly [string, PciTransportOptions][] = [
  ["a vector per queue", {}],
  ["two vectors", { msix: { vectors: 2 } }],
  ["one vector for all", { msix: { vectors: 1 } }],
  ["2048 vectors", { msix: { vectors: 2048 } }],
  ["INTx by choice", { interrupts: "intx" }],
  ["INTx for want of MSI-X", { msix: false }],
  [
    "64-bit BARs",
    {
      bars: [
        { index: 2, length: 0x8000, width: 64, prefetchable: true },
        { index: 4, length: 0x1000, width: 64 },
      ],
      windows: {
        common: { bar: 2, offset: 0x4000, length: 64 },
        isr: { bar: 2, offset: 3, length: 1 },
        notify: { bar: 2, offset: 0x2002, length: 0x100 },
      },
      msix: { table: { bar: 4, offset: 0 }, pba: { bar: 4, offset: 0x800 } },
    },
  ],
  ["one notification address for all queues", { notifyOffMultiplier: 0 }],
  ["few notification addresses", { windows: { notify: { bar: 0, offset: 0x3000, length: 6 } } }],
];

describe("an entropy device with administration virtqueues over loopback", () => {
  it.each(PLACEMENTS)(
    "[pci-common-driver-9] [pci-msix-driver-1] comes up, gives bytes and answers a command: %s",
    async (_name, options) => {
      const { driver, dma } = make(options, 3);
      const device = await bringUp(driver, {
        deviceId: ENTROPY_DEVICE_ID,
        queues: [{ index: 0 }],
        adminQueues: "all",
      });
      expect(device.features.has(FEATURE.VIRTIO_F_ADMIN_VQ)).toBe(true);
      expect(device.admin).toEqual({
        index: 1,
        count: 3,
        source: "virtio_pci_common_cfg, offsets 60 and 62",
      });
      const entropy = new EntropyDriver(device);
      expect([...(await entropy.read(16))]).toEqual([...BYTES.subarray(0, 16)]);

      for (const queue of device.adminQueues) {
        // LIST_QUERY in the Self group: all of the header is 0.
        const header = dma.allocate(24, 8);
        const answer = dma.allocate(24, 8);
        new DataView(answer.region.bytes.buffer).setUint8(answer.address - MEMORY_BASE, 0xff);
        const done = new Promise<void>((resolve) => {
          queue.onUsed = () => {
            if (queue.reap() >= 0) resolve();
          };
        });
        queue.queue.add([header.address, answer.address], [24, 24], 2, 1);
        queue.notify();
        await done;
        expect(queue.queue.usedLength).toBeGreaterThan(8);
        expect(answer.region.view.getUint16(answer.address - MEMORY_BASE, true)).toBe(0);
      }
      await device.close();
    },
  );

  it("[admin-vq-1+] [pci-common-driver-10] sets up fewer administration virtqueues than there are", async () => {
    const { driver } = make({}, 3);
    const device = await bringUp(driver, { queues: [{ index: 0 }], adminQueues: 1 });
    expect(device.adminQueues.map(({ index }) => index)).toEqual([1]);
    await device.close();
  });

  it("[admin-vq-1-] names the transport and the bit where there is no administration virtqueue", async () => {
    const { driver } = make({}, 0);
    await expect(bringUp(driver, { queues: [{ index: 0 }], adminQueues: 1 })).rejects.toThrow(
      /pci.*bit 41/,
    );
  });

  it("does not offer VIRTIO_F_ADMIN_VQ from a structure that has no room for its fields", async () => {
    const short = { windows: { common: { bar: 0, offset: 0, length: 60 } } };
    const { driver, device } = make(short, 1);
    expect(device.offeredFeatures.has(FEATURE.VIRTIO_F_ADMIN_VQ)).toBe(false);
    const up = await bringUp(driver, { queues: [{ index: 0 }] });
    expect(up.features.has(FEATURE.VIRTIO_F_RING_RESET)).toBe(true);
    await up.close();
  });

  it("[pci-common-driver-7] [pci-common-driver-8] resets a queue and enables it again", async () => {
    const { driver } = make();
    const device = await bringUp(driver, { queues: [{ index: 0 }], adminQueues: 1 });
    const entropy = new EntropyDriver(device);
    await entropy.read(8);
    await device.resetQueue(1);
    expect(device.queue(1).live).toBe(true);
    await entropy.read(8);
    await device.close();
  });

  it("can be brought up again after it was closed", async () => {
    const { driver } = make();
    const first = await bringUp(driver, { queues: [{ index: 0 }], adminQueues: 1 });
    await first.close();
    const second = await bringUp(driver, { queues: [{ index: 0 }], adminQueues: 1 });
    const entropy = new EntropyDriver(second);
    expect((await entropy.read(4)).length).toBe(4);
    await second.close();
  });
});
