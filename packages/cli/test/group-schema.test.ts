/** The schema of a group, and the check by which the command reads one: they agree. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { firstIssue } from "../src/group/schema-check.ts";

const schema = createRequire(import.meta.url)("@virtio-admin/core/schema/group.schema.json");
const matches = new Ajv2020({
  strict: true,
  strictRequired: false,
  strictTypes: false,
}).compile(schema);
const EXAMPLE = parse(
  readFileSync(new URL("../examples/eight-vfs.yaml", import.meta.url), "utf8"),
) as unknown;

/** Every place of a document, the document itself first. */
function placesOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== "object" || value === null) return [path];
  const inner = Object.entries(value).flatMap(([key, part]) => placesOf(part, [...path, key]));
  return [path, ...inner];
}

/** A copy in which something else is at one place; `undefined` takes what was there away. */
function replaced(value: unknown, [key, ...rest]: readonly string[], by: unknown): unknown {
  if (key === undefined) return by;
  const copy = structuredClone(value) as Record<string, unknown>;
  const part = replaced(copy[key], rest, by);
  if (part === undefined && Array.isArray(copy)) copy.splice(Number(key), 1);
  else if (part === undefined) delete copy[key];
  else copy[key] = part;
  return copy;
}

const PLACES = placesOf(EXAMPLE).slice(1);
const VALUES = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    null,
    true,
    "",
    "pci",
    "ccw",
    "platform",
    "block",
    "VIRTIO_F_VERSION_1",
    0,
    -1,
    1.5,
    1,
    16,
    127,
    128,
    256,
    257,
    2048,
    2049,
    2 ** 32,
    2 ** 53,
    [],
    [1, 2],
    [1, 1],
    {},
    { stranger: 1 },
    { set: [5] },
    { member: 1 },
    Array.from({ length: 257 }, (_, i) => i),
  ),
  fc.integer(),
  fc.string(),
);

describe("the schema of a group", () => {
  it("has nothing against the example", () => {
    expect(matches(EXAMPLE)).toBe(true);
    expect(firstIssue(schema, EXAMPLE)).toBeUndefined();
  });

  it("says the same to a validator as to the command, whatever stands in a document", () => {
    const changes = fc.array(fc.tuple(fc.constantFrom(...PLACES), VALUES), {
      minLength: 1,
      maxLength: 2,
    });
    let refused = 0;
    let accepted = 0;
    fc.assert(
      fc.property(changes, (edits) => {
        let document = EXAMPLE;
        for (const [path, value] of edits) {
          const there = placesOf(document).some((one) => one.join() === path.join());
          if (there) document = replaced(document, path, value);
        }
        const issue = firstIssue(schema, document);
        expect(issue === undefined, JSON.stringify(document)).toBe(matches(document));
        if (issue === undefined) accepted++;
        else refused++;
      }),
      { numRuns: 2000 },
    );
    expect(Math.min(refused, accepted)).toBeGreaterThan(50);
  });

  it.each([null, 5, "text", [], true])("takes no %j for a description", (value) => {
    expect(firstIssue(schema, value)?.path).toEqual([]);
    expect(matches(value)).toBe(false);
  });
});
