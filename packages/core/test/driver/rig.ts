/** A device core, a driver half that calls it directly, and the memory between them. */
import { type ConfigSpace, VirtioDevice } from "@virtio-admin/core";
import { FillModel, type NotingAdmin } from "../device/models.ts";
import { DirectTransport, makeMemory } from "../direct-transport.ts";

export function setUp(
  parts: { admin?: NotingAdmin; config?: ConfigSpace; reserved?: number[] } = {},
) {
  const { memory, dma } = makeMemory();
  const model = new FillModel(parts.config);
  const core = new VirtioDevice({
    model,
    memory,
    ...(parts.admin === undefined ? {} : { admin: parts.admin }),
  });
  const transport = new DirectTransport(core, dma, parts.reserved);
  return { core, model, memory, dma, transport };
}
