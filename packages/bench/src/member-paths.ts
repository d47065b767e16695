/**
 * Commands to the members of large groups: the synchronous client, each command to a member drawn
 * at random, so that no cache helps a large group.
 */
import {
  AdminExecutor,
  accessors,
  type DeviceModel,
  type GuestMemory,
  MANAGEMENT_FAMILY,
  type ManagedGroup,
  MSIX_COUNT_DATA,
  MSIX_COUNT_GET,
  MSIX_COUNT_RESULT,
  MSIX_COUNT_SET,
  VirtioDevice,
} from "@virtio-admin/core";
import { SriovGroup } from "@virtio-admin/transport-pci";
import { channelOf, measuredOwner, releaseAll } from "./admin-paths.ts";
import { CountedGroup, DEFAULT_VECTORS, MOST_VECTORS, useAll } from "./counted-group.ts";
import { measuredRing } from "./raw-split.ts";
import { nanoseconds, type Subject } from "./subject.ts";

const data = accessors(MSIX_COUNT_DATA);
/** How many members are drawn before the draw repeats; a power of two. */
const DRAWS = 1 << 16;
const ENTROPY_ID = 4;

/** The path `members-COUNT`: MSIX_COUNT_GET and MSIX_COUNT_SET in turn. */
export function membersPath(count: number): Subject {
  return memberSubject(`members-${count}`, new CountedGroup(count), true);
}

/**
 * The path `functions-COUNT`: MSIX_COUNT_GET alone, to the virtual functions of an SR-IOV group.
 * MSIX_COUNT_SET would make each of them a whole PCI function.
 */
export function functionsPath(count: number): Subject {
  const { memory } = measuredRing(false);
  const group = virtualFunctions(count, () => idleDevice(memory, idleModel()));
  for (const { msixVectors } of group.managedMembers()) {
    if (msixVectors !== DEFAULT_VECTORS) throw new Error("a virtual function lacks its vectors");
  }
  return memberSubject(`functions-${count}`, group, false);
}

/** An SR-IOV group with VF Enable set. */
export function virtualFunctions(
  count: number,
  makeDevice: (id: number) => VirtioDevice,
): SriovGroup {
  const msix = { vectors: DEFAULT_VECTORS, max: MOST_VECTORS };
  const group = new SriovGroup({ totalVfs: count, makeDevice, msix });
  group.connect({ barAddress: () => 0 }).switched({ count, memorySpace: true });
  return group;
}

/** A device type that does nothing. */
export function idleModel(): DeviceModel {
  return {
    name: "idle",
    deviceId: ENTROPY_ID,
    features: [],
    queues: [{ name: "requestq", maxSize: 8 }],
    attach: () => undefined,
    start: () => undefined,
    queueNotified: () => undefined,
    reset: () => undefined,
  };
}

/** A device that no driver uses. */
export function idleDevice(memory: GuestMemory, model: DeviceModel): VirtioDevice {
  return new VirtioDevice({ model, memory });
}

function memberSubject(path: string, group: ManagedGroup, sets: boolean): Subject {
  const executor = new AdminExecutor({ groups: [group], families: [MANAGEMENT_FAMILY] });
  useAll(executor, group.type.id);
  const channel = channelOf(measuredOwner(false, executor));
  const groupType = group.type.id;
  const members = draw(group.memberCount);
  let next = 0;
  return {
    path,
    slice(outstanding, rounds) {
      const from = nanoseconds();
      for (let round = 0; round < rounds; round++) {
        for (let i = 0; i < outstanding; i++) {
          const slot = channel.acquire();
          const member = members[next & (DRAWS - 1)] as number;
          if (sets && (next & 1) === 1) {
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

/** Member ids 1 to `count` at random, the same ones in every run. */
function draw(count: number): Uint32Array {
  let state = 1;
  return Uint32Array.from({ length: DRAWS }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 1 + Math.floor((state / 2 ** 32) * count);
  });
}
