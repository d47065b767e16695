import { readFileSync } from "node:fs";
import {
  decodeSnapshot,
  encodeSnapshot,
  type GroupSnapshot,
  isVirtioError,
  SNAPSHOT_LENGTH_LIMIT,
  takeSnapshot,
} from "@virtio-admin/core";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { crc32 } from "../../src/snapshot/crc32.ts";
import { busyOwner, DeviceSide } from "./rig.ts";

const schema = JSON.parse(
  readFileSync(new URL("../../schema/snapshot.schema.json", import.meta.url), "utf8"),
);
const matchesSchema = new Ajv2020({ strict: true }).compile(schema);

const LONE: GroupSnapshot = {
  version: 2,
  device: {
    deviceId: 4,
    status: 15,
    driverFeatures: "0x100000000",
    configurationDue: false,
    queues: [
      {
        size: 8,
        descriptorArea: "0x100001000",
        driverArea: "0x2000",
        deviceArea: "0x3000",
        ring: { index: 3, publishedIndex: 3, notifications: true, interrupt: false },
      },
    ],
    model: { name: "é\u2028" },
    transport: "pci",
  },
  groups: [],
};
const LONE_BODY =
  '{"version":2,"device":{"deviceId":4,"status":15,"driverFeatures":"0x100000000",' +
  '"configurationDue":false,"queues":[{"size":8,"descriptorArea":"0x100001000",' +
  '"driverArea":"0x2000","deviceArea":"0x3000","ring":{"index":3,"publishedIndex":3,' +
  '"notifications":true,"interrupt":false}}],"model":{"name":"\\u00e9\\u2028"},' +
  '"transport":"pci"},"groups":[]}\n';
const EMPTY_BODY =
  '{"version":2,"device":{"deviceId":1,"status":0,"driverFeatures":"0x0",' +
  '"configurationDue":false,"queues":[]},"groups":[]}\n';

const header = (crc: string, version: unknown = 2, format = "virtio-admin-snapshot") =>
  `${JSON.stringify({ format, version, crc32: crc })}\n`;
/** A text whose checksum is right, whatever its body says. */
const sealed = (body: string) => header(crc32(body)) + body;

function refusal(action: () => unknown): string | undefined {
  try {
    action();
  } catch (error) {
    if (isVirtioError(error, "SNAPSHOT")) return error.path;
    throw error;
  }
  throw new Error("it was accepted");
}

const bytesOf = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));

describe("the checksum", () => {
  it.each([
    ["", "00000000"],
    ["a", "e8b7be43"],
    ["123456789", "cbf43926"],
    ["The quick brown fox jumps over the lazy dog", "414fa339"],
  ])("of %j is %s", (text, crc) => {
    expect(crc32(text)).toBe(crc);
  });
});

describe("the encoded form", () => {
  it("is a header and a line of JSON, both ASCII", () => {
    expect(encodeSnapshot(LONE)).toBe(header("20fa0621") + LONE_BODY);
    expect(decodeSnapshot(header("20fa0621") + LONE_BODY)).toEqual(LONE);
  });

  it("has a vector of the smallest snapshot", () => {
    const text = header("e6381bf1") + EMPTY_BODY;
    expect(encodeSnapshot(decodeSnapshot(text))).toBe(text);
  });

  it("matches its schema, and comes back the same from text and from bytes", () => {
    const { side } = busyOwner({ transport: "saving" });
    for (const snapshot of [LONE, takeSnapshot(side), takeSnapshot(new DeviceSide())]) {
      const text = encodeSnapshot(snapshot);
      expect(text).toMatch(/^[\x20-\x7e]+\n[\x20-\x7e]+\n$/);
      expect(decodeSnapshot(text)).toEqual(snapshot);
      expect(decodeSnapshot(bytesOf(text))).toEqual(snapshot);
      expect(matchesSchema(JSON.parse(text.split("\n")[1]!))).toBe(true);
      expect(encodeSnapshot(decodeSnapshot(text))).toBe(text);
    }
  });

  it("is the same whatever order members were written in", () => {
    const { version, device, groups } = LONE;
    expect(encodeSnapshot({ groups, device, version })).toBe(encodeSnapshot(LONE));
  });
});

describe("decoding refuses", () => {
  const text = encodeSnapshot(LONE);

  it("every text that is cut off or goes on", () => {
    for (let length = 0; length < text.length; length++) {
      expect(refusal(() => decodeSnapshot(text.slice(0, length)))).toBe("header");
    }
    expect(refusal(() => decodeSnapshot(`${text}\n`))).toBe("header");
  });

  it("every single bit that flips", () => {
    for (let bit = 0; bit < 8 * text.length; bit++) {
      const bytes = bytesOf(text);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(["header", "version"]).toContain(refusal(() => decodeSnapshot(bytes)));
    }
  });

  it.each([
    ["another version in the header", header(crc32(LONE_BODY), 1) + LONE_BODY, "version"],
    ["a version that is no number", header(crc32(LONE_BODY), "2") + LONE_BODY, "version"],
    ["another format", header(crc32(LONE_BODY), 1, "virtio-admin-trace") + LONE_BODY, "header"],
    ["another version below", sealed(LONE_BODY.replace('"version":2', '"version":1')), "version"],
    ["a header that is not alone", `{"x":1,${text.slice(1)}`, "header"],
    ["a header without an end", "a".repeat(1000), "header"],
    ["what is no JSON", sealed("{"), "snapshot"],
    ["a list", sealed("[]"), "snapshot"],
    ["null", sealed("null"), "snapshot"],
    ["JSON as deep as it gets", sealed("[".repeat(100_000)), "snapshot"],
    ["a prototype", sealed('{"__proto__":{"version":2}}'), "__proto__"],
  ])("%s", (_what, wrong, path) => {
    expect(refusal(() => decodeSnapshot(wrong))).toBe(path);
  });

  it("a text that is too long, before it looks at it", () => {
    const bytes = new Uint8Array(SNAPSHOT_LENGTH_LIMIT + 1);
    expect(refusal(() => decodeSnapshot(bytes))).toBe("snapshot");
  });

  it("any text, without another error", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (wrong) => {
        expect(refusal(() => decodeSnapshot(wrong))).toBe("header");
        expect(typeof refusal(() => decodeSnapshot(sealed(`${wrong}\n`)))).toBe("string");
      }),
      { numRuns: 200 },
    );
  });
});

