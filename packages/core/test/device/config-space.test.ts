import { ConfigSpace, STATUS } from "@virtio-admin/core";
import { describe, expect, it } from "vitest";
import { FillModel } from "./models.ts";
import { goLive, makeDevice, setDriverOk } from "./rig.ts";

const { DEVICE_NEEDS_RESET } = STATUS;

describe("the configuration space", () => {
  const make = () =>
    new ConfigSpace({
      bytes: Uint8Array.of(1, 2, 3, 4),
      writable: Uint8Array.of(0, 0xf0),
    });

  it("[config-space-device-1] can be read before FEATURES_OK; what is outside reads 0", () => {
    const { device } = makeDevice({ model: new FillModel(make()) });
    const bytes = new Uint8Array(6).fill(9);
    device.readConfig(1, bytes);
    expect([...bytes]).toEqual([2, 3, 4, 0, 0, 0]);
    expect(device.configLength).toBe(4);
    const none = makeDevice().device;
    none.readConfig(0, bytes);
    expect([[...bytes], none.configLength]).toEqual([[0, 0, 0, 0, 0, 0], 0]);
  });

  it("takes what the mask allows, after FEATURES_OK, and a reset undoes it", () => {
    const rig = makeDevice({ model: new FillModel(make()) });
    const read = () => {
      const bytes = new Uint8Array(4);
      rig.device.readConfig(0, bytes);
      return [...bytes];
    };
    const write = () => rig.device.writeConfig(0, Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff));
    write();
    expect(read()).toEqual([1, 2, 3, 4]);
    goLive(rig);
    write();
    expect(read()).toEqual([1, 0xf2, 3, 4]);
    rig.device.reset();
    expect(read()).toEqual([1, 2, 3, 4]);
  });

  it("[config-space-device-2] raises its generation once for each change, and tells the driver after DRIVER_OK", () => {
    const config = make();
    const model = new FillModel(config);
    const rig = makeDevice({ model });
    const change = () => {
      config.update((view) => view.setUint16(2, 0xabcd, true));
      model.host.configChanged();
    };
    change();
    expect([rig.device.configGeneration, rig.port.calls]).toEqual([1, []]);
    goLive(rig);
    setDriverOk(rig);
    change();
    expect([rig.device.configGeneration, rig.port.calls]).toEqual([2, ["config"]]);
  });

  it("tells of a change without an update by raising the generation itself", () => {
    const config = make();
    const model = new FillModel(config);
    const rig = makeDevice({ model });
    goLive(rig);
    setDriverOk(rig);
    model.host.configChanged();
    expect(rig.device.configGeneration).toBe(1);
    config.update((_, bytes) => bytes.fill(7));
    model.host.configChanged();
    expect([rig.device.configGeneration, rig.port.calls]).toEqual([2, ["config", "config"]]);
  });

  it("tells the device type of the driver's writes, and survives its failing", () => {
    const seen: [number, number][] = [];
    const config = new ConfigSpace({
      bytes: new Uint8Array(2),
      writable: Uint8Array.of(0xff, 0xff),
      written: (offset, length) => {
        seen.push([offset, length]);
        if (seen.length === 2) throw new Error("cannot");
      },
    });
    const rig = makeDevice({ model: new FillModel(config) });
    goLive(rig);
    rig.device.writeConfig(1, Uint8Array.of(5));
    rig.device.writeConfig(1, Uint8Array.of(5));
    expect([seen, rig.device.status & DEVICE_NEEDS_RESET]).toEqual([[[1, 1]], 0]);
    rig.device.writeConfig(0, Uint8Array.of(6, 6));
    expect(rig.device.status & DEVICE_NEEDS_RESET).not.toBe(0);
  });

  it("refuses a mask that is longer than the bytes", () => {
    expect(
      () => new ConfigSpace({ bytes: new Uint8Array(1), writable: new Uint8Array(2) }),
    ).toThrow(expect.objectContaining({ code: "DEVICE_MODEL" }));
  });
});
