import {
  ADMIN_SETTINGS,
  COMMAND_FAMILY,
  COMMAND_INTERFACE,
  composeHost,
  container,
  createScope,
  DEVICE_MODEL,
  type DependencyContainer,
  DisposalError,
  DMA,
  GROUP_TYPE,
  GUEST_MEMORY,
  type HostPlan,
  type InjectionToken,
  Lifecycle,
  type MemberPlan,
  registerCore,
  registerPlatformGroup,
  resolveMembers,
  resolveOwner,
  type Scope,
  TRACE_SINK,
  TRANSPORT,
} from "@virtio-admin/core/di";
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import {
  MANAGEMENT_FAMILY,
  ManagementClient,
  mailboxInterface,
  openAdminClient,
} from "../../src/admin/index.ts";
import { FEATURE, FeatureSet, STATUS } from "../../src/device/index.ts";
import { bringUp } from "../../src/driver/index.ts";
import { PLATFORM_GROUP, PlatformGroup } from "../../src/group/index.ts";
import { MemorySink } from "../../src/trace/index.ts";
import { TestFamily } from "../admin/rig.ts";
import { makeMemory } from "../direct-transport.ts";
import { registerDevice, registerDirect, registerParts, TestModel, transport } from "./rig.ts";

const transportName = "direct";

function registerOwner(scope: Scope): void {
  registerCore(scope.container);
  registerPlatformGroup(scope.container);
  registerParts(scope);
}

const member = (id: number, more: Partial<MemberPlan> = {}): MemberPlan => ({
  id,
  transport: transportName,
  register: registerParts,
  ...more,
});

const plan = (more: Partial<HostPlan> = {}): HostPlan => ({
  owner: { transport: transportName, register: registerOwner },
  members: [member(1), member(7)],
  ...more,
});

const modelOf = (scope: Scope) => scope.container.resolve(DEVICE_MODEL) as TestModel;

