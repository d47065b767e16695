/** Capabilities and resource objects against a model that is as plain as the text. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type CommandTarget,
  capSet,
  EBUSY,
  EEXIST,
  ENOSPC,
  ENXIO,
  filter,
  INVALID_FIELD,
  INVALID_GROUP,
  le,
  ObjectRig,
  OK,
  OP_CAP,
  pool,
  SELF,
  SRIOV,
  TEST_DEVICE,
  TYPE,
} from "./object-rig.ts";

type Outcome = readonly [number, number];
const { DEV_PARTS, POOL, FILTER } = TYPE;
const PARTS: readonly [number, number] = [3, 2];

interface ModelObject {
  readonly type: number;
  readonly id: number;
  readonly member: number;
  data: string;
  refs: readonly string[];
}

/** The device as the text describes it. */
class Model {
  pools = 0;
  filters = 0;
  parts: readonly [number, number] = [0, 0];
  /** By name; in no particular order. */
  readonly objects = new Map<string, ModelObject>();
  virtual = true;

  /** Everything that has to hold between any two commands. */
  check(rig: ObjectRig): void {
    const seen = rig.objects.objects().map(({ type, id, memberId }) => nameOf(type, id, memberId));
    expect([...seen].sort()).toEqual([...this.objects.keys()].sort());
    for (const [i, name] of seen.entries()) {
      const { refs } = this.objects.get(name)!;
      for (const ref of refs) expect(seen.slice(0, i)).toContain(ref);
    }
  }

  reset(): void {
    this.pools = 0;
    this.filters = 0;
    this.parts = [0, 0];
    this.objects.clear();
  }

  hasDependants(name: string): boolean {
    return [...this.objects.values()].some(({ refs }) => refs.includes(name));
  }

  count(type: number, kind = 0): number {
    return [...this.objects.values()].filter((one) => one.type === type && kindOf(one) === kind)
      .length;
  }

  limits(type: number): readonly number[] {
    return type === POOL ? [this.pools] : type === FILTER ? [this.filters] : this.parts;
  }

  /** Whether such an object can be, beside the others or in the place of one. */
  judge(wanted: ModelObject, before?: ModelObject): Outcome {
    const limits = this.limits(wanted.type);
    const name = nameOf(wanted.type, wanted.id, wanted.member);
    if (before === undefined && wanted.id >= limits.reduce((a, b) => a + b, 0)) {
      return INVALID_FIELD;
    }
    const kind = kindOf(wanted);
    if (limits[kind] === undefined) return INVALID_FIELD;
    if (!wanted.refs.every((ref) => this.objects.has(ref) && ref !== name)) return INVALID_FIELD;
    const isOneMore = before === undefined || kindOf(before) !== kind;
    return isOneMore && this.count(wanted.type, kind) >= limits[kind] ? ENOSPC : OK;
  }
}

function nameOf(type: number, id: number, member: number): string {
  return `${type}/${id}/${member}`;
}

function kindOf({ type, data }: Pick<ModelObject, "type" | "data">): number {
  return type === DEV_PARTS ? Number.parseInt(data.slice(0, 2), 16) : 0;
}

interface Real {
  rig: ObjectRig;
  /** The outcomes that were met. */
  readonly met: Set<string>;
}

/** What an object may have, as a command says it. */
interface Contents {
  readonly poolSize: number;
  readonly poolId: number;
  readonly after: number | undefined;
  readonly kind: number;
}

function modelOf(type: number, id: number, member: number, contents: Contents): ModelObject {
  const { poolSize, poolId, after, kind } = contents;
  if (type === POOL) return { type, id, member, data: pool(poolSize), refs: [] };
  if (type === DEV_PARTS) return { type, id, member, data: le(kind, 8), refs: [] };
  const refs = [nameOf(POOL, poolId, member)];
  if (after !== undefined) refs.push(nameOf(FILTER, after, member));
  return { type, id, member, data: filter(poolId, after), refs };
}

const targetOf = (member: number): CommandTarget =>
  member === 0 ? { group: SELF } : { group: SRIOV, member };
const livesIn = (type: number, member: number) =>
  type === POOL || (member === 0) === (type === FILTER);

abstract class Step implements fc.Command<Model, Real> {
  check(): boolean {
    return true;
  }

  abstract run(model: Model, real: Real): void;

  /** What a command that fails must leave as it was. */
  protected expectOutcome(real: Real, outcome: Outcome, send: () => Outcome): void {
    const before = real.rig.state();
    expect(send()).toEqual(outcome);
    real.met.add(outcome.join());
    if (outcome[0] !== 0) expect(real.rig.state()).toEqual(before);
  }
}

