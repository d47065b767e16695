/** `virtio-admin serve` and `ctl` in processes of their own, as users run them. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import process from "node:process";
import { createInterface, type Interface } from "node:readline";
import { endsWithUs, killedWithUs, type PrivateFolder, privateFolder } from "../cleanup.ts";
import type { Recorder } from "../recorder.ts";

/** How a `ctl` ended. */
export interface Answer {
  /** Its exit code. */
  readonly code: number;
  /** What it printed with `--json`; `undefined` when it printed nothing. */
  readonly document: unknown;
  /** What it complained of. */
  readonly complaint: string;
}

/** What `serve --json` says of a device that somebody took or let go. */
interface DeviceEvent {
  readonly event: string;
  readonly device?: string;
  readonly member?: number;
  readonly pid?: number;
}

const PROGRAM = join(
  dirname(createRequire(import.meta.url).resolve("@virtio-admin/cli/package.json")),
  "bin/virtio-admin.js",
);

/** A group that `virtio-admin serve` serves; {@link CommandGroup.serve} starts it. */
export class CommandGroup {
  readonly #child: ChildProcess;
  readonly #folder: PrivateFolder;
  readonly #lines: Interface;
  readonly #events: DeviceEvent[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #ended: Promise<number | NodeJS.Signals>;

  private constructor(child: ChildProcess, lines: Interface, folder: PrivateFolder) {
    this.#child = child;
    this.#lines = lines;
    this.#folder = folder;
    this.#ended = once(child, "close").then(([code, signal]) => code ?? signal);
    lines.on("line", (line) => {
      this.#events.push(JSON.parse(line) as DeviceEvent);
      for (const look of [...this.#waiting]) look();
    });
  }

  /**
   * Serves the group that is described; its owner is recorded where somebody wants that.
   *
   * @throws Error when it cannot be served
   */
  static async serve(
    description: string,
    { recorder }: { readonly recorder?: Recorder } = {},
  ): Promise<CommandGroup> {
    const folder = privateFolder();
    const file = join(folder.path, "group.yaml");
    writeFileSync(file, description);
    const words = ["serve", file, "--dir", join(folder.path, "sockets"), "--json"];
    if (recorder !== undefined) words.push("--record", recorder.path());
    const child = spawn(...killedWithUs(process.execPath, [PROGRAM, ...words]), {
      stdio: ["ignore", "pipe", "inherit"],
    });
    endsWithUs(child);
    const group = new CommandGroup(child, createInterface({ input: child.stdout }), folder);
    try {
      await group.#event(({ event }) => event === "serving");
      return group;
    } catch (error) {
      folder.remove();
      throw error;
    }
  }

  /** The socket of the owner, or of a member. */
  socket(device: "owner" | number): string {
    const name = device === "owner" ? "owner.sock" : `member-${device}.sock`;
    return join(this.#folder.path, "sockets", name);
  }

  /** Resolves once somebody who held a device has let it go; at once when that was before. */
  async freed(device: "owner" | number): Promise<void> {
    await this.#event(({ event, ...of }) => event === "disconnected" && isOf(of, device));
  }

  /** Runs `ctl` on the owner. */
  async ctl(...words: readonly string[]): Promise<Answer> {
    const args = [PROGRAM, "ctl", this.socket("owner"), ...words, "--json"];
    const child = spawn(...killedWithUs(process.execPath, args), {
      stdio: ["ignore", "pipe", "pipe"],
    });
    endsWithUs(child);
    let said = "";
    let complaint = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      complaint += text;
    });
    const [code] = (await once(child, "close")) as [number | null];
    return {
      code: code ?? -1,
      document: said === "" ? undefined : JSON.parse(said),
      complaint: complaint.trim(),
    };
  }

  /**
   * Ends it as a user does, with SIGTERM.
   *
   * @returns what is left of it: its exit code unless that is 0, and sockets
   */
  async close(...devices: readonly ("owner" | number)[]): Promise<string[]> {
    this.#child.kill("SIGTERM");
    const how = await this.#ended;
    const left = devices.map((device) => this.socket(device)).filter((path) => existsSync(path));
    this.remove();
    return [...(how === 0 ? [] : [`serve ended with ${how}`]), ...left];
  }

  /** Takes it away, whatever state it is in. */
  remove(): void {
    this.#child.kill("SIGKILL");
    this.#lines.close();
    this.#folder.remove();
  }

  /** Looks at what was said already too. */
  #event(is: (event: DeviceEvent) => boolean): Promise<DeviceEvent> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = this.#events.find(is);
        if (found === undefined) return;
        this.#waiting.delete(look);
        resolve(found);
      };
      this.#waiting.add(look);
      void this.#ended.then((how) => reject(new Error(`virtio-admin serve ended with ${how}`)));
      look();
    });
  }
}

function isOf({ device, member }: Omit<DeviceEvent, "event">, which: "owner" | number): boolean {
  return which === "owner" ? device === which : member === which;
}
