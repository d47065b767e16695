/** Versions of Debian packages, and the output of apt. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  compareVersions,
  newest,
  parseDepends,
  parseMadison,
  parseSimulation,
} from "../src/debian/version.ts";

/** Each line from the oldest to the newest. */
const ORDERED = [
  ["1.0~rc1", "1.0", "1.0-1", "1.0-1+b1", "1.0-2", "1.0.1", "1.1"],
  ["6.12.117-1", "7.0~rc3-1", "7.3.4-1~bpo13+1", "7.3.4-1", "7.10.1-1"],
  ["10.0.13+ds-0+deb13u1", "11.1.3+ds-1~bpo13+1", "1:0.1"],
  ["1.0~~", "1.0~", "1.0", "1.0a", "1.0+", "1.0.0a"],
  ["0009-1", "10-1", "0:11-1", "1:1"],
];

describe("versions", () => {
  it.each(ORDERED)("%s … are in order", (...versions) => {
    for (const [i, one] of versions.entries()) {
      for (const [j, other] of versions.entries()) {
        expect(Math.sign(compareVersions(one, other))).toBe(Math.sign(i - j));
      }
    }
  });

  it("are ordered the same both ways", () => {
    const version = fc.stringMatching(/^([0-9]:)?[0-9][0-9a-z.+~-]{0,8}$/);
    fc.assert(
      fc.property(version, version, (a, b) => {
        expect(Math.sign(compareVersions(a, b))).toBe(-Math.sign(compareVersions(b, a)) + 0);
        expect(compareVersions(a, a)).toBe(0);
      }),
    );
  });
});

const MADISON = `
linux-image-cloud-amd64 | 7.3.4-1~bpo13+1 | http://a.example/debian trixie-backports/main amd64 Packages
linux-image-cloud-amd64 | 7.10.1-1~bpo13+1 | http://a.example/debian trixie-backports/main amd64 Packages
linux-image-cloud-amd64 | 6.12.117-1 | http://a.example/debian trixie/main amd64 Packages
`;

describe("the output of apt", () => {
  it("has the newest version of each suite, and of no other", () => {
    const candidates = parseMadison(MADISON);
    expect(newest(candidates, "trixie-backports")?.version).toBe("7.10.1-1~bpo13+1");
    expect(newest(candidates, "trixie")?.version).toBe("6.12.117-1");
    expect(newest(candidates, "forky")).toBeUndefined();
    expect(parseMadison("nothing | of | this\n\n")).toEqual([]);
  });

  it("has what would be installed", () => {
    const text = `Reading package lists...
Inst gcc-14-base (14.2.0-19 Debian:13.8/stable [amd64])
Inst libc6 [2.36-9] (2.41-12+deb13u5 Debian:13.8/stable [amd64]) []
Conf libc6 (2.41-12+deb13u5 Debian:13.8/stable [amd64])
`;
    expect(parseSimulation(text)).toEqual([
      { name: "gcc-14-base", version: "14.2.0-19" },
      { name: "libc6", version: "2.41-12+deb13u5" },
    ]);
  });

  it("has dependencies, the first of alternatives", () => {
    const stanza = `Package: linux-image-7.3.4
Depends: dracut | initramfs-tools (>= 0.120), linux-binary-7.3.4 (= 7.3.4-1), kmod
Size: 1
`;
    expect(parseDepends(stanza)).toEqual([
      { name: "dracut", version: "" },
      { name: "linux-binary-7.3.4", version: "7.3.4-1" },
      { name: "kmod", version: "" },
    ]);
    expect(parseDepends("Package: a\n")).toEqual([]);
  });
});
