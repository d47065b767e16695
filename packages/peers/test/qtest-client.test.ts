/** The client of the qtest protocol, over a socket, against a machine that speaks it or does not. */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type AccessSize, QtestClient } from "../src/qtest/client.ts";
import { QtestPeer } from "./qtest-peer.ts";

let peer: QtestPeer;
let client: QtestClient;

beforeEach(async () => {
  peer = await QtestPeer.start();
  client = new QtestClient(peer.socket);
});

afterEach(async () => {
  await client.close();
  await peer.stop();
});

const SIZES = [
  [1, "b", 0xff],
  [2, "w", 0xfffe],
  [4, "l", 0xfffffffd],
] as const;

describe("accesses", () => {
  it.each(SIZES)("of %i bytes go out as %s, and come back", async (size, letter, value) => {
    await client.write(0xfeb00e00, size, value);
    expect(await client.read(0xfeb00e00, size)).toBe(value);
    await client.portWrite(0xcfc, size, value - 1);
    expect(await client.portRead(0xcfc, size)).toBe(value - 1);
    expect(peer.commands).toEqual([
      `write${letter} 0xfeb00e00 0x${value.toString(16)}`,
      `read${letter} 0xfeb00e00`,
      `out${letter} 0xcfc 0x${(value - 1).toString(16)}`,
      `in${letter} 0xcfc`,
    ]);
  });

  it("of the highest address are made", async () => {
    await client.write(2 ** 53 - 4, 4, 7);
    expect(await client.read(2 ** 53 - 4, 4)).toBe(7);
    await client.portWrite(0xffff, 1, 7);
    expect(await client.portRead(0xffff, 1)).toBe(7);
  });

  it.each<[string, (to: QtestClient) => Promise<unknown>]>([
    ["an address below 0", (to) => to.read(-1, 1)],
    ["half an address", (to) => to.read(0.5, 1)],
    ["an address that is too high", (to) => to.read(2 ** 53 - 3, 4)],
    ["a port that is too high", (to) => to.portRead(0xfffd, 4)],
    ["an odd size", (to) => to.read(0, 3 as AccessSize)],
    ["a size that is a name of Object", (to) => to.read(0, "toString" as never)],
    ["a value that is too wide", (to) => to.write(0, 1, 256)],
    ["a negative value", (to) => to.write(0, 4, -1)],
    ["no value", (to) => to.write(0, 4, Number.NaN)],
    ["a path with a line break", (to) => to.interceptLines("a\nwriteb 0 0")],
    ["no path", (to) => to.interceptLines("")],
  ])("with %s are refused, and nothing is sent", async (_what, access) => {
    await expect(access(client)).rejects.toMatchObject({ code: "VALUE_RANGE" });
    await client.read(0, 1);
    expect(peer.commands).toEqual(["readb 0x0"]);
  });

  it("are answered in their order, however the answers are cut", async () => {
    peer.script = () => undefined;
    const reads = Array.from({ length: 50 }, (_, i) => client.read(i, 2));
    for (let i = 0; i < reads.length; i++) {
      const answer = Buffer.from(`OK 0x${i.toString(16)}\r\n`);
      for (const byte of answer) peer.say(Uint8Array.of(byte));
    }
    expect(await Promise.all(reads)).toEqual(reads.map((_, i) => i));
  });

  it("that the machine refuses reject alone", async () => {
    peer.script = (command) => (command === "readb 0x1" ? "FAIL no such thing" : "OK 0x5");
    const reads = [client.read(0, 1), client.read(1, 1), client.read(2, 1)];
    expect(await Promise.allSettled(reads)).toMatchObject([
      { status: "fulfilled", value: 5 },
      {
        status: "rejected",
        reason: { code: "TRANSPORT", message: expect.stringContaining("no such thing") },
      },
      { status: "fulfilled", value: 5 },
    ]);
  });

  it("are bounded in number", async () => {
    peer.script = () => undefined;
    const all = Array.from({ length: 4097 }, () => client.read(0, 1));
    const settled = Promise.allSettled(all);
    await expect(all[4096]).rejects.toThrow("too many commands");
    await client.close();
    for (const each of await settled) expect(each.status).toBe("rejected");
  });
});

