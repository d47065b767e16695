/** The worker's program of `two-threads.ts`: an entropy device with an administration virtqueue. */
import { AdminExecutor, AdminQueues, SelfGroup, VirtioDevice } from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import { serveThread } from "@virtio-admin/threads";
import { MmioDevice } from "@virtio-admin/transport-mmio";

await serveThread(({ memory }) => {
  const admin = new AdminQueues({ executor: new AdminExecutor({ groups: [new SelfGroup()] }) });
  return new MmioDevice({ device: new VirtioDevice({ model: createEntropy(), memory, admin }) });
});
