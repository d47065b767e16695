/** What a platform group keeps in mind of its members, against a look at each of them. */
import {
  DeviceMember,
  FEATURE,
  FeatureSet,
  freeVectors,
  isMemberInUse,
  type ManagedMember,
  type MemberDefaults,
  PlatformGroup,
  type ProvisionAspect,
  type ProvisionRefusal,
  type ProvisionWatcher,
  RING_FEATURES,
  restoreDefaults,
  STATUS,
  VirtioDevice,
} from "@virtio-admin/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FeatureColumn } from "../../src/group/feature-column.ts";
import { FillModel } from "../device/models.ts";
import { makeMemory } from "../direct-transport.ts";

const { VIRTIO_F_VERSION_1 } = FEATURE;
const OFFERED = FeatureSet.of(0, 1, ...RING_FEATURES, VIRTIO_F_VERSION_1);
const SETTABLE = OFFERED.without(VIRTIO_F_VERSION_1);
const POOL = { total: 40, min: 1, max: 8 };
const DEFAULT_VECTORS = 2;
const invalid = expect.objectContaining({ code: "GROUP_INVALID" });

const { memory } = makeMemory();
const makeDevice = () => new VirtioDevice({ model: new FillModel(), memory });

/** A member that keeps its own vectors; one that tells says so whenever they change. */
class VectorMember implements ManagedMember {
  readonly id: number;
  readonly device: VirtioDevice = makeDevice();
  readonly tells: boolean;
  readonly #features: DeviceMember;
  #vectors: number = DEFAULT_VECTORS;
  watcher: ProvisionWatcher | undefined;

  constructor(id: number, tells: boolean) {
    this.id = id;
    this.tells = tells;
    this.#features = new DeviceMember(id, this.device);
  }

  get deviceStatus(): number {
    return this.device.status;
  }

  get msixVectors(): number {
    return this.#vectors;
  }

  set msixVectors(vectors: number) {
    this.#vectors = vectors;
    this.watcher?.changed(this.id, "vectors");
  }

  get defaults(): MemberDefaults {
    return { ...this.#features.defaults, msixVectors: DEFAULT_VECTORS };
  }

  get offeredFeatures(): FeatureSet {
    return this.#features.offeredFeatures;
  }

  get settableFeatures(): FeatureSet {
    return this.#features.settableFeatures;
  }

  provisionVectors(vectors: number): ProvisionRefusal | undefined {
    if (isMemberInUse(this)) return "in use";
    this.msixVectors = vectors;
    return undefined;
  }

  provisionFeatures(features: FeatureSet): ProvisionRefusal | undefined {
    return this.#features.provisionFeatures(features);
  }

  watch(watcher: ProvisionWatcher | undefined): boolean {
    if (!this.tells || !this.#features.watch(watcher)) return false;
    this.watcher = watcher;
    return true;
  }
}

/** All that a command could ask of a member. */
function seen(member: ManagedMember | undefined): unknown {
  return (
    member && {
      id: member.id,
      inUse: isMemberInUse(member),
      status: member.deviceStatus,
      vectors: member.msixVectors,
      defaults: [member.defaults.msixVectors, String(member.defaults.features)],
      offered: String(member.offeredFeatures),
      settable: String(member.settableFeatures),
      hasDevice: member.device !== undefined,
    }
  );
}

/** What the group says of itself is what its members say. */
function check(group: PlatformGroup, ids: Iterable<number>, known: readonly number[]): void {
  const members = [...ids];
  expect([group.members, group.memberCount]).toEqual([members, members.length]);
  let vectors = 0;
  let settable = FeatureSet.EMPTY;
  for (const member of group.managedMembers()) {
    vectors += member.msixVectors ?? 0;
    settable = settable.union(member.settableFeatures);
  }
  expect(group.msix?.free).toBe(POOL.total - vectors);
  expect(freeVectors(group)).toBe(Math.max(0, POOL.total - vectors));
  expect(String(group.settableFeatures)).toBe(String(settable));
  const ask = (look: (id: number) => unknown) => known.map(look);
  expect(ask((id) => group.hasMember(id))).toEqual(ask((id) => members.includes(id)));
  expect(ask((id) => seen(group.borrow(id)))).toEqual(ask((id) => seen(group.member(id))));
  expect(ask((id) => group.vectorsOf(id))).toEqual(ask((id) => group.member(id)?.msixVectors));
}

const IDS = [0, 1, 2, 3, 4, 5, 6, 70, 1000, 2 ** 32, 2 ** 40, Number.MAX_SAFE_INTEGER];
const which = fc.constantFrom(...IDS);
const vectors = fc.integer({ min: 0, max: 9 });

type Step =
  | { readonly do: "add"; readonly id: number; readonly kind: "tells" | "silent" | "bare" }
  | { readonly do: "own" | "command"; readonly id: number; readonly vectors: number }
  | { readonly do: "remove" | "defaults" | "use" | "reset" | "withdraw"; readonly id: number }
  | { readonly do: "restore"; readonly bare: readonly number[] };

const STEP: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("add" as const),
      id: which,
      kind: fc.constantFrom("tells" as const, "tells" as const, "silent" as const, "bare" as const),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom("own" as const, "command" as const),
      id: which,
      vectors,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom(
        "remove" as const,
        "defaults" as const,
        "use" as const,
        "reset" as const,
        "withdraw" as const,
      ),
      id: which,
    }),
  },
  fc.record({ do: fc.constant("restore" as const), bare: fc.subarray(IDS, { maxLength: 3 }) }),
);

