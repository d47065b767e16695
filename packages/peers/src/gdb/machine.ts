/** An s390x machine in QEMU whose processor runs what we have it run. */
import { createGuestMemory, DmaArena, type RegionMemory } from "@virtio-admin/core";
import {
  MachineProcess,
  machineArguments,
  RAM_BYTES,
  socketArgument,
} from "../qemu/machine-process.ts";
import type { QemuMonitor } from "../qemu/monitor.ts";
import type { Program } from "../qemu/program.ts";
import { GdbClient } from "./client.ts";
import { PROCESSOR_MEMORY, Processor } from "./processor.ts";

const UNKNOWN_MACHINE = /unsupported machine type/;

/** A machine that was started; {@link startMachine} makes it. */
export interface GdbMachine {
  /** Its processor. */
  readonly processor: Processor;
  /** Its monitor. */
  readonly monitor: QemuMonitor;
  /** Its RAM. */
  readonly memory: RegionMemory;
  /** Allocates RAM for a driver. */
  readonly dma: DmaArena;
  /** Ends QEMU; its RAM is gone. */
  close(): Promise<void>;
}

/**
 * Starts a machine, with further arguments of QEMU's own for its devices.
 *
 * @throws VirtioError `TRANSPORT` when QEMU ends, or is not there in time; `HOST_UNSUPPORTED`
 * where its RAM cannot be mapped
 */
export async function startMachine(
  program: Program,
  devices: readonly string[],
): Promise<GdbMachine> {
  const { machine, ram, connections, monitor } = await MachineProcess.start({
    program,
    sockets: ["gdb"],
    args: (file, { gdb }) => [
      ...["-machine", "s390-ccw-virtio", "-accel", "tcg", "-S"],
      ...machineArguments(file),
      ...["-chardev", socketArgument("gdb", gdb), "-gdb", "chardev:gdb"],
      ...devices,
    ],
    path: "gdb",
    unsupported: UNKNOWN_MACHINE,
  });
  let client: GdbClient | undefined;
  const close = async () => {
    client?.close();
    await machine.close();
  };
  try {
    client = await GdbClient.open(connections.gdb);
    const memory = createGuestMemory([{ base: 0, bytes: ram, concurrent: true }]);
    const processor = await Processor.open(client, memory);
    const dma = new DmaArena(memory, PROCESSOR_MEMORY, RAM_BYTES / 2);
    return { processor, monitor, memory, dma, close };
  } catch (error) {
    await close();
    throw error;
  }
}
