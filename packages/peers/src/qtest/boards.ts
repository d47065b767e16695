/** The machines whose devices our drivers are tried on, as QEMU lays them out. */
import type { Processor } from "../qemu/program.ts";

/** A machine of QEMU's. */
export interface Board {
  /** Its processor, which runs nothing here. */
  readonly processor: Processor;
  /** QEMU's own arguments for it. */
  readonly arguments: readonly string[];
  /** Where RAM begins. */
  readonly ramBase: number;
  /** Where in RAM the memory of a driver begins: beyond what the machine has other uses for. */
  readonly driverOffset: number;
  /** The object that interrupt lines lead to: its path, or its type where it has no name. */
  readonly controller: { readonly path: string } | { readonly type: string };
}

/** A machine with windows of virtio-mmio registers. */
export interface MmioBoard extends Board {
  /** The first window, the distance to the next, and how many there are. */
  readonly windows: { readonly base: number; readonly stride: number; readonly count: number };
}

const MEBIBYTE = 1 << 20;
/** Below it is what the BIOS and the VGA of a PC use. */
const PC = { ramBase: 0, driverOffset: MEBIBYTE, controller: { path: "ioapic" } } as const;
/** QEMU has the registers of before virtio 1.0 unless told. */
const MODERN = ["-global", "virtio-mmio.force-legacy=false"];

/** A PC with PCI Express. */
export const Q35: Board = {
  ...PC,
  processor: "x86_64",
  arguments: ["-machine", "q35"],
};

/** A PC without PCI. With one interrupt controller, it has eight windows. */
export const MICROVM: MmioBoard = {
  ...PC,
  processor: "x86_64",
  arguments: ["-machine", "microvm,ioapic2=off", ...MODERN],
  windows: { base: 0xfeb00000, stride: 0x200, count: 8 },
};

/** The machine for Arm that is of no maker. */
export const AARCH64_VIRT: MmioBoard = {
  processor: "aarch64",
  arguments: ["-machine", "virt,gic-version=2", ...MODERN],
  ramBase: 0x40000000,
  driverOffset: 0,
  controller: { type: "arm_gic" },
  windows: { base: 0x0a000000, stride: 0x200, count: 32 },
};

/** The machine for RISC-V that is of no maker. */
export const RISCV64_VIRT: MmioBoard = {
  processor: "riscv64",
  arguments: ["-machine", "virt", "-bios", "none", ...MODERN],
  ramBase: 0x80000000,
  driverOffset: 0,
  controller: { type: "riscv.sifive.plic" },
  windows: { base: 0x10001000, stride: 0x1000, count: 8 },
};
