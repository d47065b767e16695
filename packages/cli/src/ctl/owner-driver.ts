/**
 * The owner of a served group under our own driver, for a few commands: its device is reset again
 * when they are done, or a signal ends them.
 */
import {
  type AdminClient,
  type AdminReply,
  type AdminRequest,
  bringUp,
  type DriverDevice,
  isVirtioError,
  MANAGEMENT_FAMILY,
  ManagementClient,
  MGMT_ATTRS_GET,
  openAdminClient,
  PLATFORM_GROUP,
  SR_IOV_GROUP,
  VirtioError,
} from "@virtio-admin/core";
import { BLOCK_DEVICE_ID } from "@virtio-admin/devices";
import { PciDriver } from "@virtio-admin/transport-pci";
import { VfioUserClient, VfioUserHeldError } from "@virtio-admin/vfio-user";
import type { DeviceTypeName } from "../group/device-types.ts";
import { processName } from "../process-name.ts";

/** The memory that is shared with the device; a list of all opcodes has 8 KiB. */
const MEMORY_BYTES = 0x10_0000;
/** Where the BARs of the owner are. */
const BARS_AT = 0xe000_0000;
/** How long a command may take, in milliseconds. */
const DEADLINE = 10_000;
const QUEUE_SIZE = 8;

/** An owner that is driven from here. */
export class OwnerDriver {
  /** Its device type, as far as features have names here. */
  readonly deviceType: DeviceTypeName;
  /** Its management commands; {@link useManagement} comes first. */
  readonly management: ManagementClient;
  readonly #client: AdminClient;
  readonly #signal: AbortSignal;

  /** @internal Made by {@link withOwner}. */
  constructor(driver: DriverDevice, client: AdminClient, signal: AbortSignal) {
    this.deviceType = driver.identity.deviceId === BLOCK_DEVICE_ID ? "block" : "entropy";
    this.management = new ManagementClient(client);
    this.#client = client;
    this.#signal = signal;
  }

  /** How every command is sent. */
  get options(): { readonly signal: AbortSignal; readonly deadlineMs: number } {
    return { signal: this.#signal, deadlineMs: DEADLINE };
  }

  /** The opcodes that the device reports for a group type, all of them in use from then on. */
  useReported(group: number): Promise<readonly number[]> {
    return this.#client.useReported(group, this.options);
  }

  /** The opcodes that may be sent for a group type. */
  usedOpcodes(group: number): readonly number[] {
    return this.#client.usedOpcodes(group);
  }

  /**
   * Takes the management commands of a group type into use.
   *
   * @param asked the group type; unless given, the first of SR-IOV and platform that has them
   * @returns the group type
   * @throws VirtioError `FEATURE_MISSING` when the owner manages no such group
   */
  async useManagement(asked: number | undefined): Promise<number> {
    for (const group of asked === undefined ? [SR_IOV_GROUP.id, PLATFORM_GROUP.id] : [asked]) {
      try {
        const used = await this.management.use(group, this.options);
        if (used.includes(MGMT_ATTRS_GET.opcode)) return group;
      } catch (error) {
        if (asked !== undefined || !isVirtioError(error, "ADMIN_STATUS")) throw error;
      }
    }
    throw new VirtioError("FEATURE_MISSING", {
      message: "the owner has no management commands for such a group",
      path: "group",
      value: asked,
      hint: `they are ${MANAGEMENT_FAMILY.commands.map(({ name }) => name).join(", ")}`,
    });
  }

  /** Sends one command, whatever the lists say: the device judges it. */
  execute(request: AdminRequest): Promise<AdminReply> {
    return this.#client.execute(request, { ...this.options, unchecked: true, retry: false });
  }
}

/**
 * Connects to the socket of an owner, brings it up, and lets go of it whatever `work` comes to.
 *
 * @throws VirtioError as `VfioUserClient.connect` and bring-up do; `TRANSPORT` naming the process
 * that holds the owner, when one does; and what `work` throws
 */
export async function withOwner(
  path: string,
  signal: AbortSignal,
  work: (owner: OwnerDriver) => Promise<void>,
): Promise<void> {
  const socket = await connect(path);
  try {
    const transport = new PciDriver({ bus: socket, dma: socket.dma, assignBarsAt: BARS_AT });
    const driver = await bringUp(transport, {
      queues: [],
      adminQueues: { count: 1, required: true, size: QUEUE_SIZE },
    });
    try {
      signal.throwIfAborted();
      await work(new OwnerDriver(driver, openAdminClient(driver), signal));
    } finally {
      await driver.close();
    }
  } finally {
    await socket.close();
  }
}

async function connect(path: string): Promise<VfioUserClient> {
  try {
    return await VfioUserClient.connect({ path, memory: { length: MEMORY_BYTES } });
  } catch (error) {
    if (!(error instanceof VfioUserHeldError)) throw error;
    throw new VirtioError("TRANSPORT", {
      message: `the device is held by ${processName(error.holder)}`,
      path,
      hint: "an owner has one driver at a time",
      cause: error,
    });
  }
}
