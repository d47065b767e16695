/**
 * apt with a root of its own: it reads the suites that are asked for from the mirror that this
 * machine uses, and keeps its lists and its state apart. Nothing is installed.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { VirtioError } from "@virtio-admin/core";
import { runProgram } from "../program.ts";
import {
  type Candidate,
  type Pinned,
  parseDepends,
  parseMadison,
  parseSimulation,
} from "./version.ts";

/** The suite that everything comes from, and its parts. */
export const SUITE = "trixie";
/** Where the newest QEMU and the newest Linux are. */
export const BACKPORTS = `${SUITE}-backports`;

/** What each architecture has packages from: of what no cell uses, no lists are fetched. */
const SUITES: Readonly<Record<Architecture, readonly string[]>> = {
  amd64: [SUITE, `${SUITE}-updates`, BACKPORTS],
  s390x: [SUITE],
};
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const OS_RELEASE = "/etc/os-release";
/** The architecture of the host. */
const HOST: Architecture = "amd64";
const FOLDERS = [
  "etc/apt/apt.conf.d",
  "etc/apt/preferences.d",
  "etc/apt/sources.list.d",
  "etc/apt/trusted.gpg.d",
  "var/cache/apt/archives/partial",
  "var/lib/apt/lists/partial",
  "var/lib/dpkg",
];
const ATTEMPTS = 3;
const PAUSE = 2000;

/** The architectures whose packages are unpacked. */
export type Architecture = "amd64" | "s390x";

/** What is told of a long step, line by line. */
export type Progress = (line: string) => void;

/** apt, apart from the system's. */
export class AptRoot {
  readonly #folder: string;
  readonly #progress: Progress;
  readonly #env: Readonly<Record<string, string>>;

  private constructor(folder: string, progress: Progress) {
    this.#folder = folder;
    this.#progress = progress;
    this.#env = { APT_CONFIG: join(folder, "apt.conf"), DEBIAN_FRONTEND: "noninteractive" };
  }

  /**
   * Makes the root in a folder, or takes over what is there; its packages are of one architecture.
   *
   * @throws VirtioError `HOST_UNSUPPORTED` on a machine that is no Debian on amd64
   */
  static async open(
    folder: string,
    progress: Progress,
    architecture: Architecture = HOST,
  ): Promise<AptRoot> {
    const mirror = await debianMirror();
    for (const name of FOLDERS) mkdirSync(join(folder, name), { recursive: true });
    writeFileSync(join(folder, "var/lib/dpkg/status"), "");
    writeFileSync(join(folder, "apt.conf"), await configuration(folder, architecture));
    writeFileSync(
      join(folder, "etc/apt/sources.list.d/debian.sources"),
      sources(mirror, architecture),
    );
    return new AptRoot(folder, progress);
  }

  /** Brings the lists of packages up to date. */
  async update(): Promise<void> {
    // Without the option, apt takes a mirror that cannot be reached for a success.
    await this.#again(["-o", "APT::Update::Error-Mode=any", "update"]);
  }

  /** The versions of a package in each suite. */
  async candidates(name: string): Promise<Candidate[]> {
    return parseMadison(await this.#cache("madison", name));
  }

  /** The names of all packages that begin so. */
  async names(beginning: string): Promise<string[]> {
    return (await this.#cache("pkgnames", beginning)).split("\n").filter((name) => name !== "");
  }

  /** What a package depends on directly. */
  async depends({ name, version }: Pinned): Promise<Pinned[]> {
    return parseDepends(await this.#cache("show", `${name}=${version}`));
  }

  /** Everything that an empty system would need to have these, the packages themselves included. */
  async closure(packages: readonly string[], suite: string): Promise<Pinned[]> {
    const args = ["--simulate", "-t", suite, "install", ...packages];
    return parseSimulation(await runProgram("apt-get", args, { env: this.#env }));
  }

  /** Downloads packages into a folder; apt checks what it gets against the signed lists. */
  async download(packages: readonly Pinned[], into: string): Promise<void> {
    const names = packages.map(({ name, version }) => `${name}=${version}`);
    await this.#again(["download", ...names], into);
  }

  #cache(...args: string[]): Promise<string> {
    return runProgram("apt-cache", args, { env: this.#env });
  }

  async #again(args: readonly string[], cwd = this.#folder): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await runProgram("apt-get", args, { cwd, env: this.#env, onLine: this.#progress });
        return;
      } catch (error) {
        if (attempt === ATTEMPTS || isAbsent(error)) throw error;
        this.#progress(`attempt ${attempt} of ${ATTEMPTS} failed, once more`);
        await delay(PAUSE * attempt);
      }
    }
  }
}

/** True when the mirror has not what its lists say: it will not have it in a moment either. */
function isAbsent(error: unknown): boolean {
  return error instanceof Error && /\b404 +Not Found/.test(error.message);
}

/** The mirror of Debian proper that this machine is set up with. */
async function debianMirror(): Promise<string> {
  if (!existsSync(OS_RELEASE) || !existsSync(KEYRING))
    throw noDebian("it has no keyring of Debian");
  const architecture = (await runProgram("dpkg", ["--print-architecture"])).trim();
  if (architecture !== HOST) throw noDebian(`its architecture is ${architecture}`);
  const codename = /^VERSION_CODENAME=(.*)$/m.exec(readFileSync(OS_RELEASE, "utf8"))?.[1];
  const targets = await runProgram("apt-get", [
    "indextargets",
    "--format",
    "$(REPO_URI) $(RELEASE) $(COMPONENT)",
    "Created-By: Packages",
  ]);
  const own = targets.split("\n").find((line) => line.endsWith(` ${codename} main`));
  if (own === undefined) throw noDebian(`no source of apt has ${codename ?? "its release"}`);
  return own.split(" ")[0] ?? "";
}

function noDebian(message: string): VirtioError {
  return new VirtioError("HOST_UNSUPPORTED", {
    path: "apt",
    message: `packages are taken from Debian's mirror of this machine, and ${message}`,
    hint: `run this on Debian, ${HOST}`,
  });
}

async function configuration(folder: string, architecture: Architecture): Promise<string> {
  const own = {
    Dir: folder,
    "Dir::State::status": join(folder, "var/lib/dpkg/status"),
    "APT::Architecture": architecture,
    "APT::Architectures": architecture,
    "APT::Install-Recommends": "false",
    "APT::Sandbox::User": "root",
    "Acquire::Languages": "none",
    "Acquire::Retries": "3",
  };
  const lines = Object.entries(own).map(([key, value]) => `${key} "${value}";`);
  const system = (await runProgram("apt-config", ["dump"])).split("\n");
  // How this machine reaches its mirror goes for this root too.
  return [...lines, ...system.filter((line) => /^Acquire::[^ ]*Proxy/i.test(line)), ""].join("\n");
}

function sources(mirror: string, architecture: Architecture): string {
  return [
    "Types: deb",
    `URIs: ${mirror}`,
    `Suites: ${SUITES[architecture].join(" ")}`,
    "Components: main",
    `Signed-By: ${KEYRING}`,
    "",
  ].join("\n");
}
