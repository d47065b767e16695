/** A group with a member that a legacy driver uses, moved while it does. */
import { readFileSync } from "node:fs";
import { decodeSnapshot, encodeSnapshot, restoreSnapshot, takeSnapshot } from "@virtio-admin/core";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, it } from "vitest";
import { LegacyDriver, makeLegacyRig, startRig } from "./legacy-rig.ts";

const schema = JSON.parse(
  readFileSync(new URL("../../core/schema/snapshot.schema.json", import.meta.url), "utf8"),
);
const matchesSchema = new Ajv2020({ strict: true }).compile(schema);

async function start() {
  const rig = makeLegacyRig();
  const started = await startRig(rig, 2);
  const driver = new LegacyDriver(rig, started, 1, { polled: true });
  await driver.begin();
  const queue = await driver.queue(0);
  await driver.driverOk();
  const buffer = driver.add(queue, new Uint8Array(0), 4);
  await driver.kick(queue);
  expect(queue.queue.reap()).toBe(buffer.id);
  return { rig, driver, queue };
}

describe("a snapshot of a group with a legacy driver", () => {
  it("says so in a form of its own, and comes back from text the same", async () => {
    const { rig } = await start();
    const snapshot = takeSnapshot({ device: rig.device, executor: rig.executor });
    expect(snapshot.groups[1]?.members.map(({ device }) => device?.legacy)).toEqual([
      { inUse: true },
      undefined,
    ]);
    const text = encodeSnapshot(snapshot);
    expect(decodeSnapshot(text)).toEqual(snapshot);
    const body = JSON.parse(text.split("\n")[1] ?? "");
    expect(matchesSchema(body)).toBe(true);
    body.groups[1].members[0].device.legacy = { inUse: 1 };
    expect(matchesSchema(body)).toBe(false);
    const wrong = JSON.parse(JSON.stringify(snapshot));
    wrong.groups[1].members[0].device.legacy.more = 1;
    const { device, executor } = rig;
    expect(() => restoreSnapshot({ device, executor }, wrong)).toThrow(
      expect.objectContaining({
        code: "SNAPSHOT",
        path: "groups[1].members[0].device.legacy.more",
      }),
    );
  });

  it("lets the driver go on with the restored group", async () => {
    const { rig, queue, driver } = await start();
    const buffer = driver.add(queue, new Uint8Array(0), 4);
    queue.queue.publish();
    const snapshot = takeSnapshot({ device: rig.device, executor: rig.executor });
    const target = makeLegacyRig({ negotiatedBefore: true });
    target.enable(2);
    const pci = target.functionOf(1);
    target.guestOf(1).bytes.set(rig.guestOf(1).bytes);
    target.device.memory.write(0x10_0000, ownerMemory(rig));
    restoreSnapshot({ device: target.device, executor: target.executor }, snapshot, {
      beforeResume: () => pci.configWrite(4, 2, 4),
    });
    const { device, bytes } = target.guestOf(1);
    rig.guestOf(1).bytes.set(bytes);
    expect([device.status, queue.queue.reap()]).toEqual([7, buffer.id]);
    expect([...buffer.written()]).toEqual([1, 1, 1, 1]);
    expect(target.exact(3, 1, [18], 1).result).toEqual([7]);
    expect(target.exact(3, 1, [19], 1).result).toEqual([1]);
  });
});

function ownerMemory({ device }: { readonly device: { readonly memory: MemoryLike } }): Uint8Array {
  const bytes = new Uint8Array(0x10_0000);
  device.memory.read(0x10_0000, bytes);
  return bytes;
}

interface MemoryLike {
  read(address: number, target: Uint8Array): boolean;
}
