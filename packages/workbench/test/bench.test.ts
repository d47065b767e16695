import { describe, expect, it } from "vitest";
import { Bench } from "../src/group/bench.ts";
import { TRANSPORT_NAMES } from "../src/transports.ts";

describe.each(TRANSPORT_NAMES)("a group on %s", (transport) => {
  it("has what is set, and says what is refused", async () => {
    const bench = await Bench.open({ transport, members: 3 });
    expect(bench.members).toEqual([1, 2, 3]);
    expect(bench.owner()).toMatchObject({ status: 0xf, driver: "live", pool: { free: 14 } });
    expect(await bench.setVectors(2, 7)).toBe("OK");
    expect(bench.member(2)?.vectors).toBe(7);
    expect(bench.owner().pool.free).toBe(9);
    expect(await bench.setVectors(2, 9)).toBe("EINVAL, INVALID_FIELD");
    expect(await bench.setVectors(1, 8)).toBe("OK");
    expect(await bench.setVectors(3, 8)).toBe("ENOSPC, NORESOURCE");
    expect(await bench.use(3)).toBe("OK");
    expect(bench.member(3)).toMatchObject({ status: 0xf, driver: "live" });
    expect(bench.member(3)?.found).toBe(transport === "pci" ? 2 : undefined);
    expect(await bench.setVectors(3, 1)).toBe("EBUSY, INVALID_COMMAND");
    expect(await bench.reset(3)).toBe("OK");
    expect(bench.member(3)).toMatchObject({ status: 0, driver: "none" });
    const bit = bench.member(1)!.settable.bits()[0]!;
    expect(await bench.setFeature(1, bit, false)).toBe("OK");
    expect(bench.member(1)?.offered.has(bit)).toBe(false);
    await bench.close();
  });

  it("adds and removes members", async () => {
    const bench = await Bench.open({ transport, members: 1 });
    expect(await bench.add()).toBe("OK");
    expect(await bench.use(2)).toBe("OK");
    expect(await bench.add()).toBe("OK");
    expect(bench.members).toEqual([1, 2, 3]);
    expect(await bench.remove(3)).toBe("OK");
    expect(await bench.remove(2)).toBe("OK");
    expect(await bench.remove(1)).toBe("OK");
    expect(bench.members).toEqual([]);
    expect(await bench.add()).toBe("OK");
    expect(await bench.setVectors(1, 3)).toBe("OK");
    await bench.close();
  });

  it("starts without members, and grows to the most", async () => {
    const bench = await Bench.open({ transport, members: 0 });
    for (let i = 0; i < 8; i++) expect(await bench.add()).toBe("OK");
    expect(await bench.add()).toContain("there are 1 to 8 members");
    expect(bench.members).toHaveLength(8);
    expect(await bench.setVectors(8, 3)).toBe("OK");
    for (let id = 8; id > 0; id--) expect(await bench.remove(id)).toBe("OK");
    expect(await bench.resetOwner()).toBe("OK");
    expect(await bench.add()).toBe("OK");
    expect(await bench.setVectors(1, 3)).toBe("OK");
    await bench.close();
  });

  it("keeps what was set over a reset of the owner", async () => {
    const bench = await Bench.open({ transport, members: 2 });
    await bench.setVectors(1, 5);
    expect(await bench.resetOwner()).toBe("OK");
    expect(bench.owner().driver).toBe("live");
    expect(bench.member(1)?.vectors).toBe(5);
    expect(await bench.setVectors(1, 4)).toBe("OK");
    await bench.close();
  });
});
