/** For how long something is looked at, and when not at all. */
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { type Polled, Poller } from "../src/poller.ts";

function rig() {
  const state = { now: 0, yields: 0, looks: 0, ends: 0, news: 0, yieldTakes: 0 };
  const yieldProcessor = () => {
    state.yields += 1;
    state.now += state.yieldTakes;
  };
  const poller = new Poller({ yieldProcessor }, () => state.now);
  const polled: Polled = {
    pollTime: 100,
    poll: () => {
      state.looks += 1;
      if (state.news === 0) return false;
      state.news -= 1;
      return true;
    },
    endPolling: () => {
      state.ends += 1;
    },
  };
  return { state, poller, polled };
}

describe("the poller", () => {
  it("looks until nothing was there for the time, offers the processor before each look", async () => {
    const { state, poller, polled } = rig();
    await turn();
    expect(state.looks).toBe(0);
    poller.begin(polled);
    await turn();
    expect(state.looks).toBeGreaterThan(0);
    state.now = 90;
    state.news = 1;
    await turn();
    state.now = 189;
    await turn();
    expect([state.news, state.ends, state.yields]).toEqual([0, 0, state.looks]);
    state.now = 190;
    await turn();
    expect(state.ends).toBe(1);
    const { looks } = state;
    await turn();
    expect([state.looks, state.ends]).toEqual([looks, 1]);
  });

  it("begins anew with the next notification, and prolongs with each", async () => {
    const { state, poller, polled } = rig();
    for (let round = 1; round <= 3; round++) {
      poller.begin(polled);
      await turn();
      state.now += 60;
      poller.begin(polled);
      await turn();
      state.now += 60;
      await turn();
      expect(state.ends).toBe(round - 1);
      state.now += 40;
      await turn();
      expect(state.ends).toBe(round);
    }
  });

  it("rests for a while where others want the processor", async () => {
    const { state, poller, polled } = rig();
    poller.begin(polled);
    state.yieldTakes = 1;
    await turn();
    expect([state.looks > 1, state.ends]).toEqual([true, 0]);
    state.yieldTakes = 1.1;
    await turn();
    expect(state.ends).toBe(1);
    const { looks } = state;
    state.yieldTakes = 0;
    poller.begin(polled);
    await turn();
    expect(state.looks).toBe(looks);
    state.now += 21;
    poller.begin(polled);
    await turn();
    expect(state.looks).toBeGreaterThan(looks);
  });

  it("forgets what is gone, and tells it nothing", async () => {
    const { state, poller, polled } = rig();
    const other = rig();
    poller.begin(polled);
    poller.begin(other.polled);
    await turn();
    const { looks } = state;
    poller.forget(polled);
    await turn();
    state.now = 1000;
    await turn();
    expect([state.looks, state.ends, other.state.ends]).toEqual([looks, 0, 1]);
  });
});
