/**
 * The driver half of SR-IOV: what the driver of a physical function does to have virtual functions,
 * and what it tells the drivers of those.
 */
import {
  FEATURE,
  type FeatureSet,
  type MaybePromise,
  SR_IOV_GROUP,
  VirtioError,
} from "@virtio-admin/core";
import type { BarState } from "./bars.ts";
import type { PciBus } from "./bus.ts";
import type { VirtualFunctionIdentity } from "./driver.ts";
import { PCI_EXTENDED_CAPABILITY, SRIOV_CAPABILITY_LAYOUT } from "./express-layout.ts";
import { findExtendedCapability } from "./extended.ts";
import { BAR_COUNT, PCI_BAR_LAYOUT, PCI_HEADER_LAYOUT } from "./layout.ts";

const SRIOV = SRIOV_CAPABILITY_LAYOUT.fields;
const CONTROL = SRIOV.control.bits;
const CAPABILITIES = SRIOV.capabilities.bits;
const BITS = PCI_BAR_LAYOUT.fields.bar.bits;
const WORD = 0x100000000;
const ALL_ONES = 0xffffffff;
const DWORD = 4;
const LARGEST_ROUTING_ID = 0xffff;

/** How virtual functions are switched on. */
export interface EnableOptions {
  /** The address from which on their BARs are placed, below 4 GiB. */
  readonly barsAt: number;
  /**
   * Waits until they can be accessed. PCI Express asks for 100 ms; nothing is waited for by default,
   * as the devices of a process are there at once.
   */
  readonly settle?: () => MaybePromise<void>;
}

/** What may have commands outstanding; an `AdminClient` is one. */
export interface CommandSource {
  /** How many commands the device has not answered. */
  readonly outstanding: number;
}

interface VfBar extends BarState {
  /** From one virtual function's BAR to the next one's. */
  readonly aperture: number;
}

/** Switches the virtual functions of one physical function. */
export class SriovDriver {
  /** The most virtual functions that there can be. */
  readonly totalVfs: number;
  /** The PCI device id of them all. */
  readonly vfDeviceId: number;
  /** The vendor id of them all. */
  readonly vendorId: number;

  readonly #bus: PciBus;
  readonly #at: number;
  #numVfs = 0;
  #firstVfOffset = 0;
  #vfStride = 0;
  #bars: readonly (VfBar | undefined)[] = [];

  private constructor(bus: PciBus, at: number, found: readonly [number, number, number]) {
    this.#bus = bus;
    this.#at = at;
    [this.totalVfs, this.vfDeviceId, this.vendorId] = found;
  }

  /**
   * Finds the SR-IOV capability of a physical function.
   *
   * @param negotiated the features in force, those of the `DriverDevice`: once VIRTIO_F_SR_IOV was
   * among them, virtual functions may be enabled whatever is reset later
   * @throws VirtioError `FEATURE_MISSING` when VIRTIO_F_SR_IOV is not negotiated,
   * `TRANSPORT_UNSUPPORTED` when there is no such capability.
   */
  static async open(bus: PciBus, negotiated: FeatureSet): Promise<SriovDriver> {
    if (!negotiated.has(FEATURE.VIRTIO_F_SR_IOV)) {
      throw new VirtioError("FEATURE_MISSING", {
        message: "virtual functions may be enabled only once VIRTIO_F_SR_IOV is negotiated",
        path: "features",
        value: negotiated.toString(),
        hint: "name it in requiredFeatures at bring-up",
      });
    }
    const { sriov } = PCI_EXTENDED_CAPABILITY;
    const at = await findExtendedCapability(bus, sriov, SRIOV_CAPABILITY_LAYOUT.size);
    if (at === undefined) {
      throw new VirtioError("TRANSPORT_UNSUPPORTED", {
        message: "the function has no SR-IOV capability",
        path: "pci.sriov",
      });
    }
    const { vendor_id: vendor } = PCI_HEADER_LAYOUT.fields;
    return new SriovDriver(bus, at, [
      await bus.configRead(at + SRIOV.total_vfs.offset, SRIOV.total_vfs.width),
      await bus.configRead(at + SRIOV.vf_device_id.offset, SRIOV.vf_device_id.width),
      await bus.configRead(vendor.offset, vendor.width),
    ]);
  }