describe.each([
  ["each member keeps", false],
  ["the group keeps", true],
])("the free vectors of a platform group, of which %s the number", (_name, keeps) => {
  it("[management-device-10] are those that a look at every member finds, whatever happened", () => {
    const counts = { refused: 0, added: 0 };
    fc.assert(
      fc.property(fc.array(STEP, { minLength: 1, maxLength: 60, size: "max" }), (steps) => {
        const group = new PlatformGroup([], {
          msix: keeps ? { ...POOL, vectors: DEFAULT_VECTORS } : POOL,
        });
        const model = new Map<number, { own?: ManagedMember; device?: VirtioDevice }>();
        const add = (id: number, kind: string): void => {
          if (kind === "bare") {
            group.add(id);
            model.set(id, {});
            return;
          }
          const device = makeDevice();
          // A device that tells somebody else tells the group nothing.
          if (keeps && kind === "silent") device.watch({ changed: () => undefined }, id);
          const own = keeps ? new DeviceMember(id, device) : new VectorMember(id, kind === "tells");
          group.add(own);
          model.set(id, { own, device: own instanceof VectorMember ? own.device : device });
        };
        for (const step of steps) {
          const there = "id" in step ? model.get(step.id) : undefined;
          if (step.do === "add") {
            const isShort = step.kind !== "bare" && freeVectors(group) < DEFAULT_VECTORS;
            if (model.has(step.id) || isShort) {
              counts.refused++;
              expect(() => add(step.id, step.kind)).toThrow(invalid);
            } else {
              counts.added++;
              add(step.id, step.kind);
            }
          } else if (step.do === "remove") {
            expect(group.remove(step.id)).toBe(model.delete(step.id));
          } else if (step.do === "restore") {
            const saved = [...model].filter(([, { own }]) => own !== undefined).map(([id]) => id);
            const ids = [...new Set([...step.bare, ...saved.reverse()])];
            group.restore(ids)();
            const before = new Map(model);
            model.clear();
            for (const id of ids) model.set(id, before.get(id) ?? {});
          } else if (step.do === "own" || step.do === "command") {
            const member = step.do === "own" ? group.member(step.id) : group.borrow(step.id);
            const had = group.vectorsOf(step.id) ?? 0;
            const free = freeVectors(group);
            const refusal = member?.provisionVectors?.(step.vectors);
            if (keeps && member !== undefined) {
              const fits = step.vectors >= 1 && step.vectors <= 8 && step.vectors - had <= free;
              const expected = !fits ? "invalid" : isMemberInUse(member) ? "in use" : undefined;
              expect(refusal).toBe(expected);
            }
          } else if (step.do === "defaults") {
            const member = group.member(step.id);
            if (member !== undefined) restoreDefaults(member);
          } else if (step.do === "use") there?.device?.writeStatus(STATUS.ACKNOWLEDGE);
          else if (step.do === "reset") there?.device?.reset();
          else there?.device?.provisionFeatures(OFFERED.without(1));
          check(group, model.keys(), IDS);
        }
      }),
      { numRuns: 100 },
    );
    expect(counts.refused).toBeGreaterThan(0);
    expect(counts.added).toBeGreaterThan(0);
  });
});

