/** A server in a process of its own: an entropy device with an administration virtqueue. */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import process from "node:process";
import { AdminExecutor, AdminQueues, SelfGroup, TOLERANT, VirtioDevice } from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import { PciDevice } from "@virtio-admin/transport-pci";
import { VfioUserServer } from "@virtio-admin/vfio-user";

const [path = ""] = process.argv.slice(2);
mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
const server = await VfioUserServer.listen({
  path,
  device: (memory) => {
    const executor = new AdminExecutor({ groups: [new SelfGroup()], tolerances: TOLERANT });
    const admin = new AdminQueues({ executor, count: 1 });
    const device = new VirtioDevice({ model: createEntropy(), memory, admin });
    return new PciDevice({ device, vectorMasking: "vmm" });
  },
});
process.stdout.write("ready\n");
// The parent holds the other end, and goes at last.
process.stdin.on("end", () => void server.close().then(() => process.exit(0)));
process.stdin.resume();
