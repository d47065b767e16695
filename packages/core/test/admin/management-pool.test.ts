import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AdminClient, ManagementClient } from "../../src/admin/index.ts";
import { FeatureSet } from "../../src/device/index.ts";
import { freeVectors } from "../../src/group/index.ts";
import {
  count,
  DEFAULT_VECTORS,
  EBUSY,
  INVALID_FIELD,
  INVALID_MEMBER,
  ManagementRig,
  MEMBER_FEATURES,
  MsixMember,
  NORESOURCE,
  OK,
  OP_MGMT,
  PLATFORM,
  POOL,
  SRIOV,
  take,
} from "./management-rig.ts";
import { settle } from "./rig.ts";

/** What the members of the platform group ought to have. */
interface Model {
  readonly members: Map<number, { vectors: number; busy: boolean }>;
}
type Command = fc.Command<Model, ManagementRig>;

const freeOf = ({ members }: Model) =>
  [...members.values()].reduce((free, { vectors }) => free - vectors, POOL.total);

function check(model: Model, rig: ManagementRig): void {
  const attrs = rig.command(OP_MGMT.ATTRS, 0).result;
  const view = new DataView(new Uint8Array(Buffer.from(attrs, "hex")).buffer);
  expect([view.getUint32(8, true), view.getUint32(12, true)]).toEqual([POOL.total, freeOf(model)]);
  for (const [id, { vectors }] of model.members) {
    const { result } = rig.command(OP_MGMT.COUNT_GET, id);
    expect(Buffer.from(result, "hex").readUInt16LE(0)).toBe(vectors);
  }
}

const ID = fc.integer({ min: 0, max: 6 });

class SetCount implements Command {
  readonly id: number;
  readonly vectors: number;
  readonly queue: number;

  constructor(id: number, vectors: number, queue: number) {
    this.id = id;
    this.vectors = vectors;
    this.queue = queue;
  }

  check(): boolean {
    return true;
  }

  run(model: Model, rig: ManagementRig): void {
    const port = rig.ports[this.queue]!;
    const sent = rig.command(OP_MGMT.COUNT_SET, this.id, count(this.vectors), { port });
    expect(sent.outcome).toEqual(this.#expected(model));
    check(model, rig);
  }

  #expected(model: Model): readonly [number, number] {
    const { id, vectors } = this;
    const member = model.members.get(id);
    if (member === undefined) return INVALID_MEMBER;
    if (vectors < POOL.min || vectors > POOL.max) return INVALID_FIELD;
    if (member.busy) return EBUSY;
    if (vectors - member.vectors > freeOf(model)) return NORESOURCE;
    member.vectors = vectors;
    return OK;
  }

  toString(): string {
    return `set ${this.id} to ${this.vectors} over queue ${this.queue}`;
  }
}

class Join implements Command {
  readonly id: number;
  readonly vectors: number;

  constructor(id: number, vectors: number) {
    this.id = id;
    this.vectors = vectors;
  }

  check(): boolean {
    return true;
  }

  run(model: Model, rig: ManagementRig): void {
    const { id, vectors } = this;
    const member = new MsixMember(id, vectors);
    const fits = vectors >= POOL.min && vectors <= Math.min(POOL.max, freeOf(model));
    if (fits && !model.members.has(id)) {
      rig.group.add(member);
      model.members.set(id, { vectors, busy: false });
    } else {
      expect(() => rig.group.add(member)).toThrow(
        expect.objectContaining({ code: "GROUP_INVALID" }),
      );
    }
    check(model, rig);
  }

  toString(): string {
    return `${this.id} joins with ${this.vectors}`;
  }
}

class Leave implements Command {
  readonly id: number;

  constructor(id: number) {
    this.id = id;
  }

  check(): boolean {
    return true;
  }

  run(model: Model, rig: ManagementRig): void {
    expect(rig.group.remove(this.id)).toBe(model.members.delete(this.id));
    check(model, rig);
  }

