/** The client of the GDB protocol, over a socket, against a machine that speaks it or does not. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { GdbClient } from "../src/gdb/client.ts";
import { GdbPeer } from "./gdb-peer.ts";

let peer: GdbPeer;
let client: GdbClient;

beforeEach(async () => {
  peer = await GdbPeer.start();
  client = await GdbClient.open(peer.socket);
  peer.commands.length = 0;
});

afterEach(async () => {
  client.close();
  await peer.stop();
});

describe("a client", () => {
  it.each<[string, (of: GdbClient) => Promise<unknown>, string[], unknown]>([
    ["reads a register", (of) => of.register(17), ["p11"], 0n],
    ["writes one", (of) => of.setRegister(0, 0x180000000n), ["P0=0000000180000000"], undefined],
    ["writes a negative one", (of) => of.setRegister(4, -22n), ["P4=ffffffffffffffea"], undefined],
    ["reads memory", (of) => of.readMemory(0x10n, 3), ["m10,3"], new Uint8Array(3)],
    [
      "writes memory",
      (of) => of.writeMemory(0x10n, Uint8Array.of(1, 255)),
      ["M10,2:01ff"],
      undefined,
    ],
    ["has the machine stop", (of) => of.stopAt(0x3ffe091cb88n), ["Z0,3ffe091cb88,2"], undefined],
    ["steps", (of) => of.step(), ["s"], undefined],
  ])("%s", async (_what, ask, commands, result) => {
    expect(await ask(client)).toEqual(result);
    expect(peer.commands).toEqual(commands);
  });

  it("reads back what it wrote", async () => {
    await client.setRegister(2, -1n);
    expect(await client.register(2)).toBe(2n ** 64n - 1n);
    await client.writeMemory(0x123n, Uint8Array.of(7, 8));
    expect(await client.readMemory(0x122n, 4)).toEqual(Uint8Array.of(0, 7, 8, 0));
    await client.stopAt(0x44n);
    expect([...peer.stops]).toEqual([0x44n]);
    await client.goPast(0x44n);
    expect(peer.stops.size).toBe(0);
  });

  it("runs the machine until it stops by itself, however long that takes", async () => {
    let left = 100;
    peer.processor = { step: () => undefined, runs: () => --left > 0 };
    await client.run();
    expect(left).toBe(0);
  });

  it("interrupts a machine that runs, and none that is stopped", async () => {
    client.interrupt();
    const running = client.run();
    client.interrupt();
    await running;
    expect(await client.register(2)).toBe(0n);
  });

  it("takes an answer in pieces, and several acknowledgements", async () => {
    peer.script = () => undefined;
    const answer = client.register(2);
    for (const character of "+++$000000000000002a#33") peer.say(character);
    expect(await answer).toBe(42n);
  });
});

describe("an error", () => {
  it.each<[string, (of: GdbClient) => Promise<unknown>, string]>([
    ["to a register", (of) => of.register(2), "E14"],
    ["to a written register", (of) => of.setRegister(2, 0n), "E14"],
    ["to memory", (of) => of.readMemory(0n, 2), "E14"],
    ["of fewer bytes than were asked for", (of) => of.readMemory(0n, 2), "00"],
    ["to written memory", (of) => of.writeMemory(0n, Uint8Array.of(1)), "E14"],
    ["to a stop", (of) => of.stopAt(0n), ""],
    ["to a step", (of) => of.step(), "W00"],
  ])(
    "that is the answer %s rejects, and the next question is answered",
    async (_what, ask, text) => {
      peer.script = () => text;
      await expect(ask(client)).rejects.toMatchObject({ code: "TRANSPORT" });
      peer.script = undefined;
      expect(await client.register(2)).toBe(0n);
    },
  );

  it.each<[string, (of: GdbPeer) => void]>([
    ["a wrong checksum", (of) => of.say("$00#00")],
    ["what is no packet", (of) => of.say("hello")],
    ["a packet without an end", (of) => of.say(`$${"0".repeat(0x10000)}`)],
    ["its end", (of) => of.hangUp()],
  ])("of the peer, %s, ends the connection", async (_what, misbehave) => {
    peer.script = () => {
      misbehave(peer);
      return undefined;
    };
    await expect(client.register(2)).rejects.toMatchObject({ code: "TRANSPORT" });
    await expect(client.register(3)).rejects.toMatchObject({ code: "TRANSPORT" });
  });

  it("is an answer to nothing", async () => {
    peer.answer("OK");
    await new Promise((resolve) => peer.socket.once("close", resolve));
    await expect(client.step()).rejects.toMatchObject({ code: "TRANSPORT" });
  });

  it("is an answer that does not come in time", async () => {
    const late = await GdbPeer.start();
    try {
      late.script = () => undefined;
      const opened = GdbClient.open(late.socket, { timeout: 1 });
      await expect(opened).rejects.toMatchObject({ code: "TRANSPORT" });
    } finally {
      await late.stop();
    }
  });

  it("is a second question while one is under way", async () => {
    peer.script = () => undefined;
    const first = client.register(2);
    await expect(client.register(3)).rejects.toMatchObject({ code: "TRANSPORT" });
    client.close();
    await expect(first).rejects.toMatchObject({ code: "TRANSPORT" });
  });
});
