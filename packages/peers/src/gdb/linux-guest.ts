/**
 * Stock Linux on an s390x machine, with channel devices of ours. It boots with none of them: they are
 * plugged in once it has told where its functions are.
 *
 * A doorbell raises adapter interrupts: a port of QEMU's virtio-serial device, of which the guest reads.
 * A byte for it is an adapter interrupt of QEMU's own, in whose handler Linux looks at the indicators of
 * all devices.
 */
import { writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { createGuestMemory, type RegionMemory } from "@virtio-admin/core";
import type { CcwDevice, CcwInterrupt } from "@virtio-admin/transport-ccw";
import { privateFolder } from "../cleanup.ts";
import { type GuestResult, LineCutter, parseResult, ResultQueue } from "../guest/lines.ts";
import { MachineProcess, machineArguments, socketArgument } from "../qemu/machine-process.ts";
import type { QemuMonitor } from "../qemu/monitor.ts";
import type { Program } from "../qemu/program.ts";
import { GdbClient } from "./client.ts";
import { KERNEL_FUNCTIONS, KernelChannel } from "./kernel-channel.ts";
import { Stops } from "./stops.ts";

/** The serial line of results of such a guest. */
export const CHANNEL_RESULT_DEVICE = "/dev/ttysclp0";

/**
 * What the script of a guest begins with. `plugged NUMBER` waits until Linux has a driver for the
 * device of this number.
 */
export const CHANNEL_SCRIPT = `
cat /dev/vport0p1 >/dev/null &
tell symbols $(grep -m ${KERNEL_FUNCTIONS.length} -wF ${KERNEL_FUNCTIONS.map((name) => `-e ${name}`).join(" ")} /proc/kallsyms | while read address kind name rest; do
  echo $name=$address
done)
plugged() {
  for i in $(seq 600); do
    [ -e /sys/bus/ccw/devices/$1/virtio*/driver ] && break
    sleep 0.1
  done
  tell plugged device=$1 place=$(readlink -f /sys/bus/ccw/devices/$1)
}
`;

/** What a guest is started from. */
export interface LinuxGuestInit {
  /** The kernel image. */
  readonly kernel: string;
  /** The bytes of the initramfs. */
  readonly archive: Uint8Array;
}

const RAM_BYTES = 256 << 20;
/** Memory that the kernel is kept from. */
const KEPT_BYTES = 1 << 20;
const COMMAND_LINE = `console=ttyS0 panic=-1 quiet nokaslr mem=${(RAM_BYTES - KEPT_BYTES) >> 20}M`;
const LAST_LINES = 40;
/** The first subchannel that a device has which is plugged in: the doorbell has the one before. */
const FIRST_SUBCHANNEL = 0x10001;
const FIRST_DEVICE = 0x42;
const SUBCHANNEL_NUMBER = 0xffff;
const CLEAR = Uint8Array.of(0);
const RING = Uint8Array.of(0);

/** The number of the device that is plugged in after `index` others, as Linux writes it. */
export function deviceNumber(index: number): string {
  return `0.0.${(FIRST_DEVICE + index).toString(16).padStart(4, "0")}`;
}

/** The end of the path at which Linux has the device of a subchannel. */
export function placeOf(subchannelId: number): string {
  const number = subchannelId & SUBCHANNEL_NUMBER;
  const subchannel = number.toString(16).padStart(4, "0");
  return `/0.0.${subchannel}/${deviceNumber(number - (FIRST_SUBCHANNEL & SUBCHANNEL_NUMBER))}`;
}

/** A guest that runs. */
export class LinuxGuest {
  /** The machine's memory. */
  readonly memory: RegionMemory;
  /** How many interrupts our devices raised, besides those at the end of a program. */
  readonly interrupts = { subchannel: 0, adapter: 0 };
  readonly #machine: MachineProcess;
  readonly #monitor: QemuMonitor;
  readonly #client: GdbClient;
  readonly #stops: Stops;
  readonly #channel: KernelChannel;
  readonly #bell: Socket;
  readonly #results = new ResultQueue();
  readonly #lines: string[] = [];
  #devices = 0;

  private constructor(
    machine: MachineProcess,
    monitor: QemuMonitor,
    client: GdbClient,
    memory: RegionMemory,
    connections: Readonly<Record<"bell" | "console" | "results", Socket>>,
  ) {
    this.memory = memory;
    this.#machine = machine;
    this.#monitor = monitor;
    this.#client = client;
    this.#bell = connections.bell;
    this.#stops = new Stops(client);
    this.#channel = new KernelChannel(client, this.#stops, memory, RAM_BYTES - KEPT_BYTES);
    const results = new LineCutter((line) => {
      const result = parseResult(line);
      if (result !== undefined) this.#results.push(result);
    });
    const console = new LineCutter((line) => {
      this.#lines.push(line);
      if (this.#lines.length > LAST_LINES) this.#lines.shift();
    });
    connections.results.on("data", (bytes: Buffer) => results.push(bytes));
    connections.console.on("data", (bytes: Buffer) => console.push(bytes));
    for (const each of Object.values(connections)) each.on("error", () => each.destroy());
    // What a guest says last may come here after the end of its debugger.
    const silent = new Promise((resolve) => connections.results.once("close", resolve));
    this.#stops.run().then(
      () => silent.then(() => this.#results.end("QEMU ended")),
      (error: unknown) => this.#results.end(error instanceof Error ? error.message : `${error}`),
    );
  }

  /** Starts QEMU, and boots. @throws VirtioError `TRANSPORT`, `HOST_UNSUPPORTED` */
  static async start(program: Program, { kernel, archive }: LinuxGuestInit): Promise<LinuxGuest> {
    const folder = privateFolder();
    const initramfs = join(folder.path, "initramfs.cpio");
    writeFileSync(initramfs, archive);
    let machine: MachineProcess | undefined;
    try {
      const started = await MachineProcess.start({
        program,
        ramBytes: RAM_BYTES,
        sockets: ["gdb", "console", "results", "bell"],
        args: (ram, { gdb, console, results, bell }) => [
          ...["-machine", "s390-ccw-virtio", "-accel", "tcg", "-cpu", "max", "-S", "-no-reboot"],
          ...machineArguments(ram, RAM_BYTES),
          ...["-chardev", socketArgument("gdb", gdb), "-gdb", "chardev:gdb"],
          ...["-chardev", socketArgument("console", console)],
          ...["-device", "sclplmconsole,chardev=console"],
          ...["-chardev", socketArgument("results", results)],
          ...["-device", "sclpconsole,chardev=results"],
          ...["-chardev", socketArgument("bell", bell)],
          // Every byte is to be an interrupt, also one that the guest has not waited for.
          ...["-device", "virtio-serial-ccw,id=serial,devno=fe.0.0001,event_idx=off"],
          ...["-device", "virtserialport,bus=serial.0,chardev=bell"],
          ...["-kernel", kernel, "-initrd", initramfs, "-append", COMMAND_LINE],
        ],
        path: "gdb",
        unsupported: /unsupported machine type/,
      });
      machine = started.machine;
      const memory = createGuestMemory([{ base: 0, bytes: started.ram, concurrent: true }]);
      const client = await GdbClient.open(started.connections.gdb);
      return new LinuxGuest(machine, started.monitor, client, memory, started.connections);
    } catch (error) {
      await machine?.close();
      throw error;
    } finally {
      // QEMU has read it: it answers its monitor once it has made the machine.
      folder.remove();
    }
  }

  /** The last lines of the console. */
  get lastLines(): readonly string[] {
    return this.#lines;
  }

  /** See {@link ResultQueue.next}. */
  result(name: string, milliseconds: number): Promise<GuestResult> {
    return this.#results.next(name, milliseconds);
  }

  /** Takes over the kernel's channel, once the guest is ready. */
  async takeOver(milliseconds: number): Promise<void> {
    const { fields } = await this.result("symbols", milliseconds);
    const symbols = new Map(
      Object.entries(fields).map(([name, address]) => [name, BigInt(`0x${address}`)]),
    );
    await this.#stops.whileStopped(() => this.#channel.open(symbols));
  }

  /** Plugs the next device in, made for the subchannel that it gets; its number is `deviceNumber`. */
  async plug<Made extends { readonly subchannel: CcwDevice }>(
    make: (subchannelId: number) => Made,
  ): Promise<Made> {
    const index = this.#devices++;
    const made = make(FIRST_SUBCHANNEL + index);
    const { subchannel } = made;
    subchannel.onInterrupt = (interrupt) => this.#interrupt(subchannel, interrupt);
    this.#channel.take(subchannel);
    // QEMU's device is never driven; any will do.
    const devno = `fe${deviceNumber(index).slice(1)}`;
    await this.#monitor.execute("device_add", { driver: "virtio-rng-ccw", devno });
    return made;
  }

  /** Ends QEMU. */
  async close(): Promise<void> {
    this.#client.close();
    this.#bell.destroy();
    await this.#machine.close();
  }

  /** Resolves with how QEMU ended, in words, or that it has not in time. */
  async gone(milliseconds: number): Promise<string> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve("the guest stays on"), milliseconds);
    });
    const how = await Promise.race([this.#machine.gone, late]);
    clearTimeout(timer);
    return how;
  }

  #interrupt(device: CcwDevice, interrupt: CcwInterrupt): void {
    if (interrupt.kind === "subchannel") {
      if (interrupt.ending !== undefined) return;
      this.interrupts.subchannel += 1;
      this.#channel.interrupt(device);
      return;
    }
    const { adapter } = device.save().indicators;
    // Devices share a summary: QEMU interrupts only when it has set it.
    if (adapter !== undefined) this.memory.write(Number(adapter.summary), CLEAR);
    this.interrupts.adapter += 1;
    this.#bell.write(RING);
  }
}
