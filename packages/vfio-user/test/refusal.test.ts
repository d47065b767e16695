import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeHolder, encodeHolder } from "../src/refusal.ts";

const HEADER = [0, 0, 1, 0];
const bodyOf = (json: string) => Uint8Array.from([...HEADER, ...Buffer.from(`${json}\0`)]);

describe("the body of a refusal", () => {
  it.each([
    [1, '{"holder":{"pid":1}}'],
    [2 ** 31 - 1, '{"holder":{"pid":2147483647}}'],
  ])("names the holder: %i", (pid, json) => {
    expect(encodeHolder(pid)).toEqual(bodyOf(json));
    expect(decodeHolder(encodeHolder(pid))).toBe(pid);
  });

  it("names nobody who cannot be told", () => {
    expect(encodeHolder(0)).toEqual(bodyOf("{}"));
    expect(decodeHolder(encodeHolder(0))).toBeUndefined();
  });

  it.each([
    ["nothing", new Uint8Array(0)],
    ["no JSON", Uint8Array.from(HEADER)],
    ["half a JSON", bodyOf('{"holder":{"pid":1')],
    ["null", bodyOf("null")],
    ["no object", bodyOf("7")],
    ["no process", bodyOf('{"holder":{}}')],
    ["a process that is none", bodyOf('{"holder":{"pid":0}}')],
    ["one below 0", bodyOf('{"holder":{"pid":-1}}')],
    ["half a one", bodyOf('{"holder":{"pid":1.5}}')],
    ["one that is too large", bodyOf('{"holder":{"pid":2147483648}}')],
    ["text", bodyOf('{"holder":{"pid":"1"}}')],
    ["too much", bodyOf(`{"holder":{"pid":1},"pad":"${"x".repeat(300)}"}`)],
  ])("is looked at with care: %s", (_name, body) => {
    expect(decodeHolder(body)).toBeUndefined();
  });

  it("throws for no bytes at all", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (body) => {
        const holder = decodeHolder(body);
        expect(holder === undefined || holder > 0).toBe(true);
      }),
    );
  });
});
