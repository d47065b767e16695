/** The two ends of a bus: order, overlapping accesses, interrupts, and ends. */
import {
  createGuestMemory,
  type RegisterLayout,
  STATUS,
  VirtioDevice,
  VirtioError,
} from "@virtio-admin/core";
import { createEntropy, ENTROPY_DEVICE_ID } from "@virtio-admin/devices";
import { MMIO_REFERENCE_LAYOUT, MmioDevice } from "@virtio-admin/transport-mmio";
import { afterEach, describe, expect, it } from "vitest";
import { serveBus, ThreadBus } from "../src/index.ts";

const { registers }: RegisterLayout = MMIO_REFERENCE_LAYOUT;
const at = (name: string) => registers[name]?.offset ?? Number.NaN;
const MAGIC = 0x74726976;

/** A window that remembers what was done to it. */
class LoggedWindow extends MmioDevice {
  readonly log: string[] = [];

  override read(offset: number, size: number): number {
    this.log.push(`read ${offset}`);
    if (size === 3) throw new Error("a device half with a fault in it");
    return super.read(offset, size);
  }

  override write(offset: number, size: number, value: number): void {
    this.log.push(`write ${offset} ${value}`);
    super.write(offset, size, value);
  }
}

const buses: ThreadBus[] = [];
const endings: AbortController[] = [];
afterEach(() => {
  const closed = new VirtioError("DEVICE_THREAD", { message: "the test has ended" });
  for (const bus of buses.splice(0)) bus.end(closed, true);
  for (const ending of endings.splice(0)) ending.abort();
});

function rig(polls = 10) {
  const memory = createGuestMemory([{ base: 0, bytes: new Uint8Array(4096) }]);
  const device = new VirtioDevice({ model: createEntropy(), memory });
  const window = new LoggedWindow({ device });
  const bus = new ThreadBus({ polls });
  const ending = new AbortController();
  buses.push(bus);
  endings.push(ending);
  const serve = () => serveBus(bus.words, window, { polls, signal: ending.signal });
  return { device, window, bus, ending, serve };
}

describe("a bus between threads", () => {
  it("gives each of many accesses at once its own answer, in order", async () => {
    const { window, bus, serve } = rig();
    const asked = [
      bus.read(at("MagicValue"), 4),
      bus.write(at("Status"), 4, STATUS.ACKNOWLEDGE),
      bus.read(at("Status"), 4),
      bus.read(at("DeviceID"), 4),
    ];
    void serve();
    expect(await Promise.all(asked)).toEqual([
      MAGIC,
      undefined,
      STATUS.ACKNOWLEDGE,
      ENTROPY_DEVICE_ID,
    ]);
    expect(window.log).toEqual([
      `read ${at("MagicValue")}`,
      `write ${at("Status")} ${STATUS.ACKNOWLEDGE}`,
      `read ${at("Status")}`,
      `read ${at("DeviceID")}`,
    ]);
  });

  it.each([0, 31, 32, 0xffff])(
    "carries a notification of queue %i out before the access behind it",
    async (queue) => {
      const { window, bus, serve } = rig();
      expect(bus.write(at("QueueNotify"), 4, queue)).toBeUndefined();
      const answer = bus.read(at("MagicValue"), 4);
      void serve();
      await answer;
      expect(window.log).toEqual([
        `write ${at("QueueNotify")} ${queue}`,
        `read ${at("MagicValue")}`,
      ]);
    },
  );

  it("waits for a notification that carries data as for any access", async () => {
    const { window, bus, serve } = rig();
    void serve();
    await bus.write(at("QueueNotify"), 4, 0x8003_0001);
    expect(window.log).toEqual([`write ${at("QueueNotify")} ${0x8003_0001}`]);
  });

  it("tells of an interrupt that rises in the middle of an access", async () => {
    const { window, bus, serve } = rig();
    let told = 0;
    bus.onInterrupt(() => told++);
    const answer = bus.read(at("InterruptStatus"), 4);
    void serve();
    window.configurationChange();
    await answer;
    await bus.read(at("MagicValue"), 4);
    expect(told).toBe(1);
  });

  it("tells who comes to listen of a line that is high, and nobody of one that fell", async () => {
    const { window, bus, serve } = rig();
    window.configurationChange();
    void serve();
    await bus.read(at("MagicValue"), 4);
    let told = 0;
    bus.onInterrupt(() => told++);
    expect(told).toBe(1);
    const status = await bus.read(at("InterruptStatus"), 4);
    await bus.write(at("InterruptACK"), 4, status);
    bus.onInterrupt(() => told++);
    await bus.read(at("MagicValue"), 4);
    expect(told).toBe(1);
    bus.onInterrupt(undefined);
    window.configurationChange();
    await bus.read(at("MagicValue"), 4);
    expect(told).toBe(1);
  });

  it("fails an access whose device half throws, and that alone", async () => {
    const { bus, serve } = rig();
    void serve();
    await expect(bus.read(0, 3)).rejects.toMatchObject({ code: "DEVICE_THREAD" });
    expect(await bus.read(at("MagicValue"), 4)).toBe(MAGIC);
    expect(bus.ended).toBeUndefined();
  });

  it("ends with its driver told or not, and fails what is under way and what comes later", async () => {
    const why = new VirtioError("DEVICE_THREAD", { message: "it is over" });
    for (const quietly of [false, true]) {
      const { bus } = rig();
      let told = 0;
      bus.onInterrupt(() => told++);
      const answer = bus.read(at("MagicValue"), 4);
      bus.end(why, quietly);
      bus.end(new VirtioError("DEVICE_THREAD", { message: "again" }));
      await expect(answer).rejects.toBe(why);
      await expect(bus.read(0, 4)).rejects.toBe(why);
      await expect(bus.write(at("QueueNotify"), 4, 0)).rejects.toBe(why);
      expect([bus.ended, told]).toEqual([why, quietly ? 0 : 1]);
    }
  });

  it("is not served any more once that was ended, awake or asleep", async () => {
    for (const polls of [0, 100_000]) {
      const { window, bus, ending, serve } = rig(polls);
      const served = serve();
      await bus.read(at("MagicValue"), 4);
      ending.abort();
      await served;
      expect(window.onInterrupt).toBeUndefined();
    }
    const { ending, serve } = rig();
    ending.abort();
    await serve();
  });
});
