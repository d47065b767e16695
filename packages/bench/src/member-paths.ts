/**
 * Commands to the members of large groups: the synchronous client, each command to a member drawn
 * at random, so that no cache helps a large group. A command that reads and one that sets take
 * turns.
 */
import {
  type AdminChannel,
  AdminExecutor,
  accessors,
  FEATURE,
  FEATURES_DATA,
  FEATURES_GET,
  FEATURES_RESULT,
  FEATURES_SET,
  MANAGEMENT_FAMILY,
  type ManagedGroup,
  MSIX_COUNT_DATA,
  MSIX_COUNT_GET,
  MSIX_COUNT_RESULT,
  MSIX_COUNT_SET,
} from "@virtio-admin/core";
import { channelOf, measuredOwner, releaseAll } from "./admin-paths.ts";
import {
  idleDevice,
  MOST_VECTORS,
  platformMembers,
  useAll,
  virtualFunctions,
} from "./measured-groups.ts";
import { measuredRing } from "./raw-split.ts";
import { nanoseconds, type Subject } from "./subject.ts";

const count = accessors(MSIX_COUNT_DATA);
const features = accessors(FEATURES_DATA);
/** How many members are drawn before the draw repeats; a power of two. */
const DRAWS = 1 << 16;
const MOST_FUNCTIONS = 0xffff;

/** Submits one command to a member, the `turn`-th. */
type Submit = (channel: AdminChannel, groupType: number, member: number, turn: number) => void;

/** MSIX_COUNT_GET and MSIX_COUNT_SET. */
const countVectors: Submit = (channel, groupType, member, turn) => {
  const slot = channel.acquire();
  if ((turn & 1) === 0) {
    channel.submit(slot, MSIX_COUNT_GET.opcode, groupType, member, 0, MSIX_COUNT_RESULT.size);
    return;
  }
  const vectors = 1 + ((turn >> 1) & (MOST_VECTORS - 1));
  count.vectors.set(channel.view(slot), channel.dataAt(slot), vectors);
  channel.submit(slot, MSIX_COUNT_SET.opcode, groupType, member, MSIX_COUNT_DATA.size, 0);
};

/** FEATURES_GET and FEATURES_SET, which switches VIRTIO_F_EVENT_IDX off and on. */
const switchFeatures: Submit = (channel, groupType, member, turn) => {
  const slot = channel.acquire();
  if ((turn & 1) === 0) {
    channel.submit(slot, FEATURES_GET.opcode, groupType, member, 0, FEATURES_RESULT.size);
    return;
  }
  const view = channel.view(slot);
  const at = channel.dataAt(slot);
  const mask = 1 << FEATURE.VIRTIO_F_EVENT_IDX;
  for (let i = 0; i < FEATURES_DATA.size; i += 4) view.setUint32(at + i, 0);
  features.mask_low.setLow(view, at, mask);
  features.value_low.setLow(view, at, (turn & 2) === 0 ? 0 : mask);
  channel.submit(slot, FEATURES_SET.opcode, groupType, member, FEATURES_DATA.size, 0);
};

/** The path `members-COUNT`: the vectors of the members of a platform group, idle devices. */
export function membersPath(members: number): Subject {
  return memberSubject(`members-${members}`, platformMembers(members), countVectors);
}

/** The path `features-COUNT`: the features of the same. */
export function featuresPath(members: number): Subject {
  return memberSubject(`features-${members}`, platformMembers(members), switchFeatures);
}

/**
 * The path `functions-COUNT`: the vectors of so many virtual functions that nobody has looked at.
 * The first, whose device is made as an example for all, is not among them.
 */
export function functionsPath(functions: number): Subject {
  const { memory } = measuredRing(false);
  const all = Math.min(functions + 1, MOST_FUNCTIONS);
  const group = virtualFunctions(all, () => idleDevice(memory));
  return memberSubject(`functions-${functions}`, group, countVectors, 2);
}

function memberSubject(
  path: string,
  group: ManagedGroup,
  submit: Submit,
  first: number = 1,
): Subject {
  const executor = new AdminExecutor({ groups: [group], families: [MANAGEMENT_FAMILY] });
  useAll(executor, group.type.id);
  const channel = channelOf(measuredOwner(false, executor));
  const groupType = group.type.id;
  const members = draw(first, group.memberCount);
  let next = 0;
  return {
    path,
    slice(outstanding, rounds) {
      const from = nanoseconds();
      for (let round = 0; round < rounds; round++) {
        for (let i = 0; i < outstanding; i++) {
          submit(channel, groupType, members[next & (DRAWS - 1)] as number, next);
          next = (next + 1) | 0;
        }
        channel.publish();
        releaseAll(channel, outstanding);
      }
      return (nanoseconds() - from) / (rounds * outstanding);
    },
  };
}

/** Member ids from `first` to `last` at random, the same ones in every run. */
function draw(first: number, last: number): Uint32Array {
  let state = 1;
  return Uint32Array.from({ length: DRAWS }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return first + Math.floor((state / 2 ** 32) * (last - first + 1));
  });
}