describe("a host", () => {
  let application: Scope;
  const log: string[] = [];
  beforeEach(() => {
    log.length = 0;
    application = createScope();
    registerDirect(application.container, log);
  });

  it("is an owner and members under drivers of their own", async () => {
    const host = await composeHost(application, {
      ...plan(),
      owner: {
        transport: transportName,
        register: (scope) => {
          registerOwner(scope);
          scope.container.registerInstance(COMMAND_FAMILY, MANAGEMENT_FAMILY);
        },
      },
    });
    expect(resolveOwner(host.scope.container)).toBe(host.owner);
    expect([...host.members.keys()]).toEqual([1, 7]);
    const driver = host.scope.own(
      await bringUp(host.driver, { queues: [], adminQueues: 1 }),
      (it) => it.close(),
    );
    const client = openAdminClient(driver);
    host.scope.own(client, async () => {
      await driver.close();
      client.close();
    });
    const management = new ManagementClient(client);
    await management.use(PLATFORM_GROUP.id);
    const offered = FeatureSet.of(FEATURE.VIRTIO_F_VERSION_1);
    const others = host.members.get(7)!.device.defaultFeatures.minus(offered);
    const turnOff = () => management.setFeatures(PLATFORM_GROUP.id, 7, others, FeatureSet.EMPTY);
    await turnOff();

    const seven = host.members.get(7)!;
    expect(String(await seven.driver.readFeatures())).toBe(String(offered));
    const used = seven.scope.own(await bringUp(seven.driver, { queues: [{ index: 0 }] }), (it) =>
      it.close(),
    );
    await expect(turnOff()).rejects.toMatchObject({
      statusName: "EBUSY",
    });
    expect(used.state).toBe("live");

    const models = [host, ...host.members.values()].map(({ scope }) => modelOf(scope));
    const devices = [host.owner, ...host.members.values()].map(({ device }) => device);
    await host[Symbol.asyncDispose]();
    expect(used.state).toBe("closed");
    expect(driver.state).toBe("closed");
    expect(devices.map(({ status }) => status)).toEqual([0, 0, 0]);
    for (const { resets } of models) expect(resets).toBeGreaterThan(0);
    expect(log).toEqual([
      ...new Array(3).fill("direct connected"),
      ...new Array(3).fill("direct closed"),
    ]);
  });

  it("has devices that are connected to nothing where no transport is named", async () => {
    const host = await composeHost(application, {
      owner: { register: registerOwner },
      members: [{ id: 1, register: registerParts }],
    });
    expect(log).toEqual([]);
    for (const each of [host, host.members.get(1)!]) {
      expect(() => each.driver).toThrow(expect.objectContaining({ code: "TRANSPORT" }));
    }
    await host.dispose();
  });

  it("has a group of any type, whose maker asks for the members", async () => {
    class Rack extends PlatformGroup {}
    const host = await composeHost(application, {
      ...plan(),
      owner: {
        register: ({ container }) => {
          registerDevice(container);
          container.register(GROUP_TYPE, {
            useFactory: (own) => new Rack(resolveMembers(own).map(({ managed }) => managed)),
          });
        },
      },
    });
    const [group] = host.owner.executor.groups;
    expect(group).toBeInstanceOf(Rack);
    expect(group?.memberCount).toBe(2);
    await host.dispose();
  });

  it("shares memory, transports and the trace sink of the scopes around", async () => {
    const sink = new MemorySink();
    const { memory, dma } = makeMemory();
    application.container.registerInstance(TRACE_SINK, sink);
    application.container.registerInstance(GUEST_MEMORY, memory);
    application.container.registerInstance(DMA, dma);
    const host = await composeHost(application, {
      owner: {
        transport: transportName,
        register: ({ container }) => {
          registerCore(container);
          registerPlatformGroup(container);
          container.registerInstance(DEVICE_MODEL, new TestModel());
        },
      },
      members: [
        member(1, {
          register: ({ container }) => container.registerInstance(DEVICE_MODEL, new TestModel()),
        }),
      ],
    });
    expect([host.owner.device.memory, host.members.get(1)?.device.memory]).toEqual([
      memory,
      memory,
    ]);
    sink.clear();
    host.members.get(1)?.device.reset();
    expect(sink.events).toContainEqual({ op: "reset" });
    await host.dispose();
  });

  it("waits for registrations that take time, and closes what they opened", async () => {
    const opened: string[] = [];
    const open = async (name: string, scope: Scope) => {
      await Promise.resolve();
      opened.push(name);
      scope.own({}, () => {
        opened.push(`${name} closed`);
      });
      registerParts(scope);
    };
    const host = await composeHost(application, {
      owner: {
        register: async (scope) => {
          registerCore(scope.container);
          registerPlatformGroup(scope.container);
          await open("owner", scope);
        },
      },
      members: [member(1, { register: (scope) => open("one", scope) })],
    });
    await host.dispose();
    expect(opened).toEqual(["owner", "one", "one closed", "owner closed"]);
  });

  it("takes a plain container as its application, and leaves that alone", async () => {
    const plain = container.createChildContainer();
    registerDirect(plain, log);
    const host = await composeHost(plain, plan());
    await host.dispose();
    expect(plain.isRegistered(TRANSPORT)).toBe(true);
    expect(log.filter((line) => line.endsWith("closed"))).toHaveLength(3);
  });

  it("ends with its application, before what the application made", async () => {
    const gone: string[] = [];
    application.provide(TRACE_SINK, () => ({
      emit: ({ op }) => gone.push(op),
      dispose: () => gone.push("sink closed"),
    }));
    await composeHost(application, plan());
    const host = await composeHost(application, plan());
    expect(host.owner.device.trace).toBeDefined();
    gone.length = 0;
    await application.dispose();
    expect(gone).toEqual([...new Array(6).fill("reset"), "sink closed"]);
  });

  it("gives models and groups of its plan free when it ends", async () => {
    const shared = new TestModel();
    const own = (): HostPlan => ({
      owner: {
        register: ({ container }) => {
          registerCore(container);
          registerDevice(container, shared);
        },
      },
    });
    const first = await composeHost(application, own());
    await expect(composeHost(application, own())).rejects.toThrow(/serves another device already/);
    await first.dispose();
    await (await composeHost(application, own())).dispose();
  });

  it("gives a model free that was asked for too early, in a plan that fails", async () => {
    const shared = new TestModel();
    const early = (more: (scope: Scope) => void): HostPlan => ({
      owner: {
        register: (scope) => {
          registerCore(scope.container);
          registerDevice(scope.container, shared);
          resolveOwner(scope.container);
          more(scope);
        },
      },
    });
    const failing = early(() => {
      throw new Error("no disk");
    });
    await expect(composeHost(application, failing)).rejects.toThrow("no disk");
    await (
      await composeHost(
        application,
        early(() => undefined),
      )
    ).dispose();
  });

  it("cannot be composed once its application has ended, nor while it ends", async () => {
    const opened: string[] = [];
    let go = (): void => undefined;
    const waiting = composeHost(application, {
      owner: {
        register: async (scope) => {
          await new Promise<void>((resolve) => {
            go = resolve;
          });
          scope.own({}, () => {
            opened.push("closed");
          });
        },
      },
    });
    await application.dispose();
    go();
    await expect(waiting).rejects.toMatchObject({ code: "INJECTION", path: "scope" });
    expect(opened).toEqual(["closed"]);
    await expect(composeHost(application, plan())).rejects.toMatchObject({ path: "scope" });
  });
});

