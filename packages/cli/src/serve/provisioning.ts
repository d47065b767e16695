/** What a file provisions before there is any driver: the same commands, from the host's side. */
import {
  ADMIN_COMMAND_HEADER,
  ADMIN_RESPONSE_HEADER,
  type AdminCommand,
  AdminExecutor,
  decode,
  effectiveQualifier,
  effectiveStatus,
  encode,
  encodeOpcodeList,
  FEATURES_DATA,
  FEATURES_SET,
  type FeatureSet,
  LIST_USE,
  MANAGEMENT_FAMILY,
  type ManagedGroup,
  MSIX_COUNT_DATA,
  MSIX_COUNT_SET,
} from "@virtio-admin/core";
import type { GroupDescription } from "../group/description.ts";
import type { Path } from "../group/schema-check.ts";

/** A step that was refused. */
export interface Refusal {
  /** The member. */
  readonly member: number;
  /** Where the description asks for it. */
  readonly path: Path;
  /** The status and the qualifier. */
  readonly refused: string;
}

/** Provisions members as described, in order, and stops at the first step that is refused. */
export function provisionMembers(
  group: ManagedGroup,
  { provision }: GroupDescription,
): Refusal | undefined {
  const host = new Host(group);
  for (const [i, { member, vectors, features }] of provision.entries()) {
    if (vectors !== undefined) {
      const refused = host.send(MSIX_COUNT_SET, member, encode(MSIX_COUNT_DATA, { vectors }));
      if (refused !== undefined) return { member, path: ["provision", i, "vectors"], refused };
    }
    if (features !== undefined) {
      const { set, clear } = features;
      const refused = host.send(FEATURES_SET, member, switching(set.union(clear), set));
      if (refused !== undefined) return { member, path: ["provision", i, "features"], refused };
    }
  }
  return undefined;
}

/** An executor besides the owner's, whose lists stay as its driver finds them. */
class Host {
  readonly #executor: AdminExecutor;
  readonly #type: number;

  constructor(group: ManagedGroup) {
    this.#type = group.type.id;
    this.#executor = new AdminExecutor({ groups: [group], families: [MANAGEMENT_FAMILY] });
    this.send(LIST_USE, 0, encodeOpcodeList(this.#executor.supported(this.#type)));
  }

  send({ opcode }: AdminCommand, member: number, data: Uint8Array): string | undefined {
    const response = new Uint8Array(ADMIN_RESPONSE_HEADER.size ?? 0);
    // The handlers of this family never wait.
    this.#executor.execute(
      encode(ADMIN_COMMAND_HEADER, {
        opcode,
        group_type: this.#type,
        group_member_id: member,
        command_specific_data: data,
      }),
      response,
    );
    const { status, status_qualifier: qualifier } = decode(ADMIN_RESPONSE_HEADER, response);
    if (status === 0) return undefined;
    return `${effectiveStatus(status)}, ${effectiveQualifier(qualifier)}`;
  }
}

function switching(mask: FeatureSet, value: FeatureSet): Uint8Array {
  return encode(FEATURES_DATA, {
    mask_low: wordsOf(mask, 0),
    value_low: wordsOf(value, 0),
    mask_high: wordsOf(mask, 2),
    value_high: wordsOf(value, 2),
  });
}

function wordsOf(features: FeatureSet, first: number): bigint {
  return BigInt(features.word(first)) | (BigInt(features.word(first + 1)) << 32n);
}
