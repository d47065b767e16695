/** A device in a worker: its driver here, and what becomes of that when the worker ends. */
import {
  type AdminClient,
  bringUp,
  DmaArena,
  type DriverDevice,
  FEATURE,
  openAdminClient,
  SELF_GROUP,
} from "@virtio-admin/core";
import { ENTROPY_DEVICE_ID, ENTROPY_REQUESTQ, EntropyDriver } from "@virtio-admin/devices";
import { MmioDriver } from "@virtio-admin/transport-mmio";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { DeviceThread } from "../src/index.ts";
import { type Bundle, bundle } from "./bundle.ts";
import { ENDS, OPCODES } from "./opcodes.ts";

const BASE = 0x8000_0000;
const BYTES = 1 << 20;

let program: Bundle;
beforeAll(async () => {
  program = await bundle("worker");
});
afterAll(() => program.remove());

const threads: DeviceThread[] = [];
afterEach(async () => {
  for (const thread of threads.splice(0)) await thread.close();
});

interface Rig {
  readonly thread: DeviceThread;
  readonly dma: DmaArena;
  readonly driver: DriverDevice;
  readonly client: AdminClient;
}

async function rig(polls = 4000, packed = false): Promise<Rig> {
  const data = packed ? "packed" : "split";
  const thread = await DeviceThread.start(program.url, { memoryBytes: BYTES, polls, data });
  threads.push(thread);
  const dma = new DmaArena(thread.memory, BASE, BYTES);
  const driver = await bringUp(new MmioDriver({ bus: thread.bus, dma }), {
    deviceId: ENTROPY_DEVICE_ID,
    queues: [{ index: ENTROPY_REQUESTQ }],
    adminQueues: 1,
  });
  const client = openAdminClient(driver);
  await client.useReported(SELF_GROUP.id);
  return { thread, dma, driver, client };
}

function request(opcode: number, value?: number) {
  const data = new Uint8Array(8);
  if (value !== undefined) new DataView(data.buffer).setUint32(0, value, true);
  return { opcode, group: SELF_GROUP.id, data, resultLength: 8 };
}

function valueIn(result: Uint8Array): number {
  return new DataView(result.buffer, result.byteOffset).getUint32(0, true);
}

describe("a device in another thread", () => {
  it.each([
    [0, false],
    [4000, false],
    [0, true],
    [4000, true],
  ])("answers commands and entropy requests (%i polls, packed %s)", async (polls, packed) => {
    const { driver, client, dma } = await rig(polls, packed);
    expect(driver.features.has(FEATURE.VIRTIO_F_RING_PACKED)).toBe(packed);
    const replies = await Promise.all(
      Array.from({ length: 300 }, (_, i) => client.execute(request(OPCODES.echo, i))),
    );
    expect(replies.map(({ result }) => valueIn(result))).toEqual(replies.map((_, i) => i));
    const entropy = new EntropyDriver(driver);
    expect((await entropy.read(64)).length).toBe(64);
    entropy.close();
    await driver.close();
    client.close();
    expect(dma.freeBytes).toBe(BYTES);
  });

  it("answers whole batches, one promise each", async () => {
    const { client } = await rig();
    const batch = client.batch();
    const data = new Uint8Array(8);
    const view = new DataView(data.buffer);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(), { maxLength: 60 }), async (values) => {
        for (const value of values) {
          view.setUint32(0, value, true);
          expect(batch.add(OPCODES.echo, SELF_GROUP.id, 0, 8, data)).toBe(batch.size - 1);
        }
        await batch.send();
        const answers = values.map((_, i) => batch.view(i).getUint32(batch.resultAt(i), true));
        batch.clear();
        expect(answers).toEqual(values);
      }),
      { numRuns: 40 },
    );
  });

  it("goes on with its event loop while it sleeps", async () => {
    const { client } = await rig(0);
    for (const value of [1, 2, 3]) {
      const { result } = await client.execute(request(OPCODES.later, value));
      expect(valueIn(result)).toBe(~value >>> 0);
    }
  });
});

describe("a worker that ends", () => {
  it.each([
    ["by process.exit", "exit", /code 3/],
    ["by an error that nobody catches", "error", /it failed/],
    ["because it is terminated", "kill", /code 1/],
  ] as const)("%s takes the device and its commands with it", async (_, how, why) => {
    const { thread, client, driver } = await rig();
    const under = [
      client.execute(request(OPCODES.never)),
      client.execute(request(OPCODES.echo, 1)),
      client.execute({ ...request(OPCODES.echo, 2) }),
    ].map((promise) =>
      promise.then(
        () => "answered",
        (error: unknown) => error,
      ),
    );
    const batch = client.batch();
    batch.add(OPCODES.echo, SELF_GROUP.id, 0, 8);
    const sent = batch.send().then(
      () => "answered",
      (error: unknown) => error,
    );
    const ends: unknown[] = [];
    thread.onEnd((error) => ends.push(error));
    const lost = new Promise((resolve) => driver.onFailure(resolve));
    if (how === "kill") {
      await thread.kill();
    } else {
      // The queue of the device serves in order: the registers are another way in.
      const second = await rig();
      const last = second.client.execute(request(OPCODES.end, ENDS[how]));
      await expect(last).rejects.toMatchObject({ code: "ADMIN_RESET" });
      expect(second.thread.ended?.message).toMatch(why);
      expect(second.thread.ended?.code).toBe("DEVICE_THREAD");
      await thread.kill();
    }
    const reset = expect.objectContaining({ code: "ADMIN_RESET" });
    expect(await Promise.all(under)).toEqual([reset, reset, reset]);
    expect(await sent).toEqual(reset);
    expect(await lost).toMatchObject({ code: "DEVICE_FAILED", cause: { code: "DEVICE_THREAD" } });
    const gone = expect.objectContaining({ code: "DEVICE_THREAD" });
    expect(ends).toEqual([gone]);
    thread.onEnd((error) => ends.push(error));
    expect(ends).toEqual([gone, gone]);
    await expect(client.execute(request(OPCODES.echo, 3))).rejects.toEqual(reset);
    await expect(thread.bus.read(0, 4)).rejects.toEqual(gone);
    await expect(thread.bus.write(0x50, 4, 0)).rejects.toEqual(gone);
  });

  it("before its device is there is no device", async () => {
    const url = new URL("data:text/javascript,throw new Error('no')");
    const started = DeviceThread.start(url, { memoryBytes: 4096 });
    await expect(started).rejects.toMatchObject({ code: "DEVICE_THREAD" });
  });
});