describe("a host that is told nonsense", () => {
  const refused = async (change: Partial<HostPlan>, application?: DependencyContainer) => {
    const own = application ?? container.createChildContainer();
    if (application === undefined) registerDirect(own);
    return composeHost(own, plan(change)).then(
      () => "composed",
      (error: unknown) => error,
    );
  };
  const owner = (more: (scope: Scope) => void): Partial<HostPlan> => ({
    owner: {
      transport: transportName,
      register: (scope) => {
        registerOwner(scope);
        more(scope);
      },
    },
  });
  const injection = (token: string, hint: RegExp) =>
    expect.objectContaining({
      code: "INJECTION",
      path: token,
      hint: expect.stringMatching(hint),
    });

  it("names the member and the token that is missing, and makes nothing", async () => {
    const made: string[] = [];
    const change = owner(({ container }) => {
      container.register(COMMAND_FAMILY, {
        useFactory: () => {
          made.push("family");
          return new TestFamily();
        },
      });
    });
    const members = [member(1), member(7, { register: () => undefined })];
    expect(await refused({ ...change, members })).toEqual(
      injection("members[7].virtio-admin.DEVICE_MODEL", /DeviceModel/),
    );
    expect(made).toEqual([]);
  });

  it.each([
    ["GUEST_MEMORY", GUEST_MEMORY],
    ["DMA", DMA],
  ] as const)(
    "names %s that neither the member nor the scopes around have",
    async (name, token) => {
      const keep = ({ container }: Scope, left: InjectionToken) => {
        const { memory, dma } = makeMemory();
        container.registerInstance(DEVICE_MODEL, new TestModel());
        if (left !== GUEST_MEMORY) container.registerInstance(GUEST_MEMORY, memory);
        if (left !== DMA) container.registerInstance(DMA, dma);
      };
      const change: HostPlan = {
        owner: {
          register: (scope) => {
            registerCore(scope.container);
            registerPlatformGroup(scope.container);
            keep(scope, token);
          },
        },
        members: [member(3, { register: (scope) => keep(scope, token) })],
      };
      const path = name === "DMA" ? `members[3].virtio-admin.${name}` : `virtio-admin.${name}`;
      expect(await refused(change)).toEqual(injection(path, /GUEST_MEMORY/));
    },
  );

  it("names a transport that nobody registered, for each device", async () => {
    const none = container.createChildContainer();
    expect(await refused({}, none)).toEqual(injection("virtio-admin.TRANSPORT", /registerPci/));
    const members = [member(2, { transport: "pigeon" })];
    expect(await refused({ members })).toEqual(
      injection("members[2].virtio-admin.TRANSPORT", /registered are: direct/),
    );
  });

  it("names a transport of one device alone that is none", async () => {
    const members = [member(2, { transport: () => ({}) as never })];
    expect(await refused({ members })).toEqual(
      injection("members[2].virtio-admin.TRANSPORT", /TransportPlugin/),
    );
  });

  it.each([
    ["TRANSPORT", TRANSPORT, () => transport("other")],
    ["COMMAND_FAMILY", COMMAND_FAMILY, () => new TestFamily()],
    ["COMMAND_INTERFACE", COMMAND_INTERFACE, () => mailboxInterface()],
    ["GROUP_TYPE", GROUP_TYPE, () => new PlatformGroup()],
  ] as const)(
    "names registrations of %s that hide the application's",
    async (name, token, make) => {
      const own = container.createChildContainer();
      registerDirect(own);
      own.registerInstance(token as InjectionToken, make());
      const change = owner(({ container }) =>
        container.registerInstance(token as InjectionToken, make()),
      );
      const error = await refused(change, own);
      expect(error).toEqual(injection(`virtio-admin.${name}`, /in one container/));
      expect((error as Error).message).toContain("hides what is registered around it");
    },
  );

  it("names what a member hides", async () => {
    const members = [
      member(1, {
        register: (scope) => {
          registerParts(scope);
          registerDirect(scope.container);
        },
      }),
    ];
    expect(await refused({ members })).toEqual(
      injection("members[1].virtio-admin.TRANSPORT", /in one container/),
    );
  });

  it("takes what hides nothing: one of a kind, and what is made for each container", async () => {
    const own = container.createChildContainer();
    registerDirect(own);
    own.registerInstance(ADMIN_SETTINGS, { count: 1 });
    own.register(COMMAND_FAMILY, TestFamily, { lifecycle: Lifecycle.ContainerScoped });
    const change = owner(({ container }) => {
      container.registerInstance(ADMIN_SETTINGS, { count: 2 });
    });
    const host = await composeHost(own, plan(change));
    expect(host.owner.adminQueues.queueCount).toBe(2);
    expect(host.owner.executor.families.map(({ name }) => name)).toEqual(["list", "test"]);
    await host.dispose();
  });

  it("names the group when members are in none", async () => {
    const change = {
      owner: {
        register: (scope: Scope) => {
          registerCore(scope.container);
          scope.container.registerInstance(GROUP_TYPE, new PlatformGroup([1, 7]));
          registerParts(scope);
        },
      },
    };
    const error = await refused(change);
    expect(error).toEqual(injection("virtio-admin.GROUP_TYPE", /resolveMembers/));
  });

  it("names the model that two members share", async () => {
    const shared = new TestModel();
    const register = ({ container }: Scope) => registerDevice(container, shared);
    expect(await refused({ members: [member(1, { register }), member(2, { register })] })).toEqual(
      injection("members[2].virtio-admin.DEVICE_MODEL", /of this device and of no other/),
    );
  });

  it("names a model that makes no device, of a member", async () => {
    const register = (scope: Scope) => {
      registerParts(scope);
      modelOf(scope).queues.push({ name: "odd", maxSize: 3 });
    };
    expect(await refused({ members: [member(4, { register })] })).toEqual(
      injection("members[4].virtio-admin.DEVICE_MODEL", /DeviceModel/),
    );
  });

  it("refuses two members of one identifier before anything is registered", async () => {
    let registered = 0;
    const register = () => {
      registered++;
    };
    const members = [member(1, { register }), member(2, { register }), member(1, { register })];
    expect(await refused({ ...owner(register), members })).toMatchObject({
      code: "GROUP_INVALID",
      path: "members",
      value: 1,
    });
    expect(registered).toBe(0);
  });

  it("names the group that refuses a member's identifier", async () => {
    const error = await refused({ members: [member(-1)] });
    expect(error).toEqual(injection("virtio-admin.GROUP_TYPE", /DeviceGroup/));
    expect((error as Error).cause).toMatchObject({ code: "GROUP_INVALID", value: -1 });
  });
});

