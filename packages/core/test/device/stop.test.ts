/** Devices that stop and go on: what is finished before, what waits, what stays away meanwhile. */
import { ConfigSpace, FEATURE, type RegionMemory, STATUS } from "@virtio-admin/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FillModel, HoldModel, NotingAdmin } from "./models.ts";
import { enable, goLive, makeDevice, type Rig, setDriverOk } from "./rig.ts";

const { DRIVER_OK, DEVICE_NEEDS_RESET } = STATUS;
const { VIRTIO_F_EVENT_IDX } = FEATURE;

const bytesOf = (memory: RegionMemory) =>
  memory.regions.map(({ bytes }) => Buffer.from(bytes).toString("base64"));

/** A device at work whose model keeps what it pops; `buffers` are available in queue 0. */
function holding(buffers: number, most = Number.POSITIVE_INFINITY) {
  const model = new HoldModel();
  model.most = most;
  const rig = makeDevice({ model });
  goLive(rig);
  const first = enable(rig, 0, buffers);
  const second = enable(rig, 1);
  setDriverOk(rig);
  rig.device.notify(0);
  return { rig, model, first, second, device: rig.device };
}

/** What a promise of a stop has come to so far. */
async function watch(stopping: true | Promise<boolean>) {
  const seen: { answer?: boolean } = {};
  void Promise.resolve(stopping).then((answer) => {
    seen.answer = answer;
  });
  const look = async () => {
    for (let i = 0; i < 5; i++) await Promise.resolve();
    return seen.answer;
  };
  await look();
  return look;
}

describe("a device that is to stop", () => {
  it("stops at once when it holds no buffer", () => {
    const rig = makeDevice();
    goLive(rig);
    const { usedIdx } = enable(rig, 0, 3);
    setDriverOk(rig);
    rig.device.notify(0);
    expect([rig.device.stopped, rig.device.stop(), rig.device.stopped]).toEqual([
      false,
      true,
      true,
    ]);
    expect([usedIdx(), rig.port.calls]).toEqual([3, ["used 0"]]);
    expect(rig.trace.events.at(-1)).toEqual({ op: "stop" });
  });

  it("[device-parts-device-12+] first uses every buffer that it took, and takes no other", async () => {
    const { rig, model, first, device } = holding(4, 2);
    expect([model.held.length, first.usedIdx()]).toEqual([2, 0]);
    const look = await watch(device.stop());
    device.notify(0);
    expect([await look(), device.stopped, model.held.length]).toEqual([undefined, false, 2]);
    model.use();
    expect([await look(), device.stopped, first.usedIdx()]).toEqual([undefined, false, 1]);
    model.use();
    expect([device.stopped, await look(), first.usedIdx()]).toEqual([true, true, 2]);
    expect(rig.port.calls).toEqual(["used 0", "used 0"]);
    device.resume();
    expect(model.held.length).toBe(2);
  });

  it("asks consumers to give back what they keep until something happens", () => {
    const { model, first, device } = holding(3);
    model.givesBack = true;
    expect([device.stop(), first.usedIdx(), model.calls.at(-1)]).toEqual([true, 3, "stopping"]);
  });

  it("publishes what a consumer has written and not published", async () => {
    const { rig, model, first, device } = holding(1);
    const look = await watch(device.stop());
    const { queue, chain } = model.held.shift()!;
    queue.push(chain, 0);
    expect([await look(), first.usedIdx()]).toEqual([undefined, 0]);
    device.notify(0);
    expect([await look(), first.usedIdx(), rig.port.calls]).toEqual([true, 1, ["used 0"]]);
  });

  it("tells the driver of all that it has used before it is stopped", async () => {
    const { rig, model, device } = holding(2);
    const states: boolean[] = [];
    rig.port.onUsed = () => states.push(device.stopped);
    const look = await watch(device.stop());
    model.use();
    model.use();
    expect([await look(), states]).toEqual([true, [false, false]]);
  });

  it("waits for the end of its consumer, when that has it stopped", async () => {
    const { rig, device, model } = holding(0);
    let stopping: true | Promise<boolean> = true;
    model.onNotified = () => {
      model.onNotified = undefined;
      stopping = device.stop();
    };
    device.notify(0);
    expect([typeof stopping, await stopping, device.stopped]).toEqual(["object", true, true]);
    expect([rig.port.calls, model.calls.at(-2)]).toEqual([[], "notified 0"]);
  });

  it("can be stopped by a driver that is being interrupted", async () => {
    const rig = makeDevice();
    goLive(rig);
    enable(rig, 0, 1);
    setDriverOk(rig);
    let stopping: true | Promise<boolean> = true;
    rig.port.onUsed = () => {
      stopping = rig.device.stop();
    };
    rig.device.notify(0);
    expect([await stopping, rig.device.stopped]).toEqual([true, true]);
  });

  it("goes on when it is told so before it has stopped", async () => {
    const { model, device, first } = holding(3, 1);
    const look = await watch(device.stop());
    device.resume();
    expect([await look(), device.stopped, model.held.length]).toEqual([false, false, 2]);
    model.use();
    expect(first.usedIdx()).toBe(1);
  });

  it("does not wait for ever when its consumer has it go on at once", async () => {
    const { model, device } = holding(1);
    model.stopping = () => device.resume();
    expect([await device.stop(), device.stopped, model.host.running]).toEqual([false, false, true]);
  });

  it.each(["reset", "needs reset", "queue reset"])(
    "waits for no buffer that a %s takes away",
    async (how) => {
      const { rig, model, device } = holding(2);
      const look = await watch(device.stop());
      expect(await look()).toBeUndefined();
      if (how === "reset") device.reset();
      else if (how === "queue reset") device.resetQueue(0);
      else model.host.needsReset("test");
      expect([await look(), device.stopped]).toEqual([true, true]);
      if (how === "needs reset") expect(rig.port.calls).toEqual(["config"]);
    },
  );

  it("finishes what a long run of notifications has put off", async () => {
    const rig = makeDevice();
    goLive(rig);
    enable(rig, 0, 1);
    setDriverOk(rig);
    let visits = 0;
    rig.model.onNotified = () => {
      if (visits++ < 400) rig.model.host.revisit(0);
    };
    rig.device.notify(0);
    expect(visits).toBeLessThan(400);
    expect(rig.device.stop()).toBe(true);
    const before = visits;
    await new Promise((resolve) => setTimeout(resolve));
    expect(visits).toBe(before);
    rig.device.resume();
    await expect.poll(() => visits).toBeGreaterThan(400);
  });
});

