import { isVirtioError, STATUS } from "@virtio-admin/core";
import { describe, expect, test } from "vitest";
import {
  type DiscardReason,
  type MessageBus,
  MessageDriver,
  REQUESTS,
  SMALLEST_MESSAGE_LIMIT,
} from "../src/message-transport/index.ts";
import { CONFIG_BYTES, fromHex, negotiate, OWNER, rig, toHex } from "./message-transport-rig.ts";

const GET_DEVICE_INFO = "00 02 0000 0100 0800";
/** Header, device id 0x3f, vendor, 128 features, 64 bytes of configuration, 1 queue; the place follows. */
const INFO = "0102000001002000 3f000000 f41a0000 80000000 40000000 01000000";

function plain(hex: string): string {
  return hex.replaceAll(" ", "");
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (isVirtioError(error)) return error.code;
    throw error;
  }
  return "none";
}

describe("the place of the administration virtqueues", () => {
  test("[admin-transport-1] [admin-transport-3] is 0 and 0 until the feature is negotiated", async () => {
    const { end, driver } = rig();
    const info = () => toHex(end.receive(fromHex(GET_DEVICE_INFO)));
    const none = plain(`${INFO} 0000 0000`);
    expect(info()).toBe(none);
    await negotiate(driver, OWNER.without(41));
    expect(info()).toBe(none);
    await driver.reset();
    await driver.writeStatus(STATUS.ACKNOWLEDGE);
    await driver.writeStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER);
    await driver.writeFeatures(OWNER);
    expect(info()).toBe(none);
    await driver.writeStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.FEATURES_OK);
    expect(info()).toBe(plain(`${INFO} 0100 0200`));
    await driver.reset();
    expect(info()).toBe(none);
  });

  test("[admin-transport-3] is asked for again, not kept from open", async () => {
    const asked: number[] = [];
    const watch = (honest: MessageBus): MessageBus => ({
      ...honest,
      request: (message) => {
        asked.push(message[1] ?? 0);
        return honest.request(message);
      },
    });
    const { driver } = rig({ bus: watch });
    await driver.open();
    await negotiate(driver, OWNER);
    asked.length = 0;
    const place = await driver.adminQueues(OWNER);
    expect([place.index, place.count]).toEqual([1, 2]);
    expect(asked).toEqual([REQUESTS.GET_DEVICE_INFO.id]);
    expect(await codeOf(driver.adminQueues(OWNER.without(41)))).toBe("ADMIN_QUEUE_UNAVAILABLE");
    expect(asked.length).toBe(1);
  });

  test("[admin-unnegotiated-device-1] the queues themselves are not there either", async () => {
    const { driver } = rig();
    await negotiate(driver, OWNER.without(41));
    expect([await driver.queueSizeMax(0), await driver.queueSizeMax(1)]).toEqual([8, 0]);
    await negotiate(driver, OWNER);
    expect([await driver.queueSizeMax(1), await driver.queueSizeMax(3)]).toEqual([4, 0]);
  });
});

describe("requests and their answers", () => {
  test.each([
    [
      "features beyond the last block",
      "00030000070010000300000002000000",
      "01030000070018000300000002000000 00000080 00000000",
    ],
    ["no features", "00030000070010000000000000000000", "01030000070010000000000000000000"],
    [
      "configuration bytes",
      "00050000070010000200000003000000",
      "0105000007001700 00000000 02000000 03000000 020304",
    ],
    [
      "configuration bytes beyond the end",
      "0005000007001000ffffffff02000000",
      "0105000007001600 00000000 ffffffff 02000000 0000",
    ],
    ["a status that skips steps", "0008000007000c000f000000", "0108000007000c0000000000"],
    [
      "a queue that there is none of",
      "0009000007000c00ffffffff",
      `0109000007003000 ffffffff ${"00".repeat(36)}`,
    ],
    [
      "a queue",
      "0009000007000c0000000000",
      `0109000007003000 00000000 08000000 08000000 ${"00".repeat(28)}`,
    ],
    ["framing behind the message", "0007000007000800 ffff", "0107000007000c0000000000"],
    ["reserved bits of the type", "fc07000007000800", "0107000007000c0000000000"],
  ])("%s", (_, request, answer) => {
    expect(toHex(rig().end.receive(fromHex(request)))).toBe(plain(answer));
  });

  test("a write of the configuration names the generation that it has seen", async () => {
    const { end, driver, change } = rig();
    await negotiate(driver, OWNER);
    change(0, 0xaa);
    const stale = toHex(end.receive(fromHex("0006000009001500 00000000 04000000 01000000 77")));
    expect(stale).toBe(plain("0106000009001400 01000000 04000000 00000000"));
    const fresh = toHex(end.receive(fromHex("0006000009001500 01000000 04000000 01000000 77")));
    expect(fresh).toBe(plain("0106000009001500 01000000 04000000 01000000 77"));
  });
});

