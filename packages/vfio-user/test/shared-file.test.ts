/** Memory that another process may map too, by a file. */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mapSharedFile } from "@virtio-admin/vfio-user";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { privateDirectory, unsupported } from "./rig.ts";

const LENGTH = 0x2000;

describe.skipIf(unsupported !== undefined)(`a shared file ${unsupported ?? ""}`, () => {
  let directory: ReturnType<typeof privateDirectory>;
  let path: string;

  beforeEach(() => {
    directory = privateDirectory();
    path = join(directory.path, "ram");
  });

  afterEach(() => directory.remove());

  it("has zeros, and what is written to the file or to the bytes", async () => {
    const file = await mapSharedFile(path, LENGTH);
    expect(file.bytes).toEqual(new Uint8Array(LENGTH));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    file.bytes[LENGTH - 1] = 42;
    expect(readFileSync(path)[LENGTH - 1]).toBe(42);
    writeFileSync(path, Uint8Array.of(1, 2, 3), { flag: "r+" });
    expect([...file.bytes.subarray(0, 4)]).toEqual([1, 2, 3, 0]);
    file.close();
    file.close();
    expect(file.bytes[0]).toBe(0);
    expect(readFileSync(path)[LENGTH - 1]).toBe(42);
  });

  it("is not made where a file is already", async () => {
    writeFileSync(path, "mine");
    await expect(mapSharedFile(path, LENGTH)).rejects.toThrow("EEXIST");
    expect(readFileSync(path, "utf8")).toBe("mine");
  });

  it.each([0, -4096, 4095, 4097, 2 ** 30 + 4096, Number.NaN, 2 ** 60])(
    "is not of %d bytes",
    async (length) => {
      await expect(mapSharedFile(path, length)).rejects.toMatchObject({ code: "VALUE_RANGE" });
      expect(() => statSync(path)).toThrow("ENOENT");
    },
  );
});
