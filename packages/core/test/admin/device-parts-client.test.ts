import { describe, expect, it } from "vitest";
import {
  type AdminCall,
  AdminClient,
  CapabilityClient,
  type CommandFamily,
  DEV_PARTS_METADATA_GET,
  DEVICE_PARTS_COMMANDS,
  DevicePartsClient,
  moveMember,
  OUTCOME,
  outcome,
  ResourceObjectClient,
} from "../../src/admin/index.ts";
import {
  commonPart,
  decodeParts,
  describePart,
  encodeParts,
  headerOf,
  STATUS,
} from "../../src/device/index.ts";
import type { BufferEvent, CommandEvent } from "../../src/trace/index.ts";
import { HoldModel } from "../device/models.ts";
import { drive, PartsMember, PartsRig, type PartsRigOptions, SRIOV } from "./device-parts-rig.ts";
import { AdminRig, settle } from "./rig.ts";

const RUNNING = STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.FEATURES_OK | STATUS.DRIVER_OK;

async function ready(options: PartsRigOptions & { readonly chunkLength?: number } = {}) {
  const rig = new PartsRig({ traced: true, ...options });
  const chunks = options.chunkLength === undefined ? {} : { chunkLength: options.chunkLength };
  const driven = await drive(rig, chunks);
  rig.events.length = 0;
  return { rig, ...driven };
}

/** The commands that went to the device, by name. */
const sent = (rig: AdminRig) =>
  rig.events.flatMap((event) => (event.op === "command" ? [(event as CommandEvent).name] : []));
const buffers = (rig: AdminRig) =>
  rig.events.filter((event): event is BufferEvent => event.op === "buffer");

/** A member with this many queues, brought up with the first. */
function wide(queues: number): PartsMember {
  const model = new HoldModel();
  model.queues = Array.from({ length: queues }, (_, i) => ({ name: `q${i}`, maxSize: 8 }));
  return new PartsMember({ model });
}