class SetLimits extends Step {
  readonly pools: number;
  readonly filters: number;
  constructor(pools: number, filters: number) {
    super();
    this.pools = pools;
    this.filters = filters;
  }
  override run(model: Model, real: Real): void {
    const { pools, filters } = this;
    const fits = pools <= TEST_DEVICE.pools && filters <= TEST_DEVICE.filters;
    const isWhole = filters === 0 || pools > 0;
    const living = [...model.objects.values()];
    const isFree = (type: number, limit: number) =>
      model.count(type) <= limit && living.every((one) => one.type !== type || one.id < limit);
    const isFreeFor = isFree(POOL, pools) && isFree(FILTER, filters);
    const outcome = !(fits && isWhole) ? INVALID_FIELD : isFreeFor ? OK : EBUSY;
    this.expectOutcome(real, outcome, () =>
      real.rig.outcome(OP_CAP.SET, capSet(0x0800, le(pools, 4) + le(filters, 4))),
    );
    if (outcome !== OK) return;
    model.pools = pools;
    model.filters = filters;
  }
  override toString = () => `limits(${this.pools}, ${this.filters})`;
}

class SetParts extends Step {
  readonly parts: readonly [number, number];
  constructor(get: number, set: number) {
    super();
    this.parts = [get, set];
  }
  override run(model: Model, real: Real): void {
    const { parts } = this;
    const fits = parts.every((limit, kind) => limit <= PARTS[kind]!);
    const living = [...model.objects.values()].filter(({ type }) => type === DEV_PARTS);
    const isFree =
      living.every(({ id }) => id < parts[0] + parts[1]) &&
      parts.every((limit, kind) => model.count(DEV_PARTS, kind) <= limit);
    const outcome = !fits ? INVALID_FIELD : isFree ? OK : EBUSY;
    this.expectOutcome(real, outcome, () =>
      real.rig.outcome(OP_CAP.SET, capSet(0, le(parts[0], 1) + le(parts[1], 1))),
    );
    if (outcome === OK) model.parts = parts;
  }
  override toString = () => `parts(${this.parts})`;
}

class Create extends Step {
  readonly wanted: ModelObject;
  constructor(type: number, id: number, member: number, contents: Contents) {
    super();
    this.wanted = modelOf(type, id, member, contents);
  }
  override run(model: Model, real: Real): void {
    const { type, id, member, data, refs } = this.wanted;
    const name = nameOf(type, id, member);
    let outcome: Outcome;
    if (member !== 0 && !model.virtual) outcome = INVALID_GROUP;
    else if (!livesIn(type, member)) outcome = INVALID_FIELD;
    else if (model.objects.has(name)) outcome = EEXIST;
    else outcome = model.judge(this.wanted);
    this.expectOutcome(real, outcome, () => real.rig.create(type, id, data, targetOf(member)));
    if (outcome === OK) model.objects.set(name, { type, id, member, data, refs });
  }
  override toString = () => `create(${JSON.stringify(this.wanted)})`;
}

class Modify extends Step {
  readonly wanted: ModelObject;
  constructor(type: number, id: number, member: number, contents: Contents) {
    super();
    this.wanted = modelOf(type, id, member, contents);
  }
  override run(model: Model, real: Real): void {
    const { type, id, member, data, refs } = this.wanted;
    const name = nameOf(type, id, member);
    const before = model.objects.get(name);
    let outcome: Outcome;
    if (member !== 0 && !model.virtual) outcome = INVALID_GROUP;
    else if (before === undefined) outcome = ENXIO;
    else if (model.hasDependants(name)) outcome = EBUSY;
    else outcome = model.judge(this.wanted, before);
    this.expectOutcome(real, outcome, () => real.rig.modify(type, id, data, targetOf(member)));
    if (outcome === OK) Object.assign(before!, { data, refs });
  }
  override toString = () => `modify(${JSON.stringify(this.wanted)})`;
}

class Destroy extends Step {
  readonly type: number;
  readonly id: number;
  readonly member: number;
  constructor(type: number, id: number, member: number) {
    super();
    this.type = type;
    this.id = id;
    this.member = member;
  }
  override run(model: Model, real: Real): void {
    const { type, id, member } = this;
    const name = nameOf(type, id, member);
    let outcome: Outcome;
    if (member !== 0 && !model.virtual) outcome = INVALID_GROUP;
    else if (!model.objects.has(name)) outcome = ENXIO;
    else outcome = model.hasDependants(name) ? EBUSY : OK;
    this.expectOutcome(real, outcome, () => real.rig.destroy(type, id, targetOf(member)));
    if (outcome === OK) model.objects.delete(name);
  }
  override toString = () => `destroy(${this.type}, ${this.id}, ${this.member})`;
}

class QueryAll extends Step {
  override run(model: Model, real: Real): void {
    for (const { type, id, member, data } of model.objects.values()) {
      const { outcome, result } = real.rig.query(type, id, targetOf(member));
      expect([outcome, result.slice(0, data.length)]).toEqual([OK, data]);
    }
    model.check(real.rig);
  }
  override toString = () => "query all";
}

class Reset extends Step {
  override run(model: Model, real: Real): void {
    real.rig.told.length = 0;
    real.rig.restart();
    const told = real.rig.told.map(({ what }) => what);
    const heard = [...model.objects.values()].filter(({ type }) => type !== DEV_PARTS).length;
    expect(told).toEqual(new Array(heard).fill("destroyed"));
    model.reset();
    model.check(real.rig);
  }
  override toString = () => "reset";
}

