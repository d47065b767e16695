/**
 * Looks at the queues of functions for a while after a driver notified, so that the next buffer needs
 * no notification: no message from the client, and no process here that has to be woken.
 *
 * Hot path: nothing is allocated for a look. The processor is offered to whoever waits for it before
 * each look, and the event loop turns after some of them, so that sockets are served meanwhile.
 */
import type { Native } from "./native.ts";

/** How many times it looks before the event loop has its turn. */
const LOOKS_PER_TURN = 32;
/**
 * An offer of the processor that took longer, in milliseconds, was taken by somebody who computes.
 * Then waiting is better than looking: who waits is served first when something comes.
 */
const OFFER_LIMIT = 1;
/** For how many milliseconds nothing is looked at then. */
const REST = 20;

/** What is looked at. Neither call throws. */
export interface Polled {
  /** For how many milliseconds after the last thing that happened. */
  readonly pollTime: number;
  /** Serves what is there; true when there was something. */
  poll(): boolean;
  /** Nobody looks any more, until the next {@link Poller.begin}. */
  endPolling(): void;
}

interface Looking {
  readonly polled: Polled;
  until: number;
  found: boolean;
}

/** Everything of this process that is looked at. */
export class Poller {
  readonly #native: Pick<Native, "yieldProcessor">;
  readonly #now: () => number;
  readonly #looking: Looking[] = [];
  #scheduled = false;
  /** Nothing is looked at before. */
  #restUntil = 0;

  /** Looks at nothing yet. `now` is the time in milliseconds. */
  constructor(native: Pick<Native, "yieldProcessor">, now: () => number = () => performance.now()) {
    this.#native = native;
    this.#now = now;
  }

  /** A driver notified: what it notified is looked at from now on. */
  begin(polled: Polled): void {
    if (this.#restUntil > this.#now()) return;
    const looking = this.#looking.find((each) => each.polled === polled);
    if (looking !== undefined) looking.found = true;
    else this.#looking.push({ polled, until: 0, found: true });
    this.#schedule();
  }

  /** Stops looking at `polled`, which does not hear of it. */
  forget(polled: Polled): void {
    const at = this.#looking.findIndex((each) => each.polled === polled);
    if (at >= 0) this.#looking.splice(at, 1);
  }

  #schedule(): void {
    if (this.#scheduled || this.#looking.length === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#turn();
      this.#schedule();
    });
  }

  #turn(): void {
    let crowded = false;
    for (let look = 0; look < LOOKS_PER_TURN && !crowded; look++) {
      const offered = this.#now();
      this.#native.yieldProcessor();
      crowded = this.#now() - offered > OFFER_LIMIT;
      for (let i = 0; i < this.#looking.length; i++) {
        const looking = this.#looking[i];
        if (looking?.polled.poll() === true) looking.found = true;
      }
    }
    const now = this.#now();
    if (crowded) this.#restUntil = now + REST;
    for (let i = this.#looking.length - 1; i >= 0; i--) {
      const looking = this.#looking[i];
      if (looking === undefined) continue;
      if (looking.found) looking.until = now + looking.polled.pollTime;
      looking.found = false;
      if (looking.until > now && !crowded) continue;
      this.#looking.splice(i, 1);
      looking.polled.endPolling();
    }
  }
}
