import { STATUS } from "@virtio-admin/core";
import {
  HOSTILE_CLASSES,
  type HostilePeer,
  hostileDevice,
  hostileDriver,
  type RingFormat,
} from "@virtio-admin/testkit";
import { describe, expect, it } from "vitest";
import { directFixture, type Faults } from "./direct.ts";

const TIMEOUT_MS = 120_000;
const FORMATS: readonly RingFormat[] = ["split", "packed"];

async function take(peer: HostilePeer, steps: number): Promise<HostilePeer> {
  await peer.run(steps);
  await peer.close();
  return peer;
}

const driverWith = (faults: Faults, steps: number) =>
  take(hostileDriver({ fixture: directFixture(faults), seed: 5 }), steps);
const deviceWith = (faults: Faults, steps: number) =>
  take(hostileDevice({ fixture: directFixture(faults), seed: 5 }), steps);

describe("a hostile driver", { timeout: TIMEOUT_MS }, () => {
  it.each(FORMATS)(
    "finds nothing wrong with devices that behave, and reaches every class of %s rings",
    async (rings) => {
      const peer = await take(hostileDriver({ fixture: directFixture(), seed: 5, rings }), 8000);
      expect(peer.violations).toEqual([]);
      const unreached = HOSTILE_CLASSES[rings].driver.filter((name) => !peer.counts.has(name));
      expect(unreached).toEqual([]);
      expect(peer.steps).toBe(8000);
    },
  );

  it("takes the same steps from the same seed, and others from another", async () => {
    const runs = [5, 5, 6].map((seed) =>
      take(hostileDriver({ fixture: directFixture(), seed }), 1000),
    );
    const [first, again, other] = (await Promise.all(runs)).map(({ counts }) => [...counts]);
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
  });

  it("sees one byte that a device writes outside of what it was given", async () => {
    const peer = await driverWith(
      {
        afterNotify: ({ memory }) => {
          // A guard byte between the rings and the buffers.
          const region = memory.find(0x1_4000_0000, 1);
          if (region !== undefined) region.bytes[8] = (region.bytes[8] ?? 0) ^ 1;
        },
      },
      1000,
    );
    expect(peer.violations.join("\n")).toMatch(/written at 0x140000008/);
  });

  it("sees a device that uses a descriptor of a packed ring out of its turn", async () => {
    const peer = await take(
      hostileDriver({
        fixture: directFixture({
          afterNotify: ({ memory }) => {
            // The word of id and flags in the first descriptor of the first ring.
            const region = memory.find(0x1_4000_0040, 16);
            if (region !== undefined) region.bytes[0x40 + 15] = 0x80;
          },
        }),
        seed: 5,
        rings: "packed",
      }),
      1000,
    );
    expect(peer.violations.join("\n")).toMatch(/queue \d: (written at|a legal buffer)/);
  });

  it("sees a device that asks for a reset without a reason", async () => {
    const peer = await driverWith(
      {
        afterNotify: (device) => {
          Object.defineProperty(device, "status", {
            configurable: true,
            get: () => STATUS.DEVICE_NEEDS_RESET,
          });
        },
      },
      300,
    );
    expect(peer.violations.join("\n")).toMatch(/the device is not broken with status 64/);
  });

  it("sees a device half that throws", async () => {
    const faults: Faults = {
      poke: () => {
        throw new Error("planted");
      },
    };
    expect((await driverWith(faults, 300)).violations.join("\n")).toMatch(/thrown: .*planted/);
  });

  it("sees a buffer of the driver half's that is not given back", async () => {
    const faults: Faults = {
      spoil: (driver, dma) => {
        const { reset } = driver;
        driver.reset = () => {
          dma.allocate(16, 16);
          return reset();
        };
      },
    };
    expect((await driverWith(faults, 2000)).violations.join("\n")).toMatch(
      /bytes of DMA memory are gone/,
    );
  });
});

describe("a hostile device", { timeout: TIMEOUT_MS }, () => {
  it.each(FORMATS)(
    "finds nothing wrong with drivers that behave, and reaches every class of %s rings",
    async (rings) => {
      const peer = await take(hostileDevice({ fixture: directFixture(), seed: 5, rings }), 8000);
      expect(peer.violations).toEqual([]);
      const unreached = HOSTILE_CLASSES[rings].device.filter((name) => !peer.counts.has(name));
      expect(unreached).toEqual([]);
    },
  );

  it("takes the same steps from the same seed", async () => {
    const runs = [7, 7].map((seed) => take(hostileDevice({ fixture: directFixture(), seed }), 600));
    const [first, again] = (await Promise.all(runs)).map(({ counts }) => [...counts]);
    expect(again).toEqual(first);
  });

  it("sees an error that is none of the project's", async () => {
    const faults: Faults = {
      spoil: (driver) => {
        driver.readConfig = () => Promise.reject(new TypeError("planted"));
      },
    };
    expect((await deviceWith(faults, 300)).violations.join("\n")).toMatch(/readConfig: .*planted/);
  });

  it("sees a promise that never settles", async () => {
    const faults: Faults = {
      spoil: (driver) => {
        driver.resetQueue = () => new Promise(() => undefined);
      },
    };
    expect((await deviceWith(faults, 2000)).violations.join("\n")).toMatch(/never settled/);
  });

  it("sees memory that a driver half keeps", async () => {
    const faults: Faults = {
      spoil: (driver, dma) => {
        const { open } = driver;
        driver.open = () => {
          dma.allocate(16, 16);
          return open();
        };
      },
    };
    expect((await deviceWith(faults, 600)).violations.join("\n")).toMatch(
      /bytes of DMA memory are gone/,
    );
  });
});
