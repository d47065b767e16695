/**
 * A device that its driver has brought up: what remains of a transport once DRIVER_OK is set. It
 * trusts the device with nothing: a broken queue or a lost bus ends it, with one error.
 */
import type { FeatureSet } from "../device/features.ts";
import { STATUS } from "../device/status.ts";
import { isVirtioError, VirtioError } from "../errors.ts";
import {
  type AdminQueuePlace,
  CONFIG_SPACE_LIMIT,
  type DeviceIdentity,
  type DriverTransport,
  type InterruptListener,
} from "../transport/types.ts";
import { QUEUE_DEFECTS } from "../virtqueue/types.ts";
import type { Operations } from "./operations.ts";
import type { DriverQueueHandle } from "./queue-handle.ts";

/**
 * Where a device stands: `starting` until DRIVER_OK, then `live`; `needs-reset` when the device set
 * DEVICE_NEEDS_RESET, `failed` when its driver gave up, `closed` after {@link DriverDevice.close}.
 */
export type DriverDeviceState = "starting" | "live" | "needs-reset" | "failed" | "closed";

/** The device's configuration space, from the driver's side. */
export interface DriverConfig {
  /**
   * Reads `length` bytes from `offset` on, all from one generation.
   *
   * @throws VirtioError `VALUE_RANGE` for a range beyond {@link CONFIG_SPACE_LIMIT}; `TRANSPORT`.
   */
  read(offset: number, length: number): Promise<Uint8Array>;
  /**
   * Writes bytes from `offset` on.
   *
   * @throws VirtioError as {@link read}.
   */
  write(offset: number, bytes: Uint8Array): Promise<void>;
}

/** @internal What bring-up found out, put into the device step by step. */
export interface DriverDeviceParts {
  readonly transport: DriverTransport;
  readonly operations: Operations;
  readonly identity: DeviceIdentity;
}

/** @internal What bring-up settled before DRIVER_OK. */
export interface DriverDeviceSetup {
  readonly features: FeatureSet;
  readonly queues: readonly DriverQueueHandle[];
  readonly admin: AdminQueuePlace | undefined;
  readonly adminQueues: readonly DriverQueueHandle[];
}

/** A device under its driver. {@link bringUp} makes it. */
export class DriverDevice {
  /** Who the device says it is. */
  readonly identity: DeviceIdentity;
  /** Its configuration space. */
  readonly config: DriverConfig;
  readonly #transport: DriverTransport;
  readonly #operations: Operations;
  #setup: DriverDeviceSetup | undefined = undefined;
  #handles: readonly DriverQueueHandle[] = [];
  #state: DriverDeviceState = "starting";
  #failure: VirtioError | undefined = undefined;
  #closing: Promise<void> | undefined = undefined;
  /** A configuration change is being looked into, or has to be again. */
  #looking = false;
  #lookAgain = false;
  readonly #failureListeners = new Set<(error: VirtioError) => void>();
  readonly #configListeners = new Set<() => void>();

  /** @internal */
  constructor({ transport, operations, identity }: DriverDeviceParts) {
    this.identity = identity;
    this.#transport = transport;
    this.#operations = operations;
    this.config = {
      read: async (offset, length) => {
        checkRange(offset, length);
        return operations.run("reading the configuration", () =>
          transport.readConfig(offset, length),
        );
      },
      write: async (offset, bytes) => {
        checkRange(offset, bytes.length);
        return operations.run("writing the configuration", () =>
          transport.writeConfig(offset, bytes),
        );
      },
    };
  }

  /** The name of the transport it is on. */
  get transport(): string {
    return this.#transport.name;
  }

  /** The memory that queues and buffers are allocated from. */
  get dma(): DriverTransport["dma"] {
    return this.#transport.dma;
  }

  /** The features in force. */
  get features(): FeatureSet {
    return this.#settled.features;
  }

  /** Where it stands. */
  get state(): DriverDeviceState {
    return this.#state;
  }

