/** A guest booted for a cell, and taken away after it. */
import { findModule, type LinuxName } from "../environment.ts";
import { type GuestModule, makeInitramfs } from "../guest/initramfs.ts";
import { type MmioWindow, virtioMmioTable } from "../qemu/acpi.ts";
import { Guest, type GuestInit } from "../qemu/guest.ts";
import type { Served } from "../served/function.ts";
import { type Bench, expect } from "./types.ts";

/** What a guest of a cell is. */
export interface BootInit extends Omit<GuestInit, "kernel" | "archive"> {
  /** Which Linux. */
  readonly linux: LinuxName;
  /** The modules that it loads, by name, in this order. */
  readonly modules?: readonly string[];
  /** Modules that are no part of this Linux, loaded after the others. */
  readonly ownModules?: readonly GuestModule[];
  /** Further files, by path. */
  readonly files?: ReadonlyMap<string, Uint8Array>;
  /** What it does; see `guestScript`. */
  readonly script: string;
}

/** How long a guest has from its start to its first word, in milliseconds, under emulation. */
export const BOOT_TIME = 180_000;
/** How long a step of a guest's script may take. */
export const STEP_TIME = 120_000;

/**
 * The window of a device on MMIO: where the firmware places the only BAR of 64 KiB there is, and the
 * interrupt of INTA of slot 2. The guest is kept from the bus itself, as Linux moves BARs.
 */
const WINDOW: MmioWindow = { base: 0xfebe0000, length: 0x200, interrupt: 22 };
const WINDOW_SLOT = "2.0";

/** What a guest needs to reach a device that is served, and to drive it. */
export function reach(
  { socket, transport }: Pick<Served, "socket" | "transport">,
  driver: string,
): Pick<BootInit, "sockets" | "modules" | "append" | "acpiTable"> {
  if (transport === "pci") return { modules: [driver], sockets: [{ path: socket }] };
  return {
    modules: ["virtio_mmio", driver],
    sockets: [{ path: socket, at: WINDOW_SLOT, waitsForWrites: true }],
    append: ["pci=off"],
    acpiTable: virtioMmioTable([WINDOW]),
  };
}

/** Checks that the window is where the guest was told. */
export function expectPlace({ transport, windowBase }: Served): void {
  if (transport !== "mmio") return;
  const base = windowBase();
  expect(base === WINDOW.base, `the firmware has placed the window at 0x${base.toString(16)}`);
}

/** Boots a guest, gives it to `use`, and sees to it that it is gone afterwards. */
export async function withGuest<Result>(
  { environment, console, progress }: Bench,
  { linux, modules = [], ownModules = [], files = new Map(), script, ...machine }: BootInit,
  use: (guest: Guest) => Promise<Result>,
): Promise<Result> {
  const kernel = await environment.linux(linux);
  const archive = makeInitramfs({
    busybox: await environment.busybox(),
    modules: [...modules.map((name) => findModule(kernel, name)), ...ownModules],
    files,
    script,
  });
  const guest = await Guest.start(await environment.qemu(), {
    ...machine,
    kernel: kernel.image,
    archive,
  });
  try {
    progress(`Linux ${kernel.release} boots`);
    await guest.result("boot", BOOT_TIME);
    return await use(guest);
  } catch (error) {
    console(guest.lastLines);
    throw error;
  } finally {
    await guest.kill();
  }
}
