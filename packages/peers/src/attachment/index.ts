/** Every place that a device of QEMU's is tried at. */
import { AARCH64_VIRT, MICROVM, RISCV64_VIRT } from "../qtest/boards.ts";
import { CCW } from "./ccw.ts";
import { mmio } from "./mmio.ts";
import { PCI } from "./pci.ts";
import type { Attachment } from "./types.ts";

/** All of them. */
export const ATTACHMENTS: readonly Attachment[] = [
  PCI,
  mmio("microvm", MICROVM),
  mmio("aarch64", AARCH64_VIRT),
  mmio("riscv64", RISCV64_VIRT),
  CCW,
];