  toString(): string {
    return `${this.id} leaves`;
  }
}

class Use implements Command {
  readonly id: number;
  readonly busy: boolean;

  constructor(id: number, busy: boolean) {
    this.id = id;
    this.busy = busy;
  }

  check(model: Readonly<Model>): boolean {
    return model.members.has(this.id);
  }

  run(model: Model, rig: ManagementRig): void {
    const member = rig.group.member(this.id) as MsixMember;
    if (this.busy) take(member);
    else member.virtio.reset();
    model.members.get(this.id)!.busy = this.busy;
    check(model, rig);
  }

  toString(): string {
    return `${this.id} is ${this.busy ? "taken" : "reset"}`;
  }
}

class Restart implements Command {
  check(): boolean {
    return true;
  }

  run(model: Model, rig: ManagementRig): void {
    rig.restart();
    check(model, rig);
  }

  toString(): string {
    return "the owner is reset";
  }
}

describe("the pool of vectors", () => {
  it("[management-device-10] [management-device-13] [management-device-14] is what a simple sum says, whatever happens", () => {
    const vectors = fc.integer({ min: 0, max: POOL.max + 1 });
    const commands = fc.commands(
      [
        fc
          .tuple(ID, vectors, fc.integer({ min: 0, max: 3 }))
          .map(([id, wanted, queue]) => new SetCount(id, wanted, queue)),
        fc.tuple(ID, vectors).map(([id, had]) => new Join(id, had)),
        ID.map((id) => new Leave(id)),
        fc.tuple(ID, fc.boolean()).map(([id, busy]) => new Use(id, busy)),
        fc.constant(new Restart()),
      ],
      { maxCommands: 25 },
    );
    fc.assert(
      fc.property(commands, (sequence) => {
        fc.modelRun(() => {
          const rig = new ManagementRig({ count: 4, size: 8 });
          for (const { id } of rig.members) rig.group.remove(id);
          return { model: { members: new Map() }, real: rig };
        }, sequence);
      }),
      { numRuns: 60 },
    );
  });
});