  /** True once the device has asked to be reset. */
  get needsReset(): boolean {
    return this.#state === "needs-reset";
  }

  /** Why it is not live any more, or `undefined`. */
  get failure(): VirtioError | undefined {
    return this.#failure;
  }

  /** Where its administration virtqueues are; `undefined` when there are none or none was asked for. */
  get admin(): AdminQueuePlace | undefined {
    return this.#settled.admin;
  }

  /** The administration virtqueues that were set up, in the order of their indexes. */
  get adminQueues(): readonly DriverQueueHandle[] {
    return this.#settled.adminQueues;
  }

  /**
   * The queue of this index in the device, administration virtqueues included.
   *
   * @throws VirtioError `QUEUE_UNAVAILABLE` when bring-up did not set it up.
   */
  queue(index: number): DriverQueueHandle {
    const handle = this.#handles.find((each) => each.index === index);
    if (handle === undefined) {
      throw new VirtioError("QUEUE_UNAVAILABLE", {
        message: "the virtqueue was not set up",
        path: "queue",
        value: index,
        hint: "name it in the options of bringUp",
      });
    }
    return handle;
  }

  /**
   * Resets one queue and enables it again, empty: buffers that were with the device are the
   * driver's again, and are not reported as used.
   *
   * @throws VirtioError `TRANSPORT_UNSUPPORTED` where one queue cannot be stopped, and nothing
   * changed; `DRIVER_STATE` while the device is not live. Any other error fails the device.
   */
  async resetQueue(index: number): Promise<void> {
    const handle = this.queue(index);
    this.#checkLive(index, handle.live);
    const before = handle.fence();
    try {
      await this.#operations.run(`resetting queue ${index}`, () =>
        this.#transport.resetQueue(index),
      );
      // Closed or failed meanwhile: the memory may be gone, and the device may be somebody else's.
      this.#checkLive(index);
      handle.renew();
      const doorbell = await this.#operations.run(`enabling queue ${index}`, () =>
        this.#transport.enableQueue(index, handle.size, handle.memory.areas),
      );
      if (this.#state === "live") handle.open(doorbell);
    } catch (error) {
      if (!isVirtioError(error, "TRANSPORT_UNSUPPORTED")) this.#fail("failed", error, true);
      else if (this.#state === "live" && before !== undefined) handle.open(before);
      throw error;
    }
  }

  /**
   * Calls `listener` when the device's configuration changed. Returns what ends that. Listeners
   * must not throw.
   */
  onConfigChange(listener: () => void): () => void {
    this.#configListeners.add(listener);
    return () => this.#configListeners.delete(listener);
  }

  /**
   * Calls `listener` once, with `DEVICE_FAILED`, when the device fails or asks to be reset; soon,
   * when it did so already. Returns what ends that. Listeners must not throw.
   */
  onFailure(listener: (error: VirtioError) => void): () => void {
    const failure = this.#failure;
    if (failure === undefined) this.#failureListeners.add(listener);
    else void Promise.resolve().then(() => listener(failure));
    return () => this.#failureListeners.delete(listener);
  }

