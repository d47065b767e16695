/**
 * apt as this machine is set up, with lists and downloads in a folder of its own: what a program
 * needs beyond what is installed. Nothing is installed, and nobody has to be root.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  type Pinned,
  type Progress,
  parseSimulation,
  runProgram,
} from "@virtio-admin/peers/debian";

const FOLDERS = ["lists/partial", "cache/archives/partial"];

/** apt of this machine, with a memory of its own. */
export class SystemApt {
  readonly #options: readonly string[];
  readonly #progress: Progress;

  /** Keeps what it knows in `folder`. */
  constructor(folder: string, progress: Progress) {
    for (const name of FOLDERS) mkdirSync(join(folder, name), { recursive: true });
    const settings = {
      "Dir::State::lists": join(folder, "lists"),
      "Dir::State::status": "/var/lib/dpkg/status",
      "Dir::Cache": join(folder, "cache"),
      "Acquire::Languages": "none",
      "Acquire::Retries": "3",
      "APT::Sandbox::User": "root",
      "APT::Install-Recommends": "false",
      "APT::Update::Error-Mode": "any",
    };
    this.#options = Object.entries(settings).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
    this.#progress = progress;
  }

  /**
   * Brings the lists of packages up to date.
   *
   * @throws VirtioError `HOST_UNSUPPORTED` where there is no apt, or its mirror cannot be reached
   */
  async update(): Promise<void> {
    await this.#run(["update"]);
  }

  /** What would have to be installed for these, they themselves included. */
  async missing(packages: readonly string[]): Promise<Pinned[]> {
    return parseSimulation(await this.#run(["--simulate", "install", ...packages]));
  }

  /** See the `Downloader` of `@virtio-admin/peers/debian`. */
  async download(packages: readonly Pinned[], into: string): Promise<void> {
    const names = packages.map(({ name, version }) => `${name}=${version}`);
    await this.#run(["download", ...names], into);
  }

  #run(args: readonly string[], cwd?: string): Promise<string> {
    const onLine = args.includes("--simulate") ? undefined : this.#progress;
    return runProgram("apt-get", [...this.#options, ...args], {
      env: { DEBIAN_FRONTEND: "noninteractive" },
      ...(cwd === undefined ? {} : { cwd }),
      ...(onLine === undefined ? {} : { onLine }),
    });
  }
}
