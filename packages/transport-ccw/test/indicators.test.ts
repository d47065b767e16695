/** Indicator bits: where they lie, who sets them, and which interrupt follows. */
import { bringUp, createGuestMemory, type DeviceHost } from "@virtio-admin/core";
import {
  adapterByte,
  adapterMask,
  CcwDriver,
  type CcwInterrupt,
  classicByte,
  classicMask,
  loopbackBus,
} from "@virtio-admin/transport-ccw";
import { describe, expect, it } from "vitest";
import {
  clearSummary,
  setAdapter,
  setClassic,
  takeAdapter,
  takeClassic,
} from "../src/indicators.ts";
import {
  be,
  brief,
  CE_DE,
  DATA,
  idleModel,
  makeRig,
  negotiate,
  type RigOptions,
  setVq,
  UNIT_CHECK,
} from "./rig.ts";

const OK = [CE_DE, 0, 0];
const REJECTED = [CE_DE | UNIT_CHECK, 0, 0];
const INDICATORS = DATA + 0x100;
const CONFIGURATION = DATA + 0x108;
const SUMMARY = DATA + 0x110;
const AREA = DATA + 0x120;
const RING = DATA + 0x4000;
const VERSION_1 = 1n << 32n;
const ADMIN = VERSION_1 | (1n << 41n);

const thinint = (summary: number, area: number, bit: number, isc: number) =>
  be(summary, 8) + be(area, 8) + be(bit, 8) + be(isc, 1);

function makeMachine(queues = 3, options: RigOptions = {}, features = ADMIN) {
  const model = idleModel(queues);
  const rig = makeRig({ model, ...options });
  negotiate(rig, 3, features);
  const enable = (index: number) => {
    const at = RING + index * 0x400;
    return rig.command(0x13, setVq(index, 8, at, at + 0x100, at + 0x200));
  };
  const host = () => model.host as DeviceHost;
  const unsolicited = (): CcwInterrupt[] =>
    rig.interrupts.filter((each) => each.kind === "adapter" || each.ending === undefined);
  /** Makes one buffer available in a queue, and has the device use it. */
  const use = (index: number) => {
    const at = RING + index * 0x400;
    const made =
      (rig.memory.find(at + 0x100, 2)?.view.getUint16(at + 0x102 - 0x10000, true) ?? 0) + 1;
    rig.put(at, `${"0000020000000000"}1000000002000000`);
    rig.put(at + 0x102, Buffer.from([made & 0xff, made >> 8]).toString("hex"));
    const queue = host().queue(index);
    const chain = queue?.pop();
    if (queue === undefined || chain === undefined) throw new Error("no buffer");
    queue.push(chain, 0);
    host().publish(index);
  };
  return { ...rig, enable, host, unsolicited, use };
}

describe("bit numbers", () => {
  it.each([
    [0, 7, 0x01],
    [1, 7, 0x02],
    [7, 7, 0x80],
    [8, 6, 0x01],
    [63, 0, 0x80],
  ])("classic bit %i is in byte %i of the big-endian value", (bit, byte, mask) => {
    expect([classicByte(0x1000, bit) - 0x1000, classicMask(bit)]).toEqual([byte, mask]);
  });

  it.each([
    [0, 0, 0x80],
    [7, 0, 0x01],
    [8, 1, 0x80],
    [13, 1, 0x04],
    [2 ** 40 + 9, 2 ** 37 + 1, 0x40],
  ])(
    "[ccw-adapter-interrupt-1] adapter bit %i is in byte %i, counted from the left",
    (bit, byte, mask) => {
      expect([adapterByte(0, bit), adapterMask(bit)]).toEqual([byte, mask]);
    },
  );

  it("setting and taking work alike on mapped memory and on memory that is only copied", () => {
    const mapped = createGuestMemory([{ base: 0x1000, bytes: new Uint8Array(64) }]);
    const copied = {
      find: () => undefined,
      contains: mapped.contains.bind(mapped),
      read: mapped.read.bind(mapped),
      write: mapped.write.bind(mapped),
    };
    const at = { summary: 0x1000, area: 0x1010, firstBit: 4, subclass: 3 };
    for (const memory of [mapped, copied]) {
      expect(setClassic(memory, 0x1008, 3)).toBe(true);
      expect([takeClassic(memory, 0x1008, 2), takeClassic(memory, 0x1008, 3)]).toEqual([
        false,
        true,
      ]);
      expect(takeClassic(memory, 0x1008, 3)).toBe(false);
      expect([setAdapter(memory, at, 0), setAdapter(memory, at, 9)]).toEqual([true, false]);
      expect([takeAdapter(memory, at, 1), takeAdapter(memory, at, 9)]).toEqual([false, true]);
      clearSummary(memory, at);
      expect([takeAdapter(memory, at, 0), setAdapter(memory, at, 0)]).toEqual([true, true]);
      expect([takeAdapter(memory, at, 0), setClassic(memory, 0x9000, 0)]).toEqual([true, false]);
      expect([
        takeClassic(memory, 0x9000, 0),
        setAdapter(memory, { ...at, area: 0x9000 }, 0),
      ]).toEqual([false, false]);
      clearSummary(memory, at);
    }
  });
});

