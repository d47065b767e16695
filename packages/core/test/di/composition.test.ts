import {
  ADMIN_SETTINGS,
  COMMAND_FAMILY,
  COMMAND_INTERFACE,
  connectOwner,
  container,
  DEVICE_MODEL,
  type DependencyContainer,
  DMA,
  GROUP_TYPE,
  GUEST_MEMORY,
  OwnerDevice,
  registerCore,
  registerPlatformGroup,
  resolveMembers,
  resolveOwner,
  resolveTransport,
  TRACE_SINK,
  TRANSPORT,
} from "@virtio-admin/core/di";
import { beforeEach, describe, expect, it } from "vitest";
import { AdminMailbox, mailboxInterface, OUTCOME } from "../../src/admin/index.ts";
import { PlatformGroup } from "../../src/group/index.ts";
import { MemorySink } from "../../src/trace/index.ts";
import { OP, request, settle, TestFamily } from "../admin/rig.ts";
import { registerDevice, TestModel, transport } from "./rig.ts";

describe("composition", () => {
  let own: DependencyContainer;
  beforeEach(() => {
    own = container.createChildContainer();
    registerCore(own);
    registerDevice(own);
  });

  it("puts an owner together, once for each container", () => {
    const owner = resolveOwner(own);
    expect(resolveOwner(own)).toBe(owner);
    expect(own.resolve(OwnerDevice)).toBe(owner);
    expect(owner.device.deviceId).toBe(4);
    expect(owner.executor.groups.map(({ type }) => type.name)).toEqual(["Self"]);
    const other = container.createChildContainer();
    registerCore(other);
    registerDevice(other);
    expect(other.resolve(OwnerDevice)).not.toBe(owner);
  });

  it("makes every part once, whatever makes it", () => {
    const made: string[] = [];
    const apart = container.createChildContainer();
    registerCore(apart);
    registerDevice(own);
    apart.register(DEVICE_MODEL, {
      useFactory: () => {
        made.push("model");
        return new TestModel();
      },
    });
    apart.register(GUEST_MEMORY, { useFactory: () => own.resolve(GUEST_MEMORY) });
    apart.register(GROUP_TYPE, {
      useFactory: () => {
        made.push("group");
        return new PlatformGroup([1]);
      },
    });
    const { executor } = resolveOwner(apart);
    expect(executor.groups.map(({ type }) => type.name)).toEqual(["Self", "platform"]);
    expect(made).toEqual(["model", "group"]);
  });

  it("takes every group, family, setting and the trace sink", () => {
    const sink = new MemorySink();
    own.register(GROUP_TYPE, { useValue: new PlatformGroup([1]) });
    own.register(COMMAND_FAMILY, { useValue: new TestFamily() });
    own.register(ADMIN_SETTINGS, { useValue: { count: 3, maxSize: 16, tolerances: { T1: true } } });
    own.register(TRACE_SINK, { useValue: sink });
    const { executor, adminQueues, device } = resolveOwner(own);
    expect(executor.groups.map(({ type }) => type.name)).toEqual(["Self", "platform"]);
    expect(executor.supported(0xff00)).toContain(OP.MEMBER);
    expect(executor.tolerances).toEqual({ T1: true });
    expect([adminQueues.queueCount, adminQueues.maxSize]).toEqual([3, 16]);
    device.reset();
    expect(sink.events).toContainEqual({ op: "reset" });
  });

  it("takes what a parent registers once for each container", () => {
    const { length } = resolveOwner(own).executor.groups;
    const child = own.createChildContainer();
    registerDevice(child);
    expect(resolveOwner(child).executor.groups).toHaveLength(length);
    expect(resolveOwner(child).executor.groups[0]).not.toBe(resolveOwner(own).executor.groups[0]);
  });

  it("takes the dialect of the commands", () => {
    expect(resolveOwner(own).device.adminDialect).toBe("virtio-1.4");
    const other = container.createChildContainer();
    registerCore(other);
    registerDevice(other);
    other.register(ADMIN_SETTINGS, { useValue: { dialect: "proposal-v5" } });
    const withInterface = other.createChildContainer();
    registerDevice(withInterface);
    withInterface.registerInstance(COMMAND_INTERFACE, {
      name: "another way in",
      bind: () => ({ reset: () => undefined }),
    });
    for (const each of [other, withInterface]) {
      const { executor, device } = resolveOwner(each);
      expect([executor.dialect, device.adminDialect]).toEqual(["proposal-v5", "proposal-v5"]);
    }
  });

  it("finds a transport by its name, and connects the owner to it", () => {
    own.register(TRANSPORT, { useValue: transport("one") });
    own.register(TRANSPORT, { useValue: transport("two") });
    expect(resolveTransport(own, "two").description.name).toBe("two");
    expect(connectOwner(own, "one").driver.dma).toBe(own.resolve(DMA));
    expect(() => connectOwner(own, "two")).toThrow(expect.objectContaining({ code: "TRANSPORT" }));
  });

  it("makes a platform group, for each container its own; of no members outside a host", () => {
    registerPlatformGroup(own);
    const [, group] = resolveOwner(own).executor.groups;
    expect(group).toBeInstanceOf(PlatformGroup);
    expect(group?.memberCount).toBe(0);
    expect(resolveMembers(own)).toEqual([]);
    const child = own.createChildContainer();
    registerDevice(child);
    expect(resolveOwner(child).executor.groups[1]).not.toBe(group);
  });
});

