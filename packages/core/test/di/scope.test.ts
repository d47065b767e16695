import {
  container,
  createScope,
  DisposalError,
  type InjectionToken,
  Scope,
} from "@virtio-admin/core/di";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const THING: InjectionToken<object> = Symbol("test.THING");
const OTHER: InjectionToken<object> = Symbol("test.OTHER");

const note = (log: string[], name: string) => () => {
  log.push(name);
};

async function failureOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe("what a scope owns", () => {
  it("is let go of by what says how, first of all by what the caller says", async () => {
    const log: string[] = [];
    const scope = createScope();
    const both = {
      [Symbol.asyncDispose]: async () => note(log, "async")(),
      [Symbol.dispose]: note(log, "sync"),
      dispose: note(log, "tsyringe"),
    };
    const { [Symbol.asyncDispose]: _, ...sync } = both;
    expect(scope.own(both)).toBe(both);
    scope.own(sync);
    scope.provide(THING, () => ({ dispose: note(log, "tsyringe") }));
    scope.container.resolve(THING);
    scope.own(both, note(log, "said"));
    await scope[Symbol.asyncDispose]();
    expect(log).toEqual(["said", "tsyringe", "sync", "async"]);
  });

  it("is refused when nothing says how", () => {
    const scope = createScope();
    expect(() => scope.own({} as Disposable)).toThrow(
      expect.objectContaining({ code: "INJECTION", path: "scope" }),
    );
    expect(() => scope.own(undefined as unknown as Disposable)).toThrow(/pass own/);
  });

  it("is called as a method of the thing", async () => {
    class Thing {
      #open = true;
      get open(): boolean {
        return this.#open;
      }
      [Symbol.dispose](): void {
        this.#open = false;
      }
    }
    const scope = createScope();
    const thing = scope.own(new Thing());
    await scope.dispose();
    expect(thing.open).toBe(false);
  });
});

describe("what a scope provides", () => {
  it("is made once, when it is first asked for, and never let go of unless it was made", async () => {
    const log: string[] = [];
    const scope = createScope();
    scope.provide(
      THING,
      () => {
        log.push("made");
        return {};
      },
      note(log, "let go of"),
    );
    scope.provide(OTHER, () => ({}), note(log, "never made"));
    expect(log).toEqual([]);
    expect(scope.container.resolve(THING)).toBe(scope.container.resolve(THING));
    await scope.dispose();
    expect(log).toEqual(["made", "let go of"]);
  });

  it("is its own also when a child asks first, and made of what stands there", async () => {
    const log: string[] = [];
    const scope = createScope();
    scope.container.registerInstance(OTHER, { of: "parent" });
    scope.provide(THING, (own) => ({ other: own.resolve(OTHER) }), note(log, "let go of"));
    const child = scope.createChild();
    child.container.registerInstance(OTHER, { of: "child" });
    expect(child.container.resolve(THING)).toEqual({ other: { of: "parent" } });
    await child.dispose();
    expect(log).toEqual([]);
    expect(scope.container.resolve(THING)).toEqual({ other: { of: "parent" } });
    await scope.dispose();
    expect(log).toEqual(["let go of"]);
  });

  it("outlives what a child made of it, although the child came first", async () => {
    const log: string[] = [];
    const scope = createScope();
    const child = scope.createChild();
    scope.provide(THING, () => ({}), note(log, "parent's, asked for by the child"));
    child.container.resolve(THING);
    child.own({}, note(log, "child's"));
    scope.own({}, note(log, "parent's, made of the child's"));
    await scope.dispose();
    expect(log).toEqual([
      "parent's, made of the child's",
      "child's",
      "parent's, asked for by the child",
    ]);
  });

  it("is made anew after a failure, and what it had made before is let go of", async () => {
    const log: string[] = [];
    const scope = createScope();
    let fails = true;
    scope.provide(OTHER, () => ({}), note(log, "other"));
    scope.provide(
      THING,
      (own) => {
        own.resolve(OTHER);
        if (fails) throw new Error("not yet");
        return {};
      },
      note(log, "thing"),
    );
    expect(() => scope.container.resolve(THING)).toThrow("not yet");
    fails = false;
    scope.container.resolve(THING);
    await scope.dispose();
    expect(log).toEqual(["thing", "other"]);
  });

  it("cannot be made from itself", () => {
    const scope = createScope();
    scope.provide(THING, (own) => own.resolve(OTHER));
    scope.provide(OTHER, (own) => own.resolve(THING));
    expect(() => scope.container.resolve(THING)).toThrow(
      expect.objectContaining({ code: "INJECTION", path: "test.THING" }),
    );
  });
});

