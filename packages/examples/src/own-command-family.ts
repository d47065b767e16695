/**
 * A command family of a vendor: RATE_LIMIT_SET gives a member of a platform group a rate, and
 * answers the one before. The command is declared as data and its structure as a layout; the
 * checks of group, opcode and member are the executor's, so that the handler sees valid ones only.
 */
import {
  type AdminCommand,
  AdminCommandError,
  AdminExecutor,
  AdminQueues,
  accessors,
  bringUp,
  type CommandFamily,
  createGuestMemory,
  DmaArena,
  decode,
  encode,
  OUTCOME,
  openAdminClient,
  PLATFORM_GROUP,
  PlatformGroup,
  SelfGroup,
  struct,
  VirtioDevice,
  VirtioError,
} from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import { MMIO_TRANSPORT } from "@virtio-admin/transport-mmio";

const GUEST_BASE = 0x8000_0000;
const GUEST_BYTES = 1 << 20;
const CITE = "the vendor's data sheet";

const RATE_LIMIT = struct(
  "vendor_rate_limit",
  { cite: CITE, doc: "The rate of one member: both the command's data and its result." },
  { requests_per_second: { offset: 0, type: "le32", doc: "The rate; never 0." } },
);
const RATE = accessors(RATE_LIMIT);

/** The command. */
export const RATE_LIMIT_SET: AdminCommand = {
  opcode: 0x0180,
  name: "VENDOR_RATE_LIMIT_SET",
  groups: [PLATFORM_GROUP.id],
  usesMember: true,
  data: { min: RATE_LIMIT.size, max: RATE_LIMIT.size },
  result: { min: RATE_LIMIT.size, max: RATE_LIMIT.size },
  clauses: [],
  doc: "Gives a member a rate and answers the one before, 0 when there was none.",
  cite: CITE,
};

/** The family; `checkCommandFamily` of the testkit finds nothing wrong with it. */
export const RATE_LIMIT_FAMILY: CommandFamily = {
  name: "vendor-rate-limit",
  doc: "Rates of members.",
  private: true,
  commands: [RATE_LIMIT_SET],
  bind() {
    // The state belongs to one owner, hence to the binding.
    const rates = new Map<number, number>();
    return {
      handlers: {
        [RATE_LIMIT_SET.opcode]: ({ memberId, data, result }) => {
          const rate = RATE.requests_per_second.get(data, 0);
          if (rate === 0) return OUTCOME.INVALID_FIELD;
          RATE.requests_per_second.set(result, 0, rates.get(memberId) ?? 0);
          rates.set(memberId, rate);
          return OUTCOME.OK;
        },
      },
      reset: () => rates.clear(),
      // What commands have set goes into a snapshot of the owner, and comes back checked.
      save: () => [...rates],
      restore: (saved) => {
        const entries = readRates(saved);
        return () => {
          rates.clear();
          for (const [member, rate] of entries) rates.set(member, rate);
        };
      },
    };
  },
};

function readRates(saved: unknown): readonly (readonly [number, number])[] {
  const isRate = (each: unknown): each is readonly [number, number] =>
    Array.isArray(each) && each.length === 2 && each.every((part) => Number.isSafeInteger(part));
  if (Array.isArray(saved) && saved.every(isRate)) return saved;
  throw new VirtioError("SNAPSHOT", {
    path: "rates",
    message: "the rates are no list of member and rate",
    value: saved,
  });
}

/** Runs the example. */
export async function ownCommandFamily() {
  const memory = createGuestMemory([{ base: GUEST_BASE, bytes: new Uint8Array(GUEST_BYTES) }]);
  const executor = new AdminExecutor({
    groups: [new SelfGroup(), new PlatformGroup([1, 2])],
    families: [RATE_LIMIT_FAMILY],
  });
  const admin = new AdminQueues({ executor });
  const device = new VirtioDevice({ model: createEntropy(), memory, admin });
  const dma = new DmaArena(memory, GUEST_BASE, GUEST_BYTES);
  const pair = MMIO_TRANSPORT.loopback(device, { dma });
  const driver = await bringUp(pair.driver, { queues: [], adminQueues: 1 });
  const client = openAdminClient(driver);
  await client.useReported(PLATFORM_GROUP.id);

  const setRate = async (member: number, requests_per_second: number) => {
    const { result } = await client.execute({
      opcode: RATE_LIMIT_SET.opcode,
      name: RATE_LIMIT_SET.name,
      group: PLATFORM_GROUP.id,
      member,
      data: encode(RATE_LIMIT, { requests_per_second }),
      resultLength: RATE_LIMIT.size,
    });
    return decode(RATE_LIMIT, result).requests_per_second;
  };
  const refusal = (error: unknown): string => {
    if (error instanceof AdminCommandError) return `${error.statusName}, ${error.qualifierName}`;
    throw error;
  };
  const before = [await setRate(1, 1000), await setRate(1, 2000)];
  const zeroRate = await setRate(1, 0).catch(refusal);
  const noMember = await setRate(3, 1000).catch(refusal);
  before.push(await setRate(1, 3000));

  await driver.close();
  client.close();
  pair.close();
  return { before, refused: { zeroRate, noMember } };
}

if (process.argv[1]?.endsWith("own-command-family.js")) console.log(await ownCommandFamily());
