/**
 * Serves an entropy and a block device, polled, at two sockets of the directory that is named; says
 * `ready`, and then a line for every client that is gone. Ends when its input does.
 */
import { join } from "node:path";
import { VfioUserServer, type VfioUserServerInit } from "@virtio-admin/vfio-user";
import { blockFunction, entropyFunction, openFds, sharedMappings } from "./rig.ts";

const [directory = "", dmaTimeout = "2000"] = process.argv.slice(2);
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const common: Omit<VfioUserServerInit, "path" | "device"> = {
  dmaTimeout: Number(dmaTimeout),
  pollTime: 1,
  onDisconnect: (reason) => {
    const held = `${openFds().length - atFirst} descriptors, ${sharedMappings().length} mappings`;
    say(`gone: ${reason?.message ?? "hung up"}; ${held}`);
  },
};
const servers = [
  await VfioUserServer.listen({
    ...common,
    path: join(directory, "entropy.sock"),
    device: entropyFunction,
  }),
  await VfioUserServer.listen({
    ...common,
    path: join(directory, "block.sock"),
    device: blockFunction,
  }),
];
process.stdin.on("end", async () => {
  for (const server of servers) await server.close();
  say("closed");
  process.exit(0);
});
process.stdin.resume();
const atFirst = openFds().length;
say("ready");