describe("a scope that ends", () => {
  it("lets go of one after the other, each when the one before is done", async () => {
    const log: string[] = [];
    const scope = createScope();
    for (const name of ["first", "second", "third"]) {
      scope.own({}, async () => {
        log.push(`${name} begins`);
        await new Promise((resolve) => setImmediate(resolve));
        log.push(`${name} ends`);
      });
    }
    await scope.dispose();
    expect(log).toEqual(
      ["third", "second", "first"].flatMap((name) => [`${name} begins`, `${name} ends`]),
    );
  });

  it("leaves alone what is merely registered", async () => {
    const scope = createScope();
    const registered = { disposed: 0, dispose: () => registered.disposed++ };
    scope.container.registerInstance(THING, registered);
    scope.container.resolve(THING);
    await scope.dispose();
    expect(registered.disposed).toBe(0);
  });

  it("settles a second call with the first, and a child's with its own part", async () => {
    const log: string[] = [];
    const scope = createScope();
    const child = scope.createChild();
    child.own({}, note(log, "child"));
    scope.own({}, note(log, "parent"));
    const first = scope.dispose();
    expect(scope.dispose()).toBe(first);
    await Promise.all([first, child.dispose(), child.dispose(), scope[Symbol.asyncDispose]()]);
    expect(log).toEqual(["parent", "child"]);
  });

  it("waits for a child that is ending already", async () => {
    const log: string[] = [];
    const scope = createScope();
    scope.own({}, note(log, "parent"));
    const child = scope.createChild();
    let release = (): void => undefined;
    child.own({}, note(log, "child's other"));
    child.own(
      {},
      () =>
        new Promise<void>((resolve) => {
          release = () => {
            log.push("child");
            resolve();
          };
        }),
    );
    const ending = child.dispose();
    const whole = scope.dispose();
    await new Promise((resolve) => setImmediate(resolve));
    expect(log).toEqual([]);
    release();
    await Promise.all([ending, whole]);
    expect(log).toEqual(["child", "child's other", "parent"]);
  });

  it("takes and makes nothing any more", async () => {
    const log: string[] = [];
    const scope = createScope();
    const child = scope.createChild();
    scope.provide(THING, () => ({}));
    let refused: unknown;
    scope.own({}, () => {
      try {
        scope.container.resolve(THING);
      } catch (error) {
        refused = error;
      }
    });
    await scope.dispose();
    expect(refused).toMatchObject({ code: "INJECTION", path: "scope" });
    for (const ended of [scope, child]) {
      const open = expect.objectContaining({ code: "INJECTION", path: "scope" });
      expect(() => ended.createChild()).toThrow(open);
      expect(() => ended.provide(THING, () => ({}))).toThrow(open);
      expect(() => ended.own({}, note(log, "came too late"))).toThrow(open);
      expect(ended.container.isRegistered(THING, true)).toBe(false);
    }
    expect(log).toEqual(["came too late", "came too late"]);
  });

  it("ends although somebody has called the container's own dispose", async () => {
    const log: string[] = [];
    const scope = createScope();
    scope.own({}, note(log, "let go of"));
    await scope.container.dispose();
    await scope.dispose();
    expect(log).toEqual(["let go of"]);
  });

  it("tells of everything that failed, in order", async () => {
    const [one, two] = [new Error("one"), "two"];
    const log: string[] = [];
    const scope = createScope();
    scope.own({}, note(log, "first"));
    scope.own({}, () => {
      throw one;
    });
    scope.own({}, note(log, "second"));
    scope.own({}, async () => Promise.reject(two));
    const error = await failureOf(scope.dispose());
    expect(error).toBeInstanceOf(DisposalError);
    expect(error).toMatchObject({ code: "DISPOSAL", errors: [two, one], cause: two });
    expect((error as Error).message).toContain("2 of its parts could not be let go of: two; one");
    expect(log).toEqual(["second", "first"]);
    expect(await failureOf(scope.dispose())).toBe(error);
  });

  it("tells of what has no words", async () => {
    const scope = createScope();
    const wordless = Object.create(null);
    scope.own({}, () => Promise.reject(wordless));
    expect(await failureOf(scope.dispose())).toMatchObject({ errors: [wordless] });
  });

  it("keeps nothing of children that ended before", async () => {
    const log: string[] = [];
    const scope = createScope();
    const child = scope.createChild();
    child.own({}, () => {
      log.push("child");
      throw new Error("stuck");
    });
    expect(await failureOf(child.dispose())).toBeInstanceOf(DisposalError);
    await scope.dispose();
    expect(log).toEqual(["child"]);
  });
});