describe("four queues at once", () => {
  const operation = fc.record({
    kind: fc.constantFrom("set", "set", "set", "features", "get", "attrs"),
    group: fc.constantFrom(PLATFORM, PLATFORM, SRIOV),
    member: fc.integer({ min: 0, max: 2 }),
    vectors: fc.constantFrom(POOL.min, 5, 7, POOL.max, POOL.max, POOL.max),
    abort: fc.oneof(
      { weight: 9, arbitrary: fc.constant("never") },
      { weight: 1, arbitrary: fc.constantFrom("before", "after", "later") },
    ),
    event: fc.oneof(
      { weight: 20, arbitrary: fc.constantFrom("none", "turn", "join", "appear", "reset") },
      { weight: 2, arbitrary: fc.constantFrom("take", "leave", "vanish") },
      { weight: 1, arbitrary: fc.constantFrom("reset of the queues", "reset of the owner") },
    ),
  });

  it("[management-device-10] settle each promise once, and the pool balances", async () => {
    const outcomes = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { minLength: 8, maxLength: 40 }), async (steps) => {
        const rig = new ManagementRig({ count: 4, size: 16 });
        let client = new AdminClient(rig.ports, rig.arena, { slots: 4 });
        let management = new ManagementClient(client);
        const open = async () => {
          client = new AdminClient(rig.ports, rig.arena, { slots: 4 });
          management = new ManagementClient(client);
          for (const group of [PLATFORM, SRIOV]) await management.use(group).catch(() => undefined);
        };
        await open();
        /** How often each promise was settled. */
        const settled: number[] = [];
        /** What each member may have: its default, and whatever anybody asked for. */
        const possible = new Map<MsixMember, Set<number>>();
        for (const member of [...rig.members, ...rig.virtual.all]) {
          possible.set(member, new Set([DEFAULT_VECTORS]));
        }
        for (const { kind, group, member, vectors, abort, event } of steps) {
          const subject = (group === PLATFORM ? rig.members : rig.virtual.all)[member]!;
          const controller = new AbortController();
          if (abort === "before") controller.abort();
          const options = { signal: controller.signal };
          const nth = settled.push(0) - 1;
          const { id } = subject;
          const mask = FeatureSet.of(100);
          const value = vectors % 2 === 0 ? mask : FeatureSet.EMPTY;
          if (kind === "set") possible.get(subject)!.add(vectors);
          const sent: Promise<unknown> =
            kind === "set"
              ? management.setMsixCount(group, id, vectors, options)
              : kind === "features"
                ? management.setFeatures(group, id, mask, value, options)
                : kind === "get"
                  ? management.msixCount(group, id, options)
                  : management.attrs(group, options);
          const note = (how: string) => {
            settled[nth]!++;
            outcomes.set(how, (outcomes.get(how) ?? 0) + 1);
          };
          sent.then(
            () => note("OK"),
            (error) => note(error.statusName ?? error.code),
          );
          if (abort === "after") controller.abort();
          if (abort === "later") void Promise.resolve().then(() => controller.abort());
          if (event === "turn") await settle();
          if (event === "take") take(subject);
          if (event === "reset") subject.virtio.reset();
          if (event === "vanish") rig.virtual.vanish();
          if (event === "appear") rig.virtual.exists = true;
          if (event === "leave") rig.group.remove(rig.members[member]!.id);
          if (event === "join" && !rig.group.hasMember(rig.members[member]!.id)) {
            if (rig.members[member]!.msixVectors <= freeVectors(rig.group)) {
              rig.group.add(rig.members[member]!);
            }
          }
          if (event === "reset of the queues") {
            for (const { index } of rig.ports) rig.device.resetQueue(index);
            client.close();
            rig.ports = rig.ports.map(({ index }) => rig.setUpQueue(index));
            await open();
          }
          if (event === "reset of the owner") {
            rig.device.reset();
            client.close();
            rig.bringUp();
            await open();
          }
          for (const pool of [rig.group, rig.virtual]) {
            const has = [...pool.managedMembers()].reduce(
              (sum, { msixVectors = 0 }) => sum + msixVectors,
              0,
            );
            expect(freeVectors(pool)).toBe(POOL.total - has);
          }
        }
        await settle();
        expect(settled).toEqual(settled.map(() => 1));
        expect([client.outstanding, client.waiting]).toEqual([0, 0]);
        for (const [member, counts] of possible) {
          expect(counts).toContain(member.msixVectors);
          expect(MEMBER_FEATURES.minus(member.offeredFeatures).without(100).isEmpty).toBe(true);
        }
        client.close();
      }),
      { numRuns: 60 },
    );
    // Every way of ending has to have been met, or the property shows little.
    expect([...outcomes.keys()]).toEqual(
      expect.arrayContaining(["OK", "EBUSY", "ENOSPC", "EINVAL", "ADMIN_ABORTED", "ADMIN_RESET"]),
    );
  });

  it("answers four queues as if they had come one after another", async () => {
    const rig = new ManagementRig({ count: 4 });
    const management = new ManagementClient(new AdminClient(rig.ports, rig.arena));
    await management.use(PLATFORM);
    const all = await Promise.allSettled(
      rig.members.map(({ id }) => management.setMsixCount(PLATFORM, id, 8)),
    );
    // 8 + 8 of 20 leave none of the 8 that the third asks for: whichever comes last fails.
    expect(all.map(({ status }) => status).sort()).toEqual(["fulfilled", "fulfilled", "rejected"]);
    expect(freeVectors(rig.group)).toBe(0);
    expect(rig.members.map(({ msixVectors }) => msixVectors).sort()).toEqual([4, 8, 8]);
  });
});
