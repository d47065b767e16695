import {
  judgeStatusWrite,
  RING_FEATURES,
  STATUS,
  statusNames,
  VirtioDevice,
} from "@virtio-admin/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { makeMemory } from "../direct-transport.ts";
import { FillModel } from "./models.ts";

const { ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, SUSPEND, DEVICE_NEEDS_RESET, FAILED } = STATUS;

describe("writes of device status", () => {
  it.each([
    [0x00, 0x01, 0x01],
    [0x00, 0x03, 0x03],
    [0x01, 0x03, 0x03],
    [0x03, 0x0b, 0x0b],
    [0x0b, 0x0f, 0x0f],
    [0x0f, 0x0f, 0x0f],
    [0x00, 0x80, 0x80],
    [0x0f, 0x8f, 0x8f],
    [0x4f, 0xcf, 0xcf],
    [0x4f, 0x8f, 0xcf],
    [0x0f, 0x4f, 0x0f],
    [0x0f, 0x1f, 0x0f],
    [0x0f, 0x2f, 0x0f],
  ])("%#: %i and then %i makes %i", (current, value, result) => {
    const verdict = judgeStatusWrite(current, value);
    expect(verdict.kind === "set" && current | verdict.bits).toBe(result);
  });

  it.each([
    ["DRIVER before ACKNOWLEDGE", 0x00, 0x02],
    ["FEATURES_OK before DRIVER", 0x01, 0x09],
    ["DRIVER_OK without FEATURES_OK", 0x03, 0x07],
    ["DRIVER_OK together with FEATURES_OK", 0x03, 0x0f],
    ["ACKNOWLEDGE cleared", 0x03, 0x02],
    ["DRIVER_OK cleared", 0x0f, 0x0b],
    ["FAILED cleared", 0x83, 0x03],
    ["going on after FAILED", 0x83, 0x8b],
  ])("[status-driver-2, init-driver-1] refuses %s", (_what, current, value) => {
    expect(judgeStatusWrite(current, value).kind).toBe("refused");
  });

  it("names the bits", () => {
    expect(statusNames(0)).toBe("0");
    expect(statusNames(0x4f)).toBe(
      "ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK | DEVICE_NEEDS_RESET",
    );
    expect(statusNames(SUSPEND | 0x20)).toBe("SUSPEND | 0x20");
  });
});

/** What the specification leaves a device to do, told step by step rather than by a table. */
class Expected {
  status = 0;
  featuresGood = false;

  write(value: number): boolean {
    if (value === 0) {
      this.status = 0;
      this.featuresGood = false;
      return true;
    }
    const asked = value & ~(SUSPEND | 0x20 | DEVICE_NEEDS_RESET);
    const now = this.status & ~DEVICE_NEEDS_RESET;
    if ((now & ~asked) !== 0) return false;
    const fresh = asked & ~now;
    if ((now & FAILED) !== 0 && fresh !== 0) return false;
    if (fresh & DRIVER && !(asked & ACKNOWLEDGE)) return false;
    if (fresh & FEATURES_OK && !((asked & DRIVER) !== 0 && (asked & ACKNOWLEDGE) !== 0)) {
      return false;
    }
    if (fresh & DRIVER_OK && !(now & FEATURES_OK)) return false;
    this.status |= this.featuresGood ? fresh : fresh & ~FEATURES_OK;
    return true;
  }
}

interface Real {
  readonly device: VirtioDevice;
  readonly model: FillModel;
}

class WriteStatus implements fc.Command<Expected, Real> {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
  check(): boolean {
    return true;
  }
  run(expected: Expected, { device, model }: Real): void {
    expect(device.writeStatus(this.value)).toBe(expected.write(this.value));
    expect(device.status).toBe(expected.status);
    const running =
      (expected.status & DRIVER_OK) !== 0 && (expected.status & DEVICE_NEEDS_RESET) === 0;
    expect(model.host.running).toBe(running);
    expect(model.host.features.isEmpty).toBe((expected.status & FEATURES_OK) === 0);
  }
  toString(): string {
    return `status 0x${this.value.toString(16)}`;
  }
}

class WriteFeatures implements fc.Command<Expected, Real> {
  readonly good: boolean;
  constructor(good: boolean) {
    this.good = good;
  }
  check(): boolean {
    return true;
  }
  run(expected: Expected, { device }: Real): void {
    const before = device.driverFeatures;
    device.writeDriverFeatures(1, this.good ? 1 : 0);
    if ((expected.status & FEATURES_OK) !== 0)
      expect(device.driverFeatures.equals(before)).toBe(true);
    else expected.featuresGood = this.good;
  }
  toString(): string {
    return this.good ? "features" : "no features";
  }
}

class Break implements fc.Command<Expected, Real> {
  check(): boolean {
    return true;
  }
  run(expected: Expected, { device, model }: Real): void {
    model.host.needsReset("test");
    expected.status |= DEVICE_NEEDS_RESET;
    expect(device.status).toBe(expected.status);
  }
  toString(): string {
    return "needs reset";
  }
}

describe("the status machine", () => {
  it("[status-driver-2, reset-device-1, features-device-3] keeps to its model under any sequence of writes", () => {
    const steps = [0x00, 0x01, 0x03, 0x0b, 0x0f];
    fc.assert(
      fc.property(
        fc.commands(
          [
            fc.constantFrom(...steps).map((value) => new WriteStatus(value)),
            fc.integer({ min: 0, max: 0xff }).map((value) => new WriteStatus(value)),
            fc.boolean().map((good) => new WriteFeatures(good)),
            fc.constant(new Break()),
          ],
          { maxCommands: 40 },
        ),
        (commands) => {
          const model = new FillModel();
          const device = new VirtioDevice({
            model,
            memory: makeMemory(0x1000).memory,
            features: RING_FEATURES,
          });
          fc.modelRun(() => ({ model: new Expected(), real: { device, model } }), commands);
        },
      ),
      { numRuns: 300 },
    );
  });
});
