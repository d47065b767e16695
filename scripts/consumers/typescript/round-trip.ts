/** What both programs of this project share: the driver's side, and a family of its own. */
import {
  type AdminExecutor,
  bringUp,
  type CommandFamily,
  type DmaArena,
  type LoopbackPair,
  OUTCOME,
  openAdminClient,
  SELF_GROUP,
} from "@virtio-admin/core";
import { ENTROPY_REQUESTQ, EntropyDriver } from "@virtio-admin/devices";

export const GUEST_BASE = 0x10_0000;
export const GUEST_BYTES = 1 << 20;
const VENDOR_OPCODE = 0x0180;

/** What a round trip came to. */
export interface RoundTrip {
  readonly transport: string;
  readonly adminQueueIndex: number | undefined;
  readonly adminQueueCount: number | undefined;
  readonly opcodes: readonly number[];
  readonly usedBefore: readonly number[];
  readonly usedAfter: readonly number[];
  readonly vendorCommands: number;
  readonly entropyBytes: number;
  readonly leakedBytes: number;
}

/** A family of one command without data, so that LIST_USE has something to add. */
export class VendorFamily implements CommandFamily {
  readonly name = "vendor";
  readonly doc = "Counts.";
  readonly private = true;
  readonly commands = [
    {
      opcode: VENDOR_OPCODE,
      name: "VENDOR_COUNT",
      groups: [SELF_GROUP.id],
      usesMember: false,
      data: { min: 0, max: 0 },
      result: { min: 0, max: 0 },
      clauses: [],
      doc: "Counts one.",
      cite: "the consumer",
    },
  ];
  handled = 0;

  bind(): ReturnType<CommandFamily["bind"]> {
    return {
      handlers: {
        [VENDOR_OPCODE]: () => {
          this.handled += 1;
          return OUTCOME.OK;
        },
      },
    };
  }
}

/** Brings the device up through a connected pair, and gives it commands. */
export async function roundTrip(
  pair: LoopbackPair,
  executor: AdminExecutor,
  family: VendorFamily,
  dma: DmaArena,
): Promise<RoundTrip> {
  const driver = await bringUp(pair.driver, {
    queues: [{ index: ENTROPY_REQUESTQ }],
    adminQueues: 1,
  });
  const client = openAdminClient(driver);
  const usedBefore = executor.used(SELF_GROUP.id);
  const opcodes: readonly number[] = await client.listQuery(SELF_GROUP.id);
  await client.listUse(SELF_GROUP.id, opcodes);
  await client.execute({ group: SELF_GROUP.id, opcode: VENDOR_OPCODE });
  const usedAfter = executor.used(SELF_GROUP.id);
  const entropy = new EntropyDriver(driver);
  const bytes: Uint8Array = await entropy.read(16);

  entropy.close();
  await driver.close();
  client.close();
  pair.close();
  return {
    transport: driver.transport,
    adminQueueIndex: driver.admin?.index,
    adminQueueCount: driver.admin?.count,
    opcodes,
    usedBefore,
    usedAfter,
    vendorCommands: family.handled,
    entropyBytes: bytes.length,
    leakedBytes: GUEST_BYTES - dma.freeBytes,
  };
}