describe("setting indicators up", () => {
  it("[ccw-indicators-1] SET_IND is rejected after SET_IND_ADAPTER", () => {
    const { command } = makeMachine();
    expect(brief(command(0x73, thinint(SUMMARY, AREA, 0, 3)))).toEqual(OK);
    expect(brief(command(0x43, be(INDICATORS, 8)))).toEqual(REJECTED);
    expect(brief(command(0x73, thinint(0, 0, 0, 3)))).toEqual(OK);
    expect(brief(command(0x43, be(INDICATORS, 8)))).toEqual(OK);
  });

  it("[ccw-indicators-device-1] SET_IND_ADAPTER is rejected after SET_IND", () => {
    const { command } = makeMachine();
    expect(brief(command(0x43, be(INDICATORS, 8)))).toEqual(OK);
    expect(brief(command(0x73, thinint(SUMMARY, AREA, 0, 3)))).toEqual(REJECTED);
    expect(brief(command(0x43, be(0, 8)))).toEqual(OK);
    expect(brief(command(0x73, thinint(SUMMARY, AREA, 0, 3)))).toEqual(OK);
  });

  it("both are possible again after a reset", () => {
    const { command } = makeMachine();
    command(0x43, be(INDICATORS, 8));
    command(0x33);
    expect(brief(command(0x73, thinint(SUMMARY, AREA, 0, 3)))).toEqual(OK);
  });

  it.each([
    ["SET_IND outside memory", 0x43, be(0x1000, 8)],
    ["SET_IND beyond 2^53", 0x43, "ffffffffffffffff"],
    ["SET_CONF_IND outside memory", 0x53, be(0x1000, 8)],
    ["a summary outside memory", 0x73, thinint(0x1000, AREA, 0, 3)],
    ["an area outside memory", 0x73, thinint(SUMMARY, 0x1000, 0, 3)],
    ["a bit outside memory", 0x73, thinint(SUMMARY, AREA, 0x1000000, 3)],
    ["a bit beyond 2^53", 0x73, `${be(SUMMARY, 8)}${be(AREA, 8)}ffffffffffffffff03`],
    ["a subclass above 7", 0x73, thinint(SUMMARY, AREA, 0, 8)],
  ])("rejects %s", (_name, code, data) => {
    const { command } = makeMachine();
    expect(brief(command(code, data))).toEqual(REJECTED);
    expect(brief(command(0x43, be(INDICATORS, 8)))).toEqual(OK);
  });

  it("[ccw-admin-device-17] SET_IND is rejected while a queue above 63 is set up", () => {
    const { enable, command } = makeMachine(63, { adminCount: 2 });
    expect(brief(enable(63))).toEqual(OK);
    expect(brief(command(0x43, be(INDICATORS, 8)))).toEqual(OK);
    command(0x43, be(0, 8));
    expect(brief(enable(64))).toEqual(OK);
    expect(brief(command(0x43, be(INDICATORS, 8)))).toEqual(REJECTED);
  });

  it("[ccw-admin-device-18] SET_VQ above 63 is rejected after SET_IND", () => {
    const { enable, command } = makeMachine(63, { adminCount: 2 });
    command(0x43, be(INDICATORS, 8));
    expect(brief(enable(63))).toEqual(OK);
    expect(brief(enable(64))).toEqual(REJECTED);
  });
});

