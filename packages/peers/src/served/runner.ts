/**
 * A runner to be killed: it has what a run of cells has, a server in its own process, one in another,
 * a guest and a machine under qtest. Its argument is a JSON document, {@link RunnerInit}.
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { Guest } from "../qemu/guest.ts";
import type { Program } from "../qemu/program.ts";
import { Q35 } from "../qtest/boards.ts";
import { startMachine } from "../qtest/machine.ts";
import { CommandGroup } from "./command.ts";
import { serve } from "./function.ts";

/** What it is told. */
export interface RunnerInit {
  /** QEMU. */
  readonly program: Program;
  /** The kernel image. */
  readonly kernel: string;
  /** The file of the initramfs. */
  readonly archive: string;
}

const GROUP = `
format: virtio-admin.group
version: 1
transport: pci
owner: { device: entropy }
group: { type: sr-iov, members: 2 }
`;

const { program, kernel, archive } = JSON.parse(process.argv[2] ?? "") as RunnerInit;
const served = await serve({ device: { type: "entropy", members: 2 } });
const guest = await Guest.start(program, {
  kernel,
  archive: readFileSync(archive),
  sockets: [{ path: served.socket }],
});
const machine = await startMachine(program, Q35, ["-device", "virtio-rng-pci"]);
await CommandGroup.serve(GROUP);
await guest.ended;
await machine.close();
