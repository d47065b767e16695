import { encode, isVirtioError } from "@virtio-admin/core";
import { HOSTILE_CLASSES, hostileDevice, hostileDriver, Random } from "@virtio-admin/testkit";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hostileMessage } from "../src/message-transport/fixture.ts";
import {
  DISCARD_REASONS,
  EVENTS,
  MESSAGE_HEADER,
  type MessageBus,
  messageFixture,
} from "../src/message-transport/index.ts";
import { fromHex, negotiate, OWNER, rig } from "./message-transport-rig.ts";

const STEPS = 20_000;

describe("twenty thousand hostile steps over messages", { timeout: 240_000 }, () => {
  test.each([
    ["driver", "split", hostileDriver],
    ["driver", "packed", hostileDriver],
    ["device", "split", hostileDevice],
    ["device", "packed", hostileDevice],
  ] as const)(
    "of a %s with %s rings reach every class, and break nothing",
    async (side, rings, make) => {
      const peer = make({ fixture: messageFixture(), seed: 1, rings });
      await peer.run(STEPS);
      await peer.close();
      expect(peer.violations).toEqual([]);
      const own =
        side === "driver"
          ? Object.keys(DISCARD_REASONS).map((reason) => `bus: ${reason}`)
          : ["writeConfig: DEVICE_FAILED", "enableQueue: TRANSPORT"];
      const missed = [...HOSTILE_CLASSES[rings][side], ...own].filter(
        (name) => !peer.counts.has(name),
      );
      expect(missed).toEqual([]);
    },
  );
});

describe("whatever bytes come", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 700 }),
    fc.integer().map((seed) => hostileMessage(new Random(seed))),
  );

  test("a device half answers within the limit or not at all, and never throws", () => {
    const { end } = rig();
    fc.assert(
      fc.property(bytes, (message) => {
        const before = total(end.discards);
        const answer = end.receive(message);
        if (answer === undefined) return total(end.discards) === before + 1 || isEvent(message);
        return answer.length <= end.limit && answer[0] === 1 && answer[1] === message[1];
      }),
      { numRuns: 2000 },
    );
  });

  test("a driver half takes them as events without throwing, and counts what it discards", async () => {
    const { driver, end } = rig();
    let told = 0;
    await driver.listen({
      usedBuffers: () => told++,
      configurationChange: () => told++,
      failed: () => expect.unreachable("an event is no reason to give a device up"),
    });
    fc.assert(
      fc.property(bytes, (event) => {
        const before = total(driver.discards) + told;
        end.onEvent?.(event);
        return total(driver.discards) + told === before + 1;
      }),
      { numRuns: 2000 },
    );
  });

  test("a driver half takes them as answers, and rejects with a VirtioError if at all", async () => {
    let answer: Uint8Array | undefined;
    const { driver } = rig({ bus: (honest) => ({ ...honest, request: () => answer }) });
    const areas = { descriptorArea: 0x8000_0000, driverArea: 0x8000_1000, deviceArea: 0x8000_2000 };
    await fc.assert(
      fc.asyncProperty(fc.option(bytes, { nil: undefined }), async (given) => {
        answer = given;
        for (const operation of [
          () => driver.open(),
          () => driver.readFeatures(),
          () => driver.readConfig(0, 8),
          () => driver.writeConfig(0, Uint8Array.of(1)),
          () => driver.readStatus(),
          () => driver.queueSizeMax(0),
          () => driver.enableQueue(0, 8, areas),
          () => driver.resetQueue(0),
          () => driver.adminQueues(OWNER),
        ]) {
          await operation().catch((error) => {
            if (!isVirtioError(error)) throw error;
          });
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("what a driver makes of answers that are nearly right", () => {
  /** A driver whose answers are changed on their way. */
  function changing(change: (answer: Uint8Array) => Uint8Array | undefined) {
    return rig({
      bus: (honest: MessageBus): MessageBus => ({
        ...honest,
        request: async (message) => {
          const answer = await honest.request(message);
          return answer && change(answer);
        },
      }),
    });
  }
  const patch = (at: number, value: number) => (answer: Uint8Array) =>
    answer.map((byte, i) => (i === at ? value : byte));

  test.each([
    ["no answer", () => undefined],
    ["an answer of another device", patch(2, 1)],
    ["an answer to another request", patch(1, 0x40)],
    ["a token that is not the request's", patch(4, 0xee)],
    ["a request in its place", patch(0, 0)],
    ["an answer that is cut short", (answer: Uint8Array) => answer.subarray(0, answer.length - 1)],
    ["a size that leaves some out", patch(6, 9)],
    ["another queue's state", patch(8, 5)],
  ] as const)("%s is refused", async (_, change) => {
    const error = await changing(change)
      .driver.queueSizeMax(0)
      .catch((thrown: unknown) => thrown);
    expect(isVirtioError(error, "TRANSPORT")).toBe(true);
  });

  test("what a later revision appends is ignored", async () => {
    const { driver } = changing((answer) => {
      const longer = new Uint8Array(answer.length + 8).fill(0xff);
      longer.set(answer);
      longer.set([longer.length], MESSAGE_HEADER.fields.msg_size.offset);
      return longer;
    });
    await negotiate(driver, OWNER);
    expect(await driver.open()).toEqual({ deviceId: 0x3f, vendorId: 0x1af4 });
    expect(await driver.queueSizeMax(0)).toBe(8);
    expect((await driver.readFeatures()).has(127)).toBe(true);
    expect(await driver.readConfig(2, 2)).toEqual(Uint8Array.of(2, 3));
  });

  test.each([
    ["[admin-transport-1] a place over the other queues", "0000 0100"],
    ["[admin-transport-1] a place beyond the last index", "ffff 0200"],
  ])("%s is refused", async (_, place) => {
    const { driver } = changing((answer) => {
      if (answer[1] === 2) answer.set(fromHex(place), answer.length - 4);
      return answer;
    });
    await negotiate(driver, OWNER);
    const error = await driver.adminQueues(OWNER).catch((thrown: unknown) => thrown);
    expect(isVirtioError(error, "TRANSPORT")).toBe(true);
  });
});

test("a bus that fails is told of where it is noticed", async () => {
  const failures: unknown[] = [];
  const { driver } = rig({
    bus: (honest) => ({
      ...honest,
      send: () => Promise.reject(new Error("the wire is cut")),
    }),
  });
  await driver.listen({
    usedBuffers: () => undefined,
    configurationChange: () => undefined,
    failed: (error) => failures.push(error),
  });
  await negotiate(driver, OWNER);
  const areas = { descriptorArea: 0x8000_0000, driverArea: 0x8000_1000, deviceArea: 0x8000_2000 };
  const doorbell = await driver.enableQueue(0, 8, areas);
  doorbell.ring();
  await Promise.resolve();
  await Promise.resolve();
  expect(failures.map(String)).toEqual(["Error: the wire is cut"]);
});

function total(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, times) => sum + times, 0);
}

function isEvent(message: Uint8Array): boolean {
  const { id, payload } = EVENTS.EVENT_AVAIL;
  return message[1] === id && message.length >= encode(MESSAGE_HEADER, {}).length + payload.size;
}
