import { inspect } from "node:util";
import { FEATURE, FeatureSet, RING_FEATURES, STATUS } from "@virtio-admin/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FillModel, NotingAdmin } from "./models.ts";
import { makeDevice, negotiate } from "./rig.ts";

const { ACKNOWLEDGE, DRIVER, FEATURES_OK } = STATUS;
const {
  VIRTIO_F_VERSION_1,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_ADMIN_VQ,
  VIRTIO_F_SUSPEND,
  VIRTIO_F_SR_IOV,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_NOTIFICATION_DATA,
} = FEATURE;

describe("offered features", () => {
  it("[reserved-features-device-1] always have VIRTIO_F_VERSION_1, and the ring features by default", () => {
    expect(makeDevice().device.offeredFeatures.bits()).toEqual([
      0,
      1,
      VIRTIO_F_INDIRECT_DESC,
      VIRTIO_F_EVENT_IDX,
      VIRTIO_F_VERSION_1,
      VIRTIO_F_RING_RESET,
    ]);
    expect(makeDevice({ features: [] }).device.offeredFeatures.bits()).toEqual([
      0,
      1,
      VIRTIO_F_VERSION_1,
    ]);
  });

  it("have VIRTIO_F_ADMIN_VQ with an admin facility, unless the transport reserves it", () => {
    const admin = () => new NotingAdmin(1);
    expect(makeDevice({ admin: admin() }).device.offeredFeatures.has(VIRTIO_F_ADMIN_VQ)).toBe(true);
    const reserved = makeDevice({ admin: admin(), reserved: [VIRTIO_F_ADMIN_VQ] });
    expect(reserved.device.offeredFeatures.has(VIRTIO_F_ADMIN_VQ)).toBe(false);
  });

  it("lack what is withheld, until the next call", () => {
    const { device } = makeDevice({ admin: new NotingAdmin(1) });
    device.withholdFeatures([VIRTIO_F_ADMIN_VQ]);
    expect(device.offeredFeatures.has(VIRTIO_F_ADMIN_VQ)).toBe(false);
    device.reset();
    expect(device.offeredFeatures.has(VIRTIO_F_ADMIN_VQ)).toBe(false);
    device.withholdFeatures([]);
    expect(device.offeredFeatures.has(VIRTIO_F_ADMIN_VQ)).toBe(true);
  });

  it("[features-device-1] lack a feature whose requirement the transport takes away", () => {
    const { device } = makeDevice({ reserved: [0] });
    expect(device.offeredFeatures.has(1)).toBe(false);
  });

  it("have what the transport brings", () => {
    expect(makeDevice({ own: [VIRTIO_F_SR_IOV] }).device.offeredFeatures.has(37)).toBe(true);
    expect(makeDevice().device.offeredFeatures.has(37)).toBe(false);
  });

  it.each([VIRTIO_F_RING_PACKED, VIRTIO_F_IN_ORDER, VIRTIO_F_NOTIFICATION_DATA])(
    "have device-independent bit %i on request",
    (bit) => {
      const features = [...RING_FEATURES, bit];
      expect(makeDevice().device.offeredFeatures.has(bit)).toBe(false);
      expect(makeDevice({ features }).device.offeredFeatures.bits()).toEqual(
        expect.arrayContaining(features),
      );
    },
  );

  it.each([VIRTIO_F_SUSPEND, VIRTIO_F_ADMIN_VQ, 24, 44, 127, 128])(
    "[features-device-4] cannot be made to have device-independent bit %i",
    (bit) => {
      expect(() => makeDevice({ features: [bit] })).toThrow(
        expect.objectContaining({ code: "DEVICE_MODEL", path: "features", value: bit }),
      );
    },
  );

  it.each([24, 28, 32, 40, 41, 43, 44, 49, 128, -1])(
    "[features-device-4] cannot be made to have bit %i as a device type's",
    (bit) => {
      const model = Object.assign(new FillModel(), { features: [bit] });
      expect(() => makeDevice({ model })).toThrow(
        expect.objectContaining({ code: "DEVICE_MODEL", path: "model.features", value: bit }),
      );
    },
  );
});

describe("FEATURES_OK", () => {
  it.each([
    ["nothing but VERSION_1", [32], true],
    ["everything", [0, 1, 28, 29, 32, 40], true],
    ["a subset", [0, 29, 32], true],
    ["no VERSION_1", [0, 28], false],
    ["none", [], false],
    ["a bit that is not offered", [2, 32], false],
    ["SUSPEND", [32, 43], false],
    ["an undefined bit", [32, 127], false],
    ["a bit without its requirement", [1, 32], false],
  ])("[features-device-2, features-device-3] %s: %j", (_what, bits, accepted) => {
    const { device, model, trace } = makeDevice();
    expect((negotiate(device, ...bits) & FEATURES_OK) !== 0).toBe(accepted);
    expect(model.host.features.bits()).toEqual(accepted ? bits : []);
    expect(device.negotiated(32)).toBe(accepted);
    const why = trace.events.flatMap((event) => ("why" in event ? [event.why] : []));
    expect(why).toHaveLength(accepted ? 0 : 1);
  });

  it("[features-device-3] stays clear when the device type refuses, or fails at it", () => {
    for (const refuse of [
      () => "not together",
      () => {
        throw new Error("broken");
      },
    ]) {
      const model = Object.assign(new FillModel(), { refuseFeatures: refuse });
      const { device } = makeDevice({ model });
      expect(negotiate(device, 0, 32)).toBe(ACKNOWLEDGE | DRIVER);
    }
  });

  it("ends the writing of features, and a reset begins it again", () => {
    const { device } = makeDevice();
    negotiate(device, 0, 32);
    device.writeDriverFeatures(0, 0);
    expect(device.driverFeatures.bits()).toEqual([0, 32]);
    device.reset();
    expect(device.driverFeatures.isEmpty).toBe(true);
    expect(negotiate(device, 32) & FEATURES_OK).not.toBe(0);
  });

  it("[features-device-5] takes the same features again after a reset", () => {
    const { device } = makeDevice();
    for (let i = 0; i < 3; i++) {
      expect(negotiate(device, 0, 1, 29, 32) & FEATURES_OK).not.toBe(0);
      device.reset();
    }
  });

  it("[features-device-2] accepts every subset that meets its dependencies, and no other set", () => {
    const offered = [0, 1, 28, 29, 32, 40];
    fc.assert(
      fc.property(fc.subarray([...offered, 5, 34, 43]), (bits) => {
        const { device } = makeDevice();
        const good =
          bits.every((bit) => offered.includes(bit)) &&
          bits.includes(32) &&
          (!bits.includes(1) || bits.includes(0));
        expect((negotiate(device, ...bits) & FEATURES_OK) !== 0).toBe(good);
      }),
    );
  });
});

describe("a set of features", () => {
  it("shows its bits wherever Node.js prints it", () => {
    const features = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_ADMIN_VQ);
    expect(inspect({ features })).toBe("{ features: FeatureSet 0x20100000000 }");
  });
});
