/** Functions to serve, private directories, and what a process holds, as tests want them. */
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import {
  AdminExecutor,
  AdminQueues,
  type GuestMemory,
  isVirtioError,
  SelfGroup,
  VirtioDevice,
} from "@virtio-admin/core";
import { createBlock, createEntropy, memoryStorage } from "@virtio-admin/devices";
import { PciDevice, type PciDeviceInit } from "@virtio-admin/transport-pci";
import { loadNative } from "../src/native.ts";

/** What the entropy of {@link entropyFunction} repeats. */
export const ENTROPY_BYTES = Uint8Array.from({ length: 64 }, (_, i) => i ^ 0xa5);

type Placement = Omit<PciDeviceInit, "device">;

/** Why nothing can be tested here; `undefined` where it can. */
export const unsupported: string | undefined = await loadNative().then(
  () => undefined,
  (error: unknown) => {
    if (!isVirtioError(error, "HOST_UNSUPPORTED")) throw error;
    return error.message;
  },
);

/** An entropy device with an administration virtqueue. */
export function entropyFunction(memory: GuestMemory, placement: Placement = {}): PciDevice {
  const executor = new AdminExecutor({ groups: [new SelfGroup()] });
  const device = new VirtioDevice({
    model: createEntropy({
      source: (target) => target.set(ENTROPY_BYTES.subarray(0, target.length)),
    }),
    memory,
    admin: new AdminQueues({ executor, count: 1 }),
  });
  return new PciDevice({ vectorMasking: "vmm", ...placement, device });
}

/** A block device of 64 KiB. */
export function blockFunction(memory: GuestMemory): PciDevice {
  const device = new VirtioDevice({
    model: createBlock({ storage: memoryStorage(0x1_0000) }),
    memory,
  });
  return new PciDevice({ vectorMasking: "vmm", device });
}

/** A private directory that is gone after the test. */
export function privateDirectory(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "vfio-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** The descriptors that this process has open, by what they are. */
export function openFds(): string[] {
  return readdirSync("/proc/self/fd")
    .map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return "";
      }
    })
    .filter((target) => /^(socket:|anon_inode:\[eventfd\]|\/memfd:)/.test(target))
    .sort();
}

/** The mappings of shared memory that this process has. */
export function sharedMappings(): string[] {
  return readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .filter((line) => line.includes("/memfd:virtio-admin"));
}

/** Waits until `condition` holds, turn by turn of the event loop. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}
