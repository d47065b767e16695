/** Drives the entropy device at the socket that is named, without end; killed by the test. */
import { bringUp } from "@virtio-admin/core";
import { EntropyDriver } from "@virtio-admin/devices";
import { PciDriver } from "@virtio-admin/transport-pci";
import { VfioUserClient } from "@virtio-admin/vfio-user";

const client = await VfioUserClient.connect({
  path: process.argv[2] ?? "",
  memory: { length: 0x10_0000 },
});
const driver = new PciDriver({ bus: client, dma: client.dma, assignBarsAt: 0xe000_0000 });
const entropy = new EntropyDriver(await bringUp(driver, { queues: [{ index: 0 }] }));
for (let round = 0; ; round++) {
  await entropy.read(64);
  if (round === 10) process.stdout.write("driving\n");
}
