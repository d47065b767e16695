/** The driver half of the dialect proposal-v5, a reconstruction. */
import { AdminCommandError, SELF_GROUP, SR_IOV_GROUP } from "@virtio-admin/core";
import { opcodeList } from "../admin-bench.ts";
import type { ComplianceContext } from "../context.ts";
import { expectEqual, expectRefusal } from "../expect.ts";
import { ComplianceFailure } from "../failure.ts";
import { concat } from "../hand-ring.ts";
import { PROBE_COMMANDS } from "../probe-family.ts";
import { V5 } from "../proposal-bench.ts";
import type { DeviceScript } from "../scripted-device.ts";
import type { ComplianceCase } from "../types.ts";
import { driverCase } from "./define.ts";
import { type Commanding, commanding } from "./driver-admin-commands.ts";

const { store, load } = PROBE_COMMANDS;
const STATUS_OK = new Uint8Array(8);
const PLACE = { index: 2, num: 1 } as const;
const SCRIPT: DeviceScript = { admin: PLACE, dialect: "proposal-v5" };

/** The dialect proposal-v5, from the driver's end. */
export const DRIVER_PROPOSAL_V5_CASES: readonly ComplianceCase[] = [
  driverCase(
    "driver-proposal-v5-place",
    "The driver sets up the one administration virtqueue, in the dialect it found or was told.",
    ["proposal-v5-driver-1", "proposal-v5-driver-2"],
    async (context) => {
      const { bench, driven, client } = await speaking(context, () => STATUS_OK);
      expectEqual("the queues enabled", bench.device.queuesEnabled, [0, PLACE.index]);
      expectEqual("the dialect of the place", driven.admin?.dialect, "proposal-v5");
      expectEqual("the dialect of the client", client.dialect, "proposal-v5");
    },
  ),
  driverCase(
    "driver-proposal-v5-not-there",
    "The driver speaks virtio-1.4 to a device that is not of the dialect.",
    ["proposal-v5-driver-1"],
    async (context) => {
      context.needsProposalV5();
      const { driven, client, requests } = await commanding(context, () => STATUS_OK);
      expectEqual("the dialect of the place", driven.admin?.dialect, undefined);
      await client.execute({ opcode: store.opcode, group: SELF_GROUP.id }, { unchecked: true });
      expectEqual("the length of a command", requests[0]?.readable.length, 24);
    },
  ),
  driverCase(
    "driver-proposal-v5-command",
    "Commands have the header of the dialect, zero where nothing is said.",
    ["proposal-v5-driver-1", "proposal-v5-driver-2"],
    async (context) => {
      const { client, requests } = await speaking(context, () => STATUS_OK);
      await client.execute(
        {
          opcode: store.opcode,
          group: SR_IOV_GROUP.id,
          member: 0x1122334455667788n,
          data: Uint8Array.of(9),
        },
        { unchecked: true },
      );
      const expected = new Uint8Array(24);
      expected.set([store.opcode, 0, V5.member, 0]);
      expected.set([0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 9], 8);
      expectEqual("the readable part", requests[0]?.readable, expected);
    },
  ),
  driverCase(
    "driver-proposal-v5-accepts-reported",
    "The driver asks the device itself with CAPS_IDENTIFY, and accepts nothing else than it reported.",
    ["proposal-v5-driver-3"],
    async (context) => {
      const reported = [V5.identify, V5.accept, store.opcode];
      const { client, requests } = await speaking(context, (readable) =>
        readable[0] === V5.identify ? concat([STATUS_OK, opcodeList(reported)]) : STATUS_OK,
      );
      const group = SR_IOV_GROUP.id;
      const early = client.listUse(group, [store.opcode]);
      await expectRefusal("CAPS_ACCEPT before CAPS_IDENTIFY", early, "ADMIN_LIST");
      expectEqual("the list", await client.listQuery(group), reported);
      const other = client.listUse(group, [store.opcode, load.opcode]);
      await expectRefusal("CAPS_ACCEPT of what was not reported", other, "ADMIN_LIST");
      await client.listUse(group, [store.opcode]);
      const unaccepted = client.execute({ opcode: load.opcode, group });
      await expectRefusal("a command that was not accepted", unaccepted, "ADMIN_LIST");
      await client.execute({ opcode: store.opcode, group });
      await client.listQuery(group);
      const header = (command: number, destination: number) => {
        const bytes = new Uint8Array(16);
        bytes.set([command, 0, destination]);
        return bytes;
      };
      expectEqual(
        "what was sent",
        requests.map(({ readable }) => readable),
        [
          header(V5.identify, V5.self),
          concat([header(V5.accept, V5.self), opcodeList([store.opcode])]),
          header(store.opcode, V5.member),
          header(V5.identify, V5.self),
        ],
      );
    },
  ),
  driverCase(
    "driver-proposal-v5-errors",
    "A failed command rejects with what its status stands for; no reserved status is success.",
    ["proposal-v5-driver-1", "proposal-v5-driver-2"],
    async (context) => {
      const answers = [
        [V5.commandSpecificError, 16, "EBUSY", "INVALID_COMMAND"],
        [V5.commandSpecificError, 28, "ENOSPC", "NORESOURCE"],
        [V5.commandSpecificError, 0, "EINVAL", "INVALID_COMMAND"],
        [V5.unsupportedCommand, 0, "EINVAL", "INVALID_OPCODE"],
        [V5.invalidField, 0, "EINVAL", "INVALID_FIELD"],
        [4, 0, "EINVAL", "INVALID_COMMAND"],
        [255, 255, "EINVAL", "INVALID_COMMAND"],
      ] as const;
      let next = 0;
      const { client } = await speaking(context, () => {
        const [status, error] = answers[next] ?? [0, 0];
        return Uint8Array.of(status, error, 0, 0, 0, 0, 0, 0);
      });
      for (const [, , status, qualifier] of answers) {
        const failure = await client.execute({ opcode: V5.identify, group: SELF_GROUP.id }).then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        if (!(failure instanceof AdminCommandError)) {
          throw new ComplianceFailure("the command", "an AdminCommandError", failure);
        }
        expectEqual("the status", failure.statusName, status);
        expectEqual("the qualifier", failure.qualifierName, qualifier);
        next++;
      }
    },
  ),
];

/** A client in front of a device of the dialect. */
function speaking(
  context: ComplianceContext,
  answer: (readable: Uint8Array) => Uint8Array | undefined,
): Promise<Commanding> {
  context.needsProposalV5();
  return commanding(context, answer, undefined, SCRIPT);
}
