/**
 * The device half of the legacy access commands: an owner reads and writes the legacy registers of
 * its members, for a hypervisor whose guest has a driver from before virtio 1.0.
 *
 * The length of an access. A read is as long as the driver's room for the result, a write as long as
 * its data. Drivers must make both parts of a command a multiple of 8 bytes, and fields have 1, 2 or
 * 4: so a length that is a multiple of 8 and reaches beyond the field is padded, and the access then
 * ends where the field does. What pads a write is zero. Any other length counts as it is, which is
 * how Linux sends commands. It follows that a driver that pads writes fields up to their end. What is
 * beyond 4096 bytes is not looked at. See decision 011.
 *
 * An access inside a field is one of a part of it; one of no byte, of no field, or that reaches
 * beyond its field fails with EINVAL and INVALID_FIELD, and changes nothing. A write of what cannot be
 * written succeeds and has no effect, as it would have in a BAR. A member that is in the group and has
 * no legacy interface is an invalid one here.
 */
import {
  isLegacyGroup,
  LEGACY_NOTIFY_PLACES_MAX,
  type LegacyGroup,
  type LegacyMember,
  type LegacyRegisters,
} from "../../group/legacy-access.ts";
import { accessors } from "../../layout/index.ts";
import { type AdminOutcome, OUTCOME } from "../status.ts";
import type { AdminCall, CommandFamily, CommandHandler } from "../types.ts";
import {
  LEGACY_COMMON_CFG_READ,
  LEGACY_COMMON_CFG_WRITE,
  LEGACY_DEV_CFG_READ,
  LEGACY_DEV_CFG_WRITE,
  LEGACY_NOTIFY_ENTRY,
  LEGACY_NOTIFY_FLAGS,
  LEGACY_NOTIFY_INFO,
  LEGACY_READ_DATA,
  LEGACY_WRITE_DATA,
} from "./legacy-access-layout.ts";

const READ_DATA = accessors(LEGACY_READ_DATA);
const WRITE_DATA = accessors(LEGACY_WRITE_DATA);
const ENTRY = accessors(LEGACY_NOTIFY_ENTRY);
const WRITTEN_AT = LEGACY_WRITE_DATA.fields.data.offset;
const WORD_BYTES = 8;

/**
 * The legacy access commands as a family, for SR-IOV groups whose members are transitional: all four
 * that read and write or none, and LEGACY_NOTIFY_INFO where the members are notified at a place in a
 * BAR.
 */
export const LEGACY_ACCESS_FAMILY: CommandFamily = {
  name: "legacy-access",
  doc: "The owner reads and writes the legacy registers of its members.",
  private: false,
  commands: [
    LEGACY_COMMON_CFG_WRITE,
    LEGACY_COMMON_CFG_READ,
    LEGACY_DEV_CFG_WRITE,
    LEGACY_DEV_CFG_READ,
    LEGACY_NOTIFY_INFO,
  ],
  bind(owner) {
    return {
      handlers: {
        [LEGACY_COMMON_CFG_WRITE.opcode]: forMember((call, { common }) => write(call, common)),
        [LEGACY_COMMON_CFG_READ.opcode]: forMember((call, { common }) => read(call, common)),
        [LEGACY_DEV_CFG_WRITE.opcode]: forMember((call, { config }) => write(call, config)),
        [LEGACY_DEV_CFG_READ.opcode]: forMember((call, { config }) => read(call, config)),
        [LEGACY_NOTIFY_INFO.opcode]: forMember(tellPlaces),
      },
      supports(command, groupType) {
        const group = owner.group(groupType);
        if (group === undefined || !isLegacyGroup(group) || !group.hasLegacyAccess) return false;
        return command !== LEGACY_NOTIFY_INFO || group.hasLegacyNotify;
      },
    };
  },
};

type MemberHandler = (call: AdminCall, member: LegacyMember) => AdminOutcome;

function forMember(handle: MemberHandler): CommandHandler {
  return (call) => {
    const group: LegacyGroup | undefined = isLegacyGroup(call.group) ? call.group : undefined;
    const member = group?.legacyMember(call.memberId);
    return member === undefined ? OUTCOME.INVALID_MEMBER : handle(call, member);
  };
}

function read(call: AdminCall, registers: LegacyRegisters): AdminOutcome {
  const offset = READ_DATA.offset.get(call.data, 0);
  const room = Math.min(call.resultRoom, call.command.result.max);
  const length = lengthOf(registers, offset, room);
  if (length === 0) return OUTCOME.INVALID_FIELD;
  registers.read(offset, call.resultBytes.subarray(0, length));
  call.resultLength = length;
  return OUTCOME.OK;
}

function write(call: AdminCall, registers: LegacyRegisters): AdminOutcome {
  const { data, dataBytes, dataLength } = call;
  const offset = WRITE_DATA.offset.get(data, 0);
  const length = lengthOf(registers, offset, Math.max(0, dataLength - WRITTEN_AT));
  if (length === 0) return OUTCOME.INVALID_FIELD;
  const end = WRITTEN_AT + length;
  for (let i = end; i < dataLength; i++) if (dataBytes[i] !== 0) return OUTCOME.INVALID_FIELD;
  registers.write(offset, dataBytes.subarray(WRITTEN_AT, end));
  return OUTCOME.OK;
}

/** How many bytes an access at `offset` has; 0 when it is none of a single field. */
function lengthOf(registers: LegacyRegisters, offset: number, supplied: number): number {
  const field = registers.field(offset);
  if (field === undefined) return 0;
  const rest = field.offset + field.width - offset;
  if (supplied <= rest) return supplied;
  return supplied % WORD_BYTES === 0 ? rest : 0;
}

function tellPlaces({ result }: AdminCall, { notifyPlaces }: LegacyMember): AdminOutcome {
  // What is not written stays zero, and ends the list.
  notifyPlaces.slice(0, LEGACY_NOTIFY_PLACES_MAX).forEach(({ of, bar, offset }, i) => {
    const at = i * LEGACY_NOTIFY_ENTRY.size;
    ENTRY.flags.set(result, at, LEGACY_NOTIFY_FLAGS[of]);
    ENTRY.bar.set(result, at, bar);
    ENTRY.offset.setNumber(result, at, offset);
  });
  return OUTCOME.OK;
}