describe("any host that fails half-way", () => {
  it("lets go of exactly what was made, last made first, and throws the first failure", async () => {
    const device = fc.record({
      id: fc.nat(3),
      /** Names of what its registration opens at once. */
      opens: fc.array(fc.boolean(), { maxLength: 2 }),
      connects: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        device,
        fc.uniqueArray(device, { maxLength: 3, selector: ({ id }) => id }),
        fc.nat(30),
        fc.infiniteStream(fc.boolean()),
        async (owner, members, failAt, failures) => {
          const made: string[] = [];
          const gone: string[] = [];
          const failed: unknown[] = [];
          const reported: unknown[] = [];
          const thrown = new Error("this one");
          // Every making of anything is a point where it can fail.
          const make = <T>(name: string, thing: T): T => {
            if (made.length === failAt) throw thrown;
            made.push(name);
            return thing;
          };
          const letGo = (name: string) => () => {
            gone.push(name);
            if (!failures.next().value) return;
            failed.push(name);
            throw name;
          };
          const application = createScope();
          application.provide(
            TRANSPORT,
            () => make("transport", transport("direct")),
            letGo("transport"),
          );
          const connecting =
            (name: string): NonNullable<MemberPlan["transport"]> =>
            (scope) => {
              const plain = scope.container.resolve(TRANSPORT);
              return {
                ...plain,
                loopback: (...args) => {
                  const pair = plain.loopback(...args);
                  return make(`${name} pair`, {
                    driver: pair.driver,
                    close: letGo(`${name} pair`),
                  });
                },
              };
            };
          const register = (name: string, opens: readonly boolean[]) => (scope: Scope) => {
            const { memory, dma } = makeMemory(0x1_0000);
            opens.forEach((waits, i) => {
              const file = `${name} file ${i}`;
              const close = letGo(file);
              make(file, {});
              scope.own({}, waits ? async () => Promise.resolve().then(close) : close);
            });
            scope.provide(
              DEVICE_MODEL,
              () => make(`${name} model`, new TestModel()),
              letGo(`${name} model`),
            );
            scope.provide(
              GUEST_MEMORY,
              () => make(`${name} memory`, memory),
              letGo(`${name} memory`),
            );
            scope.provide(
              DMA,
              (own) => {
                own.resolve(GUEST_MEMORY);
                return make(`${name} dma`, dma);
              },
              letGo(`${name} dma`),
            );
          };
          const planOf = (name: string, { opens, connects }: typeof owner) => ({
            register: register(name, opens),
            ...(connects ? { transport: connecting(name) } : {}),
          });
          const own = planOf("owner", owner);
          const composing = composeHost(application, {
            owner: {
              ...own,
              register: (scope) => {
                registerCore(scope.container);
                scope.provide(
                  GROUP_TYPE,
                  (own) => {
                    const ids = resolveMembers(own).map(({ managed }) => managed);
                    return make("group", new PlatformGroup(ids));
                  },
                  letGo("group"),
                );
                own.register(scope);
              },
            },
            members: members.map((each) => ({ id: each.id, ...planOf(`${each.id}`, each) })),
            onFault: (error) => reported.push(...error.errors),
          });
          const host = await composing.catch((error: unknown) => {
            // A factory's failure comes with the token; what was thrown is its cause.
            expect([error, (error as Error).cause]).toContain(thrown);
            return undefined;
          });
          // The application's are not the host's.
          const due = () => made.filter((name) => name !== "transport").reverse();
          if (host === undefined) {
            expect(made).toHaveLength(failAt);
            expect(gone).toEqual(due());
            expect(reported).toEqual(failed);
          } else {
            expect(gone).toEqual([]);
            const error = await host.dispose().catch((error: unknown) => error);
            expect(gone).toEqual(due());
            if (failed.length === 0) expect(error).toBeUndefined();
            else expect(error).toMatchObject({ errors: failed });
            expect(reported).toEqual([]);
          }
          failed.length = 0;
          await application.dispose().catch((error: unknown) => {
            expect(error).toBeInstanceOf(DisposalError);
            expect(failed).toEqual(["transport"]);
          });
          expect(gone.filter((name) => name !== "transport")).toEqual(due());
          expect(gone.filter((name) => name === "transport")).toHaveLength(
            made.includes("transport") ? 1 : 0,
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  it("does not take the failure of a callback for the first failure", async () => {
    const first = new Error("first");
    const application = createScope();
    await expect(
      composeHost(application, {
        owner: {
          register: (scope) => {
            scope.own({}, () => {
              throw new Error("second");
            });
            throw first;
          },
        },
        onFault: () => {
          throw new Error("third");
        },
      }),
    ).rejects.toBe(first);
  });

  it("leaves the devices that were made reset", async () => {
    const application = createScope();
    const plugin = transport("direct");
    const connected: { readonly status: number }[] = [];
    application.container.registerInstance(TRANSPORT, {
      ...plugin,
      loopback: (device, options) => {
        if (connected.push(device) === 2) throw new Error("no room on the bus");
        device.writeStatus(STATUS.ACKNOWLEDGE);
        return plugin.loopback(device, options);
      },
    });
    await expect(composeHost(application, plan())).rejects.toThrow("no room on the bus");
    expect(connected.map(({ status }) => status)).toEqual([0, 0]);
  });
});
