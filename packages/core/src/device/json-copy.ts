/** Copies of JSON values that anybody may have made. */
import { VirtioError } from "../errors.ts";

/** How deep a value in a snapshot may be nested. */
export const JSON_DEPTH_LIMIT = 32;

/**
 * A copy of a JSON value, every member read once.
 *
 * @throws VirtioError `SNAPSHOT` with the path of what is no JSON value, or lies too deep.
 */
export function copyJson(value: unknown, path: string, depth: number = 0): unknown {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  // JSON has no -0: what is copied must read the same after it was written.
  if (typeof value === "number" && Number.isFinite(value)) return value === 0 ? 0 : value;
  if (typeof value !== "object") {
    throw new VirtioError("SNAPSHOT", { path, message: "no JSON value", value });
  }
  if (depth === JSON_DEPTH_LIMIT) {
    throw new VirtioError("SNAPSHOT", {
      path,
      message: `nested more than ${JSON_DEPTH_LIMIT} deep`,
    });
  }
  if (Array.isArray(value)) {
    return Array.from(value, (item, i) => copyJson(item, `${path}[${i}]`, depth + 1));
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new VirtioError("SNAPSHOT", { path, message: "no plain object", value });
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, copyJson(item, `${path}.${key}`, depth + 1)]),
  );
}
