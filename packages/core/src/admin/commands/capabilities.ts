/**
 * The device half of the capability commands: what capabilities the device has, and what its driver
 * has set of them. Other families and device types contribute capabilities, read what the driver
 * set, and may say that a change has to wait.
 */
import type { Decoded } from "../../layout/index.ts";
import type { Fields } from "../../layout/index.ts";
import { CAPABILITY_FAMILY_NAME } from "../tolerances.ts";
import type { AdminCommand, AdminOwner, CommandFamily, FamilyBinding } from "../types.ts";
import { CAP_ID_LIST_QUERY, DEVICE_CAP_GET, DRIVER_CAP_SET } from "./capabilities-layout.ts";
import type { Capability, DeviceCapability } from "./capability.ts";

/** True when the driver's capability may become `next` now. Pure. */
export type CapabilityGuard<F extends Fields = Fields> = (next: Decoded<F>) => boolean;

/** The capability commands as a family, with the state of one owner. */
export class CapabilityFamily implements CommandFamily {
  readonly name: string = CAPABILITY_FAMILY_NAME;
  readonly doc: string = "What the device is capable of, and what the driver uses of that.";
  readonly private: boolean = false;
  readonly commands: readonly AdminCommand[] = [CAP_ID_LIST_QUERY, DEVICE_CAP_GET, DRIVER_CAP_SET];
  /** The capabilities of the device, by ascending id. */
  readonly capabilities: readonly DeviceCapability[];

  /**
   * @throws VirtioError `FAMILY_INVALID` when two capabilities have one id
   */
  constructor(capabilities: readonly DeviceCapability[]) {
    this.capabilities = capabilities;
  }

  /** The device's value; `undefined` when the device has no such capability. */
  device<F extends Fields>(_capability: Capability<F>): Decoded<F> | undefined {
    throw new Error("to come");
  }

  /** What the driver has set; zero in every field until it has, and after a device reset. */
  driver<F extends Fields>(_capability: Capability<F>): Decoded<F> {
    throw new Error("to come");
  }

  /**
   * Lets `guard` refuse changes of a capability that something depends on: DRIVER_CAP_SET is then
   * answered with EBUSY.
   */
  guard<F extends Fields>(_capability: Capability<F>, _guard: CapabilityGuard<F>): void {
    throw new Error("to come");
  }

  bind(_owner: AdminOwner): FamilyBinding {
    throw new Error("to come");
  }
}
