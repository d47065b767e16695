/**
 * `npm run linux`: stock Linux with our devices, and a shell on this terminal. Ctrl-a x ends it. The
 * devices are an entropy device that owns a group, and a disk; or those behind the sockets that are
 * named, of `virtio-admin serve` for one.
 *
 * Exit codes as those of `npm run peers`.
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { isVirtioError, type VirtioError } from "@virtio-admin/core";
import { SECTOR_SIZE } from "@virtio-admin/devices";
import { cacheFolder, lockCache } from "./cache.ts";
import { OWNER } from "./cells/entropy.ts";
import { endsWithUs, privateFolder } from "./cleanup.ts";
import { Environment, findModule, type LinuxName } from "./environment.ts";
import { makeInitramfs } from "./guest/initramfs.ts";
import { machineArguments } from "./qemu/arguments.ts";
import { serve } from "./served/function.ts";

const USAGE = "usage: npm run linux -- [--linux newest|stable] [--socket PATH]...";
const LINUXES: readonly string[] = ["newest", "stable"] satisfies LinuxName[];
const WRONG_CALL = 2;
const NOT_HERE = 3;
const DISK_SECTORS = (64 << 20) / SECTOR_SIZE;

const SCRIPT = `
echo
echo "Linux $(uname -r), with these virtio devices:"
for device in /sys/bus/virtio/devices/*; do
  echo "  $(basename $(readlink -f $device/..)) $(basename $device) $(basename $(readlink $device/driver)) features $(cat $device/features)"
done
echo "An entropy device is /dev/hwrng, a disk is /dev/vda. \\"exit\\" or Ctrl-a x ends it."
echo
setsid cttyhack sh
`;

async function main(args: readonly string[]): Promise<number> {
  let linux: string;
  let sockets: readonly string[];
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { linux: { type: "string" }, socket: { type: "string", multiple: true } },
    });
    linux = values.linux ?? "newest";
    sockets = values.socket ?? [];
    if (!LINUXES.includes(linux)) throw new Error(`there is no Linux "${linux}"`);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
    return WRONG_CALL;
  }
  const cache = cacheFolder();
  let unlock: (() => Promise<void>) | undefined;
  try {
    unlock = await lockCache(cache);
    const environment = new Environment(cache, (line) => console.error(line));
    return await boot(environment, linux as LinuxName, sockets);
  } catch (error) {
    if (!isVirtioError(error, "HOST_UNSUPPORTED")) throw error;
    console.error(`Linux cannot be booted here: ${(error as VirtioError).message}`);
    return NOT_HERE;
  } finally {
    await unlock?.();
  }
}

/** Boots, with devices of its own unless there are sockets, and answers how QEMU ended. */
async function boot(
  environment: Environment,
  name: LinuxName,
  sockets: readonly string[],
): Promise<number> {
  const linux = await environment.linux(name);
  const program = await environment.qemu();
  const folder = privateFolder();
  const initramfs = join(folder.path, "initramfs.cpio");
  const modules = ["virtio-rng", "virtio_blk"].map((module) => findModule(linux, module));
  const busybox = await environment.busybox();
  writeFileSync(initramfs, makeInitramfs({ busybox, modules, script: SCRIPT }));
  const served =
    sockets.length > 0
      ? []
      : [
          await serve({ device: OWNER }),
          await serve({ device: { type: "block", sectors: DISK_SECTORS } }),
        ];
  const args = machineArguments({
    kernel: linux.image,
    initramfs,
    sockets: [...served.map(({ socket }) => socket), ...sockets].map((path) => ({ path })),
  });
  console.error(`Linux ${linux.release} in QEMU ${program.version}; this takes some seconds`);
  const child = spawn(program.file, [...program.before, ...args], {
    env: { ...process.env, ...program.env },
    stdio: "inherit",
  });
  endsWithUs(child);
  const ended = await new Promise<number>((resolve) => {
    child.once("error", () => resolve(1));
    child.once("exit", (code) => resolve(code === 0 ? 0 : 1));
  });
  for (const each of served) await each.close();
  folder.remove();
  const commands = served.flatMap(({ counted }) => counted.commands);
  if (commands.length > 0) {
    const names = commands.map(({ name, opcode, status }) => `  ${name ?? opcode}: ${status}`);
    console.error(`\nThe administration commands of Linux, and their status:\n${names.join("\n")}`);
  }
  return ended;
}

process.exitCode = await main(process.argv.slice(2));
