/** The client of the qtest protocol, against a machine of ours that speaks it. */
import { type ErrorCode, isVirtioError } from "@virtio-admin/core";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LINE_LIMIT } from "../src/guest/lines.ts";
import type { AccessSize, QtestClient } from "../src/qtest/client.ts";
import { makeRig, type Rig } from "./qtest-machine.ts";

const TIMEOUT = 5000;
let rig: Rig;

beforeEach(async () => {
  rig = await makeRig({ timeout: TIMEOUT });
});

afterEach(async () => {
  vi.useRealTimers();
  await rig.close();
});

async function failure(work: Promise<unknown>, code: ErrorCode): Promise<string> {
  const error: unknown = await work.then(
    (value) => `no failure: ${value}`,
    (reason: unknown) => reason,
  );
  if (!isVirtioError(error, code)) throw error;
  return error.message;
}

describe("a client", () => {
  it("sends one line for each access, in hex", async () => {
    const { client, heard } = rig;
    await client.write(0xfeb02e00, 4, 0xdeadbeef);
    await client.write(0x10, 2, 0);
    await client.portWrite(0xcf8, 4, 0x80002000);
    await client.portRead(0xcfe, 1);
    await client.read(2 ** 53 - 4, 4);
    await client.interceptLines("/machine/unattached/device[3]");
    expect(heard).toEqual([
      "writel 0xfeb02e00 0xdeadbeef",
      "writew 0x10 0x0",
      "outl 0xcf8 0x80002000",
      "inb 0xcfe",
      "readl 0x1ffffffffffffc",
      "irq_intercept_in /machine/unattached/device[3]",
    ]);
  });

  it("reads what was written, ports apart from memory", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<AccessSize>(1, 2, 4),
        fc.nat(0xfff0),
        fc.nat(0xffffffff),
        async (size, at, any) => {
          const value = any % 2 ** (8 * size);
          const [, , memory, port] = await Promise.all([
            rig.client.write(at, size, value),
            rig.client.portWrite(at, size, 2 ** (8 * size) - 1 - value),
            rig.client.read(at, size),
            rig.client.portRead(at, size),
          ]);
          expect([memory, port]).toEqual([value, 2 ** (8 * size) - 1 - value]);
        },
      ),
      { numRuns: 50 },
    );
  });

  it("gives each answer to its command, however they come in, and tells of lines between them", async () => {
    const lines: [number, boolean][] = [];
    rig.client.onLine = (line, high) => lines.push([line, high]);
    rig.answer = () => undefined;
    const reads = Promise.all([1, 2, 3].map((at) => rig.client.read(at, 4)));
    await vi.waitFor(() => expect(rig.heard.length).toBe(3));
    for (const part of ["OK 0x", "1\nIRQ raise 24\r\nOK 0x2\nIRQ lo", "wer 24\nOK 0x3\n"]) {
      rig.say(part);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await reads).toEqual([1, 2, 3]);
    expect(lines).toEqual([
      [24, true],
      [24, false],
    ]);
  });

  it("goes on after a command that the machine refuses", async () => {
    rig.answer = (line) => (line.startsWith("read") ? "FAIL no such thing" : "OK");
    const message = await failure(rig.client.read(0, 4), "TRANSPORT");
    expect(message).toBe('qtest: "readl 0x0" failed: no such thing');
    await rig.client.write(0, 4, 0);
  });

  it.each<[string, (client: QtestClient) => Promise<unknown>]>([
    ["an address below 0", (client) => client.read(-1, 1)],
    ["no whole address", (client) => client.read(0.5, 1)],
    ["an address above 2^53", (client) => client.read(2 ** 53 - 3, 4)],
    ["a port above 65535", (client) => client.portRead(0xfffe, 4)],
    ["an access of 8 bytes", (client) => client.read(0, 8 as AccessSize)],
    ["a value that is too long", (client) => client.write(0, 1, 0x100)],
    ["a negative value", (client) => client.portWrite(0, 4, -1)],
    ["no value", (client) => client.write(0, 4, Number.NaN)],
    ["a path with a line in it", (client) => client.interceptLines("a\nwritel 0x0 0x0")],
  ])("sends nothing for %s", async (_, access) => {
    await failure(access(rig.client), "VALUE_RANGE");
    await rig.client.read(0, 1);
    expect(rig.heard).toEqual(["readb 0x0"]);
  });

  it.each([
    ["a word that is no answer", "HELLO"],
    ["nothing", ""],
    ["no value", "OK"],
    ["a value that is no hex", "OK 12"],
    ["a value that is too long", "OK 0x100"],
    ["two values", "OK 0x1 0x2"],
    ["an answer with other bytes", "OK \u0000\u001b[2J"],
  ])("loses its machine when that says %s", async (_, answer) => {
    rig.answer = () => answer;
    const message = await failure(rig.client.read(0, 1), "TRANSPORT");
    expect(message).toMatch(/^[ -~]+$/);
    expect(await rig.client.closed).toBeDefined();
    expect(await failure(rig.client.read(0, 1), "TRANSPORT")).toBe(message);
  });

  it("loses its machine for an answer to no command, and for a line without an end", async () => {
    rig.say("OK\n");
    expect((await rig.client.closed)?.message).toContain("no answer to any command");
    const other = await makeRig();
    other.answer = () => undefined;
    const reading = failure(other.client.read(0, 1), "TRANSPORT");
    other.say("OK 0x1".padEnd(LINE_LIMIT + 1, "1"));
    expect(await reading).toContain("a line without an end");
    await other.close();
  });

  it("rejects all that waits when the machine hangs up, or is hung up on", async () => {
    rig.answer = () => undefined;
    const waiting = [1, 2].map((at) => failure(rig.client.read(at, 1), "TRANSPORT"));
    await vi.waitFor(() => expect(rig.heard.length).toBe(2));
    rig.hangUp();
    expect(new Set(await Promise.all(waiting)).size).toBe(1);
    expect(await rig.client.closed).toBeDefined();

    const other = await makeRig();
    other.answer = () => undefined;
    const reading = failure(other.client.read(1, 1), "TRANSPORT");
    await other.client.close();
    expect(await reading).toBe("qtest: it is closed");
    expect(await other.client.closed).toBeUndefined();
    await other.close();
  });

  it("has a bound of commands without an answer", async () => {
    rig.answer = () => undefined;
    const results = await Promise.all(
      Array.from({ length: 5000 }, (_, at) =>
        Promise.race([
          rig.client.read(at, 1).then(
            () => "answered",
            () => "refused",
          ),
          new Promise((resolve) => setImmediate(resolve, "waits")),
        ]),
      ),
    );
    expect(results.filter((each) => each === "waits").length).toBe(4096);
  });
});

describe("time", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  });

  it("is up for the oldest command without an answer, and then for all", async () => {
    rig.answer = () => undefined;
    const waiting = [1, 2].map((at) => failure(rig.client.read(at, 1), "TRANSPORT"));
    vi.advanceTimersByTime(TIMEOUT);
    expect(await Promise.all(waiting)).toEqual(
      [1, 2].map(() => `qtest: "readb 0x1" was not answered in ${TIMEOUT} ms`),
    );
  });

  it("runs anew for each command, with one timer for all of them", async () => {
    for (let i = 0; i < 20; i++) {
      await rig.client.read(i, 1);
      expect(vi.getTimerCount()).toBe(1);
      vi.advanceTimersByTime(TIMEOUT - 1);
    }
    rig.answer = () => undefined;
    const waiting = failure(rig.client.read(7, 1), "TRANSPORT");
    vi.advanceTimersByTime(TIMEOUT - 1);
    rig.answer = undefined;
    const other = rig.client.read(8, 1);
    void other.catch(() => undefined);
    vi.advanceTimersByTime(1);
    expect(await waiting).toContain('"readb 0x7"');
    await failure(other, "TRANSPORT");
    expect(vi.getTimerCount()).toBe(0);
  });
});