describe("notifying the driver", () => {
  it("[ccw-classic-interrupt-1] [ccw-admin-device-15] sets classic bits, and interrupts unless an interrupt is pending", () => {
    const { command, enable, use, get, unsolicited, subchannel } = makeMachine(3);
    for (const index of [0, 2, 3]) enable(index);
    command(0x43, be(INDICATORS, 8));
    command(0x31, "0f");
    use(2);
    expect(get(INDICATORS, 8)).toBe("0000000000000004");
    expect(unsolicited()).toEqual([{ kind: "subchannel", subchannelId: 0x10000 }]);
    subchannel.usedBuffers(3);
    expect(get(INDICATORS, 8)).toBe("000000000000000c");
    expect(unsolicited().length).toBe(1);
    subchannel.acceptInterrupt();
    use(0);
    expect(get(INDICATORS, 8)).toBe("000000000000000d");
    expect(unsolicited().length).toBe(2);
  });

  it("[ccw-adapter-interrupt-1] [ccw-adapter-interrupt-2] [ccw-adapter-device-1] [ccw-admin-device-15] sets adapter bits and the summary, and interrupts if that was clear", () => {
    const { command, enable, use, get, put, unsolicited, subchannel } = makeMachine(3);
    for (const index of [0, 2, 3]) enable(index);
    command(0x73, thinint(SUMMARY, AREA, 5, 4));
    command(0x31, "0f");
    use(2);
    expect([get(AREA, 2), get(SUMMARY, 1)]).toEqual(["0100", "01"]);
    expect(unsolicited()).toEqual([{ kind: "adapter", subclass: 4 }]);
    subchannel.usedBuffers(3);
    expect([get(AREA, 2), unsolicited().length]).toEqual(["0180", 1]);
    put(SUMMARY, "00");
    use(0);
    expect([get(AREA, 2), get(SUMMARY, 1), unsolicited().length]).toEqual(["0580", "01", 2]);
  });

  it("[ccw-admin-device-16] sets no bit of a queue that was not set up", () => {
    const { command, enable, get, subchannel, unsolicited } = makeMachine(3);
    enable(0);
    command(0x73, thinint(SUMMARY, AREA, 0, 3));
    command(0x31, "0f");
    for (const queue of [1, 2, 3, 4, 1000]) subchannel.usedBuffers(queue);
    expect([get(AREA, 200), get(SUMMARY, 1)]).toEqual(["00".repeat(200), "00"]);
    expect(unsolicited()).toEqual([]);
  });

  it("[ccw-classic-interrupt-2] sets configuration bit 0 with either kind of queue indicators", () => {
    for (const [code, data] of [
      [0x43, be(INDICATORS, 8)],
      [0x73, thinint(SUMMARY, AREA, 0, 3)],
    ] as const) {
      const { command, get, host, unsolicited } = makeMachine();
      command(code, data);
      command(0x53, be(CONFIGURATION, 8));
      command(0x31, "0f");
      host().configChanged();
      expect(get(CONFIGURATION, 8)).toBe("0000000000000001");
      expect(unsolicited()).toEqual([{ kind: "subchannel", subchannelId: 0x10000 }]);
    }
  });

  it("[ccw-reset-device-3] [ccw-reset-device-4] is over after VDEV_RESET, and while the subchannel is disabled", () => {
    const { command, enable, get, host, subchannel, unsolicited } = makeMachine();
    enable(0);
    command(0x43, be(INDICATORS, 8));
    command(0x53, be(CONFIGURATION, 8));
    command(0x31, "0f");
    const stale = host().queue(0);
    command(0x33);
    subchannel.usedBuffers(0);
    host().publish(0);
    host().configChanged();
    expect(stale?.pop()).toBeUndefined();
    expect([get(INDICATORS, 8), get(CONFIGURATION, 8)]).toEqual(["00".repeat(8), "00".repeat(8)]);
    expect(unsolicited()).toEqual([]);

    const other = makeMachine();
    other.enable(0);
    other.command(0x43, be(INDICATORS, 8));
    other.command(0x31, "0f");
    other.subchannel.modifySubchannel(false);
    other.use(0);
    expect(other.unsolicited()).toEqual([]);
  });
});

