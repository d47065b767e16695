/** Groups that are served by another process, and drivers of their devices in this one. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bringUp, type FeatureSet, isVirtioError } from "@virtio-admin/core";
import { EntropyDriver } from "@virtio-admin/devices";
import { PciDriver } from "@virtio-admin/transport-pci";
import { VfioUserClient } from "@virtio-admin/vfio-user";
import { bundleCommand, type CommandChild, start } from "./child.ts";

const MEMORY = { base: 0x10_0000, length: 0x10_0000 };

/** Why nothing can be served here; `undefined` where it can. */
export const unsupported: string | undefined = await VfioUserClient.connect({
  path: "/nonexistent",
  memory: MEMORY,
}).then(
  () => undefined,
  (error: unknown) => (isVirtioError(error, "HOST_UNSUPPORTED") ? error.message : undefined),
);

/** What `serve --json` says first. */
export interface Serving {
  readonly event: "serving";
  readonly pid: number;
  readonly strict: boolean;
  readonly group: { readonly type: string; readonly id: number };
  readonly owner: Socket;
  readonly members: readonly (Socket & { readonly member: number })[];
  readonly qemu: readonly string[];
}

interface Socket {
  readonly socket: string;
  readonly vendor_id: number;
  readonly device_id: number;
}

/** A group that is served. */
export interface ServedChild {
  readonly child: CommandChild;
  readonly serving: Serving;
  /** The socket of the owner. */
  readonly owner: string;
  /** The socket of a member. */
  readonly member: (id: number) => string;
  /** Everything that it said after that, in order. */
  readonly events: () => readonly Readonly<Record<string, unknown>>[];
  /** Resolves once it has said this many times that a device is free again. */
  freed(times: number, member?: number): Promise<void>;
}

/** A device that is driven from here. */
export interface DrivenDevice {
  readonly client: VfioUserClient;
  readonly offered: FeatureSet;
  readonly vectors: number | undefined;
  readonly entropy: EntropyDriver;
  readonly close: () => Promise<void>;
}

/** Makes groups, and lets go of everything. */
export class ServeRig {
  /** A private directory. */
  readonly folder: string = mkdtempSync(join(tmpdir(), "serve-"));
  readonly #programs: string;
  readonly #script: string;
  readonly #open: (() => Promise<unknown>)[] = [];
  #files = 0;

  private constructor(programs: string, script: string) {
    this.#programs = programs;
    this.#script = script;
  }

  static async make(): Promise<ServeRig> {
    const { folder, script } = await bundleCommand();
    return new ServeRig(folder, script);
  }

  /** Ends what was started. */
  async settle(): Promise<void> {
    for (const close of this.#open.splice(0).reverse()) await close();
  }

  remove(): void {
    for (const path of [this.#programs, this.folder]) rmSync(path, { recursive: true });
  }

  /** Writes a description. */
  described(...lines: readonly string[]): string {
    const file = join(this.folder, `group-${this.#files++}.yaml`);
    writeFileSync(file, ["format: virtio-admin.group", "version: 1", ...lines].join("\n"));
    return file;
  }

  /** Runs the command in a process of its own. */
  start(words: readonly string[], env?: NodeJS.ProcessEnv): CommandChild {
    const child = start(this.#script, words, env);
    this.#open.push(() => {
      child.process.kill("SIGKILL");
      return child.ended;
    });
    return child;
  }

  /** Serves a group, in a directory of its own unless one is named. */
  async serve(
    file: string,
    words: readonly string[] = ["--dir", join(this.folder, `sockets-${this.#files++}`)],
    env?: NodeJS.ProcessEnv,
  ): Promise<ServedChild> {
    const child = this.start(["serve", file, "--json", ...words], env);
    const events = () =>
      child
        .out()
        .split("\n")
        .slice(1, -1)
        .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
    const serving = await child.line((line) => JSON.parse(line) as Serving);
    return {
      child,
      serving,
      owner: serving.owner.socket,
      member: (id) => serving.members.find(({ member }) => member === id)?.socket ?? "",
      events,
      freed: (times, member) =>
        child.line(() => {
          const free = events().filter(
            (each) => each["event"] === "disconnected" && each["member"] === member,
          );
          return free.length >= times ? true : undefined;
        }) as Promise<unknown> as Promise<void>,
    };
  }

  /** Connects to a socket, and no more. */
  async plug(path: string): Promise<VfioUserClient> {
    const client = await VfioUserClient.connect({ path, memory: MEMORY });
    this.#open.push(() => client.close());
    return client;
  }

  /** Drives the entropy device behind a socket. */
  async drive(path: string): Promise<DrivenDevice> {
    const client = await this.plug(path);
    const transport = new PciDriver({ bus: client, dma: client.dma, assignBarsAt: 0xe000_0000 });
    const device = await bringUp(transport, { queues: [{ index: 0, size: 8 }] });
    return {
      client,
      offered: await transport.readFeatures(),
      vectors: transport.discovery?.msix?.vectors,
      entropy: new EntropyDriver(device, { bufferSize: 64 }),
      close: async () => {
        await device.close();
        await client.close();
      },
    };
  }
}
