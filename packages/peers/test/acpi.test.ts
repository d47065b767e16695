/** The ACPI table of windows, beside what a compiler of ASL makes of the same. */
import { describe, expect, it } from "vitest";
import { virtioMmioTable } from "../src/qemu/acpi.ts";

/** What iasl of ACPICA makes of one device, behind the header, which has its own name in it. */
const ONE =
  "1043045c5f53425f5b823a56523030085f484944" +
  "0d4c4e524f3030303500085f55494400085f435253" +
  "111a0a1786090001" +
  "0000befe" +
  "00020000" +
  "89060009" +
  "0116000000" +
  "7900";

const HEADER_BYTES = 36;
const window = { base: 0xfebe0000, length: 0x200, interrupt: 22 };

describe("the table", () => {
  it("has the code that a compiler makes of the same source", () => {
    const table = virtioMmioTable([window]);
    expect(Buffer.from(table.subarray(HEADER_BYTES)).toString("hex")).toBe(ONE);
  });

  it.each([0, 1, 2, 16])("adds up to 0 and says its own length, for %s windows", (count) => {
    const table = virtioMmioTable(Array.from({ length: count }, () => window));
    expect(Buffer.from(table.subarray(0, 4)).toString()).toBe("SSDT");
    expect(new DataView(table.buffer).getUint32(4, true)).toBe(table.length);
    expect(table.reduce((sum, byte) => sum + byte, 0) & 0xff).toBe(0);
  });

  it("has a device for each window, with names and numbers of their own", () => {
    const second = { base: 0xfebd0000, length: 0x1000, interrupt: 23 };
    const code = Buffer.from(virtioMmioTable([window, second])).toString("latin1");
    expect(code.match(/VR0[0-9A-F]/g)).toEqual(["VR00", "VR01"]);
    expect(code.match(/LNRO0005\0/g)).toHaveLength(2);
    for (const bytes of [
      [0x86, 9, 0, 1, 0, 0, 0xbd, 0xfe, 0, 0x10, 0, 0],
      [0x89, 6, 0, 9, 1, 23, 0, 0, 0],
    ]) {
      expect(code).toContain(Buffer.from(bytes).toString("latin1"));
    }
  });
});
