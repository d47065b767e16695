import { AdminQueues } from "../admin/device-queue.ts";
import { AdminExecutor } from "../admin/executor.ts";
import type { CommandFamily } from "../admin/types.ts";
import { VirtioDevice } from "../device/device.ts";
import type { DeviceModel } from "../device/types.ts";
import type { DeviceGroup } from "../group/types.ts";
import type { GuestMemory } from "../memory/types.ts";
import type { TraceSink } from "../trace/types.ts";
import { inject, injectAll, injectable } from "./container.ts";
import {
  ADMIN_SETTINGS,
  type AdminSettings,
  COMMAND_FAMILY,
  DEVICE_MODEL,
  GROUP_TYPE,
  GUEST_MEMORY,
  TRACE_SINK,
} from "./tokens.ts";

/** An owner device, put together from what is registered: device, executor, admin queues. */
@injectable()
export class OwnerDevice {
  /** What carries its administration commands out. */
  readonly executor: AdminExecutor;
  /** Its administration virtqueues. */
  readonly adminQueues: AdminQueues;
  /** The device, to be connected to a transport. */
  readonly device: VirtioDevice;

  /** Puts the owner together; a container calls it. */
  constructor(
    @inject(DEVICE_MODEL) model: DeviceModel,
    @inject(GUEST_MEMORY) memory: GuestMemory,
    @injectAll(GROUP_TYPE) groups: readonly DeviceGroup[],
    @injectAll(COMMAND_FAMILY, { isOptional: true }) families: readonly CommandFamily[],
    @inject(ADMIN_SETTINGS, { isOptional: true }) settings?: AdminSettings,
    @inject(TRACE_SINK, { isOptional: true }) trace?: TraceSink,
  ) {
    const { dialect, tolerances, ...queues } = settings ?? {};
    this.executor = new AdminExecutor({
      groups,
      families,
      ...(dialect === undefined ? {} : { dialect }),
      ...(tolerances === undefined ? {} : { tolerances }),
    });
    this.adminQueues = new AdminQueues({ executor: this.executor, ...queues });
    this.device = new VirtioDevice({
      model,
      memory,
      admin: this.adminQueues,
      ...(trace === undefined ? {} : { trace }),
    });
  }
}