/** VF Enable is cleared, or set again. */
class Switch extends Step {
  override run(model: Model, real: Real): void {
    if (model.virtual) real.rig.virtual.vanish();
    else real.rig.virtual.appear();
    if (!model.virtual) real.rig.useAll(SRIOV);
    model.virtual = !model.virtual;
    for (const [name, { member }] of model.objects) if (member !== 0) model.objects.delete(name);
    model.check(real.rig);
    // What was destroyed meanwhile is told with the next command: let it be this one.
    expect(real.rig.query(POOL, 99).outcome).toEqual(ENXIO);
  }
  override toString = () => "switch";
}

/** The owner moves to another device. */
class Move extends Step {
  override run(model: Model, real: Real): void {
    const saved = JSON.parse(JSON.stringify(real.rig.executor.saveState()));
    const target = new ObjectRig({ parts: PARTS });
    if (!model.virtual) target.virtual.vanish();
    target.executor.prepareState(saved).apply();
    expect(target.executor.saveState()).toEqual(saved);
    real.rig = target;
    model.check(target);
  }
  override toString = () => "move";
}

const contents = fc.record({
  poolSize: fc.nat(3),
  poolId: fc.nat(4),
  after: fc.option(fc.nat(3), { nil: undefined }),
  kind: fc.oneof(fc.nat(1), fc.nat(2)),
});
const type = fc.constantFrom<number>(POOL, FILTER, FILTER, DEV_PARTS);
const id = fc.nat(4);
const member = fc.constantFrom(0, 0, 1, 2);
const wanted = fc.tuple(type, id, member, contents).map(([kind, at, whose, what]) => {
  // Mostly where such objects live.
  const home = kind === FILTER ? 0 : kind === DEV_PARTS ? Math.max(1, whose) : whose;
  return [kind, at, what.poolSize === 3 ? whose : home, what] as const;
});
const steps = [
  fc.tuple(fc.nat(5), fc.nat(4)).map((limits) => new SetLimits(...limits)),
  fc.constant(new SetLimits(4, 3)),
  fc.tuple(fc.nat(4), fc.nat(3)).map((limits) => new SetParts(...limits)),
  fc.constant(new SetParts(3, 2)),
  wanted.map((all) => new Create(...all)),
  wanted.map((all) => new Create(...all)),
  wanted.map((all) => new Create(...all)),
  wanted.map((all) => new Modify(...all)),
  wanted.map(([kind, at, whose]) => new Destroy(kind, at, whose)),
  fc.constant(new QueryAll()),
  fc.constant(new Reset()),
  fc.constant(new Switch()),
  fc.constant(new Move()),
];

describe("resource objects and the capabilities that limit them", () => {
  it("[resource-object-device-1+-] [resource-object-device-2+-] [resource-object-device-4+-] [resource-object-device-9+-] [resource-object-device-10+-] [capability-device-6+-] are as the model has them, whatever happens", () => {
    fc.assert(
      fc.property(fc.commands(steps, { maxCommands: 60, size: "max" }), (commands) => {
        const setup = () => ({
          model: new Model(),
          real: { rig: new ObjectRig({ parts: PARTS }), met: new Set<string>() },
        });
        let last: { readonly model: Model; readonly real: Real } | undefined;
        fc.modelRun(() => {
          last = setup();
          return last;
        }, commands);
        if (last === undefined) return;
        new QueryAll().run(last.model, last.real);
        expect(last.real.rig.faults).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });

  it("predicts every outcome", () => {
    const real: Real = { rig: new ObjectRig({ parts: PARTS }), met: new Set() };
    const model = new Model();
    const at = { poolSize: 1, poolId: 0, after: undefined, kind: 0 };
    const all: readonly Step[] = [
      new Create(POOL, 0, 0, at),
      new SetLimits(2, 2),
      new SetParts(1, 1),
      new Create(POOL, 0, 0, at),
      new Create(POOL, 0, 0, at),
      new Create(FILTER, 0, 0, at),
      new Create(FILTER, 1, 0, { ...at, after: 0 }),
      new Destroy(POOL, 0, 0),
      new Modify(FILTER, 1, 0, { ...at, after: 1 }),
      new SetLimits(0, 0),
      new Create(DEV_PARTS, 0, 1, at),
      new Create(DEV_PARTS, 1, 1, at),
      new Move(),
      new Switch(),
      new Destroy(DEV_PARTS, 0, 1),
      new Destroy(POOL, 1, 0),
      new QueryAll(),
      new Reset(),
    ];
    for (const step of all) step.run(model, real);
    const every = [OK, ENXIO, EBUSY, EEXIST, INVALID_FIELD, INVALID_GROUP, ENOSPC];
    expect([...real.met].sort()).toEqual(every.map((outcome) => outcome.join()).sort());
  });
});
