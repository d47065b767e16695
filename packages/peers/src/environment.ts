/** The peers that cells are run with: QEMU, Linux in two versions, busybox, and a compiler. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isVirtioError, VirtioError } from "@virtio-admin/core";
import { AptRoot, type Architecture, BACKPORTS, type Progress, SUITE } from "./debian/apt-root.ts";
import { completeTrees, packagesOf, unpack } from "./debian/tree.ts";
import { compareVersions, newest, type Pinned } from "./debian/version.ts";
import type { GuestModule } from "./guest/initramfs.ts";
import { type Processor, type Program, qemuOnPath, unpackedProgram } from "./qemu/program.ts";

/** A Linux to boot. */
export interface Linux {
  /** Its release: `7.3.4+deb13-cloud-amd64`. */
  readonly release: string;
  /** The kernel image. */
  readonly image: string;
  /** The folder of its modules. */
  readonly modules: string;
}

/** Which Linux: the newest in the backports, that of the stable suite, or the latter for s390x. */
export type LinuxName = "newest" | "stable" | "stable-s390x";

/** What a module is built with. */
export interface Toolchain {
  /** The folder that everything is unpacked into. */
  readonly folder: string;
  /** The release that the headers are of. */
  readonly release: string;
}

/** Where a Linux is from. */
interface LinuxSource {
  readonly suite: string;
  readonly flavour: string;
  readonly architecture: Architecture;
}

const LINUXES: Readonly<Record<LinuxName, LinuxSource>> = {
  newest: { suite: BACKPORTS, flavour: "cloud-amd64", architecture: "amd64" },
  stable: { suite: SUITE, flavour: "cloud-amd64", architecture: "amd64" },
  "stable-s390x": { suite: SUITE, flavour: "s390x", architecture: "s390x" },
};
const QEMU_PACKAGES: Readonly<Record<Processor, readonly string[]>> = {
  x86_64: ["qemu-system-x86", "seabios", "libc6"],
  aarch64: ["qemu-system-arm", "libc6"],
  riscv64: ["qemu-system-riscv", "libc6"],
  s390x: ["qemu-system-s390x", "libc6"],
};
/** With what a shell and the kernel's makefiles call. */
const BUILD_PACKAGES = [
  ...[
    "base-files",
    "binutils",
    "coreutils",
    "dash",
    "diffutils",
    "findutils",
    "grep",
    "make",
    "mawk",
    "sed",
  ],
];
const FILE_SYSTEM_PACKAGES = ["e2fsprogs", "libc6"];
const LOADER = "ld-linux-x86-64.so.2";
const LIBRARIES = "usr/lib/x86_64-linux-gnu";
/** The first QEMU with the device `vfio-user-pci`. */
const LEAST_QEMU = "10.1";

/** Gets peers when they are first asked for, and keeps them in the cache. */
export class Environment {
  readonly #cache: string;
  readonly #progress: Progress;
  readonly #linux = new Map<LinuxName, Promise<Linux>>();
  readonly #apt = new Map<Architecture, Promise<AptRoot | undefined>>();
  readonly #qemu = new Map<Processor, Promise<Program>>();
  readonly #busybox = new Map<Architecture, Promise<Uint8Array>>();
  #toolchain: Promise<Toolchain> | undefined;

  /** `cache` is held by this process; `progress` is told what is fetched. */
  constructor(cache: string, progress: Progress) {
    this.#cache = cache;
    this.#progress = progress;
  }

  /**
   * QEMU: that on the path if it is new enough, else the newest of the suite. For another processor
   * than the host's it is always that of the suite.
   */
  qemu(processor: Processor = "x86_64"): Promise<Program> {
    const known = this.#qemu.get(processor) ?? this.#getQemu(processor);
    this.#qemu.set(processor, known);
    return known;
  }

  /** A Linux. */
  linux(name: LinuxName): Promise<Linux> {
    const known = this.#linux.get(name) ?? this.#getLinux(name);
    this.#linux.set(name, known);
    return known;
  }

  /** The busybox of guests with a Linux. */
  busybox(name: LinuxName = "newest"): Promise<Uint8Array> {
    const { architecture } = LINUXES[name];
    const known = this.#busybox.get(architecture) ?? this.#getBusybox(architecture);
    this.#busybox.set(architecture, known);
    return known;
  }