describe("interrupt lines", () => {
  it("are told between answers, with what is intercepted", async () => {
    const told: [number, boolean][] = [];
    client.onLine = (line, high) => told.push([line, high]);
    await client.interceptLines("ioapic");
    peer.line(23, true);
    peer.line(23, false);
    await client.read(0, 1);
    peer.line(0, true);
    await client.read(0, 1);
    expect(told).toEqual([
      [23, true],
      [23, false],
      [0, true],
    ]);
    expect(peer.commands[0]).toBe("irq_intercept_in ioapic");
  });

  it("are nobody's where nobody listens", async () => {
    peer.line(3, true);
    expect(await client.read(0, 1)).toBe(0);
  });
});

describe("the connection ends, and everything that waits with it, when the peer", () => {
  it.each([
    ["answers what was not asked", "OK\nOK\nOK\nOK\n"],
    ["says what is no answer", "HELLO\n"],
    ["says nothing in a line", "\n"],
    ["never ends its line", "x".repeat(5000)],
    ["says a line that is too long", `OK ${"0".repeat(5000)}\n`],
    ["answers no number", "OK zero\n"],
    ["answers no value", "OK\n"],
    ["answers an empty number", "OK 0x\n"],
    ["answers a decimal", "OK 12\n"],
    ["answers what is too wide", "OK 0x100\n"],
    ["answers more digits than there are", `OK 0x${"0".repeat(17)}\n`],
    ["counts lines beyond what there is", "IRQ raise 99999999999999999999\n"],
    ["counts lines below 0", "IRQ raise -1\n"],
  ])("%s", async (_what, text) => {
    peer.script = () => undefined;
    const reads = [client.read(0, 1), client.read(1, 1)];
    peer.say(text);
    for (const each of await Promise.allSettled(reads)) {
      if (each.status === "rejected") expect(each.reason).toMatchObject({ code: "TRANSPORT" });
    }
    expect(await client.closed).toMatchObject({ code: "TRANSPORT", path: "qtest" });
    await expect(client.read(0, 1)).rejects.toMatchObject({ code: "TRANSPORT" });
    expect(peer.socket.destroyed).toBe(true);
  });

  it("hangs up", async () => {
    peer.script = () => undefined;
    const read = client.read(0, 1);
    peer.hangUp();
    await expect(read).rejects.toMatchObject({ code: "TRANSPORT" });
    expect(await client.closed).toMatchObject({ code: "TRANSPORT" });
  });

  it("does not answer in time", async () => {
    const slow = await QtestPeer.start();
    const impatient = new QtestClient(slow.socket, { timeout: 20 });
    slow.script = () => undefined;
    await expect(impatient.read(0, 1)).rejects.toThrow('"readb 0x0" was not answered in 20 ms');
    expect(await impatient.closed).toMatchObject({ code: "TRANSPORT" });
    await slow.stop();
  });

  it("says anything at all", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            fc.constantFrom("OK", "OK 0x1\n", "FAIL", "IRQ raise 1\n", "IRQ", " ", "\n", "0x"),
            fc.string(),
          ),
          { maxLength: 12 },
        ),
        async (parts) => {
          const hostile = await QtestPeer.start();
          const victim = new QtestClient(hostile.socket);
          hostile.script = () => undefined;
          const reads = [victim.read(0, 1), victim.portWrite(1, 1, 1), victim.read(2, 4)];
          for (const part of parts) hostile.say(part);
          hostile.hangUp();
          const settled = await Promise.allSettled(reads);
          for (const each of settled) {
            if (each.status === "rejected")
              expect(each.reason).toMatchObject({ code: "TRANSPORT" });
          }
          await victim.closed;
          await hostile.stop();
        },
      ),
      { numRuns: 60 },
    );
  });
});

it("ends without a reason when it is closed, once", async () => {
  peer.script = () => undefined;
  const read = client.read(0, 1);
  const closing = client.close();
  await expect(read).rejects.toThrow("it is closed");
  await closing;
  await client.close();
  expect(await client.closed).toBeUndefined();
});