/** One change each; the path that the error names, and whether the schema sees it too. */
const WRONG: [string, string, unknown, boolean?][] = [
  ["device", "device", undefined],
  ["device", "device", 7],
  ["groups", "groups", {}],
  ["device.deviceId", "device.deviceId", 0],
  ["device.status", "device.status", 256],
  ["device.status", "device.status", 1.5],
  ["device.status", "device.status", "15"],
  ["device.driverFeatures", "device.driverFeatures", "0x01"],
  ["device.driverFeatures", "device.driverFeatures", "0xA"],
  ["device.driverFeatures", "device.driverFeatures", `0x1${"0".repeat(32)}`],
  ["device.driverFeatures", "device.driverFeatures", 1],
  ["device.configurationDue", "device.configurationDue", 0],
  ["device.config.bytes", "device.config", { bytes: "0", generation: 0, toldGeneration: 0 }],
  ["device.config.bytes", "device.config", { bytes: "0G", generation: 0, toldGeneration: 0 }],
  ["device.config.generation", "device.config", { bytes: "", generation: -1, toldGeneration: 0 }],
  ["device.config.toldGeneration", "device.config", { bytes: "", generation: 2 ** 32 - 1 }],
  ["device.queues", "device.queues", null],
  ["device.queues[0]", "device.queues.0", []],
  ["device.queues[0].size", "device.queues.0.size", 0],
  ["device.queues[0].size", "device.queues.0.size", 32769],
  ["device.queues[0].driverArea", "device.queues.0.driverArea", `0x1${"0".repeat(16)}`],
  ["device.queues[0].driverArea", "device.queues.0.driverArea", "2000"],
  ["device.queues[0].ring", "device.queues.0.ring", null],
  ["device.queues[0].ring.index", "device.queues.0.ring.index", 65536],
  ["device.queues[0].ring.interrupt", "device.queues.0.ring.interrupt", undefined],
  ["device.transport", "device.transport", "x".repeat(257)],
  ["device.colour", "device.colour", 1],
  ["groups[0].type", "groups.0", { type: -1, exists: true, members: [] }],
  ["groups[0].members[0].id", "groups.0", group({ id: 2 ** 53, offeredFeatures: "0x0" })],
  ["groups[0].members[0].offeredFeatures", "groups.0", group({ id: 1 })],
  [
    "groups[0].members[0].msixVectors",
    "groups.0",
    group({ id: 1, offeredFeatures: "0x0", msixVectors: 2049 }),
  ],
  ["admin.dialect", "admin", { lists: [], families: [] }],
  ["admin.families[0].state", "admin", { dialect: "", lists: [], families: [{ name: "x" }] }],
  ["admin.lists[0].used[1]", "admin", lists([1, 1])],
  ["admin.lists[0].used[0]", "admin", lists([65536])],
  // Only the order is wrong, which a schema cannot tell.
  ["admin.lists[0].used[1]", "admin", lists([2, 1]), true],
];

function group(member: unknown) {
  return { type: 1, exists: true, members: [member] };
}

function lists(used: readonly number[]) {
  const list = { groupType: 1, supported: [], used, settled: true };
  return { dialect: "", lists: [list], families: [] };
}

describe("what is no snapshot", () => {
  it.each(WRONG)("%s: %s = %j", (path, place, value, schemaPasses = false) => {
    const wrong = structuredClone(LONE) as unknown as Record<string, unknown>;
    const names = place.split(".");
    const last = names.pop()!;
    const holder = names.reduce((at, name) => at[name] as Record<string, unknown>, wrong);
    if (value === undefined) delete holder[last];
    else holder[last] = value;
    expect(refusal(() => encodeSnapshot(wrong as never))).toBe(path);
    expect(refusal(() => decodeSnapshot(sealed(`${JSON.stringify(wrong)}\n`)))).toBe(path);
    expect(matchesSchema(JSON.parse(JSON.stringify(wrong)))).toBe(schemaPasses);
  });

  it.each([
    ["a function", { model: () => 1 }],
    ["not a number", { model: [Number.NaN] }],
    ["a date", { model: new Date(0) }],
    ["a value that holds itself", { model: loop() }],
  ])("is one whose saved state has %s", (_what, change) => {
    const wrong = { ...LONE, device: { ...LONE.device, ...change } };
    expect(refusal(() => encodeSnapshot(wrong))).toMatch(/^device\.model/);
  });

  it("is not what a member reads as the second time", () => {
    let reads = 0;
    const shifty = {
      ...LONE.device,
      get status() {
        return reads++ === 0 ? 15 : 999;
      },
    };
    expect(decodeSnapshot(encodeSnapshot({ ...LONE, device: shifty }))).toEqual(LONE);
    expect(reads).toBe(1);
  });
});

function loop(): unknown {
  const self: unknown[] = [];
  self.push(self);
  return self;
}
