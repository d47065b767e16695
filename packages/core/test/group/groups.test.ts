import { describe, expect, it } from "vitest";
import {
  PLATFORM_GROUP,
  PlatformGroup,
  SELF_GROUP,
  SelfGroup,
  SR_IOV_GROUP,
} from "../../src/group/index.ts";

describe("group types", () => {
  it.each([
    [SELF_GROUP, 0x0000, "Self", false],
    [SR_IOV_GROUP, 0x0001, "SR-IOV", false],
    [PLATFORM_GROUP, 0xff00, "platform", true],
  ])("%o has its identifier and says whether it is private", (type, id, name, isPrivate) => {
    expect([type.id, type.name, type.private]).toEqual([id, name, isPrivate]);
  });
});

describe("Self group", () => {
  it("[group-2+-] has the owner under id 0 and nobody else", () => {
    const group = new SelfGroup();
    expect([group.exists, group.memberCount]).toEqual([true, 1]);
    expect([0, 1, -1, 2 ** 53, Infinity].map((id) => group.hasMember(id))).toEqual([
      true,
      false,
      false,
      false,
      false,
    ]);
  });
});

describe("platform group", () => {
  it("[platform-group-device-3] has the members its maker named", () => {
    const group = new PlatformGroup([5, 9]);
    expect(group.members).toEqual([5, 9]);
    group.add(0);
    expect(group.remove(5)).toBe(true);
    expect(group.remove(5)).toBe(false);
    expect([group.memberCount, group.hasMember(0), group.hasMember(5)]).toEqual([2, true, false]);
  });

  it.each([-1, 1.5, 2 ** 53, Number.NaN])("refuses the member id %s and changes nothing", (id) => {
    const group = new PlatformGroup([1]);
    expect(() => group.add(id)).toThrow(expect.objectContaining({ code: "GROUP_INVALID" }));
    expect(group.members).toEqual([1]);
  });

  it("refuses an id that is taken", () => {
    expect(() => new PlatformGroup([1, 1])).toThrow(
      expect.objectContaining({ code: "GROUP_INVALID", value: 1 }),
    );
  });
});