  /** How many virtual functions this driver has enabled; 0 while there are none. */
  get numVfs(): number {
    return this.#numVfs;
  }

  /**
   * Gives the BARs addresses, and enables this many virtual functions.
   *
   * @throws VirtioError `VALUE_RANGE` for another number than 1 to {@link totalVfs}; `DRIVER_STATE`
   * when virtual functions are enabled already; `TRANSPORT_UNSUPPORTED` when they could migrate, which
   * the text rules out while commands are sent; `TRANSPORT` when their BARs find no room below 4 GiB;
   * `DEVICE_FAILED` when the device does not enable them. There are none then.
   */
  async enable(count: number, options: EnableOptions): Promise<void> {
    if (!Number.isInteger(count) || count < 1 || count > this.totalVfs) {
      throw new VirtioError("VALUE_RANGE", {
        message: `there can be 1 to ${this.totalVfs} virtual functions`,
        path: "pci.sriov.num_vfs",
        value: count,
      });
    }
    const capabilities = await this.#read("capabilities");
    if ((capabilities & CAPABILITIES.vf_migration_capable.mask) !== 0) {
      throw new VirtioError("TRANSPORT_UNSUPPORTED", {
        message:
          "commands may be sent to virtual functions only where VF Migration Capable is clear",
        path: "pci.sriov.capabilities",
        value: capabilities,
      });
    }
    const control = await this.#read("control");
    if ((control & CONTROL.vf_enable.mask) !== 0) {
      throw new VirtioError("DRIVER_STATE", {
        message: "virtual functions are enabled already",
        path: "pci.sriov.control",
        value: control,
        hint: "disable them before their number is changed",
      });
    }
    // While a BAR reads as its size, nothing may answer there.
    const off = control & ~CONTROL.vf_mse.mask;
    await this.#write("control", off);
    await this.#write("num_vfs", count);
    // Offset and stride may depend on NumVFs.
    this.#firstVfOffset = await this.#read("first_vf_offset");
    this.#vfStride = await this.#read("vf_stride");
    const bars = await this.#assignBars(count, options.barsAt);
    const on = off | CONTROL.vf_enable.mask | CONTROL.vf_mse.mask;
    await this.#write("control", on);
    await options.settle?.();
    const became = await this.#read("control");
    const numVfs = await this.#read("num_vfs");
    if (became !== on || numVfs !== count) {
      await this.#write("control", off);
      throw new VirtioError("DEVICE_FAILED", {
        message: `the device did not enable ${count} virtual functions`,
        path: "pci.sriov.control",
        value: became,
      });
    }
    this.#bars = bars;
    this.#numVfs = count;
  }

  /**
   * Disables all virtual functions. Their drivers have let go of them before.
   *
   * @param clients what sends commands to the SR-IOV group: none may be outstanding
   * @throws VirtioError `DRIVER_STATE` when a command is outstanding.
   */
  async disable(...clients: readonly CommandSource[]): Promise<void> {
    const outstanding = clients.reduce((sum, client) => sum + client.outstanding, 0);
    if (outstanding > 0) {
      throw new VirtioError("DRIVER_STATE", {
        message: "VF Enable stays set while commands are outstanding",
        path: "pci.sriov.control",
        value: outstanding,
        hint: "wait for their answers",
      });
    }
    this.#numVfs = 0;
    const control = await this.#read("control");
    await this.#write("control", control & ~(CONTROL.vf_enable.mask | CONTROL.vf_mse.mask));
  }

