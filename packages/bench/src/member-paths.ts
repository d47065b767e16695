/**
 * Commands to the members of large groups: the synchronous client, each command to a member drawn
 * at random, so that no cache helps a large group. MSIX_COUNT_GET and MSIX_COUNT_SET take turns.
 */
import {
  AdminExecutor,
  accessors,
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

const data = accessors(MSIX_COUNT_DATA);
/** How many members are drawn before the draw repeats; a power of two. */
const DRAWS = 1 << 16;
const MOST_FUNCTIONS = 0xffff;

/** The path `members-COUNT`: a platform group of idle devices. */
export function membersPath(count: number): Subject {
  return memberSubject(`members-${count}`, platformMembers(count));
}

/**
 * The path `functions-COUNT`: so many virtual functions of an SR-IOV group that nobody has looked
 * at. The first, whose device is made as an example for all, is not among them.
 */
export function functionsPath(count: number): Subject {
  const { memory } = measuredRing(false);
  const all = Math.min(count + 1, MOST_FUNCTIONS);
  const group = virtualFunctions(all, () => idleDevice(memory));
  return memberSubject(`functions-${count}`, group, 2);
}

function memberSubject(path: string, group: ManagedGroup, first: number = 1): Subject {
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
          const slot = channel.acquire();
          const member = members[next & (DRAWS - 1)] as number;
          if ((next & 1) === 1) {
            const vectors = 1 + ((next >> 1) & (MOST_VECTORS - 1));
            data.vectors.set(channel.view(slot), channel.dataAt(slot), vectors);
            channel.submit(slot, MSIX_COUNT_SET.opcode, groupType, member, MSIX_COUNT_DATA.size, 0);
          } else {
            const room = MSIX_COUNT_RESULT.size;
            channel.submit(slot, MSIX_COUNT_GET.opcode, groupType, member, 0, room);
          }
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