describe("a stopped device", () => {
  it("[device-parts-device-18-] reads and writes no memory, whatever is asked of it", () => {
    const { rig, model, device } = holding(2, 0);
    const kept = model.host.queue(0)!;
    device.stop();
    const before = bytesOf(rig.memory);
    let reads = 0;
    const { find, read } = rig.memory;
    rig.memory.find = (...range) => {
      reads++;
      return find.apply(rig.memory, range);
    };
    rig.memory.read = (...range) => {
      reads++;
      return read.apply(rig.memory, range);
    };
    device.notify(0);
    device.notify(1);
    model.host.publish(0);
    model.host.revisit(0);
    model.host.checkDefect(0);
    expect([model.host.queue(0), model.host.running, kept.pop()]).toEqual([
      undefined,
      false,
      undefined,
    ]);
    kept.disableNotifications();
    expect([kept.notifications, kept.enableNotifications(), kept.publish()]).toEqual([
      false,
      false,
      false,
    ]);
    device.writeConfig(0, Uint8Array.of(1));
    expect([bytesOf(rig.memory), reads]).toEqual([before, 0]);
  });

  it("tells the driver afterwards what it wants to be notified of", () => {
    const { model, device, rig, first } = holding(0);
    const kept = model.host.queue(0)!;
    const usedFlags = () =>
      rig.memory.find(first.place.deviceArea, 2)!.bytes[first.place.deviceArea - 0x10_0000];
    device.stop();
    kept.disableNotifications();
    expect(usedFlags()).toBe(0);
    device.resume();
    expect(usedFlags()).toBe(1);
    device.stop();
    kept.enableNotifications();
    kept.disableNotifications();
    device.resume();
    expect([usedFlags(), kept.notifications]).toEqual([1, false]);
    device.stop();
    kept.enableNotifications();
    device.resume();
    expect(usedFlags()).toBe(0);
  });

  it("[device-parts-device-13+] takes notifications, and acts on them when it goes on", () => {
    const { model, first, second, device } = holding(0);
    device.stop();
    first.setAvailIdx(1);
    device.notify(0);
    device.notify(1);
    device.notify(7);
    expect(model.held).toEqual([]);
    device.resume();
    expect([model.held.length, second.usedIdx()]).toEqual([1, 0]);
  });

  it("finds what was made available without a notification, too", () => {
    const { model, first, device } = holding(0);
    device.stop();
    first.setAvailIdx(1);
    device.resume();
    expect(model.held.length).toBe(1);
  });

  it("[device-parts-device-19-] sends no notification; a change of the configuration is told when it goes on", () => {
    const config = new ConfigSpace({ bytes: new Uint8Array(4) });
    const model = new FillModel(config);
    const rig = makeDevice({ model });
    goLive(rig);
    enable(rig, 0);
    setDriverOk(rig);
    rig.device.stop();
    model.host.configChanged();
    model.host.publish(0);
    expect([rig.port.calls, rig.device.configGeneration]).toEqual([[], 1]);
    rig.device.resume();
    expect(rig.port.calls).toEqual(["config"]);
  });

  it("tells of a failure when it goes on", () => {
    const { rig, model, device } = holding(0);
    device.stop();
    model.host.needsReset("test");
    expect([device.status & DEVICE_NEEDS_RESET, rig.port.calls]).toEqual([DEVICE_NEEDS_RESET, []]);
    device.resume();
    expect([rig.port.calls, model.host.running]).toEqual([["config"], false]);
  });

  it("is stopped by a second stop, and goes on once", () => {
    const { rig, device } = holding(0);
    device.resume();
    expect([device.stop(), device.stop(), device.stopped]).toEqual([true, true, true]);
    device.resume();
    device.resume();
    expect(device.stopped).toBe(false);
    expect(rig.trace.events.filter(({ op }) => op === "stop" || op === "resume")).toEqual([
      { op: "stop" },
      { op: "resume" },
    ]);
  });

  it("answers its registers, and lets a driver set it up", () => {
    const model = new FillModel();
    const rig = makeDevice({ model });
    rig.device.stop();
    goLive(rig);
    const { enabled, usedIdx } = enable(rig, 0, 2);
    setDriverOk(rig);
    rig.device.notify(0);
    expect([enabled, rig.device.queueEnabled(0), rig.device.status & DRIVER_OK]).toEqual([
      true,
      true,
      DRIVER_OK,
    ]);
    expect([model.calls, usedIdx(), rig.port.calls]).toEqual([[], 0, []]);
    rig.device.resume();
    expect(model.calls.slice(0, 2)).toEqual(["start", "notified 0"]);
    expect([usedIdx(), rig.port.calls]).toEqual([2, ["used 0"]]);
  });

  it("[device-parts-device-25+] is reset as ever, and stays stopped", () => {
    const { rig, device, model } = holding(1, 0);
    device.stop();
    device.writeStatus(0);
    expect([device.status, device.stopped, String(device.driverFeatures)]).toEqual([
      0,
      true,
      "0x0",
    ]);
    expect([device.queueEnabled(0), device.queueSize(0), model.calls.at(-1)]).toEqual([
      false,
      8,
      "reset",
    ]);
    device.resume();
    expect([device.stopped, rig.port.calls]).toEqual([false, ["reset"]]);
  });

  it("goes on after a reset of its function", async () => {
    const { device, model } = holding(2, 1);
    const look = await watch(device.stop());
    // A stop that is under way outlasts it: whoever asked for it is told the truth.
    device.resetFunction(() => device.reset());
    expect([await look(), device.stopped]).toEqual([true, true]);
    device.resetFunction(() => device.reset());
    expect([device.stopped, model.held]).toEqual([false, []]);
  });

  it("says that a reset goes on", async () => {
    const { device, model } = holding(0);
    const seen: unknown[] = [];
    const note = (what: string) => () => {
      seen.push(what, device.stopped);
    };
    let stopping: true | Promise<boolean> = true;
    model.reset = () => {
      void device.resetUnderWay?.then(note("over"));
      stopping = device.stop();
      seen.push(device.stopped);
    };
    expect(device.resetUnderWay).toBeUndefined();
    device.resetFunction(() => {
      device.reset();
      seen.push(device.resetUnderWay instanceof Promise, device.stopped);
    });
    expect([device.resetUnderWay, device.stopped, await stopping]).toEqual([undefined, true, true]);
    expect(seen).toEqual([false, true, false, "over", true]);
  });

  it("has administration virtqueues stop and go on like any other", () => {
    const admin = new NotingAdmin(1);
    const rig = makeDevice({ admin });
    goLive(rig, FEATURE.VIRTIO_F_ADMIN_VQ);
    enable(rig, 2);
    rig.device.stop();
    setDriverOk(rig);
    rig.device.notify(2);
    expect(admin.calls).toEqual(["attach"]);
    rig.device.resume();
    expect(admin.calls).toEqual(["attach", "notified 2"]);
  });

  it("breaks on a ring that was spoilt meanwhile, once it goes on", () => {
    const { first, device, rig } = holding(0);
    device.stop();
    first.setAvailIdx(100);
    device.notify(0);
    expect(device.status & DEVICE_NEEDS_RESET).toBe(0);
    device.resume();
    expect([device.status & DEVICE_NEEDS_RESET, rig.port.calls]).toEqual([
      DEVICE_NEEDS_RESET,
      ["config"],
    ]);
  });
});

