/** A guest booted for a cell, and taken away after it. */
import { findModule, type LinuxName } from "../environment.ts";
import { type GuestModule, makeInitramfs } from "../guest/initramfs.ts";
import { Guest, type GuestInit } from "../qemu/guest.ts";
import type { Bench } from "./types.ts";

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