describe("any tree of scopes", () => {
  /** One step of a program; numbers choose among what there is. */
  const step = fc.oneof(
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("child" as const), at: fc.nat() }) },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("own" as const),
        at: fc.nat(),
        fails: fc.boolean(),
        waits: fc.boolean(),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant("provide" as const),
        at: fc.nat(),
        fails: fc.boolean(),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant("ask" as const), at: fc.nat(), which: fc.nat() }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("dispose" as const),
        at: fc.nat(),
        twice: fc.boolean(),
      }),
    },
  );

  interface Node {
    readonly scope: Scope;
    readonly parent: Node | undefined;
    ended: boolean;
    /** What failed when it was disposed of by itself: what a second call tells again. */
    failed: readonly number[] | undefined;
    readonly tokens: InjectionToken<object>[];
  }
  interface Made {
    readonly id: number;
    readonly node: Node;
    readonly fails: boolean;
  }

  it("lets go of everything exactly once, last made first, and tells of every failure", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const gone: number[] = [];
        const nodes: Node[] = [
          { scope: createScope(), parent: undefined, ended: false, failed: undefined, tokens: [] },
        ];
        // The model: what was made and not let go of yet, in the order of making.
        let made: Made[] = [];
        let next = 0;
        const letGo = ({ id, fails }: Made, waits: boolean) => {
          const end = () => {
            gone.push(id);
            if (fails) throw id;
          };
          return waits ? async () => Promise.resolve().then(end) : end;
        };
        const isWithin = (node: Node | undefined, root: Node): boolean =>
          node !== undefined && (node === root || isWithin(node.parent, root));
        const dispose = async (root: Node, twice: boolean) => {
          const due = made.filter(({ node }) => isWithin(node, root)).reverse();
          made = made.filter(({ node }) => !isWithin(node, root));
          gone.length = 0;
          const ends = [root.scope.dispose(), ...(twice ? [root.scope.dispose()] : [])];
          const errors = await Promise.all(ends.map(failureOf));
          expect(gone).toEqual(due.map(({ id }) => id));
          root.failed ??= due.filter(({ fails }) => fails).map(({ id }) => id);
          for (const error of errors) {
            if (root.failed.length === 0) expect(error).toBeUndefined();
            else expect(error).toMatchObject({ code: "DISPOSAL", errors: root.failed });
          }
          for (const node of nodes) if (isWithin(node, root)) node.ended = true;
        };
        for (const each of steps) {
          const node = nodes[each.at % nodes.length]!;
          if (node.ended && each.kind !== "dispose") {
            expect(() => node.scope.createChild()).toThrow(/the scope has ended/);
            continue;
          }
          if (each.kind === "child") {
            nodes.push({
              scope: node.scope.createChild(),
              parent: node,
              ended: false,
              failed: undefined,
              tokens: [],
            });
          } else if (each.kind === "own") {
            const thing = { id: next++, node, fails: each.fails };
            made.push(thing);
            node.scope.own(thing, letGo(thing, each.waits));
          } else if (each.kind === "provide") {
            const token: InjectionToken<object> = Symbol(`thing ${next}`);
            const [before] = node.tokens;
            node.tokens.push(token);
            node.scope.provide(
              token,
              (own) => {
                // Made of another one, which is made first then.
                if (before !== undefined) own.resolve(before);
                const thing = { id: next++, node, fails: each.fails };
                made.push(thing);
                return thing;
              },
              (thing) => letGo(thing as Made, false)(),
            );
          } else if (each.kind === "ask") {
            const seen: InjectionToken<object>[] = [];
            for (let at: Node | undefined = node; at !== undefined; at = at.parent) {
              seen.push(...at.tokens);
            }
            const token = seen[each.which % Math.max(1, seen.length)];
            if (token !== undefined) node.scope.container.resolve(token);
          } else {
            await dispose(node, each.twice);
          }
        }
        await dispose(nodes[0]!, false);
        expect(made).toEqual([]);
      }),
    );
  });
});

describe("the container of a scope", () => {
  it("is a child of the one it is made in, the global one unless told", () => {
    const own = container.createChildContainer();
    own.registerInstance(THING, {});
    expect(createScope(own).container.isRegistered(THING, true)).toBe(true);
    expect(createScope().container.isRegistered(THING, true)).toBe(false);
    expect(createScope(own).createChild().container.isRegistered(THING, true)).toBe(true);
    expect(createScope()).toBeInstanceOf(Scope);
  });
});
