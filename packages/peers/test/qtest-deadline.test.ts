/** How long the client of the qtest protocol waits for its answers. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { QtestClient } from "../src/qtest/client.ts";
import { QtestPeer } from "./qtest-peer.ts";

const TIMEOUT = 5000;
let peer: QtestPeer;
let client: QtestClient;

beforeEach(async () => {
  peer = await QtestPeer.start();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  client = new QtestClient(peer.socket, { timeout: TIMEOUT });
});

afterEach(async () => {
  vi.useRealTimers();
  await client.close();
  await peer.stop();
});

it("ends all commands when the oldest is late", async () => {
  peer.script = () => undefined;
  const settled = Promise.allSettled([client.read(1, 1), client.read(2, 1)]);
  vi.advanceTimersByTime(TIMEOUT - 1);
  expect(peer.socket.destroyed).toBe(false);
  vi.advanceTimersByTime(1);
  for (const each of await settled) {
    expect(each).toMatchObject({ reason: { message: expect.stringContaining('"readb 0x1"') } });
  }
  expect(vi.getTimerCount()).toBe(0);
});

it("runs anew for each command, with one timer for all of them, and none when it is closed", async () => {
  for (let i = 0; i < 20; i++) {
    await client.read(i, 1);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(TIMEOUT - 1);
  }
  await client.read(0, 1);
  await client.close();
  expect(vi.getTimerCount()).toBe(0);
});