describe("a member that tells its group of its changes", () => {
  it("is not looked at again, until it tells", () => {
    let looks = 0;
    const member = new VectorMember(3, true);
    const counted: ManagedMember = new Proxy(member, {
      get: (target, name) => {
        looks++;
        const value = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const group = new PlatformGroup([counted], { msix: POOL });
    looks = 0;
    const borrowed = group.borrow(3);
    expect([borrowed?.msixVectors, borrowed?.deviceStatus, freeVectors(group)]).toEqual([2, 0, 38]);
    expect(borrowed?.offeredFeatures.equals(OFFERED)).toBe(true);
    expect(group.settableFeatures.equals(SETTABLE)).toBe(true);
    expect(looks).toBe(0);
    member.msixVectors = 5;
    expect(looks).toBeGreaterThan(0);
    expect([group.borrow(3)?.msixVectors, freeVectors(group)]).toEqual([5, 35]);
  });

  it("tells nobody once it is removed, and can join another group", () => {
    const member = new VectorMember(3, true);
    const first = new PlatformGroup([member], { msix: POOL });
    const second = new PlatformGroup([], { msix: POOL });
    expect(member.watcher).toBeDefined();
    first.remove(3);
    expect(member.watcher).toBeUndefined();
    second.add(member);
    member.msixVectors = 6;
    expect([freeVectors(first), freeVectors(second)]).toEqual([40, 34]);
  });

  it("is counted in two groups, though it tells but one of them", () => {
    const member = new VectorMember(3, true);
    const groups = [1, 2].map(() => new PlatformGroup([member], { msix: POOL }));
    member.msixVectors = 6;
    expect(groups.map(freeVectors)).toEqual([34, 34]);
    groups[1]?.remove(3);
    member.msixVectors = 7;
    expect(groups.map(freeVectors)).toEqual([33, 40]);
  });

  it.each<[string, Partial<Record<"msixVectors" | "offeredFeatures", unknown>>]>([
    ["numbers that cannot be", { msixVectors: 2.5 }],
    ["more than a function can have", { msixVectors: 2049 }],
    ["an exception", {}],
  ])("does no harm with %s", (_name, wrong) => {
    const member = new VectorMember(3, true);
    const group = new PlatformGroup([member, new VectorMember(4, true)], { msix: POOL });
    for (const name of ["msixVectors", "offeredFeatures"] as const) {
      Object.defineProperty(member, name, {
        get: () => {
          if (name in wrong) return wrong[name];
          if (name === "offeredFeatures" && wrong.msixVectors !== undefined) return OFFERED;
          throw new Error("planted");
        },
      });
    }
    const aspects: readonly ProvisionAspect[] = ["vectors", "features", "use"];
    for (const what of aspects) expect(() => member.watcher?.changed(3, what)).not.toThrow();
    // It is looked at each time from now on, and its neighbour is not.
    expect(group.borrow(3)).toBe(member);
    expect(group.borrow(4)).not.toBe(group.member(4));
    expect(group.remove(3)).toBe(true);
    expect(freeVectors(group)).toBe(38);
  });

  it("is counted once more when its numbers can be again", () => {
    const member = new VectorMember(3, true);
    const group = new PlatformGroup([member], { msix: POOL });
    member.msixVectors = 0;
    expect([freeVectors(group), group.borrow(3)?.msixVectors]).toEqual([40, 0]);
    member.msixVectors = 6;
    expect([freeVectors(group), group.borrow(3)?.msixVectors]).toEqual([34, 6]);
  });

  it("may have any features, of as many kinds as there are members", () => {
    const bits = [0, ...RING_FEATURES];
    const members = Array.from({ length: 600 }, (_, i) => {
      const model = new FillModel();
      const features = Array.from({ length: 10 }, (_bit, bit) => 50 + bit).filter(
        (_bit, bit) => ((i >>> bit) & 1) === 1,
      );
      const device = new VirtioDevice({ model: Object.assign(model, { features }), memory });
      return new DeviceMember(i, device);
    });
    const group = new PlatformGroup(members);
    for (const member of members) {
      const borrowed = group.borrow(member.id);
      expect(String(borrowed?.offeredFeatures)).toBe(String(member.offeredFeatures));
      expect(String(borrowed?.settableFeatures)).toBe(String(member.settableFeatures));
    }
    expect(bits.every((bit) => bit === 0 || group.settableFeatures.has(bit))).toBe(true);
    for (let bit = 50; bit < 60; bit++) expect(group.settableFeatures.has(bit)).toBe(true);
    for (let id = 512; id < 600; id++) group.remove(id);
    for (let id = 0; id < 512; id++) if ((id & 0x200) === 0 && id >= 256) group.remove(id);
    expect([group.settableFeatures.has(57), group.settableFeatures.has(58)]).toEqual([true, false]);
  });
});

describe("a column of feature sets", () => {
  it("has room for those that there are, however many there were", () => {
    const column = new FeatureColumn(300);
    const set = (i: number) => FeatureSet.fromWords([i]);
    for (let i = 0; i < 1000; i++) {
      column.set(0, set(i));
      column.set(1, set(i & 1));
      expect([column.at(0)?.word(0), column.at(1)?.word(0)]).toEqual([i, i & 1]);
    }
    for (let row = 0; row < 300; row++) column.set(row, set(row));
    const kept = Array.from({ length: 300 }, (_, row) => column.at(row)?.word(0));
    expect(kept.slice(0, 255)).toEqual(Array.from({ length: 255 }, (_, row) => row));
    expect(new Set(kept.slice(255))).toEqual(new Set([undefined]));
    column.clear(7);
    column.set(299, set(299));
    expect([column.at(7), column.at(299)?.word(0)]).toEqual([undefined, 299]);
  });
});

describe("vectors that a platform group keeps", () => {
  const msix = { ...POOL, vectors: DEFAULT_VECTORS };

  it.each([{ vectors: 0 }, { vectors: 9 }, { vectors: 1.5 }, { vectors: Number.NaN }])(
    "are as many at first as a member can have, not $vectors",
    ({ vectors: wrong }) => {
      expect(() => new PlatformGroup([], { msix: { ...POOL, vectors: wrong } })).toThrow(
        expect.objectContaining({ code: "GROUP_INVALID", path: "group.msix.vectors" }),
      );
    },
  );

  it("are refused to a member that has its own, and to one too many", () => {
    const group = new PlatformGroup([1], { msix: { ...msix, total: 3 } });
    expect(() => group.add(new VectorMember(2, true))).toThrow(invalid);
    group.add(new DeviceMember(3, makeDevice()));
    expect(() => group.add(new DeviceMember(4, makeDevice()))).toThrow(invalid);
    expect([group.members, group.msix?.free]).toEqual([[1, 3], 1]);
    expect([group.vectorsOf(1), group.vectorsOf(3), group.vectorsOf(4)]).toEqual([
      undefined,
      2,
      undefined,
    ]);
  });

  it("change when whoever emulates MSI-X has nothing against it", () => {
    const asked: (readonly [number, number])[] = [];
    let answer: ProvisionRefusal | undefined;
    const settle = (id: number, wanted: number) => {
      asked.push([id, wanted]);
      return answer;
    };
    const group = new PlatformGroup([new DeviceMember(7, makeDevice())], {
      msix: { ...msix, settle },
    });
    expect(group.member(7)?.provisionVectors?.(5)).toBeUndefined();
    answer = "in use";
    expect(group.member(7)?.provisionVectors?.(6)).toBe("in use");
    expect(group.borrow(7)?.provisionVectors?.(6)).toBe("in use");
    expect(group.member(7)?.provisionVectors?.(9)).toBe("invalid");
    expect(asked).toEqual([
      [7, 5],
      [7, 6],
      [7, 6],
    ]);
    expect([group.vectorsOf(7), group.msix?.free]).toEqual([5, 35]);
  });

  it("are settled only where the group keeps them", () => {
    const settle = () => undefined;
    expect(() => new PlatformGroup([], { msix: { ...POOL, settle } })).toThrow(invalid);
  });

  it.each<[string, (group: PlatformGroup) => ProvisionRefusal | undefined, readonly unknown[]]>([
    ["agrees", () => undefined, [8, 2, 0]],
    ["refuses", () => "in use", [2, 2, 6]],
    [
      "removes the member",
      (group) => {
        group.remove(7);
        return undefined;
      },
      [undefined, 2, 8],
    ],
    [
      "removes the member and refuses",
      (group) => {
        group.remove(7);
        return "invalid";
      },
      [undefined, 2, 8],
    ],
    [
      "puts another one in its place and refuses",
      (group) => {
        group.remove(7);
        group.add(new DeviceMember(7, makeDevice()));
        return "invalid";
      },
      [2, 2, 6],
    ],
    [
      "wants for another one what is spoken for",
      (group) => {
        expect(group.member(8)?.provisionVectors?.(3)).toBe("invalid");
        return undefined;
      },
      [8, 2, 0],
    ],
    [
      "throws",
      () => {
        throw new Error("planted");
      },
      [2, 2, 6],
    ],
  ])("stay in order when whoever is asked %s", (name, then, expected) => {
    const group: PlatformGroup = new PlatformGroup([], {
      msix: { ...msix, total: 12, settle: () => then(group) },
    });
    for (const id of [7, 8, 9]) group.add(new DeviceMember(id, makeDevice()));
    const ask = () => group.borrow(7)?.provisionVectors?.(8);
    if (name === "throws") expect(ask).toThrow("planted");
    else ask();
    expect([group.vectorsOf(7), group.vectorsOf(8), group.msix?.free]).toEqual(expected);
  });

  it("belong to one object as long as the member is there, and to another one afterwards", () => {
    const member = new DeviceMember(7, makeDevice());
    const group = new PlatformGroup([member], { msix });
    const held = group.member(7);
    expect(group.member(7)).toBe(held);
    expect(group.managedMembers()[0]).toBe(held);
    group.remove(7);
    group.add(member);
    expect(group.member(7)).not.toBe(held);
  });

  it("are out of reach for whoever holds a member that left", () => {
    const device = makeDevice();
    const group = new PlatformGroup([new DeviceMember(7, device)], { msix });
    const held = group.member(7);
    expect([held?.msixVectors, held?.defaults.msixVectors, held?.device]).toEqual([2, 2, device]);
    group.remove(7);
    group.add(new DeviceMember(7, makeDevice()));
    expect(held?.provisionVectors?.(4)).toBe("invalid");
    expect([held?.id, held?.msixVectors, held?.defaults.msixVectors, held?.msixEnabled]).toEqual([
      7,
      undefined,
      undefined,
      false,
    ]);
    expect(held?.provisionFeatures(OFFERED.without(1))).toBeUndefined();
    expect(device.provisionedFeatures.has(1)).toBe(false);
    expect(group.vectorsOf(7)).toBe(2);
  });
});

describe("ids of a platform group", () => {
  it("may be in any order, and come back", () => {
    const id = fc.oneof(
      fc.integer({ min: 0, max: 40 }),
      fc.integer({ min: 0, max: 5000 }),
      fc.maxSafeNat(),
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.boolean(), id), { maxLength: 120, size: "max" }),
        (steps) => {
          const group = new PlatformGroup();
          const model = new Set<number>();
          for (const [adds, one] of steps) {
            if (!adds) expect(group.remove(one)).toBe(model.delete(one));
            else if (!model.has(one)) {
              group.add(one);
              model.add(one);
            }
            const wrong = steps.filter(([, other]) => group.hasMember(other) !== model.has(other));
            expect([group.members, wrong]).toEqual([[...model], []]);
          }
        },
      ),
    );
  });

  it("that follow each other are told from all others", () => {
    const group = new PlatformGroup(Array.from({ length: 100 }, (_, i) => 10 + i));
    for (const other of [-1, -0, 0, 9, 10.5, 110, 128, 2 ** 31, 2 ** 53, 2 ** 64, Number.NaN]) {
      expect([other, group.hasMember(other)]).toEqual([other, false]);
    }
    expect([group.hasMember(10), group.hasMember(109)]).toEqual([true, true]);
    for (let id = 10; id < 80; id++) group.remove(id);
    expect(group.members).toEqual(Array.from({ length: 30 }, (_, i) => 80 + i));
    expect([group.hasMember(79), group.hasMember(80)]).toEqual([false, true]);
    for (let id = 80; id < 110; id++) group.remove(id);
    group.add(-0);
    expect([group.members, group.hasMember(0)]).toEqual([[0], true]);
  });
});
