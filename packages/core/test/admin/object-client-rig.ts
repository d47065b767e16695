/** The driver halves of capabilities and resource objects in front of a real owner. */
import { AdminClient, CapabilityClient, ResourceObjectClient } from "../../src/admin/index.ts";
import type { BufferEvent } from "../../src/trace/index.ts";
import { ObjectRig, type ObjectRigOptions } from "./object-rig.ts";
import { request, TestTimer, unhex } from "./rig.ts";

/** A rig, its clients with their lists settled, and what the driver has sent since. */
export async function clientsOf(options: ObjectRigOptions = {}) {
  const rig = new ObjectRig({ traced: true, ...options });
  rig.bringUp();
  const timer = new TestTimer();
  const client = new AdminClient(rig.ports, rig.arena, { timer });
  const capabilities = new CapabilityClient(client);
  const { opcodes } = options;
  const objects = new ResourceObjectClient(
    client,
    capabilities,
    opcodes === undefined ? {} : { opcodes },
  );
  await capabilities.use();
  await objects.use(0);
  await objects.use(1);
  rig.events.length = 0;
  return { rig, timer, client, capabilities, objects };
}

/** The device-readable bytes of every command, in hexadecimal. */
export function sentTo(rig: ObjectRig): string[] {
  return rig.events
    .filter((event): event is BufferEvent => event.op === "buffer")
    .map(({ readable }) => readable);
}

/** The opcodes of the commands that reached the device. */
export function opcodesTo(rig: ObjectRig): number[] {
  return rig.events.flatMap((event) => (event.op === "command" ? [event.opcode] : []));
}

/** Keeps commands from the device until the function that it returns is called. */
export function holdBack({ port }: ObjectRig): () => void {
  const notify = port.notify.bind(port);
  port.notify = () => {};
  return () => {
    port.notify = notify;
    notify();
  };
}

/** Has the device carry a command out that none of the clients knows of. */
export function besides({ executor }: ObjectRig, opcode: number, data: string): void {
  const response = new Uint8Array(8);
  executor.execute(request(opcode, 0, 0, unhex(data)), response);
  if (response[0] !== 0) throw new Error(`the device answered ${response[0]}`);
}