  /**
   * What the driver of a virtual function is made with, {@link PciDriverInit.virtualFunction}.
   *
   * @throws VirtioError `VALUE_RANGE` for another number than 1 to {@link numVfs}.
   */
  virtualFunction(id: number): VirtualFunctionIdentity {
    this.#check(id);
    return {
      vendorId: this.vendorId,
      deviceId: this.vfDeviceId,
      bars: this.#bars.map(
        (bar) =>
          bar && {
            index: bar.index,
            kind: bar.kind,
            address: bar.address + (id - 1) * bar.aperture,
          },
      ),
    };
  }

  /**
   * The routing id (bus, device and function number) of a virtual function whose owner has this one.
   *
   * @throws VirtioError `VALUE_RANGE` for another number than 1 to {@link numVfs}.
   */
  routingId(id: number, owner: number): number {
    this.#check(id);
    return (owner + this.#firstVfOffset + (id - 1) * this.#vfStride) & LARGEST_ROUTING_ID;
  }

  /**
   * The bytes that a BAR of one virtual function maps, pages included; 0 when there is no such BAR, or
   * no virtual function.
   */
  barLength(bar: number): number {
    return this.#numVfs === 0 ? 0 : (this.#bars[bar]?.aperture ?? 0);
  }

  /**
   * Whether a command may name this member: of the SR-IOV group, 1 to {@link numVfs} while they are
   * enabled; of other groups it knows nothing, and has nothing against any. For the `hasMember` of an
   * `AdminClient`.
   */
  hasMember(group: number, id: number | bigint): boolean {
    if (group !== SR_IOV_GROUP.id) return true;
    return id >= 1 && id <= this.#numVfs && (typeof id === "bigint" || Number.isInteger(id));
  }

  #check(id: number): void {
    if (this.hasMember(SR_IOV_GROUP.id, id)) return;
    throw new VirtioError("VALUE_RANGE", {
      message: `there are virtual functions 1 to ${this.#numVfs}`,
      path: "pci.sriov",
      value: id,
    });
  }

  async #assignBars(count: number, base: number): Promise<(VfBar | undefined)[]> {
    const bars: (VfBar | undefined)[] = new Array(BAR_COUNT).fill(undefined);
    let next = base;
    for (let index = 0; index < BAR_COUNT; index++) {
      const at = this.#at + SRIOV.vf_bar.offset + index * DWORD;
      const low = (await this.#bus.configRead(at, DWORD)) >>> 0;
      // PCI Express has no virtual functions with I/O BARs.
      if ((low & BITS.io.mask) !== 0) continue;
      const wide = (low & BITS.wide.mask) !== 0 && index + 1 < BAR_COUNT;
      await this.#bus.configWrite(at, DWORD, ALL_ONES);
      const sized = ((await this.#bus.configRead(at, DWORD)) & BITS.address.mask) >>> 0;
      if (sized === 0) continue;
      const aperture = WORD - sized;
      const address = Math.ceil(next / aperture) * aperture;
      next = address + aperture * count;
      if (next > WORD) {
        throw new VirtioError("TRANSPORT", {
          message: "there is no room below 4 GiB for the BARs of the virtual functions",
          path: `pci.sriov.vf_bar[${index}]`,
          value: aperture * count,
          hint: "choose a lower base address, or fewer virtual functions",
        });
      }
      await this.#bus.configWrite(at, DWORD, address);
      bars[index] = { index, kind: wide ? "memory64" : "memory32", address, aperture };
      if (wide) await this.#bus.configWrite(at + DWORD, DWORD, 0);
      if (wide) index++;
    }
    return bars;
  }

  #read(
    field: "capabilities" | "control" | "num_vfs" | "first_vf_offset" | "vf_stride",
  ): MaybePromise<number> {
    return this.#bus.configRead(this.#at + SRIOV[field].offset, SRIOV[field].width);
  }

  #write(field: "control" | "num_vfs", value: number): MaybePromise<void> {
    return this.#bus.configWrite(this.#at + SRIOV[field].offset, SRIOV[field].width, value);
  }
}
