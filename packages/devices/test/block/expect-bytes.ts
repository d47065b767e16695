import { expect } from "vitest";

/** Asserts that byte arrays are equal; `toEqual` takes long for large ones. */
export function expectBytes(got: Uint8Array, expected: Uint8Array): void {
  expect(got.length).toBe(expected.length);
  if (Buffer.compare(got, expected) !== 0) expect(got).toEqual(expected);
}