  /**
   * Resets the device, gives back its queues' memory and lets go of the transport. A second call
   * settles with the first.
   *
   * @throws VirtioError `TRANSPORT` when the device could not be reset: it may still write to its
   * queues, so their memory stays allocated.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const handle of this.#handles) handle.fence();
    this.#state = "closed";
    try {
      await this.#operations.run("resetting the device", () => this.#transport.reset());
      for (const handle of this.#handles) handle.memory.free();
    } finally {
      await this.#operations.attempt("closing", () => this.#transport.close());
    }
  }

  // Interrupts

  /** @internal What the transport calls. */
  get listener(): InterruptListener {
    return {
      usedBuffers: (queue) => {
        for (const handle of this.#handles) {
          if (queue === undefined || handle.index === queue) handle.used();
        }
      },
      configurationChange: () => {
        if (this.#state === "live") this.#look();
      },
      failed: (error) => this.#fail("failed", error, false),
    };
  }

  /** @internal The queues that were enabled, with the doorbells that open at DRIVER_OK. */
  settle(setup: DriverDeviceSetup): void {
    this.#setup = setup;
    this.#handles = [...setup.queues, ...setup.adminQueues];
  }

  /** @internal DRIVER_OK is set. */
  goLive(): void {
    if (this.#state === "starting") this.#state = "live";
  }

  /** @internal A queue broke, or its user's callback failed. */
  queueFailed(handle: DriverQueueHandle, cause: unknown): void {
    const { defect } = handle.queue;
    const why = defect === undefined ? "its user failed" : `${defect}, ${QUEUE_DEFECTS[defect]}`;
    const error = new VirtioError("DEVICE_FAILED", {
      message: `virtqueue ${handle.index} is broken: ${why}`,
      path: "queue",
      value: handle.index,
      hint: "close the device and bring it up again",
      cause,
    });
    this.#fail("failed", error, true);
  }

  #checkLive(index: number, queueIsLive = true): void {
    if (this.#state === "live" && queueIsLive) return;
    throw new VirtioError("DRIVER_STATE", {
      message: `a queue cannot be reset while it or the device is not live (${this.#state})`,
      path: "queue",
      value: index,
    });
  }

  get #settled(): DriverDeviceSetup {
    if (this.#setup === undefined) {
      throw new VirtioError("DRIVER_STATE", { message: "the device is not brought up yet" });
    }
    return this.#setup;
  }

  /** A configuration interrupt tells of DEVICE_NEEDS_RESET too: the status says which it was. */
  #look(): void {
    if (this.#looking) {
      this.#lookAgain = true;
      return;
    }
    this.#looking = true;
    this.#lookAgain = false;
    void this.#operations
      .run("reading the status", () => this.#transport.readStatus())
      .then(
        (status) => {
          if (this.#state !== "live") return;
          if ((status & STATUS.DEVICE_NEEDS_RESET) !== 0) {
            const error = new VirtioError("DEVICE_FAILED", {
              message: "the device set DEVICE_NEEDS_RESET",
              path: "device_status",
              value: status,
              hint: "close the device and bring it up again",
            });
            this.#fail("needs-reset", error, false);
            return;
          }
          for (const listener of [...this.#configListeners]) listener();
        },
        (error: unknown) => this.#fail("failed", error, false),
      )
      .finally(() => {
        this.#looking = false;
        if (this.#lookAgain && this.#state === "live") this.#look();
      });
  }

  #fail(state: "needs-reset" | "failed", cause: unknown, giveUp: boolean): void {
    if (this.#failure !== undefined || this.#state === "closed") return;
    const error = isVirtioError(cause, "DEVICE_FAILED")
      ? cause
      : new VirtioError("DEVICE_FAILED", {
          message: `the device is lost: ${cause instanceof Error ? cause.message : String(cause)}`,
          path: this.#transport.name,
          cause,
        });
    this.#failure = error;
    this.#state = state;
    for (const handle of this.#handles) handle.fence();
    if (giveUp) void this.#setFailed();
    for (const listener of [...this.#failureListeners]) listener(error);
    this.#failureListeners.clear();
  }

  async #setFailed(): Promise<void> {
    await this.#operations.attempt("setting FAILED", async () => {
      const status = await this.#transport.readStatus();
      // A closed device was reset meanwhile: FAILED would be left behind for the next driver.
      if (this.#state === "failed") await this.#transport.writeStatus(status | STATUS.FAILED);
    });
  }
}

function checkRange(offset: number, length: number): void {
  const fits =
    Number.isInteger(offset) &&
    Number.isInteger(length) &&
    offset >= 0 &&
    length >= 0 &&
    offset + length <= CONFIG_SPACE_LIMIT;
  if (!fits) {
    throw new VirtioError("VALUE_RANGE", {
      message: `configuration accesses stay below ${CONFIG_SPACE_LIMIT} bytes`,
      path: "config",
      value: `${offset}, ${length} bytes`,
    });
  }
}
