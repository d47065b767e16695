/**
 * The server's interrupts: eventfds that the client gives with DEVICE_SET_IRQS, for the MSI-X
 * vectors of a function and for its INTx line.
 *
 * An MSI-X message without an eventfd waits for one: a client takes eventfds away and gives others
 * while the device runs. INTx masks itself when it is signalled; when it is unmasked and the line
 * is still asserted, it is signalled again.
 */
import { accessors } from "@virtio-admin/core";
import type { PciInterruptSink } from "@virtio-admin/transport-pci";
import { closeAll } from "./channel.ts";
import type { VfioUserFunction } from "./function.ts";
import type { Native } from "./native.ts";
import { ERRNO, VFIO_IRQ, VFIO_USER_IRQ_SET_LAYOUT } from "./protocol.ts";

const SET = accessors(VFIO_USER_IRQ_SET_LAYOUT);
const FLAGS = VFIO_USER_IRQ_SET_LAYOUT.fields.flags.bits;
const DATA_MASK = FLAGS.data_none.mask | FLAGS.data_bool.mask | FLAGS.data_eventfd.mask;
const ACTION_MASK = FLAGS.action_mask.mask | FLAGS.action_unmask.mask | FLAGS.action_trigger.mask;

/** One DEVICE_SET_IRQS, checked for itself. */
interface Request {
  readonly data: number;
  readonly action: number;
  readonly start: number;
  readonly count: number;
  readonly wanted: Uint8Array;
  readonly fds: readonly number[];
}

/** Interrupts of one function through eventfds. */
export class InterruptFds implements PciInterruptSink {
  readonly #native: Native;
  readonly #device: VfioUserFunction;
  readonly #vectors = new Map<number, number>();
  /** Vectors that were raised without an eventfd. */
  readonly #waiting = new Set<number>();
  #intx: number | undefined;
  #intxMasked = false;

  /** No interrupt goes anywhere yet. */
  constructor(native: Native, device: VfioUserFunction) {
    this.#native = native;
    this.#device = device;
  }

  /** How many interrupts of a type there are; `undefined` when there is no such type. */
  count(index: number): number | undefined {
    if (index === VFIO_IRQ.intx) return this.#device.placement.identity.interruptPin === 0 ? 0 : 1;
    if (index === VFIO_IRQ.msix) return this.#device.msixVectors ?? 0;
    // As the kernel's vfio does; QEMU warns of a function that has the type and no such interrupt.
    if (index === VFIO_IRQ.error) return undefined;
    return index < VFIO_IRQ.count ? 0 : undefined;
  }

  /** Part of `PciInterruptSink`. */
  msix(vector: number): void {
    const fd = this.#vectors.get(vector);
    if (fd === undefined) this.#waiting.add(vector);
    else this.#native.signal(fd);
  }

  /** Part of `PciInterruptSink`. */
  intx(asserted: boolean): void {
    if (!asserted || this.#intxMasked || this.#intx === undefined) return;
    this.#intxMasked = true;
    this.#native.signal(this.#intx);
  }

  /**
   * Carries a DEVICE_SET_IRQS out, whose fixed part is there. Takes the descriptors over.
   *
   * @returns 0, or an errno: then nothing has changed
   */
  set(body: Uint8Array, view: DataView, fds: readonly number[]): number {
    const flags = SET.flags.get(view, 0);
    const request: Request = {
      data: flags & DATA_MASK,
      action: flags & ACTION_MASK,
      start: SET.start.get(view, 0),
      count: SET.count.get(view, 0),
      wanted: body.subarray(VFIO_USER_IRQ_SET_LAYOUT.size),
      fds,
    };
    const index = SET.index.get(view, 0);
    const errno = this.#check(flags, index, request);
    if (errno !== 0) {
      closeAll(fds);
      return errno;
    }
    if (index === VFIO_IRQ.intx) this.#setIntx(request);
    else if (index === VFIO_IRQ.msix) this.#setMsix(request);
    return 0;
  }

  /** Forgets what waits to be signalled: the device was reset. */
  deviceReset(): void {
    this.#waiting.clear();
  }

  /** Closes all eventfds. */
  close(): void {
    this.#disableMsix();
    this.#setIntxFd(undefined);
  }

  #check(flags: number, index: number, request: Request): number {
    const { data, action, start, count, wanted, fds } = request;
    if (data + action !== flags || !isOne(data) || !isOne(action)) return ERRNO.EINVAL;
    const all = this.count(index);
    if (all === undefined || start + count > all) return ERRNO.EINVAL;
    if (wanted.length !== (data === FLAGS.data_bool.mask ? count : 0)) return ERRNO.EINVAL;
    if (data === FLAGS.data_eventfd.mask) {
      // Eventfds that would be signalled by masking are of no use to anybody.
      if (action !== FLAGS.action_trigger.mask) return ERRNO.EOPNOTSUPP;
      if (fds.length !== 0 && fds.length !== count) return ERRNO.EINVAL;
      if (!fds.every((fd) => this.#native.isEventfd(fd))) return ERRNO.EINVAL;
    } else if (fds.length !== 0) return ERRNO.EINVAL;
    if (index === VFIO_IRQ.msix && action !== FLAGS.action_trigger.mask) return ERRNO.EOPNOTSUPP;
    const disables = data === FLAGS.data_none.mask && action === FLAGS.action_trigger.mask;
    return count > 0 || (disables && start === 0) ? 0 : ERRNO.EINVAL;
  }

  #setMsix({ data, start, count, wanted, fds }: Request): void {
    if (count === 0) this.#disableMsix();
    for (let i = 0; i < count; i++) {
      const vector = start + i;
      if (data === FLAGS.data_eventfd.mask) this.#setVector(vector, fds[i]);
      else if (data === FLAGS.data_none.mask || wanted[i] !== 0) this.msix(vector);
    }
  }

  #setVector(vector: number, fd: number | undefined): void {
    const old = this.#vectors.get(vector);
    if (old !== undefined) closeAll([old]);
    if (fd === undefined) {
      this.#vectors.delete(vector);
      return;
    }
    this.#native.setNonBlocking(fd);
    this.#vectors.set(vector, fd);
    if (this.#waiting.delete(vector)) this.#native.signal(fd);
  }

  #disableMsix(): void {
    closeAll([...this.#vectors.values()]);
    this.#vectors.clear();
    this.#waiting.clear();
  }

  #setIntx({ data, action, count, wanted, fds }: Request): void {
    if (data === FLAGS.data_eventfd.mask || count === 0) {
      this.#setIntxFd(fds[0]);
      return;
    }
    if (data === FLAGS.data_bool.mask && wanted[0] === 0) return;
    if (action === FLAGS.action_trigger.mask) {
      this.intx(true);
      return;
    }
    this.#intxMasked = action === FLAGS.action_mask.mask;
    this.intx(this.#device.interruptLine);
  }

  #setIntxFd(fd: number | undefined): void {
    if (this.#intx !== undefined) closeAll([this.#intx]);
    this.#intx = fd;
    this.#intxMasked = false;
    if (fd === undefined) return;
    this.#native.setNonBlocking(fd);
    this.intx(this.#device.interruptLine);
  }
}

function isOne(bits: number): boolean {
  return bits !== 0 && (bits & (bits - 1)) === 0;
}
