import { createHash } from "node:crypto";
import {
  FEATURE,
  type GroupSnapshot,
  isVirtioError,
  restoreSnapshot,
  takeSnapshot,
} from "@virtio-admin/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BASE, busyOwner, DeviceSide, Filler, LENGTH, PLATFORM } from "./rig.ts";

/** A place in a JSON value: the members that lead there. */
type Place = readonly (string | number)[];

function placesOf(value: unknown, at: Place = []): Place[] {
  if (typeof value !== "object" || value === null) return [at];
  const inner = Object.entries(value).flatMap(([key, item]) =>
    placesOf(item, [...at, Array.isArray(value) ? Number(key) : key]),
  );
  return [at, ...inner];
}

function change(value: unknown, place: Place, make: (old: unknown) => unknown): unknown {
  const [first, ...rest] = place;
  if (first === undefined) return make(value);
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<
    string | number,
    unknown
  >;
  const made = change(copy[first], rest, make);
  if (made === undefined && Array.isArray(copy)) copy.splice(Number(first), 1);
  else if (made === undefined) delete copy[first];
  else copy[first] = made;
  return copy;
}

function refusal(action: () => void): string | undefined {
  try {
    action();
  } catch (error) {
    if (isVirtioError(error, "SNAPSHOT")) return error.path ?? "";
    throw error;
  }
  return undefined;
}

const { side } = busyOwner({ transport: "saving" });
const SNAPSHOT = takeSnapshot(side);
const MEMORY = memoryOf(side);

function memoryOf(of: DeviceSide): Uint8Array {
  const bytes = new Uint8Array(LENGTH);
  of.memory.read(BASE, bytes);
  return bytes;
}

/** Everything about a target: as it looks, as it saves itself, and its guest memory. */
function all(target: DeviceSide): unknown {
  const memory = createHash("sha256").update(memoryOf(target)).digest("hex");
  return [target.seen(), takeSnapshot(target), memory];
}

/** A target with guest memory as it was at the snapshot, and a life of its own before. */
function makeTarget(): DeviceSide {
  const target = new DeviceSide({ transport: "saving" });
  target.memory.write(BASE, MEMORY);
  target.register = 5;
  target.group.remove(20);
  target.group.add(30);
  target.device.setQueueSize(0, 4);
  target.members[1]!.device.setQueueAddress(0, "driverArea", 1, 9);
  target.members[1]!.provisionVectors(5);
  target.members[1]!.provisionFeatures(target.members[1]!.offeredFeatures.without(1));
  target.model.config.update((_, bytes) => bytes.fill(7));
  return target;
}

/** When it is refused, the target is as it was. */
function expectUnchanged(target: DeviceSide, snapshot: unknown, expectedPath?: string): void {
  const before = all(target);
  const path = refusal(() => restoreSnapshot(target, snapshot as GroupSnapshot));
  if (expectedPath !== undefined) expect(path).toBe(expectedPath);
  else if (path === undefined) return;
  expect(all(target)).toEqual(before);
}

const at = (...place: Place) => place;
const DEVICE = at("device");
const MEMBER = at("groups", 1, "members", 0);

