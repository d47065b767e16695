/**
 * The way of one administration command, event by event: register writes, the buffer, the command,
 * the interrupt. A sink on the device half sees all of it; here one for people and one for programs
 * hear the same events, and only those of a single LIST_QUERY are kept.
 */
import {
  AdminExecutor,
  AdminQueues,
  bringUp,
  createGuestMemory,
  DmaArena,
  MemorySink,
  openAdminClient,
  PrettySink,
  SELF_GROUP,
  SelfGroup,
  type TraceSink,
  VirtioDevice,
} from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import { MMIO_TRANSPORT } from "@virtio-admin/transport-mmio";

const GUEST_BASE = 0x8000_0000;
const GUEST_BYTES = 1 << 20;

/** Runs the example. */
export async function traceACommand() {
  const lines: string[] = [];
  const kept = new MemorySink();
  const pretty = new PrettySink((line) => lines.push(line));
  const trace: TraceSink = {
    emit(event) {
      kept.emit(event);
      pretty.emit(event);
    },
  };

  const memory = createGuestMemory([{ base: GUEST_BASE, bytes: new Uint8Array(GUEST_BYTES) }]);
  const admin = new AdminQueues({ executor: new AdminExecutor({ groups: [new SelfGroup()] }) });
  const device = new VirtioDevice({ model: createEntropy(), memory, admin, trace });
  const dma = new DmaArena(memory, GUEST_BASE, GUEST_BYTES);
  const pair = MMIO_TRANSPORT.loopback(device, { dma });
  const driver = await bringUp(pair.driver, { queues: [], adminQueues: 1 });
  const client = openAdminClient(driver);

  // Bring-up has a long trace of its own: it is left out.
  kept.clear();
  lines.length = 0;
  await client.listQuery(SELF_GROUP.id);
  const result = { lines: [...lines], events: kept.events };

  await driver.close();
  client.close();
  pair.close();
  return result;
}

if (process.argv[1]?.endsWith("trace-a-command.js"))
  console.log((await traceACommand()).lines.join("\n"));
