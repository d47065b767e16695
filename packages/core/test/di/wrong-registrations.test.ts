/** Every registration that can be wrong: the error names the token, and says what to register. */
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
  type InjectionToken,
  registerCore,
  resolveOwner,
  resolveTransport,
  TRACE_SINK,
  TRANSPORT,
} from "@virtio-admin/core/di";
import { describe, expect, it } from "vitest";
import { isVirtioError, type VirtioError } from "../../src/errors.ts";
import { PlatformGroup, SelfGroup } from "../../src/group/index.ts";
import { MemorySink } from "../../src/trace/index.ts";
import { TestFamily } from "../admin/rig.ts";
import { makeMemory } from "../direct-transport.ts";
import { registerDevice, registerDirect, TestModel, transport } from "./rig.ts";

/** Everything that a connected owner is made from, but for one token. */
function without(left?: InjectionToken): DependencyContainer {
  const own = container.createChildContainer();
  const { memory, dma } = makeMemory(0x1_0000);
  const register = <T>(token: InjectionToken<T>, value: T): void => {
    if (token !== left) own.registerInstance(token, value);
  };
  if (left !== GROUP_TYPE) registerCore(own);
  register(DEVICE_MODEL, new TestModel());
  register(GUEST_MEMORY, memory);
  register(DMA, dma);
  register(TRANSPORT, transport("direct"));
  return own;
}

