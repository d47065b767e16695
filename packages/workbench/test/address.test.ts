import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Action,
  actionWords,
  formatAction,
  MOST_ACTIONS,
  parseActions,
} from "../src/group/actions.ts";
import { formatAddress, parseAddress } from "../src/shell/address-text.ts";
import { PACKED_LIMIT, packText, unpackText } from "../src/shell/packed-text.ts";

const id = fc.integer({ min: 0, max: 9999 });
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.constantFrom({ do: "add" } as const, { do: "reset-owner" } as const),
  fc.record({ do: fc.constantFrom("remove", "use", "reset"), member: id }),
  fc.record({
    do: fc.constant("vectors"),
    member: id,
    vectors: fc.integer({ min: 0, max: 99999 }),
  }),
  fc.record({
    do: fc.constant("feature"),
    member: id,
    bit: fc.integer({ min: 0, max: 127 }),
    on: fc.boolean(),
  }),
);

describe("what was done to a group", () => {
  it("comes back from an address", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: MOST_ACTIONS }), (actions) => {
        expect(parseActions(actions.map(formatAction).join(","))).toEqual(actions);
      }),
    );
  });

  it("is bounded, and without what is none", () => {
    expect(parseActions("a,".repeat(5000))).toHaveLength(MOST_ACTIONS);
    for (const text of [
      "",
      "b",
      "v1",
      "v1.2.1",
      "f1.2",
      "f1.128.1",
      "x",
      "x1.2",
      "v-1.2",
      "v1.1e9",
    ]) {
      expect(parseActions(text)).toEqual([]);
    }
    expect(parseActions("x9,nothing,u1")).toHaveLength(2);
  });

  it("is told in words", () => {
    const words = parseActions("v2.7,f1.29.0,u3,a").map((each) =>
      actionWords(each, (bit) => `#${bit}`),
    );
    expect(words).toEqual([
      "member 2: 7 vectors",
      "member 1: #29 off",
      "bring member 3 up",
      "add a member",
    ]);
  });
});

describe("an address", () => {
  it("comes back from its text", () => {
    const values = fc.dictionary(fc.string({ minLength: 1 }), fc.string());
    fc.assert(
      fc.property(fc.constantFrom("maps", "group", "way"), values, (panel, given) => {
        const address = { panel, values: new Map(Object.entries(given)) } as const;
        expect(parseAddress(formatAddress(address))).toEqual(address);
      }),
    );
  });

  it("is there whatever the text", () => {
    expect(parseAddress("#nowhere?x=1").panel).toBe("maps");
    fc.assert(fc.property(fc.string(), (text) => parseAddress(text).panel.length > 0));
  });
});

describe("a text in an address", () => {
  it("comes back, in characters that an address has", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "grapheme" }), async (text) => {
        const packed = await packText(text);
        expect(packed).toMatch(/^[\w-]*$/);
        expect(await unpackText(packed)).toBe(text);
      }),
    );
  });

  it("is none that nobody packed, or that is larger than it may be", async () => {
    for (const packed of ["AAAA", "!", "x".repeat(1000)]) {
      expect(await unpackText(packed)).toBeUndefined();
    }
    const bomb = deflateRawSync(Buffer.alloc(64 * PACKED_LIMIT, 0x20)).toString("base64url");
    expect(await unpackText(bomb)).toBeUndefined();
  });
});
