import { VirtioDevice } from "../device/device.ts";
import type { DeviceModel } from "../device/types.ts";
import type { GuestMemory } from "../memory/types.ts";
import type { TraceSink } from "../trace/types.ts";
import { inject, injectable } from "./container.ts";
import { DEVICE_MODEL, GUEST_MEMORY, TRACE_SINK } from "./tokens.ts";

/** The device of a member, put together from what is registered. It owns nothing. */
@injectable()
export class MemberDevice {
  /** The device, to be connected to a transport. */
  readonly device: VirtioDevice;

  /** Puts the device together; a container calls it. */
  constructor(
    @inject(DEVICE_MODEL) model: DeviceModel,
    @inject(GUEST_MEMORY) memory: GuestMemory,
    @inject(TRACE_SINK, { isOptional: true }) trace?: TraceSink,
  ) {
    this.device = new VirtioDevice({ model, memory, ...(trace === undefined ? {} : { trace }) });
  }
}
