/** The first and only file system of a guest: busybox, the modules that are asked for, a script. */
import { type CpioEntry, writeCpio } from "./cpio.ts";

/** What is in it. */
export interface InitramfsInit {
  /** The bytes of a busybox that is linked statically. */
  readonly busybox: Uint8Array;
  /** What the guest does, as lines of the shell; see {@link guestScript}. */
  readonly script: string;
  /** Kernel modules in the order in which they are loaded, by file name. */
  readonly modules?: readonly GuestModule[];
  /** The serial line that it tells its results on; {@link RESULT_DEVICE} unless given. */
  readonly resultDevice?: string;
  /** Further files, by their paths in the guest without a slash at the beginning. */
  readonly files?: ReadonlyMap<string, Uint8Array>;
}

/** A kernel module. */
export interface GuestModule {
  /** Its file name: `virtio-rng.ko.xz`. */
  readonly name: string;
  /** The file. */
  readonly bytes: Uint8Array;
}

/** The serial line that a guest tells its results on; the console is `ttyS0`. */
export const RESULT_DEVICE = "/dev/ttyS1";
/** What a line of results begins with. */
export const RESULT_MARK = "@@";

const FOLDERS = ["bin", "dev", "proc", "sys", "tmp", "mnt", "modules"];
const CONSOLE = [5, 1] as const;

/** Makes the archive, not compressed: a guest under emulation unpacks slower than it reads. */
export function makeInitramfs({
  busybox,
  script,
  modules = [],
  files = new Map(),
  resultDevice = RESULT_DEVICE,
}: InitramfsInit): Uint8Array {
  const entries: CpioEntry[] = FOLDERS.map((path) => ({ path, kind: "directory" }));
  entries.push({ path: "dev/console", kind: "character device", device: CONSOLE });
  entries.push({ path: "bin/busybox", kind: "file", data: busybox });
  modules.forEach(({ name, bytes }) => {
    entries.push({ path: `modules/${name}`, kind: "file", permissions: 0o644, data: bytes });
  });
  const folders = new Set(FOLDERS);
  for (const [path, data] of files) {
    for (let at = path.indexOf("/"); at > 0; at = path.indexOf("/", at + 1)) {
      const folder = path.slice(0, at);
      if (!folders.has(folder)) entries.push({ path: folder, kind: "directory" });
      folders.add(folder);
    }
    entries.push({ path, kind: "file", data });
  }
  entries.push({ path: "init", kind: "file", data: guestScript(script, modules, resultDevice) });
  return writeCpio(entries);
}

/**
 * A whole `/init`: it mounts what a shell needs, loads the modules, runs `body`, and switches the
 * machine off. `tell NAME KEY=VALUE…` in the body sends a line of results.
 */
export function guestScript(
  body: string,
  modules: readonly GuestModule[] = [],
  resultDevice: string = RESULT_DEVICE,
): string {
  return `#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
stty -F ${resultDevice} raw -echo 115200
tell() { echo "${RESULT_MARK} $*" >${resultDevice}; }
tell boot release=$(uname -r)
load() { insmod "/modules/$1" && tell loaded module="$1" || tell failed what="insmod $1"; }
${modules.map(({ name }) => `load ${name}`).join("\n")}
${body}
tell end uptime=$(cut -d' ' -f1 /proc/uptime)
sync
poweroff -f
`;
}