type Step = "offer" | "notify" | "use" | "stop" | "resume" | "config" | "reset";

/** Does a step to a device; everything that its driver can see goes to `seen`. */
function apply(step: Step, rig: Rig, model: HoldModel, restarts: boolean): void {
  const { device } = rig;
  switch (step) {
    case "notify":
      device.notify(0);
      break;
    case "use":
      if (model.held.length > 0) model.use();
      break;
    case "config":
      model.host.configChanged();
      break;
    case "stop":
      if (restarts) void device.stop();
      break;
    case "resume":
      if (restarts) device.resume();
      break;
    case "reset":
      device.reset();
      break;
    default:
  }
}

describe("stops and resumes in between", () => {
  it("lose no buffer and no notification, and use none twice", () => {
    const steps = fc.array(
      fc.constantFrom<Step>("offer", "offer", "notify", "use", "use", "stop", "resume", "config"),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(steps, fc.boolean(), (history, eventIdx) => {
        const run = (restarts: boolean) => {
          const model = new HoldModel(new ConfigSpace({ bytes: new Uint8Array(1) }));
          const rig = makeDevice({ model });
          goLive(rig, ...(eventIdx ? [VIRTIO_F_EVENT_IDX] : []));
          const queue = enable(rig, 0);
          setDriverOk(rig);
          let offered = 0;
          for (const step of history) {
            if (step === "offer" && offered < 8) {
              queue.setRing(offered, offered);
              queue.setAvailIdx(++offered);
            }
            apply(step, rig, model, restarts);
          }
          rig.device.resume();
          rig.device.notify(0);
          while (model.held.length > 0) model.use();
          const told = rig.port.calls.includes("config");
          return [queue.usedIdx(), offered, told, rig.device.status];
        };
        const twin = run(false);
        expect(run(true)).toEqual(twin);
        expect(twin[0]).toBe(twin[1]);
      }),
      { numRuns: 200 },
    );
  });

  it("never touch memory while the device is stopped", () => {
    const steps = fc.array(
      fc.constantFrom<Step>("notify", "use", "stop", "resume", "config", "reset"),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(steps, (history) => {
        const { rig, model, device } = holding(6, 2);
        for (const step of history) {
          const before = device.stopped ? bytesOf(rig.memory) : undefined;
          const calls = rig.port.calls.length;
          apply(step, rig, model, true);
          if (before === undefined || step === "resume") continue;
          expect(bytesOf(rig.memory)).toEqual(before);
          const told = rig.port.calls.slice(calls).filter((call) => call !== "reset");
          expect([device.stopped, told]).toEqual([true, []]);
        }
      }),
      { numRuns: 200 },
    );
  });
});
