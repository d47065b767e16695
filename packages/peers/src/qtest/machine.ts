/** A machine in QEMU whose processors do not run: we do what they would do. */
import { createGuestMemory, DmaArena, type RegionMemory } from "@virtio-admin/core";
import {
  MachineProcess,
  machineArguments,
  RAM_BYTES,
  socketArgument,
} from "../qemu/machine-process.ts";
import type { QemuMonitor } from "../qemu/monitor.ts";
import type { Program } from "../qemu/program.ts";
import type { Board } from "./boards.ts";
import { QtestClient } from "./client.ts";

/** What QEMU says where it was built, or packaged, without qtest. */
const NO_QTEST = /invalid accelerator qtest/;

/** The arguments of a machine whose RAM is the file at `ram`, and that connects to `socket`. */
export function qtestArguments(board: Board, ram: string, socket: string): string[] {
  return [
    ...board.arguments,
    ...machineArguments(ram),
    ...["-accel", "qtest", "-chardev", socketArgument("qtest", socket)],
    ...["-qtest", "chardev:qtest", "-qtest-log", "none"],
  ];
}

/** A machine that was started; {@link startMachine} makes it. */
export interface QtestMachine {
  /** Its registers, ports and interrupt lines. */
  readonly client: QtestClient;
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
 * where it has no qtest, or its RAM cannot be mapped
 */
export async function startMachine(
  program: Program,
  board: Board,
  devices: readonly string[],
): Promise<QtestMachine> {
  const { machine, ram, connections, monitor } = await MachineProcess.start({
    program,
    sockets: ["qtest"],
    args: (file, { qtest }) => [...qtestArguments(board, file, qtest), ...devices],
    path: "qtest",
    unsupported: NO_QTEST,
  });
  const client = new QtestClient(connections.qtest);
  const close = async () => {
    await client.close();
    await machine.close();
  };
  try {
    const { controller, ramBase, driverOffset } = board;
    await client.interceptLines(
      "path" in controller ? controller.path : await monitor.find(controller.type),
    );
    const memory = createGuestMemory([{ base: ramBase, bytes: ram, concurrent: true }]);
    const dma = new DmaArena(memory, ramBase + driverOffset, RAM_BYTES - driverOffset);
    return { client, monitor, memory, dma, close };
  } catch (error) {
    await close();
    throw error;
  }
}