describe("a client of device parts", () => {
  it("adds the commands to the list in use, and those on the objects", async () => {
    const { rig, parts, client, isThere } = await ready();
    expect(isThere).toBe(true);
    expect(client.usedOpcodes(SRIOV)).toEqual([0, 1, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf, 0x10, 0x11]);
    expect(await parts.use()).toBe(true);
    expect(sent(rig)).toEqual(["LIST_QUERY", "LIST_QUERY"]);
  });

  it("finds out when the device lacks them", async () => {
    const bare = new AdminRig({ groups: new PartsRig().executor.groups, families: [] });
    const client = new AdminClient(bare.ports, bare.arena);
    const objects = new ResourceObjectClient(client, new CapabilityClient(client));
    expect(await new DevicePartsClient(client, objects).use()).toBe(false);
  });

  it("asks for size, number and headers through an object that it destroys", async () => {
    const { rig, parts, objects } = await ready();
    rig.member(2).bringUp();
    const there = rig.member(2).device.readParts();
    expect(await parts.size(2)).toBe(encodeParts(there).length);
    expect(await parts.count(2)).toBe(5);
    expect(await parts.headers(2)).toEqual(there.map(headerOf));
    const one = ["RESOURCE_OBJ_CREATE", "DEV_PARTS_METADATA_GET", "RESOURCE_OBJ_DESTROY"];
    expect(sent(rig)).toEqual([...one, ...one, one[0], one[1], one[1], one[2]]);
    expect([objects.objects, rig.objects.objects()]).toEqual([[], []]);
  });

  it("[device-parts-driver-4+] [device-parts-driver-5+] supplies room for all metadata and all parts", async () => {
    const { rig, parts } = await ready();
    const there = rig.member(1).device.readParts();
    const size = encodeParts(there).length;
    await parts.headers(1);
    await parts.read(1);
    const rooms = buffers(rig).map(({ descriptors }) =>
      descriptors.reduce((sum, { length, writable }) => sum + (writable ? length : 0), 0),
    );
    const padded = 8 * Math.ceil((size + 16) / 8);
    // CREATE, COUNT, LIST, DESTROY; CREATE, SIZE, GET, DESTROY: all with eight bytes of header.
    expect(rooms).toEqual([8, 16, 8 + 8 + 16 * there.length, 8, 8, 16, 8 + padded, 8]);
  });

  it("reads all parts, or some", async () => {
    const { rig, parts } = await ready();
    rig.member(1).bringUp();
    const there = rig.member(1).device.readParts();
    expect(await parts.read(1)).toEqual(there);
    const missing = headerOf(commonPart("VQ_CFG", new Uint8Array(32), 9));
    const some = await parts.read(1, [headerOf(there[3]!), missing, headerOf(there[1]!)]);
    expect(some).toEqual([there[1], there[3]]);
    expect(await parts.read(1, [])).toEqual([]);
  });

  it("[device-parts-driver-1-] sets no parts of a member that it has not stopped", async () => {
    const { rig, parts } = await ready();
    const state = [commonPart("DEVICE_STATUS", Uint8Array.of(3))];
    const refused = { code: "DRIVER_STATE", path: "member 2" };
    await expect(parts.write(2, state)).rejects.toMatchObject(refused);
    await parts.stop(1);
    await expect(parts.write(2, state)).rejects.toMatchObject(refused);
    expect(sent(rig)).toEqual(["DEV_MODE_SET"]);
    await parts.stop(2);
    await parts.write(2, state);
    expect(rig.member(2).device.status).toBe(3);
    await parts.resume(2);
    await expect(parts.write(2, state)).rejects.toMatchObject(refused);
  });

  it("[device-parts-driver-2+] sets parts in the order of the table, in whatever order it is given them", async () => {
    const { rig, parts } = await ready();
    rig.member(1).bringUp();
    await parts.stop(1);
    await parts.stop(2);
    const there = await parts.read(1);
    rig.events.length = 0;
    await parts.write(2, [...there].reverse());
    const set = buffers(rig)[1]!;
    const bytes = new Uint8Array(Buffer.from(set.readable, "hex")).subarray(24 + 8);
    expect(decodeParts(bytes).map(describePart)).toEqual([
      "DEV_FEATURES",
      "DRV_FEATURES",
      "DEVICE_STATUS",
      "VQ_CFG 1",
      "VQ_CFG 0",
    ]);
    expect(rig.member(2).device.status).toBe(RUNNING);
  });

  it("reads and sets in several commands what does not fit one", async () => {
    const members = [wide(20), wide(20)];
    const { rig, parts } = await ready({ members, chunkLength: 256 });
    rig.member(1).bringUp();
    rig.member(1).device.setQueueSize(19, 2);
    await parts.stop(1);
    await parts.stop(2);
    rig.events.length = 0;
    const there = await parts.read(1);
    expect(there).toEqual(members[0]!.device.readParts());
    await parts.write(2, there);
    expect(members[1]!.device.readParts()).toEqual(there);
    const count = (name: string) => sent(rig).filter((one) => one === name).length;
    expect(count("DEV_PARTS_METADATA_GET")).toBe(3);
    expect(count("DEV_PARTS_GET")).toBeGreaterThan(3);
    expect(count("DEV_PARTS_SET")).toBe(count("DEV_PARTS_GET"));
  });

  it.each([63, 2 ** 18 + 1, 1.5, Number.NaN])("takes no chunk of %s bytes", async (chunkLength) => {
    await expect(ready({ chunkLength })).rejects.toMatchObject({ code: "ADMIN_COMMAND" });
  });

  it("passes on what the device refuses, and leaves no object behind", async () => {
    const { rig, parts, objects } = await ready();
    await parts.stop(1);
    const wrong = [commonPart("DEVICE_STATUS", new Uint8Array(2))];
    await expect(parts.write(1, wrong)).rejects.toMatchObject({
      code: "ADMIN_STATUS",
      statusName: "EINVAL",
      qualifierName: "INVALID_FIELD",
    });
    await expect(parts.stop(9)).rejects.toMatchObject({ qualifierName: "INVALID_MEMBER" });
    expect([objects.objects, rig.objects.objects()]).toEqual([[], []]);
  });

  it("waits for a stop until the member has used what it took", async () => {
    const { rig, parts } = await ready();
    const member = rig.member(1);
    member.bringUp(2);
    let isStopped = false;
    const stopping = parts.stop(1).then(() => {
      isStopped = true;
    });
    await settle();
    member.model.use();
    await settle();
    expect(isStopped).toBe(false);
    member.model.use();
    await stopping;
    expect(member.device.stopped).toBe(true);
  });
});

/** Every device parts command as a device might answer it; the objects are the real ones. */
function lying(answer: (call: AdminCall) => number): CommandFamily {
  return {
    name: "lying",
    doc: "Answers what is not true.",
    private: true,
    commands: DEVICE_PARTS_COMMANDS,
    bind: () => ({
      handlers: Object.fromEntries(DEVICE_PARTS_COMMANDS.map(({ opcode }) => [opcode, answer])),
    }),
  };
}

async function facing(answer: (call: AdminCall) => number) {
  const { parts } = await drive(new PartsRig({ family: lying(answer) }));
  return parts;
}

const put = (call: AdminCall, count: number, length = 8): number => {
  call.reserveResult(length);
  call.result.setUint32(0, count, true);
  call.resultLength = length;
  return OUTCOME.OK;
};