describe("command interfaces beside the administration virtqueues", () => {
  const owner = () => {
    const own = container.createChildContainer();
    registerCore(own);
    registerDevice(own);
    const family = new TestFamily();
    own.registerInstance(COMMAND_FAMILY, family);
    return { own, family };
  };

  it("carry commands to the same executor", () => {
    const { own } = owner();
    const plugin = mailboxInterface({ windowLength: 64 });
    own.registerInstance(COMMAND_INTERFACE, plugin);
    const mailbox = resolveOwner(own).commandInterface(plugin);
    expect(mailbox).toBeInstanceOf(AdminMailbox);
    // LIST_QUERY for the Self group.
    mailbox.request.set(request(0, 0, 0));
    expect(mailbox.start(24, 64)).toBe(true);
    expect([...mailbox.response.subarray(0, 2), mailbox.response[8]]).toEqual([0, 0, 3]);
  });

  it("are reset with the device, and what waited is not answered", async () => {
    const { own, family } = owner();
    const plugin = mailboxInterface();
    const resets: string[] = [];
    own.registerInstance(COMMAND_INTERFACE, plugin);
    own.registerInstance(COMMAND_INTERFACE, {
      name: "counting",
      bind: () => ({ reset: () => resets.push("counting") }),
    });
    const made = resolveOwner(own);
    const { device, executor } = made;
    const mailbox = made.commandInterface(plugin);
    executor.execute(request(1, 0, 0, Uint8Array.of(3, 0, 0, 0, 4)), new Uint8Array(8));
    mailbox.request.set(request(OP.WAIT, 0, 0, Uint8Array.of(1)));
    mailbox.start(25, 64);
    expect([mailbox.busy, family.waiting.length]).toEqual([true, 1]);
    device.reset();
    expect([mailbox.busy, resets]).toEqual([false, ["counting"]]);
    family.waiting[0]!.answer(OUTCOME.OK);
    await settle();
    expect([mailbox.written, mailbox.response.every((byte) => byte === 0)]).toEqual([0, true]);
  });

  it("do not keep the device from its reset when one fails, nor the others from theirs", () => {
    const { own } = owner();
    const sink = new MemorySink();
    const resets: string[] = [];
    const failing = (name: string) => ({
      name,
      bind: () => ({
        reset: () => {
          resets.push(name);
          throw new Error(`${name} is stuck`);
        },
      }),
    });
    own.registerInstance(TRACE_SINK, sink);
    own.registerInstance(COMMAND_INTERFACE, failing("one"));
    own.registerInstance(COMMAND_INTERFACE, failing("two"));
    const { device } = resolveOwner(own);
    device.writeStatus(1);
    device.reset();
    expect(device.status).toBe(0);
    expect(resets).toEqual(["one", "two"]);
    expect(sink.events).toContainEqual({ op: "needs-reset", why: "admin: one is stuck" });
  });

  it("are refused with two of one name, without a reset, or when they are not registered", () => {
    const { own } = owner();
    own.registerInstance(COMMAND_INTERFACE, mailboxInterface());
    expect(() => resolveOwner(own).commandInterface(mailboxInterface())).toThrow(
      /COMMAND_INTERFACE: this command interface is not registered.*mailboxInterface/,
    );
    const two = owner().own;
    two.registerInstance(COMMAND_INTERFACE, mailboxInterface());
    two.registerInstance(COMMAND_INTERFACE, mailboxInterface());
    expect(() => resolveOwner(two)).toThrow(/COMMAND_INTERFACE: two .* \(got "mailbox"\)/);
    const none = owner().own;
    none.registerInstance(COMMAND_INTERFACE, { name: "none", bind: () => ({}) as never });
    expect(() => resolveOwner(none)).toThrow(/COMMAND_INTERFACE: .* no reset \(got "none"\)/);
  });
});