describe("configuration of many messages", () => {
  const limit = SMALLEST_MESSAGE_LIMIT;

  /** Changes the configuration after each of the first `times` requests for it. */
  function restless(times: number) {
    let left = times;
    let change = () => {};
    const made = rig({
      limit,
      bus: (honest) => ({
        ...honest,
        request: (message) => {
          const answer = honest.request(message);
          if (message[1] === REQUESTS.GET_CONFIG.id && left-- > 0) change();
          return answer;
        },
      }),
    });
    // In the part that was read already: only the generation tells.
    change = () => made.change(0, 0xa0 + (left & 0xf));
    return made;
  }

  test("[config-space-driver-1] is read again when it changed between two of them", async () => {
    const { driver, config } = restless(2);
    const bytes = await driver.readConfig(0, CONFIG_BYTES);
    const expected = new Uint8Array(CONFIG_BYTES);
    config.read(0, expected);
    expect(bytes).toEqual(expected);
  });

  test("[config-space-driver-2] is given up when it never rests", async () => {
    const { driver } = restless(Number.POSITIVE_INFINITY);
    expect(await codeOf(driver.readConfig(0, CONFIG_BYTES))).toBe("DEVICE_FAILED");
  });

  test("is written piece by piece, over changes the driver has not seen", async () => {
    const { driver, config, change } = rig({ limit });
    await negotiate(driver, OWNER);
    change(0, 1);
    await driver.writeConfig(0, new Uint8Array(CONFIG_BYTES).fill(0x5a));
    const bytes = new Uint8Array(CONFIG_BYTES);
    config.read(0, bytes);
    expect(bytes).toEqual(new Uint8Array(CONFIG_BYTES).fill(0x5a));
  });

  test("outside the first 4096 bytes is refused", async () => {
    const { driver } = rig({ limit });
    expect(await codeOf(driver.readConfig(4095, 2))).toBe("VALUE_RANGE");
    expect(await codeOf(driver.writeConfig(-1, new Uint8Array(1)))).toBe("VALUE_RANGE");
    expect(await codeOf(driver.readConfig(Number.NaN, 1))).toBe("VALUE_RANGE");
  });
});

describe("what a device discards", () => {
  const cases: readonly (readonly [string, DiscardReason, string])[] = [
    ["nothing", "cut short", ""],
    ["half a header", "cut short", "00020000"],
    ["a size below the header's", "cut short", "0002000001000700"],
    ["a size beyond the end", "cut short", "0008000001000c000000"],
    ["more than the bus carries", "too long", `0002000001000800${"00".repeat(600)}`],
    ["another device's message", "other device", "0002010001000800"],
    ["a message of the bus", "other device", "0202000001000800"],
    ["an answer", "wrong kind", "0102000001000800"],
    ["a request without a token", "wrong kind", "0002000000000800"],
    ["an event with a token", "wrong kind", "00410000010010000000000000000000"],
    ["an id that there is none of", "unknown id", "000d000001000800"],
    ["an event of the device's", "unknown id", "0042000000000c0000000000"],
    ["a request that is too long", "wrong length", "0002000001000c0000000000"],
    ["a request that is too short", "wrong length", "0009000001000a000000"],
    ["an event that is too short", "wrong length", "0041000000000c0000000000"],
    [
      "fewer features than announced",
      "wrong length",
      "0004000001001400 00000000 02000000 00000000",
    ],
    ["more features than announced", "wrong length", "0004000001001400 00000000 00000000 00000000"],
    ["half a block of features", "wrong length", "0004000001001200 00000000 01000000 0000"],
    [
      "fewer configuration bytes than announced",
      "wrong length",
      "0006000001001500 00000000 00000000 02000000 00",
    ],
    ["a request for more features than fit", "wrong value", "0003000001001000 00000000 ffffffff"],
    [
      "a request for more configuration than fits",
      "wrong value",
      "0005000001001000 00000000 ffffffff",
    ],
    ["a status of more than eight bits", "wrong value", "0008000001000c00 00010000"],
    ["a queue reset without its feature", "not negotiated", "000b000001000c00 00000000"],
  ];

  test.each(cases)("%s (%s)", async (_, reason, hex) => {
    const { end, driver, device } = rig();
    await negotiate(driver, OWNER);
    const before = [device.status, device.driverFeatures.toString()];
    expect(end.receive(fromHex(hex))).toBeUndefined();
    expect([...end.discards]).toEqual([[reason, 1]]);
    expect([device.status, device.driverFeatures.toString()]).toEqual(before);
  });
});

describe("events that a driver discards", () => {
  const cases: readonly (readonly [string, DiscardReason, string])[] = [
    ["an event of the driver's", "unknown id", "0041000000001000 00000000 00000000"],
    ["an answer", "wrong kind", "0142000000000c00 00000000"],
    ["a token", "wrong kind", "0042000001000c00 00000000"],
    ["used buffers of no queue that can be", "wrong value", "0042000000000c00 00000100"],
    ["used buffers cut short", "wrong length", "0042000000000a00 0000"],
    ["a configuration change cut short", "wrong length", "0040000000000c00 00000000"],
  ];

  test.each(cases)("%s (%s)", async (_, reason, hex) => {
    const { driver, end } = rig();
    const tell = () => expect.unreachable("the event is discarded");
    await driver.listen({ usedBuffers: tell, configurationChange: tell, failed: tell });
    end.onEvent?.(fromHex(hex));
    expect([...driver.discards]).toEqual([[reason, 1]]);
  });
});

describe("limits of a bus", () => {
  test.each([SMALLEST_MESSAGE_LIMIT - 1, 0x10000, 64.5, Number.NaN])("%d is refused", (limit) => {
    const { bus, dma } = rig();
    expect(() => rig({ limit })).toThrow(/limit/);
    expect(() => new MessageDriver({ bus: { ...bus, limit }, dma })).toThrow(/limit/);
  });
});
