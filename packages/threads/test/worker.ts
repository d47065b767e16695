/** The worker of the tests: an owner device, and ways to come to an end. */
import process from "node:process";
import {
  AdminExecutor,
  AdminQueues,
  type CommandFamily,
  FEATURE,
  OUTCOME,
  RING_FEATURES,
  SelfGroup,
  VirtioDevice,
} from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import { MmioDevice } from "@virtio-admin/transport-mmio";
import { serveThread } from "../src/index.ts";
import { ENDS, OPCODES } from "./opcodes.ts";

const command = (opcode: number, name: string, length: number) => ({
  opcode,
  name,
  groups: "any" as const,
  usesMember: false,
  data: { min: length, max: length },
  result: { min: length, max: length },
  clauses: [],
  doc: "A command of the tests.",
  cite: "this project",
});

const FAMILY: CommandFamily = {
  name: "thread-tests",
  doc: "Commands that echo, never end, or end the thread.",
  private: true,
  commands: [
    command(OPCODES.echo, "ECHO", 8),
    command(OPCODES.never, "NEVER", 0),
    command(OPCODES.end, "END", 8),
    command(OPCODES.later, "LATER", 8),
  ],
  bind: () => ({
    handlers: {
      [OPCODES.echo]: (call) => {
        call.result.setUint32(0, call.data.getUint32(0, true), true);
        return OUTCOME.OK;
      },
      [OPCODES.never]: () => new Promise(() => undefined),
      // The event loop of the worker goes on while it sleeps on the bell.
      [OPCODES.later]: (call) =>
        new Promise((resolve) => {
          setTimeout(() => {
            call.result.setUint32(0, ~call.data.getUint32(0, true), true);
            resolve(OUTCOME.OK);
          }, 1);
        }),
      [OPCODES.end]: (call) => {
        if (call.data.getUint32(0, true) === ENDS.exit) process.exit(3);
        setImmediate(() => {
          throw new Error("an error that nobody catches");
        });
        return new Promise(() => undefined);
      },
    },
  }),
};

await serveThread(({ memory, data }) => {
  const executor = new AdminExecutor({ groups: [new SelfGroup()], families: [FAMILY] });
  const admin = new AdminQueues({ executor });
  const packed = data === "packed" ? [FEATURE.VIRTIO_F_RING_PACKED] : [];
  const features = [...RING_FEATURES, ...packed];
  const device = new VirtioDevice({ model: createEntropy(), memory, admin, features });
  return new MmioDevice({ device });
});
