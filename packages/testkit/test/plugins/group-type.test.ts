import {
  type DeviceGroup,
  DeviceMember,
  FeatureSet,
  type ManagedMember,
  PLATFORM_GROUP,
  PlatformGroup,
  SELF_GROUP,
} from "@virtio-admin/core";
import { checkGroupType, type GroupTypeFixture, type GroupUnderTest } from "@virtio-admin/testkit";
import { describe, expect, it } from "vitest";
import { ProbeModel } from "../../src/index.ts";
import { ModelBench } from "../../src/plugins/model-bench.ts";
import { foundBy } from "./broken.ts";

const MEMBERS = [1, 3];

/** A rack of members that join and leave, as a stranger may write it. */
class Rack implements DeviceGroup {
  type: DeviceGroup["type"] = {
    id: 0xff42,
    name: "rack",
    private: true,
    transports: "any",
    cite: "the rack's manual",
  };
  members = new Set(MEMBERS);
  powered = true;

  get exists(): boolean {
    return this.powered;
  }

  get memberCount(): number {
    return this.powered ? this.members.size : 0;
  }

  hasMember(id: number): boolean {
    return this.powered && this.members.has(id);
  }

  leave(id: number): void {
    this.members.delete(id);
  }

  vanish(): void {
    this.powered = false;
  }

  save(): unknown {
    return [...this.members].sort();
  }

  restore(value: unknown): () => void {
    if (!Array.isArray(value) || !value.every(Number.isInteger)) throw new Error("no members");
    return () => {
      this.members = new Set(value as number[]);
    };
  }
}

const fixture = (make: () => Rack): GroupTypeFixture => ({
  name: "rack",
  make: (): GroupUnderTest => {
    const group = make();
    return {
      group,
      members: MEMBERS,
      leave: (id) => group.leave(id),
      vanish: () => group.vanish(),
    };
  },
});

const changed = (change: object) => fixture(() => Object.assign(new Rack(), change));
const derived = (type: new () => Rack) => fixture(() => new type());
const typed = (change: object) =>
  fixture(() => {
    const rack = new Rack();
    rack.type = { ...rack.type, ...change };
    return rack;
  });

const BROKEN: readonly (readonly [string, GroupTypeFixture, readonly string[]])[] = [
  [
    "an identifier of 17 bits",
    typed({ id: 0x1_0000 }),
    ["group-declares", "group-commands", "group-leaves", "group-vanishes"],
  ],
  ["no name", typed({ name: "" }), ["group-declares"]],
  ["the word of a standard it is not in", typed({ private: false }), ["group-declares"]],
  ["no transport", typed({ transports: [] }), ["group-declares"]],
  [
    "a count of its own",
    derived(
      class extends Rack {
        override get memberCount(): number {
          return 7;
        }
      },
    ),
    ["group-members", "group-leaves", "group-vanishes"],
  ],
  [
    "members whose identifiers are cut to 32 bits",
    changed({
      hasMember(this: Rack, id: number) {
        return this.powered && this.members.has(id >>> 0 || id);
      },
    }),
    ["group-strangers", "group-commands"],
  ],
  [
    "everybody as its member",
    changed({ hasMember: () => true }),
    ["group-strangers", "group-commands", "group-leaves", "group-vanishes"],
  ],
  [
    "an exception for what is no member",
    changed({
      hasMember(this: Rack, id: number) {
        if (!this.members.has(id)) throw new Error(`no member ${id}`);
        return true;
      },
    }),
    ["group-strangers", "group-commands", "group-leaves", "group-vanishes"],
  ],
  ["members that stay", changed({ leave() {} }), ["group-leaves"]],
  ["no end", changed({ vanish() {} }), ["group-vanishes"]],
  [
    "members that outlast it",
    derived(
      class extends Rack {
        override get memberCount(): number {
          return this.members.size;
        }
      },
    ),
    ["group-vanishes"],
  ],
  ["a state that nothing restores", changed({ restore: undefined }), ["group-state"]],
  ["no JSON for a state", changed({ save: () => undefined }), ["group-state"]],
  [
    "a state that is put in place while it is looked at",
    changed({
      restore(this: Rack, value: unknown) {
        this.members = new Set(Array.isArray(value) ? (value as number[]) : []);
        return () => undefined;
      },
    }),
    ["group-state"],
  ],
  ["a state that changes nothing", changed({ restore: () => () => undefined }), ["group-state"]],
];

describe("a group type", () => {
  it("passes when it is sound", async () => {
    const report = await checkGroupType(fixture(() => new Rack()));
    expect(report).toMatchObject({ point: "group type", plugin: "rack", failures: [] });
    expect(report.skipped.map(({ id }) => id)).toEqual([
      "group-managed-members",
      "group-provisions",
    ]);
  });

  it.each(BROKEN)("with %s is found out", async (_, broken, cases) => {
    expect(await foundBy(checkGroupType(broken))).toEqual(cases);
  });

  it("of the ratified ones may say so", async () => {
    const group = new Rack();
    group.type = SELF_GROUP;
    group.members = new Set([0]);
    const self = { name: "self", make: () => ({ group, members: [0] }) };
    expect(await foundBy(checkGroupType(self))).toEqual([]);
  });
});

describe("a group type whose members can be provisioned", () => {
  const member = (id: number): ManagedMember =>
    new DeviceMember(id, new ModelBench(new ProbeModel()).device);
  const provided = (members: readonly ManagedMember[], change: object = {}): GroupTypeFixture => ({
    name: "provided",
    make: () => ({
      group: Object.assign(new PlatformGroup(members), change),
      members: members.map(({ id }) => id),
    }),
  });
  const like = (change: (real: ManagedMember) => Partial<ManagedMember>): ManagedMember => {
    const real = member(1);
    const over = change(real);
    return new Proxy(real, {
      get: (target, name) =>
        name in over ? Reflect.get(over, name) : bound(Reflect.get(target, name, target), target),
    });
  };
  const bound = (part: unknown, target: object): unknown =>
    typeof part === "function" ? part.bind(target) : part;

  it("passes when it is sound", async () => {
    expect(await foundBy(checkGroupType(provided([member(1), member(2)])))).toEqual([]);
  });

  it.each([
    [
      "a member under every identifier",
      provided([member(1)], { member: () => member(1) }),
      ["group-managed-members"],
    ],
    [
      "a member that is not in the group",
      provided([member(1)], { managedMembers: () => [member(1), member(2)] }),
      ["group-state", "group-managed-members"],
    ],
    [
      "members with vectors, and no pool",
      provided([member(1)], {
        managedMembers: () => [{ ...like(() => ({})), id: 1, msixVectors: 2 }],
      }),
      ["group-managed-members", "group-provisions"],
    ],
    [
      "a member that takes any feature",
      provided([like(() => ({ provisionFeatures: () => undefined }))]),
      ["group-provisions"],
    ],
    [
      "a member that takes none",
      provided([like(() => ({ provisionFeatures: () => "invalid" as const }))]),
      ["group-provisions"],
    ],
    [
      "a member that changes what it refuses",
      provided([
        like((real) => ({
          provisionFeatures: (features) => {
            const refusal = real.provisionFeatures(features);
            if (refusal !== undefined) real.provisionFeatures(FeatureSet.of(32));
            return refusal;
          },
        })),
      ]),
      ["group-provisions"],
    ],
  ] as const)("with %s is found out", async (_, broken, cases) => {
    expect(await foundBy(checkGroupType(broken))).toEqual(cases);
  });

  it("is of the type that it says", () => {
    expect(new PlatformGroup().type).toBe(PLATFORM_GROUP);
  });
});
