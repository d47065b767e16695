/**
 * A managed group that costs as little as one can: what is measured is what the house puts around
 * its members. A platform group counts the free vectors anew for each command; this one keeps
 * count, as the contract allows.
 */
import {
  ADMIN_COMMAND_HEADER,
  ADMIN_RESPONSE_HEADER,
  type AdminExecutor,
  accessors,
  encodeOpcodeList,
  FeatureSet,
  LIST_USE,
  type ManagedMember,
  type MsixPool,
  PlatformGroup,
} from "@virtio-admin/core";

/** The vectors of a member that nobody has provisioned. */
export const DEFAULT_VECTORS = 2;
/** The most vectors of one member; a power of two. */
export const MOST_VECTORS = 8;

const header = accessors(ADMIN_COMMAND_HEADER);
const answer = accessors(ADMIN_RESPONSE_HEADER);

const DEFAULTS = { features: FeatureSet.EMPTY, msixVectors: DEFAULT_VECTORS };

class CountedPool implements MsixPool {
  readonly total: number;
  readonly min = 1;
  readonly max = MOST_VECTORS;
  free: number;

  constructor(total: number) {
    this.total = total;
    this.free = total;
  }
}

class CountedMember implements ManagedMember {
  readonly id: number;
  readonly deviceStatus = 0;
  readonly defaults = DEFAULTS;
  readonly offeredFeatures = FeatureSet.EMPTY;
  readonly settableFeatures = FeatureSet.EMPTY;
  msixVectors = DEFAULT_VECTORS;
  readonly #pool: CountedPool;

  constructor(id: number, pool: CountedPool) {
    this.id = id;
    this.#pool = pool;
  }

  provisionVectors(vectors: number): undefined {
    this.#pool.free -= vectors - this.msixVectors;
    this.msixVectors = vectors;
  }

  provisionFeatures(): "invalid" {
    return "invalid";
  }
}

/** A platform group of members 1 to `count`, whose pool has vectors for all that can be asked. */
export class CountedGroup extends PlatformGroup {
  override readonly msix: MsixPool;

  constructor(count: number) {
    super();
    const pool = new CountedPool(count * MOST_VECTORS);
    this.msix = pool;
    for (let id = 1; id <= count; id++) {
      this.add(new CountedMember(id, pool));
      pool.free -= DEFAULT_VECTORS;
    }
  }
}

/** Puts every command of the group into its list in use, as a driver does first. */
export function useAll(executor: AdminExecutor, groupType: number): void {
  const list = encodeOpcodeList(executor.supported(groupType));
  const request = new Uint8Array(ADMIN_COMMAND_HEADER.size + list.length);
  const view = new DataView(request.buffer);
  header.opcode.set(view, 0, LIST_USE.opcode);
  header.group_type.set(view, 0, groupType);
  request.set(list, ADMIN_COMMAND_HEADER.size);
  const response = new Uint8Array(ADMIN_RESPONSE_HEADER.size);
  executor.execute(request, response);
  const status = answer.status.get(new DataView(response.buffer), 0);
  if (status !== 0) throw new Error(`LIST_USE failed: ${status}`);
}
