import type { DeviceModel } from "@virtio-admin/core";
import { describe, expect, it } from "vitest";
import { FillModel } from "./models.ts";
import { makeDevice, makePort } from "./rig.ts";

describe("what a device is made from", () => {
  const broken: [string, Partial<DeviceModel>, string][] = [
    ["device id 0", { deviceId: 0 }, "model.deviceId"],
    ["a queue size of 6", { queues: [{ name: "q", maxSize: 6 }] }, "model.queues[0].maxSize"],
    [
      "a queue size of 65536",
      { queues: [{ name: "q", maxSize: 65536 }] },
      "model.queues[0].maxSize",
    ],
  ];
  it.each(broken)("cannot have %s", (_what, part, path) => {
    const model = Object.assign(new FillModel(), part);
    expect(() => makeDevice({ model })).toThrow(
      expect.objectContaining({ code: "DEVICE_MODEL", path }),
    );
  });

  it("is connected once", () => {
    const { device } = makeDevice();
    expect(() => device.connect(makePort())).toThrow(
      expect.objectContaining({ code: "TRANSPORT" }),
    );
  });
});
