/// <reference lib="esnext.disposable" preserve="true" />
import type { VirtioDevice } from "../device/device.ts";
import { VirtioError } from "../errors.ts";
import type { ManagedMember } from "../group/managed.ts";
import type { DriverTransport } from "../transport/types.ts";
import { ASYNC_DISPOSE } from "./disposal.ts";
import type { OwnerDevice } from "./owner.ts";
import type { Scope } from "./scope.ts";

/** A device of a host, and its driver half where it is connected. */
class Connected {
  /** What was registered for the device, and what ends with it. */
  readonly scope: Scope;
  readonly #driver: DriverTransport | undefined;

  constructor(scope: Scope, driver: DriverTransport | undefined) {
    this.scope = scope;
    this.#driver = driver;
  }

  /**
   * The driver half of the transport that the device is connected to.
   *
   * @throws VirtioError `TRANSPORT` when the plan names none
   */
  get driver(): DriverTransport {
    if (this.#driver !== undefined) return this.#driver;
    throw new VirtioError("TRANSPORT", {
      path: "transport",
      message: "the device was connected to no transport",
      hint: "name one in the plan of the host",
    });
  }
}

/** A member of a {@link GroupHost}. */
export class HostMember extends Connected {
  /** Its identifier in the group. */
  readonly id: number;
  /** Its device. */
  readonly device: VirtioDevice;
  /** The same as its owner sees it: what a group takes. */
  readonly managed: ManagedMember;

  /** Made by `composeHost`. */
  constructor(
    scope: Scope,
    device: VirtioDevice,
    managed: ManagedMember,
    driver: DriverTransport | undefined,
  ) {
    super(scope, driver);
    this.id = managed.id;
    this.device = device;
    this.managed = managed;
  }
}

/** An owner with the members of its group. `composeHost` makes it. */
export class GroupHost extends Connected implements AsyncDisposable {
  /** The owner: its device, executor and administration virtqueues. */
  readonly owner: OwnerDevice;
  /** The members by their identifiers. */
  readonly members: ReadonlyMap<number, HostMember>;

  /** Made by `composeHost`. */
  constructor(
    scope: Scope,
    owner: OwnerDevice,
    members: ReadonlyMap<number, HostMember>,
    driver: DriverTransport | undefined,
  ) {
    super(scope, driver);
    this.owner = owner;
    this.members = members;
  }

  /**
   * Takes the host apart, last made first: what its scope was given since, the connection and the
   * device of its owner, those of its members, and what was provided for them. Devices are reset. A
   * second call settles with the first.
   *
   * @throws DisposalError when something could not be let go of; all else is
   */
  dispose(): Promise<void> {
    return this.scope.dispose();
  }

  /** See {@link dispose}. */
  [ASYNC_DISPOSE](): Promise<void> {
    return this.dispose();
  }
}
