/** A file that is mapped: what is in the one is in the other. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mapSharedFile } from "@virtio-admin/vfio-user";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { sharedMappings, unsupported } from "./rig.ts";

const LENGTH = 3 * 4096;

describe.skipIf(unsupported !== undefined)(`a shared file ${unsupported ?? ""}`, () => {
  let folder: string;
  let path: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "shared-file-"));
    path = join(folder, "ram");
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  it("begins with zeros, is its owner's alone, and has what is written to its bytes", async () => {
    const { bytes, close } = await mapSharedFile(path, LENGTH);
    expect(Buffer.from(bytes).equals(Buffer.alloc(LENGTH))).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    bytes.set([1, 2, 3], LENGTH - 3);
    expect([...readFileSync(path).subarray(-4)]).toEqual([0, 1, 2, 3]);
    writeFileSync(path, "\x07", { flag: "r+" });
    expect(bytes[0]).toBe(7);
    close();
    close();
    expect(bytes[0]).toBe(0);
    expect(sharedMappings()).toEqual([]);
    expect(readFileSync(path)[0]).toBe(7);
  });

  it.each([0, -4096, 4095, 4096.5, Number.NaN, 2 ** 30 + 4096])(
    "is not made with a length of %d",
    async (length) => {
      await expect(mapSharedFile(path, length)).rejects.toMatchObject({ code: "VALUE_RANGE" });
      expect(existsSync(path)).toBe(false);
    },
  );

  it("does not take a file that is there", async () => {
    writeFileSync(path, "somebody's");
    await expect(mapSharedFile(path, LENGTH)).rejects.toMatchObject({ code: "EEXIST" });
    expect(readFileSync(path, "utf8")).toBe("somebody's");
  });
});
