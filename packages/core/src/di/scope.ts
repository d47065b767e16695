/// <reference lib="esnext.disposable" preserve="true" />
/**
 * A container that ends: what was made for it is let go of with it, last made first. A container's
 * own `dispose` keeps no order, leaves out what factories made and what its children hold, and
 * takes along a parent's singleton that a child asked for first; it is not used here.
 */
import { VirtioError } from "../errors.ts";
import { type DependencyContainer, container as global, type InjectionToken } from "./container.ts";
import { ASYNC_DISPOSE, DisposalError, type LetGo, letGoOf } from "./disposal.ts";
import { COMMAND_FAMILY, COMMAND_INTERFACE, GROUP_TYPE, nameOf, TRANSPORT } from "./tokens.ts";

/** Of these there may be many; one of them in a container hides all those of its parent. */
const MANY: readonly InjectionToken[] = [TRANSPORT, GROUP_TYPE, COMMAND_FAMILY, COMMAND_INTERFACE];

/** How many things scopes have taken, ever: what orders those of a scope and its children. */
let taken = 0;

/** One thing that a scope lets go of. */
class Holding {
  readonly order: number = taken++;
  readonly #letGo: () => unknown;
  #gone: Promise<void> | undefined;

  constructor(letGo: () => unknown) {
    this.#letGo = letGo;
  }

  /** Lets go of it; once, however often it is called. */
  letGo(): Promise<void> {
    this.#gone ??= (async () => {
      await this.#letGo();
    })();
    return this.#gone;
  }
}

/**
 * A container with a beginning and an end. {@link createScope} makes one for an application, and
 * {@link createChild} one for a device group, a member, or whatever ends sooner.
 *
 * A scope lets go of what {@link own} and {@link provide} gave it. Values that are merely registered
 * in its container are their maker's.
 */
export class Scope implements AsyncDisposable {
  /** Where everything of this scope is registered. */
  readonly container: DependencyContainer;
  readonly #above: DependencyContainer;
  readonly #parent: Scope | undefined;
  readonly #children = new Set<Scope>();
  readonly #holdings: Holding[] = [];
  /** What a parent registered once for each container: the container began with it. */
  readonly #begunWith: ReadonlySet<InjectionToken>;
  #ended = false;
  #disposal: Promise<void> | undefined;

  /** Made by {@link createScope} and {@link createChild}. */
  constructor(above: DependencyContainer, parent?: Scope) {
    this.container = above.createChildContainer();
    this.#above = above;
    this.#parent = parent;
    this.#begunWith = new Set(MANY.filter((token) => this.container.isRegistered(token)));
  }

  /**
   * A scope within this one. It sees what is registered here, and ends with this one or before.
   *
   * @throws VirtioError `INJECTION` when this scope has ended
   */
  createChild(): Scope {
    this.#checkOpen();
    const child = new Scope(this.container, this);
    this.#children.add(child);
    return child;
  }

  /**
   * Takes a thing, to let go of it with this scope: by its `Symbol.asyncDispose`, `Symbol.dispose`
   * or `dispose()` unless it is said how.
   *
   * @returns the thing
   * @throws VirtioError `INJECTION` when nothing says how to let go of it; when this scope has
   * ended, and the thing is let go of at once then
   */
  own<T extends AsyncDisposable | Disposable>(made: T): T;
  own<T>(made: T, letGo: LetGo<T>): T;
  own<T>(made: T, letGo: LetGo<T> | undefined = letGoOf(made)): T {
    if (letGo === undefined) {
      throw new VirtioError("INJECTION", {
        path: "scope",
        message: "a thing does not say how to let go of it",
        value: made,
        hint: "pass own(thing, letGo)",
      });
    }
    this.#hold(new Holding(() => letGo(made)));
    return made;
  }

  /**
   * Registers a thing that this scope makes when it is first asked for, and lets go of: as
   * {@link own} does, or not at all when nothing says how. It is made from what is registered here,
   * also when a child asks for it.
   *
   * @throws VirtioError `INJECTION` when this scope has ended; whoever asks for the thing gets this
   * error too, and when the thing is made from itself
   */
  provide<T>(
    token: InjectionToken<T>,
    make: (container: DependencyContainer) => T,
    letGo?: LetGo<T>,
  ): this {
    this.#checkOpen();
    let state: "unmade" | "being made" | { readonly made: T } = "unmade";
    const useFactory = (): T => {
      if (typeof state === "object") return state.made;
      this.#checkOpen();
      if (state === "being made") {
        throw new VirtioError("INJECTION", {
          path: nameOf(token),
          message: "what is registered under this token is made from itself",
          hint: "make it from other things",
        });
      }
      state = "being made";
      let made: T;
      try {
        made = make(this.container);
      } catch (error) {
        state = "unmade";
        throw error;
      }
      const way = letGo ?? letGoOf(made);
      if (way !== undefined) this.#hold(new Holding(() => way(made)));
      state = { made };
      return made;
    };
    this.container.register(token, { useFactory });
    return this;
  }

  /**
   * Ends this scope and those within it: lets go of all that they made, last made first, one after
   * the other. One that fails keeps none of the others. A second call settles with the first. What
   * is let go of must not wait for it.
   *
   * @throws DisposalError when something could not be let go of
   */
  dispose(): Promise<void> {
    this.#disposal ??= this.#dispose();
    return this.#disposal;
  }

  /** See {@link dispose}. */
  [ASYNC_DISPOSE](): Promise<void> {
    return this.dispose();
  }

  /** @internal The tokens whose registrations here hide those that a parent has. */
  hiding(): readonly InjectionToken[] {
    return MANY.filter(
      (token) =>
        !this.#begunWith.has(token) &&
        this.container.isRegistered(token) &&
        this.#above.isRegistered(token, true),
    );
  }

  async #dispose(): Promise<void> {
    const scopes = this.#end();
    // Not each scope by itself: what a child asked for first may be a parent's, and older than
    // what the child made of it.
    const holdings = scopes.flatMap((scope) => scope.#holdings);
    holdings.sort((a, b) => b.order - a.order);
    const errors: unknown[] = [];
    for (const holding of holdings) {
      try {
        await holding.letGo();
      } catch (error) {
        errors.push(error);
      }
    }
    for (const scope of scopes) {
      scope.#holdings.length = 0;
      scope.#children.clear();
      forgetAll(scope.container);
    }
    if (this.#parent !== undefined) this.#parent.#children.delete(this);
    if (errors.length > 0) throw new DisposalError(errors);
  }

  /** From here on nothing is taken, here and below. Returns all that ends. */
  #end(): Scope[] {
    this.#ended = true;
    return [this, ...[...this.#children].flatMap((child) => child.#end())];
  }

  #hold(holding: Holding): void {
    if (this.#ended) {
      // Who made it may have no other reference to it; what it throws now is told to nobody.
      holding.letGo().catch(() => undefined);
      this.#checkOpen();
    }
    this.#holdings.push(holding);
  }

  #checkOpen(): void {
    if (!this.#ended) return;
    throw new VirtioError("INJECTION", {
      path: "scope",
      message: "the scope has ended",
      hint: "make another scope",
    });
  }
}

/** Nothing is made any more, nor kept from the collector. */
function forgetAll(container: DependencyContainer): void {
  try {
    container.reset();
  } catch {
    // Somebody called the container's own dispose: nothing can be asked of it any more.
  }
}

/** A scope for an application, within `parent`: what is registered there is seen in it. */
export function createScope(parent: DependencyContainer = global): Scope {
  return new Scope(parent);
}