  /**
   * Programs that make and check file systems, and all that they need, by path in a guest:
   * `sbin/mke2fs`, `sbin/e2fsck`.
   */
  async fileSystemPrograms(): Promise<ReadonlyMap<string, Uint8Array>> {
    const folder = await this.#tree("e2fsprogs", (apt) => apt.closure(FILE_SYSTEM_PACKAGES, SUITE));
    const file = (path: string) => readFileSync(join(folder, path));
    const files = new Map<string, Uint8Array>([[`lib64/${LOADER}`, file(`usr/lib64/${LOADER}`)]]);
    for (const name of ["mke2fs", "e2fsck"]) files.set(`sbin/${name}`, file(`usr/sbin/${name}`));
    for (const name of readdirSync(join(folder, LIBRARIES))) {
      const isWanted = /^lib(c|blkid|com_err|e2p|ext2fs|uuid)\.so\.\d+$/.test(name);
      if (isWanted) files.set(`lib/x86_64-linux-gnu/${name}`, file(join(LIBRARIES, name)));
    }
    return files;
  }

  /** What modules of the newest Linux are built with. */
  toolchain(): Promise<Toolchain> {
    this.#toolchain ??= this.#getToolchain();
    return this.#toolchain;
  }

  async #getQemu(processor: Processor): Promise<Program> {
    const isHost = processor === "x86_64";
    const own = isHost ? await qemuOnPath(LEAST_QEMU) : undefined;
    if (own !== undefined) {
      this.#progress(`QEMU ${own.version}, on the path`);
      return own;
    }
    const folder = await this.#tree(isHost ? "qemu" : `qemu-${processor}`, (apt) =>
      apt.closure(QEMU_PACKAGES[processor], BACKPORTS),
    );
    const program = await unpackedProgram(folder, processor);
    if (compareVersions(program.version, LEAST_QEMU) < 0) {
      throw new VirtioError("HOST_UNSUPPORTED", {
        path: "qemu",
        message: `the suite has QEMU ${program.version}, and ${LEAST_QEMU} is needed`,
      });
    }
    return program;
  }

  async #getBusybox(architecture: Architecture): Promise<Uint8Array> {
    const name = architecture === "amd64" ? "busybox" : `busybox-${architecture}`;
    const wanted = (apt: AptRoot) => exact(apt, ["busybox-static"], SUITE);
    const folder = await this.#tree(name, wanted, architecture);
    return readFileSync(join(folder, "usr/bin/busybox"));
  }

  async #getLinux(name: LinuxName): Promise<Linux> {
    const { suite, flavour, architecture } = LINUXES[name];
    const tree = (wanted: (apt: AptRoot) => Promise<Pinned[]>) =>
      this.#tree(`linux-${name}`, wanted, architecture);
    const folder = await tree((apt) => kernelPackages(apt, suite, flavour)).catch((error) => {
      if (!isVirtioError(error, "HOST_UNSUPPORTED")) throw error;
      // A mirror that is being brought up to date lists what it does not have yet.
      this.#progress("the newest kernel cannot be had, the one before it is taken");
      return tree((apt) => olderKernelPackages(apt, suite, flavour));
    });
    const modules = join(folder, "usr/lib/modules");
    const release = existsSync(modules) ? readdirSync(modules)[0] : undefined;
    if (release === undefined) throw absent("a folder of modules", modules);
    const images = [join(modules, release, "vmlinuz"), join(folder, "boot", `vmlinuz-${release}`)];
    const image = images.find((each) => existsSync(each));
    if (image === undefined) throw absent("a kernel image", folder);
    return { release, image, modules: join(modules, release) };
  }

  async #getToolchain(): Promise<Toolchain> {
    const { release } = await this.linux("newest");
    const headers = `linux-headers-${release}`;
    const folder = await this.#tree("build", (apt) =>
      apt.closure([headers, ...BUILD_PACKAGES], BACKPORTS),
    );
    return { folder, release };
  }

  /** Without a mirror, the newest that is unpacked serves. */
  async #tree(
    name: string,
    resolve: (apt: AptRoot) => Promise<Pinned[]>,
    architecture: Architecture = "amd64",
  ): Promise<string> {
    const opened = this.#apt.get(architecture) ?? this.#openApt(architecture);
    this.#apt.set(architecture, opened);
    const apt = await opened;
    if (apt !== undefined) {
      const folder = await unpack(apt, this.#cache, name, await resolve(apt), this.#progress);
      this.#progress(`${name}: ${describe(folder)}`);
      return folder;
    }
    const [folder] = completeTrees(this.#cache, name);
    if (folder === undefined) {
      throw new VirtioError("HOST_UNSUPPORTED", {
        path: name,
        message: "it is not in the cache, and no mirror of Debian can be reached",
      });
    }
    this.#progress(`${name}, from the cache: ${describe(folder)}`);
    return folder;
  }

  async #openApt(architecture: Architecture): Promise<AptRoot | undefined> {
    const folder = join(this.#cache, architecture === "amd64" ? "apt" : `apt-${architecture}`);
    try {
      const apt = await AptRoot.open(folder, this.#progress, architecture);
      await apt.update();
      return apt;
    } catch (error) {
      this.#progress(`no newer packages: ${error instanceof Error ? error.message : error}`);
      return undefined;
    }
  }
}

/** The file of a module, found by its name anywhere among the modules of a Linux. */
export function findModule({ modules }: Linux, name: string): GuestModule {
  const file = `${name}.ko`;
  const found = readdirSync(modules, { recursive: true, encoding: "utf8" }).find((path) =>
    [file, `${file}.xz`].includes(path.slice(path.lastIndexOf("/") + 1)),
  );
  if (found === undefined) throw absent(`the module ${name}`, modules);
  const path = join(modules, found);
  return { name: path.slice(path.lastIndexOf("/") + 1), bytes: readFileSync(path) };
}

/** The packages that have a kernel image and its modules, and no more. */
async function kernelPackages(apt: AptRoot, suite: string, flavour: string): Promise<Pinned[]> {
  const [meta] = await exact(apt, [`linux-image-${flavour}`], suite);
  const image = (await depends(apt, meta)).find(({ name }) => /^linux-image-\d/.test(name));
  if (image === undefined) throw absent("a kernel", suite);
  return kernelParts(apt, { ...image, version: image.version || (meta?.version ?? "") });
}

/** The same of the kernel before the newest. */
async function olderKernelPackages(
  apt: AptRoot,
  suite: string,
  flavour: string,
): Promise<Pinned[]> {
  const names = (await apt.names("linux-image-")).filter(
    (name) => /^linux-image-\d/.test(name) && name.endsWith(`-${flavour}`),
  );
  const found = await Promise.all(
    names.map(async (name) => newest(await apt.candidates(name), suite)),
  );
  const [, older] = found
    .flatMap((each) => each ?? [])
    .sort((a, b) => compareVersions(b.version, a.version));
  if (older === undefined) throw absent("an older kernel", suite);
  return kernelParts(apt, older);
}

async function kernelParts(apt: AptRoot, pinned: Pinned): Promise<Pinned[]> {
  // Newer packages are split in two, older ones have everything themselves.
  const parts = (await depends(apt, pinned)).filter(({ name }) =>
    /^linux-(binary|modules)-\d/.test(name),
  );
  return parts.length > 0 ? parts : [pinned];
}

async function depends(apt: AptRoot, pinned: Pinned | undefined): Promise<Pinned[]> {
  return pinned === undefined ? [] : apt.depends(pinned);
}

async function exact(apt: AptRoot, names: readonly string[], suite: string): Promise<Pinned[]> {
  const found: Pinned[] = [];
  for (const name of names) {
    const candidate = newest(await apt.candidates(name), suite);
    if (candidate === undefined) throw absent(name, suite);
    found.push(candidate);
  }
  return found;
}

function describe(folder: string): string {
  const packages = packagesOf(folder);
  const [first = ""] = packages.filter((name) =>
    /^(qemu-system-(x86|arm|riscv|s390x)=|linux-(image|binary|headers-.*amd64)|busybox|e2fsprogs)/.test(
      name,
    ),
  );
  return `${first}${packages.length > 1 ? ` and ${packages.length - 1} more` : ""}`;
}

function absent(what: string, path: string): VirtioError {
  return new VirtioError("HOST_UNSUPPORTED", { path, message: `${what} is not there` });
}