describe("the driver half", () => {
  it("[ccw-adapter-driver-1] clears the summary before it looks at the queue indicators", async () => {
    const rig = makeRig({ model: idleModel(2), adminCount: 0 });
    const seen: string[] = [];
    let indicators = 0;
    const driver = new CcwDriver({ dma: rig.dma, bus: loopbackBus(rig.subchannel) });
    const device = await bringUp(driver, { queues: [{ index: 0 }, { index: 1 }] });
    const event = rig.trace.events.find((each) => each.op === "ccw" && each.command === 0x73);
    if (event?.op === "ccw") indicators = Number.parseInt(event.data.slice(0, 16), 16);
    for (const index of [0, 1]) {
      device.queue(index).onUsed = () => {
        const nested = rig.get(indicators, 1);
        seen.push(`${index} ${nested}`);
        // The device signals again while the driver is in its handler: that must not be lost.
        if (seen.length === 1) rig.subchannel.usedBuffers(1);
      };
    }
    rig.subchannel.usedBuffers(0);
    expect(seen).toEqual(["0 00", "1 00"]);
    expect(rig.get(indicators, 1)).toBe("00");
    await device.close();
  });

  it.each([true, false])(
    "hears of configuration changes, adapter interrupts %s",
    async (adapterInterrupts) => {
      const model = idleModel(1);
      const rig = makeRig({ model });
      const bus = loopbackBus(rig.subchannel, { adapterInterrupts });
      const device = await bringUp(new CcwDriver({ dma: rig.dma, bus }), {
        queues: [{ index: 0 }],
      });
      let changes = 0;
      device.onConfigChange(() => {
        changes += 1;
      });
      model.host?.configChanged();
      await expect.poll(() => changes).toBe(1);
      model.host?.configChanged();
      await expect.poll(() => changes).toBe(2);
      await device.close();
    },
  );

  it("[ccw-status-driver-2] reads the status after a change, and so learns that a reset is needed", async () => {
    const model = idleModel(1);
    const rig = makeRig({ model });
    const driver = new CcwDriver({ dma: rig.dma, bus: loopbackBus(rig.subchannel) });
    const device = await bringUp(driver, { queues: [{ index: 0 }] });
    model.host?.needsReset("for the test");
    await expect.poll(() => device.state).toBe("needs-reset");
  });

  it("ignores interrupts of other subchannels and subclasses", async () => {
    const rig = makeRig({ model: idleModel(1) });
    const honest = loopbackBus(rig.subchannel);
    let deliver: ((interrupt: CcwInterrupt) => void) | undefined;
    const driver = new CcwDriver({
      dma: rig.dma,
      bus: {
        ...honest,
        onInterrupt: (listener) => {
          deliver = listener;
        },
      },
    });
    const device = await bringUp(driver, { queues: [{ index: 0 }] });
    let used = 0;
    device.queue(0).onUsed = () => {
      used += 1;
    };
    rig.subchannel.usedBuffers(0);
    deliver?.({ kind: "adapter", subclass: 5 });
    deliver?.({ kind: "subchannel", subchannelId: 7 });
    expect(used).toBe(0);
    deliver?.({ kind: "adapter", subclass: 3 });
    expect(used).toBe(1);
    await device.close();
    expect(deliver).toBeUndefined();
  });
});
