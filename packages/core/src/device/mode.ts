/**
 * Whether a device works, is about to stop or is stopped, and who waits for that; and whether a
 * reset goes on right now (section "Device parts").
 */

type Answer = (stopped: boolean) => void;

/** The mode of one device. What it means for queues and notifications, the device knows. */
export class DeviceMode {
  #state: "active" | "stopping" | "stopped" = "active";
  #waiting: Answer[] | undefined = undefined;
  #resets = 0;
  #resetUnderWay: Promise<void> | undefined;
  #resetOver: (() => void) | undefined;

  /** True while the device works without restraint. */
  get active(): boolean {
    return this.#state === "active";
  }

  /** True from {@link stop} to {@link stopped}. */
  get stopping(): boolean {
    return this.#state === "stopping";
  }

  /** True once the device is stopped. */
  get stopped(): boolean {
    return this.#state === "stopped";
  }

  /** True while a reset goes on. */
  get resetting(): boolean {
    return this.#resets > 0;
  }

  /** The end of the reset that goes on. */
  get resetUnderWay(): Promise<void> | undefined {
    if (!this.resetting) return undefined;
    this.#resetUnderWay ??= new Promise((resolve) => {
      this.#resetOver = resolve;
    });
    return this.#resetUnderWay;
  }

  /** The device is to stop. */
  stop(): void {
    this.#state = "stopping";
  }

  /** The device has stopped. */
  settle(): void {
    this.#state = "stopped";
    this.#answer(true);
  }

  /** The device goes on. */
  resume(): void {
    this.#state = "active";
    this.#answer(false);
  }

  /** What the stop that was begun comes to; false when it has been ended already. */
  whenSettled(): Promise<boolean> {
    if (!this.stopping) return Promise.resolve(this.stopped);
    return new Promise((resolve) => {
      this.#waiting ??= [];
      this.#waiting.push(resolve);
    });
  }

  /** Carries out a reset; one may have another in it. */
  during(reset: () => void): void {
    this.#resets++;
    try {
      reset();
    } finally {
      this.#resets--;
      if (!this.resetting) {
        this.#resetOver?.();
        this.#resetOver = undefined;
        this.#resetUnderWay = undefined;
      }
    }
  }

  #answer(stopped: boolean): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const answer of waiting) answer(stopped);
  }
}