function refusalOf(work: () => unknown): VirtioError {
  try {
    work();
  } catch (error) {
    if (isVirtioError(error)) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

const TOKENS = {
  TRANSPORT,
  GROUP_TYPE,
  COMMAND_FAMILY,
  COMMAND_INTERFACE,
  DEVICE_MODEL,
  TRACE_SINK,
  GUEST_MEMORY,
  DMA,
  ADMIN_SETTINGS,
} as const;
type TokenName = keyof typeof TOKENS;
const NAMES = Object.keys(TOKENS) as TokenName[];

/** What a message about a token has to say of what to register. */
const ADVICE: Readonly<Record<TokenName, RegExp>> = {
  TRANSPORT: /registerPci, registerMmio or registerCcw/,
  GROUP_TYPE: /registerCore .* DeviceGroup/,
  COMMAND_FAMILY: /CommandFamily/,
  COMMAND_INTERFACE: /mailboxInterface/,
  DEVICE_MODEL: /DeviceModel/,
  TRACE_SINK: /one TraceSink/,
  GUEST_MEMORY: /createGuestMemory/,
  DMA: /DmaArena/,
  ADMIN_SETTINGS: /AdminSettings/,
};

function expectBlamed(error: VirtioError, name: TokenName): void {
  expect(error).toMatchObject({ code: "INJECTION", path: `virtio-admin.${name}` });
  expect(error.hint).toMatch(ADVICE[name]);
}

const connected = (own: DependencyContainer) => refusalOf(() => connectOwner(own, "direct"));

const model = (change: object) => Object.assign(new TestModel(), change);
const plugin = (change: object) => ({ ...transport("direct"), ...change });
const described = (change: object) =>
  plugin({ description: { ...transport("direct").description, ...change } });
const family = (change: object) => Object.assign(new TestFamily(), change);
const group = (change: object) => Object.assign(new PlatformGroup(), change);

const WRONG: readonly (readonly [TokenName, string, unknown, RegExp])[] = [
  ["TRANSPORT", "a name", "direct", /it is no object \(got "direct"\)/],
  ["TRANSPORT", "no loopback", plugin({ loopback: undefined }), /loopback is not a function/],
  ["TRANSPORT", "no description", { loopback() {} }, /description is not an object/],
  ["TRANSPORT", "no name", described({ name: "" }), /description.name is not a text/],
  ["TRANSPORT", "no layouts", described({ layouts: {} }), /description.layouts is not a list/],
  ["TRANSPORT", "no reserved features", described({ reservedFeatures: 1 }), /reservedFeatures/],
  ["GROUP_TYPE", "members alone", [1, 2], /type is not an object/],
  ["GROUP_TYPE", "no type", group({ type: undefined }), /type is not an object/],
  ["GROUP_TYPE", "an id of 17 bits", group({ type: { id: 0x1_0000, name: "x" } }), /type.id/],
  ["GROUP_TYPE", "no name of the type", group({ type: { id: 2 } }), /type.name is not a text/],
  ["GROUP_TYPE", "a method for exists", group({ exists: () => true }), /exists is not true or/],
  ["GROUP_TYPE", "no hasMember", group({ hasMember: undefined }), /hasMember is not a function/],
  ["COMMAND_FAMILY", "a function", function vendor() {}, /commands is not a list of one or more/],
  ["COMMAND_FAMILY", "commands missing", family({ commands: undefined }), /commands is not/],
  ["COMMAND_FAMILY", "no commands", family({ commands: [] }), /commands is not a list of one/],
  ["COMMAND_FAMILY", "a command's name", family({ commands: ["ECHO"] }), /commands\[0\] is no obj/],
  ["COMMAND_FAMILY", "no bind", family({ bind: undefined }), /bind is not a function/],
  ["COMMAND_INTERFACE", "no bind", { name: "mailbox" }, /bind is not a function/],
  ["COMMAND_INTERFACE", "no name", { bind() {} }, /name is not a text/],
  ["DEVICE_MODEL", "a class", TestModel, /deviceId is not a number/],
  ["DEVICE_MODEL", "no queues", model({ queues: undefined }), /queues is not a list/],
  ["DEVICE_MODEL", "a queue's name", model({ queues: ["requestq"] }), /queues\[0\] is no object/],
  ["DEVICE_MODEL", "no features", model({ features: null }), /features is not a list/],
  ["DEVICE_MODEL", "no attach", model({ attach: undefined }), /attach is not a function/],
  ["DEVICE_MODEL", "no reset", model({ reset: 1 }), /reset is not a function/],
  ["TRACE_SINK", "no emit", {}, /emit is not a function \(got undefined\)/],
  ["TRACE_SINK", "console", console, /emit is not a function/],
  ["GUEST_MEMORY", "bytes", new Uint8Array(8), /contains is not a function/],
  ["GUEST_MEMORY", "a length", 0x1000, /it is no object \(got 4096 = 0x1000\)/],
  ["DMA", "a memory", makeMemory().memory, /memory is not an object/],
  ["DMA", "no memory", { memory: {}, allocate() {} }, /memory.find is not a function/],
  ["ADMIN_SETTINGS", "a count", 2, /it is no object \(got 2\)/],
];

/** Of the right form, and yet not what an owner can be made from. */
const UNFIT: readonly (readonly [TokenName, string, unknown, string])[] = [
  ["ADMIN_SETTINGS", "no queues", { count: 0 }, "DEVICE_MODEL"],
  ["ADMIN_SETTINGS", "a size of 3", { maxSize: 3 }, "DEVICE_MODEL"],
  ["ADMIN_SETTINGS", "too many queues", { count: 0x1_0000 }, "DEVICE_MODEL"],
  ["DEVICE_MODEL", "device id 0", model({ deviceId: 0 }), "DEVICE_MODEL"],
  ["DEVICE_MODEL", "a size of 3", model({ queues: [{ name: "q", maxSize: 3 }] }), "DEVICE_MODEL"],
  ["GROUP_TYPE", "a second Self group", new SelfGroup(), "GROUP_INVALID"],
  ["COMMAND_FAMILY", "the list's name", family({ name: "list" }), "FAMILY_INVALID"],
  ["COMMAND_FAMILY", "no handlers", family({ bind: () => ({ handlers: {} }) }), "FAMILY_INVALID"],
];

const STRANGE = {
  attach: () => {
    throw new RangeError("out of order");
  },
};

describe("a missing registration", () => {
  const needed: readonly TokenName[] = [
    "TRANSPORT",
    "GROUP_TYPE",
    "DEVICE_MODEL",
    "GUEST_MEMORY",
    "DMA",
  ];

  it.each(needed)("of %s is named, and nothing is made", (name) => {
    const own = without(TOKENS[name]);
    let made = 0;
    own.register(COMMAND_FAMILY, {
      useFactory: () => {
        made++;
        return new TestFamily();
      },
    });
    const error = connected(own);
    expectBlamed(error, name);
    expect(error.message).toContain("nothing is registered under this token");
    expect(made).toBe(0);
  });

  it("of the rest is no fault", () => {
    expect(connectOwner(without(), "direct").driver.name).toBe("direct");
  });

  it("is named one after the other, until there is none", () => {
    const bare = container.createChildContainer();
    expect(() => resolveOwner(bare)).toThrow(/virtio-admin\.DEVICE_MODEL/);
    registerDevice(bare);
    expect(() => resolveOwner(bare)).toThrow(/virtio-admin\.GROUP_TYPE.*registerCore/);
    registerCore(bare);
    expect(() => connectOwner(bare, "direct")).toThrow(/virtio-admin\.TRANSPORT.*registerPci/);
    registerDirect(bare);
    expect(() => connectOwner(bare, "direct")).not.toThrow();
  });
});

describe("a wrong registration", () => {
  it.each(WRONG)("of %s, %s, is named with the part at fault", (name, _, value, part) => {
    const own = without(TOKENS[name]);
    if (name === "GROUP_TYPE") registerCore(own);
    own.register(TOKENS[name] as InjectionToken, { useFactory: () => value });
    const error = connected(own);
    expectBlamed(error, name);
    expect(error.message).toMatch(part);
  });

  it.each(UNFIT)("of %s, %s, is named with its cause", (name, _, value, cause) => {
    const own = without(name === "GROUP_TYPE" ? undefined : TOKENS[name]);
    own.register(TOKENS[name] as InjectionToken, { useFactory: () => value });
    const error = connected(own);
    expectBlamed(error, name);
    expect(error.cause).toMatchObject({ code: cause });
  });

  it.each([
    ["DEVICE_MODEL", () => Object.assign(new TestModel(), STRANGE)],
    ["COMMAND_FAMILY", () => family({ bind: STRANGE.attach })],
    ["COMMAND_INTERFACE", () => ({ name: "own", bind: STRANGE.attach })],
  ] as const)("of %s that fails while it is put to use is named", (name, make) => {
    const own = without(TOKENS[name]);
    own.register(TOKENS[name] as InjectionToken, { useFactory: make });
    const error = connected(own);
    expectBlamed(error, name);
    expect(error.message).toContain("out of order");
    expect(error.cause).toBeInstanceOf(RangeError);
  });

  it.each(NAMES)("of %s whose factory throws is named with what was thrown", (name) => {
    const own = without(TOKENS[name]);
    if (name === "GROUP_TYPE") registerCore(own);
    const thrown = new Error("no such file");
    own.register(TOKENS[name] as InjectionToken, {
      useFactory: () => {
        throw thrown;
      },
    });
    const error = connected(own);
    expectBlamed(error, name);
    expect(error.message).toContain("cannot be made: no such file");
    expect(error.cause).toBe(thrown);
  });

  it.each(NAMES)("of %s as nothing at all is named", (name) => {
    const own = without(TOKENS[name]);
    if (name === "GROUP_TYPE") registerCore(own);
    own.registerInstance(TOKENS[name] as InjectionToken, undefined);
    expectBlamed(connected(own), name);
  });

  it.each([
    ["DEVICE_MODEL", () => new TestModel()],
    ["GUEST_MEMORY", () => makeMemory().memory],
    ["DMA", () => makeMemory().dma],
    ["TRACE_SINK", () => new MemorySink()],
    ["ADMIN_SETTINGS", () => ({})],
  ] as const)("of %s a second time is named", (name, make) => {
    const own = without(TOKENS[name]);
    own.registerInstance(TOKENS[name] as InjectionToken, make());
    own.registerInstance(TOKENS[name] as InjectionToken, make());
    const error = connected(own);
    expectBlamed(error, name);
    expect(error.message).toContain("more than one is registered");
  });

  it("names the transports there are when one is asked for that is not, or is there twice", () => {
    const own = without();
    const none = refusalOf(() => resolveTransport(own, "pci"));
    expect(none).toMatchObject({ code: "INJECTION", path: "virtio-admin.TRANSPORT", value: "pci" });
    expect(none.hint).toBe("registered are: direct");
    registerDirect(own);
    expect(() => resolveTransport(own, "direct")).toThrow(/two transports have this name/);
  });

  it("of a DMA outside the memory of the device is named, and gives its block back", () => {
    const own = without(DMA);
    const other = makeMemory(0x1_0000);
    own.registerInstance(DMA, other.dma);
    const error = connected(own);
    expectBlamed(error, "DMA");
    expect(error.message).toContain("not in the memory of the device");
    expect(other.dma.freeBytes).toBe(0x1_0000);
    // Nor does it pass once the right one has been looked at, at the same address.
    const right = without(GUEST_MEMORY);
    right.register(GUEST_MEMORY, { useFactory: () => right.resolve(DMA).memory });
    connectOwner(right, "direct");
    const wrong = without(GUEST_MEMORY);
    wrong.registerInstance(GUEST_MEMORY, right.resolve(DMA).memory);
    expectBlamed(connected(wrong), "DMA");
  });

  it("of a DMA without room is named", () => {
    const own = without();
    own.resolve(DMA).allocate(0x1_0000, 1);
    expectBlamed(connected(own), "DMA");
  });

  it("of a transport whose loopback returns no pair is named", () => {
    const own = without(TRANSPORT);
    own.register(TRANSPORT, { useFactory: () => plugin({ loopback: () => ({}) }) });
    expectBlamed(connected(own), "TRANSPORT");
  });

  it("of a model or a group that serves another device already is named", () => {
    for (const [name, shared] of [
      ["DEVICE_MODEL", new TestModel()],
      ["GROUP_TYPE", new PlatformGroup([1])],
    ] as const) {
      const register = (own: DependencyContainer) =>
        own.registerInstance(TOKENS[name] as InjectionToken, shared);
      const first = without(name === "GROUP_TYPE" ? undefined : TOKENS[name]);
      const second = without(name === "GROUP_TYPE" ? undefined : TOKENS[name]);
      register(first);
      register(second);
      resolveOwner(first);
      const error = refusalOf(() => resolveOwner(second));
      expectBlamed(error, name);
      expect(error.message).toContain("serves another device already");
    }
  });

  it("leaves a model free for another owner when the first could not be made", () => {
    const shared = new TestModel();
    const [first, second] = [without(DEVICE_MODEL), without(DEVICE_MODEL)];
    for (const own of [first, second]) own.registerInstance(DEVICE_MODEL, shared);
    first.registerInstance(ADMIN_SETTINGS, { count: -1 });
    expectBlamed(
      refusalOf(() => resolveOwner(first)),
      "ADMIN_SETTINGS",
    );
    expect(() => resolveOwner(second)).not.toThrow();
  });
});