describe("a device whose answers cannot be true", () => {
  it.each<[string, (parts: DevicePartsClient) => Promise<unknown>, (call: AdminCall) => number]>([
    [
      "as many parts as no command tells",
      (parts) => parts.headers(1),
      (call) => put(call, 2 ** 32 - 1),
    ],
    [
      "more headers in the list than there is room for",
      (parts) => parts.headers(1),
      (call) => put(call, call.data.getUint8(8) === 2 ? 3 : 2, 8),
    ],
    [
      "a part that is cut off",
      (parts) => parts.read(1),
      (call) => {
        if (call.command === DEV_PARTS_METADATA_GET) return put(call, 64);
        call.reserveResult(20);
        call.result.setUint32(0, 0x0103, true);
        call.result.setUint32(12, 100, true);
        call.resultLength = 20;
        return OUTCOME.OK;
      },
    ],
  ])("%s", async (_, ask, answer) => {
    const parts = await facing(answer);
    await expect(ask(parts)).rejects.toMatchObject({ code: "ADMIN_RESPONSE" });
  });

  it("gets no more than a few questions when its parts keep growing", async () => {
    let size = 32;
    let asked = 0;
    const parts = await facing((call) => {
      asked++;
      if (call.command === DEV_PARTS_METADATA_GET) {
        size += 32;
        return put(call, size);
      }
      const part = encodeParts([commonPart("DRV_FEATURES", new Uint8Array(16))]);
      const bytes = new Uint8Array(size + 32).fill(0);
      for (let at = 0; at + 32 <= bytes.length; at += 32) bytes.set(part, at);
      call.reserveResult(bytes.length);
      call.resultBytes.set(bytes);
      call.resultLength = bytes.length;
      return OUTCOME.OK;
    });
    await expect(parts.read(1)).rejects.toMatchObject({ code: "ADMIN_RESPONSE" });
    expect(asked).toBeLessThan(16);
  });

  it("is asked again when the list has grown, and given up on", async () => {
    let count = 0;
    const parts = await facing((call) =>
      call.data.getUint8(8) === 1 ? put(call, ++count) : outcome("ENOMEM", "NORESOURCE"),
    );
    await expect(parts.headers(1)).rejects.toMatchObject({ statusName: "ENOMEM" });
    expect(count).toBeGreaterThan(1);
    expect(count).toBeLessThan(10);
  });
});

describe("moving a member", () => {
  /** Two owners whose first members are alike; the second's memory is a copy of its own. */
  async function pair() {
    const from = await ready();
    const to = await ready();
    const source = { parts: from.parts, member: 1 };
    const target = { parts: to.parts, member: 1 };
    const [there, here] = [from.rig.member(1), to.rig.member(1)];
    there.bringUp(0);
    const copyMemory = () => {
      here.memory.regions[0]!.bytes.set(there.memory.regions[0]!.bytes);
    };
    return { from, to, source, target, there, here, copyMemory };
  }

  it("stops it here, sets it there, and lets it go on there", async () => {
    const { from, to, source, target, there, here, copyMemory } = await pair();
    const order: string[] = [];
    await moveMember(source, target, {
      copyMemory: () => {
        order.push(`copy ${there.device.stopped} ${here.device.stopped}`);
        copyMemory();
      },
      beforeResume: () => {
        order.push(`before ${here.device.status} ${here.device.stopped}`);
      },
    });
    expect(order).toEqual(["copy true false", `before ${RUNNING} true`]);
    expect([there.device.stopped, here.device.stopped]).toEqual([true, false]);
    expect(here.device.readParts()).toEqual(there.device.readParts());
    expect([from.objects.objects, to.objects.objects]).toEqual([[], []]);
  });

  it.each(["stopping", "copying", "setting", "preparing", "resuming"])(
    "that fails while %s leaves it at work where it was",
    async (when) => {
      const { to, source, target, there, here, copyMemory } = await pair();
      const fail = (what: string) => {
        if (what === when) throw new Error(when);
      };
      if (when === "setting") {
        here.device.provisionFeatures(here.device.defaultFeatures.without(0, 1));
      }
      const member = when === "stopping" ? 9 : 1;
      const moving = moveMember(
        source,
        { ...target, member },
        {
          copyMemory: () => {
            fail("copying");
            copyMemory();
          },
          beforeResume: async () => {
            fail("preparing");
            // A command that the list no longer has is never sent.
            if (when === "resuming") await to.client.listUse(SRIOV, [0, 1]);
          },
        },
      );
      await expect(moving).rejects.toThrow();
      expect([there.device.stopped, there.device.status]).toEqual([false, RUNNING]);
      expect(here.model.calls).not.toContain("start");
    },
  );

  it("that may have succeeded leaves it at one place only", async () => {
    const { source, target, there, to } = await pair();
    const moving = moveMember(source, target, {
      beforeResume: () => {
        to.client.fail("the owner has gone");
      },
    });
    await expect(moving).rejects.toMatchObject({ code: "ADMIN_RESET" });
    expect(there.device.stopped).toBe(true);
  });
});
