import {
  ADMIN_SETTINGS,
  COMMAND_FAMILY,
  connectOwner,
  container,
  DEVICE_MODEL,
  type DependencyContainer,
  DMA,
  GROUP_TYPE,
  GUEST_MEMORY,
  registerCore,
  resolveOwner,
  resolveTransport,
  TRACE_SINK,
  TRANSPORT,
} from "@virtio-admin/core/di";
import { beforeEach, describe, expect, it } from "vitest";
import { PlatformGroup } from "../../src/group/index.ts";
import { createGuestMemory, DmaArena } from "../../src/memory/index.ts";
import type { TraceEvent } from "../../src/trace/index.ts";
import type { TransportPlugin } from "../../src/transport/index.ts";
import { OP, TestFamily } from "../admin/rig.ts";

const BASE = 0x1000;
const model = {
  name: "test",
  deviceId: 4,
  features: [],
  queues: [{ name: "requestq", maxSize: 8 }],
  attach() {},
  queueNotified() {},
  reset() {},
};

function transport(name: string): TransportPlugin {
  return {
    description: {
      name,
      title: name,
      layouts: [],
      adminQueueLocation: "",
      adminQueueForm: "",
      adminQueueGate: "",
      adminQueueStatus: "reference layout",
      groupTypes: [],
      interrupts: "",
      queueReset: "",
      reservedFeatures: [],
    },
    loopback: (device, { dma }) => ({ driver: { name, device, dma }, close() {} }) as never,
  };
}

describe("composition", () => {
  let own: DependencyContainer;
  const memory = createGuestMemory([{ base: BASE, bytes: new Uint8Array(0x1000) }]);
  beforeEach(() => {
    own = container.createChildContainer();
    registerCore(own);
    own.register(DEVICE_MODEL, { useValue: model });
    own.register(GUEST_MEMORY, { useValue: memory });
  });

  it("puts an owner together, once for each container", () => {
    const owner = resolveOwner(own);
    expect(resolveOwner(own)).toBe(owner);
    expect(owner.device.deviceId).toBe(4);
    expect(owner.executor.groups.map(({ type }) => type.name)).toEqual(["Self"]);
    const other = container.createChildContainer();
    registerCore(other);
    other.register(DEVICE_MODEL, { useValue: model });
    other.register(GUEST_MEMORY, { useValue: memory });
    expect(resolveOwner(other)).not.toBe(owner);
  });

  it("takes every group, family, setting and the trace sink", () => {
    const events: TraceEvent[] = [];
    own.register(GROUP_TYPE, { useValue: new PlatformGroup([1]) });
    own.register(COMMAND_FAMILY, { useValue: new TestFamily() });
    own.register(ADMIN_SETTINGS, { useValue: { count: 3, maxSize: 16, tolerances: { T1: true } } });
    own.register(TRACE_SINK, { useValue: { emit: (event) => events.push(event) } });
    const { executor, adminQueues, device } = resolveOwner(own);
    expect(executor.groups.map(({ type }) => type.name)).toEqual(["Self", "platform"]);
    expect(executor.supported(0xff00)).toContain(OP.MEMBER);
    expect(executor.tolerances).toEqual({ T1: true });
    expect([adminQueues.queueCount, adminQueues.maxSize]).toEqual([3, 16]);
    device.reset();
    expect(events).toContainEqual({ op: "reset" });
  });

  it("takes the dialect of the commands", () => {
    expect(resolveOwner(own).device.adminDialect).toBe("virtio-1.4");
    const other = container.createChildContainer();
    registerCore(other);
    other.register(DEVICE_MODEL, { useValue: model });
    other.register(GUEST_MEMORY, { useValue: memory });
    other.register(ADMIN_SETTINGS, { useValue: { dialect: "proposal-v5" } });
    const { executor, device } = resolveOwner(other);
    expect([executor.dialect, device.adminDialect]).toEqual(["proposal-v5", "proposal-v5"]);
  });

  it("finds a transport by its name, and connects the owner to it", () => {
    own.register(TRANSPORT, { useValue: transport("one") });
    own.register(TRANSPORT, { useValue: transport("two") });
    const dma = new DmaArena(memory, BASE, 0x1000);
    own.register(DMA, { useValue: dma });
    expect(resolveTransport(own, "two").description.name).toBe("two");
    expect(connectOwner(own, "one").driver).toMatchObject({
      name: "one",
      dma,
      device: resolveOwner(own).device,
    });
  });

  it("names the token that nothing is registered under, and what to register", () => {
    const bare = container.createChildContainer();
    expect(() => resolveOwner(bare)).toThrow(
      expect.objectContaining({ code: "INJECTION", path: "virtio-admin.DEVICE_MODEL" }),
    );
    bare.register(DEVICE_MODEL, { useValue: model });
    expect(() => resolveOwner(bare)).toThrow(/virtio-admin\.GUEST_MEMORY.*createGuestMemory/);
    bare.register(GUEST_MEMORY, { useValue: memory });
    expect(() => resolveOwner(bare)).toThrow(/virtio-admin\.GROUP_TYPE.*registerCore/);
    expect(() => resolveTransport(bare, "pci")).toThrow(/virtio-admin\.TRANSPORT.*registerPci/);
    own.register(TRANSPORT, { useValue: transport("one") });
    expect(() => connectOwner(own, "one")).toThrow(/virtio-admin\.DMA/);
  });

  it("names the transports there are when one is asked for that is not, or is there twice", () => {
    own.register(TRANSPORT, { useValue: transport("one") });
    expect(() => resolveTransport(own, "pci")).toThrow(/"pci".*registered are: one/);
    own.register(TRANSPORT, { useValue: transport("one") });
    expect(() => resolveTransport(own, "one")).toThrow(/two transports have this name/);
  });
});