describe("a restore is refused, and changes nothing", () => {
  it.each<[string, Place, unknown]>([
    ["device", at("device", "deviceId"), 5],
    ["a reserved status bit", at("device", "status"), 0x20],
    ["DRIVER_OK alone", at("device", "status"), 4],
    ["FEATURES_OK without DRIVER", at("device", "status"), 9],
    [
      "features that are not offered",
      at("device", "driverFeatures"),
      "0x100000000000000000100000000",
    ],
    ["features without VERSION_1", at("device", "driverFeatures"), "0x0"],
    ["a feature without another", at("device", "driverFeatures"), "0x20100000002"],
    ["a queue with more entries", at("device", "queues", 0, "size"), 16],
    ["a misaligned queue", at("device", "queues", 0, "descriptorArea"), "0x100001"],
    ["a queue outside memory", at("device", "queues", 0, "deviceArea"), "0xfffffffffffff000"],
    ["a queue size that is no power", at("device", "queues", 0, "size"), 3],
    ["a used index that is ahead", at("device", "queues", 0, "ring", "publishedIndex"), 2],
    ["a model state", at("device", "model", "served"), "many"],
    ["a port state", at("device", "port"), {}],
    ["configuration of another length", at("device", "config", "bytes"), "00"],
    ["a dialect", at("admin", "dialect"), "virtio-9"],
    ["an opcode that is not known", at("admin", "lists", 1, "used", 0), 0x41],
    ["a list for another group type", at("admin", "lists", 0, "groupType"), 1],
    ["a list twice", at("admin", "lists", 0, "groupType"), PLATFORM],
    ["a list that nobody settled", at("admin", "lists", 1, "settled"), false],
    ["a family state", at("admin", "families", 0, "state"), "x"],
    ["a family", at("admin", "families", 0, "name"), "other"],
    ["a group type", at("groups", 0, "type"), 1],
    ["a group twice", at("groups", 0, "type"), PLATFORM],
    ["a group that does not exist", at("groups", 1, "exists"), false],
    ["member ids", at("groups", 1, "state"), [3, 3, 7]],
    ["member ids without a member", at("groups", 1, "state"), [7, 20]],
    ["a member", at(...MEMBER, "id"), 4],
    ["a member twice", at(...MEMBER, "id"), 7],
    ["vectors beyond the pool", at(...MEMBER, "msixVectors"), 5],
    ["no vectors", at(...MEMBER, "msixVectors"), undefined],
    ["features that a member cannot offer", at(...MEMBER, "offeredFeatures"), "0x100000004"],
    [
      "features that a driver has, and the member not",
      at(...MEMBER, "offeredFeatures"),
      "0x100000000",
    ],
    ["no device of a member", at(...MEMBER, "device"), undefined],
    ["a queue less", at(...MEMBER, "device", "queues", 0), undefined],
    ["no administration", at("admin"), undefined],
    ["a group less", at("groups", 0), undefined],
    ["a member less", MEMBER, undefined],
    ["no model state", at("device", "model"), undefined],
    ["no configuration", at("device", "config"), undefined],
    ["another version", at("version"), 1],
  ])("for %s", (_what, place, value) => {
    const wrong = change(SNAPSHOT, place, () => value);
    const target = makeTarget();
    expect(refusal(() => restoreSnapshot(makeTarget(), wrong as GroupSnapshot))).toBeTypeOf(
      "string",
    );
    expectUnchanged(target, wrong);
    // The same target takes the snapshot itself.
    restoreSnapshot(target, SNAPSHOT);
    expect(target.device.status).toBe(side.device.status);
  });

  it.each<[string, Place, string]>([
    ["a device", DEVICE, "device.queues[2]"],
    ["a member", at(...MEMBER, "device"), "groups[1].members[0].device.queues[1]"],
  ])("naming the queue that is enabled without features, for %s", (_what, place, path) => {
    const wrong = change(SNAPSHOT, place, (device) => ({ ...(device as object), status: 3 }));
    const first = path.replace(/\d\]$/, place === DEVICE ? "0]" : "1]");
    expectUnchanged(makeTarget(), wrong, first);
  });

  it("for an administration virtqueue without VIRTIO_F_ADMIN_VQ", () => {
    const wrong = change(SNAPSHOT, at("device", "driverFeatures"), () => "0x100000000");
    expect(FEATURE.VIRTIO_F_ADMIN_VQ).toBe(41);
    expectUnchanged(makeTarget(), wrong, "device.queues[2]");
  });

  it("while the owner or a member is in use", () => {
    const target = makeTarget();
    target.device.writeStatus(1);
    expectUnchanged(target, SNAPSHOT, "device");
    target.device.reset();
    target.members[0]!.device.writeStatus(1);
    expectUnchanged(target, SNAPSHOT, "groups[1].members[0]");
  });

  it("when a part of it fails to be put in place", () => {
    const target = makeTarget();
    const before = all(target);
    const fail = () => {
      throw new Error("the transport");
    };
    expect(refusal(() => restoreSnapshot(target, SNAPSHOT, { beforeResume: fail }))).toBe(
      "snapshot",
    );
    expect(all(target)).toEqual(before);
    target.models[1]!.restore = () => fail;
    expect(refusal(() => restoreSnapshot(target, SNAPSHOT))).toBe("snapshot");
    target.models[1]!.restore = Filler.prototype.restore;
    expect(all(target)).toEqual(before);
  });
});

describe("random damage", () => {
  const junk = fc.oneof(
    fc.constant(undefined),
    fc.integer({ min: -1, max: 0x10001 }),
    fc.boolean(),
    fc.constantFrom("0x0", "0x100000000", "0x20100000003", "", null),
    fc.jsonValue({ maxDepth: 2 }),
  );
  const places = placesOf(SNAPSHOT);

  it("is taken, or refused and nothing has changed", () => {
    let refused = 0;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...places), junk), { minLength: 1, maxLength: 3 }),
        (damage) => {
          let wrong: unknown = SNAPSHOT;
          for (const [place, value] of damage) {
            // An earlier change may have taken the place away.
            if (!placesOf(wrong).some((known) => known.join() === place.join())) continue;
            wrong = change(wrong, place, () => value);
          }
          const target = makeTarget();
          if (refusal(() => restoreSnapshot(makeTarget(), wrong as GroupSnapshot)) !== undefined) {
            refused++;
          }
          expectUnchanged(target, wrong);
        },
      ),
      { numRuns: 250 },
    );
    expect(refused).toBeGreaterThan(100);
  });

  it("of the positions costs the device no more than the queue", () => {
    fc.assert(
      fc.property(fc.nat(0xffff), fc.nat(0xffff), fc.nat(8), (index, avail, behind) => {
        const ring = {
          index,
          publishedIndex: (index - behind) & 0xffff,
          notifications: true,
          interrupt: true,
        };
        const moved = change(SNAPSHOT, at("device", "queues", 0, "ring"), () => ring);
        const target = makeTarget();
        const { driverArea } = SNAPSHOT.device.queues[0]!;
        target.memory.write(Number(driverArea) + 2, Uint8Array.of(avail & 0xff, avail >> 8));
        restoreSnapshot(target, moved as GroupSnapshot);
        expect(target.model.served).toBeLessThanOrEqual(1 + 8);
      }),
      { numRuns: 100 },
    );
  });
});
