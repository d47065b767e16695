/** What every channel command of the device half does, and when it is rejected. */
import { ConfigSpace, FEATURE } from "@virtio-admin/core";
import {
  CCW_RATIFIED_LAYOUT,
  CCW_RESERVED_FEATURES,
  CcwDevice,
  NOTIFY_REFUSED,
} from "@virtio-admin/transport-ccw";
import { describe, expect, it } from "vitest";
import {
  be,
  brief,
  CE_DE,
  ccw1,
  DATA,
  FLAGS,
  INCORRECT_LENGTH,
  idleModel,
  makeRig,
  negotiate,
  PROGRAM,
  type Rig,
  setVq,
  UNIT_CHECK,
} from "./rig.ts";

const OK = [CE_DE, 0, 0];
const CUT = [CE_DE | UNIT_CHECK, 0, 0];
const BIT_41 = 1n << 41n;
const VERSION_1 = 1n << 32n;
const ADMIN = VERSION_1 | BIT_41;
const RING = DATA + 0x4000;

/** A queue of 8 entries that lies where no other does. */
const queueAt = (index: number, size = 8) =>
  setVq(
    index,
    size,
    RING + index * 0x400,
    RING + index * 0x400 + 0x100,
    RING + index * 0x400 + 0x200,
  );

/** Rejected at selection: nothing moved. */
const refused = (count: number) => [UNIT_CHECK, 0, count];

describe("basic commands", () => {
  it("SENSE ID tells the control unit type and the device id", () => {
    const rig = makeRig();
    rig.put(DATA, "ee".repeat(8));
    expect(brief(rig.run(ccw1(0xe4, FLAGS.SLI, 7, DATA)))).toEqual(OK);
    expect(rig.get(DATA, 8)).toBe("ff383204000000ee");
    expect(brief(rig.run(ccw1(0xe4, 0, 256, DATA)))).toEqual(OK);
    expect(rig.get(DATA, 8)).toBe("ff38320400000000");
    expect(brief(rig.run(ccw1(0xe4, 0, 7, DATA)))).toEqual([CE_DE, INCORRECT_LENGTH, 0]);
  });

  it("NOP does nothing, also before a revision is selected", () => {
    expect(brief(makeRig().command(0x03))).toEqual(OK);
  });

  it("SENSE returns the sense data of the last reject, until another command", () => {
    const rig = makeRig();
    const sense = () => {
      rig.run(ccw1(0x04, FLAGS.SLI, 1, DATA));
      return rig.get(DATA, 1);
    };
    expect(sense()).toBe("00");
    rig.command(0x55);
    expect(sense()).toBe("80");
    rig.command(0x03);
    expect(sense()).toBe("80");
    rig.run(ccw1(0xe4, FLAGS.SLI, 7, DATA));
    expect(sense()).toBe("00");
  });
});

describe("SET_VIRTIO_REV", () => {
  it.each([
    [3, 0, CUT],
    [3, 1, OK],
    [3, 2, OK],
    [3, 3, OK],
    [3, 4, CUT],
    [3, 0xffff, CUT],
    [2, 3, CUT],
    [2, 2, OK],
    [1, 2, CUT],
    [1, 1, OK],
  ])(
    "[ccw-revision-device-1] [ccw-revision-device-3] up to %i, of %i",
    (maxRevision, revision, ending) => {
      const rig = makeRig({ maxRevision });
      expect(brief(rig.command(0x83, be(revision, 2) + be(0, 2)))).toEqual(ending);
      expect(rig.subchannel.revision).toBe(ending === OK ? revision : undefined);
    },
  );

  it("[ccw-revision-device-2] [ccw-admin-device-3] is rejected with data in any revision", () => {
    for (const revision of [1, 2, 3]) {
      const rig = makeRig();
      const info = `${be(revision, 2)}0004`;
      expect(brief(rig.command(0x83, info))).toEqual(CUT);
      expect(brief(rig.command(0x83, `${info}00000000`, FLAGS.SLI))).toEqual([0x0e, 0, 4]);
      expect(rig.subchannel.revision).toBeUndefined();
    }
  });

  it("[ccw-revision-device-5] does not change a revision that was selected", () => {
    const rig = makeRig();
    rig.command(0x83, "00020000");
    expect(brief(rig.command(0x83, "00030000"))).toEqual(CUT);
    expect(brief(rig.command(0x83, "00010000"))).toEqual(CUT);
    expect(brief(rig.command(0x83, "00020000"))).toEqual(OK);
    expect(rig.subchannel.revision).toBe(2);
  });

  it("[ccw-revision-device-6] [ccw-admin-device-20] is undone by disabling the subchannel", () => {
    const rig = makeRig();
    negotiate(rig, 3, ADMIN);
    rig.subchannel.modifySubchannel(false);
    expect(rig.command(0x03).conditionCode).toBe(3);
    rig.subchannel.modifySubchannel(true);
    expect(rig.subchannel.revision).toBeUndefined();
    expect(brief(rig.command(0x92, "00000000"))).toEqual(refused(4));
    expect(brief(rig.command(0x83, "00010000"))).toEqual(OK);
  });

  it("[ccw-revision-device-6] outlives MODIFY SUBCHANNEL of a subchannel that stays enabled", () => {
    const rig = makeRig();
    negotiate(rig, 3, ADMIN);
    rig.subchannel.modifySubchannel(true);
    expect(rig.subchannel.revision).toBe(3);
    expect(brief(rig.command(0x92, "00000000"))).toEqual(OK);
  });

  it("[ccw-revision-legacy-1] [ccw-admin-device-5] comes before every other virtio command", () => {
    const rig = makeRig();
    const codes = Object.values(rig.subchannel.layout.commands).map(({ code }) => code);
    expect(codes.length).toBe(14);
    for (const code of codes) {
      if (code !== 0x83) expect(brief(rig.command(code, "00"))).toEqual(refused(1));
    }
  });
});

describe("the commands of each revision", () => {
  it.each([
    [1, 0x72, "00", refused(1)],
    [2, 0x72, "00", OK],
    [3, 0x72, "00", OK],
    [1, 0x92, "00000000", refused(4)],
    [2, 0x92, "00000000", refused(4)],
    [3, 0x92, "00000000", OK],
  ])(
    "[ccw-revision-device-4] [ccw-admin-device-1] [ccw-admin-device-4] at revision %i, command %i",
    (revision, code, data, ending) => {
      const rig = makeRig();
      rig.command(0x83, be(revision, 2) + be(0, 2));
      expect(brief(rig.command(code, data))).toEqual(ending);
    },
  );

  it("the ratified layout knows no READ_ADMIN_VQ and no revision 3", () => {
    const rig = makeRig({ layout: CCW_RATIFIED_LAYOUT });
    expect(brief(rig.command(0x83, "00030000"))).toEqual(CUT);
    expect(brief(rig.command(0x83, "00020000"))).toEqual(OK);
    expect(brief(rig.command(0x92, "00000000"))).toEqual(refused(4));
    expect(rig.device.offeredFeatures.has(FEATURE.VIRTIO_F_ADMIN_VQ)).toBe(false);
  });

  it("options that the layout contradicts are refused", () => {
    const { device } = makeRig();
    for (const options of [
      { maxRevision: 0 },
      { maxRevision: 4 },
      { maxRevision: 3, layout: CCW_RATIFIED_LAYOUT },
      { subchannelId: -1 },
      { hostCookie: -1 },
    ]) {
      expect(() => new CcwDevice({ device, ...options })).toThrow(
        expect.objectContaining({ code: "TRANSPORT_OPTIONS" }),
      );
    }
  });
});

describe("features", () => {
  const word = (rig: Rig, index: number) => {
    rig.command(0x12, `00000000${be(index, 1)}`);
    return rig.get(DATA, 5);
  };

  it("[ccw-features-1] [ccw-features-2] are read little-endian, and as zero beyond the last word", () => {
    const rig = makeRig();
    rig.command(0x83, "00030000");
    expect(word(rig, 0)).toBe("0000003000");
    expect(word(rig, 1)).toBe("0102000001");
    for (const index of [2, 3, 4, 0xff]) expect(word(rig, index)).toBe(`00000000${be(index, 1)}`);
  });

  it.each([
    [1, "0100000001"],
    [2, "0100000001"],
    [3, "0102000001"],
  ])("[ccw-admin-device-7] offers bit 41 from revision 3 on: revision %i", (revision, wanted) => {
    const rig = makeRig();
    rig.command(0x83, be(revision, 2) + be(0, 2));
    expect(word(rig, 1)).toBe(wanted);
  });

  it("offers bit 41 at revision 2 to test drivers with", () => {
    const rig = makeRig({ offerAdminBelowRevision3: true });
    rig.command(0x83, "00020000");
    expect(word(rig, 1)).toBe("0102000001");
  });

  it("[ccw-admin-device-21] never offers what the transport cannot carry", () => {
    const { device } = makeRig();
    for (const bit of CCW_RESERVED_FEATURES) expect(device.offeredFeatures.has(bit)).toBe(false);
    expect(CCW_RESERVED_FEATURES).toContain(FEATURE.VIRTIO_F_RING_RESET);
  });

  it("[ccw-features-1] take exactly five bytes", () => {
    const rig = makeRig();
    rig.command(0x83, "00030000");
    expect(brief(rig.command(0x12, "00000001"))).toEqual([CE_DE, INCORRECT_LENGTH, 0]);
    expect(brief(rig.command(0x12, "00000001", FLAGS.SLI))).toEqual(CUT);
    expect(brief(rig.command(0x11, "010000000100"))).toEqual([CE_DE, INCORRECT_LENGTH, 1]);
    expect(rig.device.driverFeatures.isEmpty).toBe(true);
    expect(brief(rig.command(0x11, "010000000100", FLAGS.SLI))).toEqual([CE_DE, 0, 1]);
    expect(rig.device.driverFeatures.bits()).toEqual([32]);
  });
});

describe("device status", () => {
  it("[ccw-status-device-1] [ccw-status-device-2] [ccw-status-device-3] is rejected as a whole", () => {
    const rig = makeRig();
    rig.command(0x83, "00020000");
    const status = () => {
      expect(brief(rig.command(0x72, "ee"))).toEqual(OK);
      return rig.get(DATA, 1);
    };
    for (const [written, ending, left] of [
      ["01", OK, "01"],
      ["03", OK, "03"],
      ["02", CUT, "03"],
      ["07", CUT, "03"],
      ["0b", CUT, "03"],
      ["8b", CUT, "03"],
      ["13", CUT, "03"],
      ["23", CUT, "03"],
      ["43", CUT, "03"],
    ] as const) {
      expect(brief(rig.command(0x31, written))).toEqual(ending);
      expect(status()).toBe(left);
    }
    rig.command(0x11, "0100000001");
    expect(brief(rig.command(0x31, "8b"))).toEqual(CUT);
    expect(status()).toBe("03");
    expect(brief(rig.command(0x31, "0b"))).toEqual(OK);
    expect(brief(rig.command(0x31, "0f"))).toEqual(OK);
    expect(brief(rig.command(0x31, "0f"))).toEqual(OK);
    expect(brief(rig.command(0x31, "8f"))).toEqual(OK);
    expect(status()).toBe("8f");
  });

  it("[ccw-reset-device-1] [ccw-reset-device-2] [ccw-admin-device-19] is 0 after VDEV_RESET, which keeps the revision", () => {
    for (const reset of [(rig: Rig) => rig.command(0x33), (rig: Rig) => rig.command(0x31, "00")]) {
      const rig = makeRig();
      negotiate(rig, 3, ADMIN);
      rig.command(0x13, queueAt(1));
      expect(rig.device.queueEnabled(1)).toBe(true);
      expect(brief(reset(rig))).toEqual(OK);
      expect(rig.device.status).toBe(0);
      expect(rig.device.queueEnabled(1)).toBe(false);
      expect(rig.subchannel.revision).toBe(3);
      rig.command(0x92, "ffffffff");
      expect(rig.get(DATA, 4)).toBe("00000000");
    }
  });
});

describe("READ_ADMIN_VQ", () => {
  it("[ccw-admin-device-2] [ccw-admin-device-6] [ccw-admin-device-9] [ccw-admin-device-12] is 0, 0 until the feature is negotiated", () => {
    const rig = makeRig({ model: idleModel(5), adminCount: 3 });
    const place = () => {
      expect(brief(rig.command(0x92, "ffffffff"))).toEqual(OK);
      return rig.get(DATA, 4);
    };
    rig.command(0x83, "00030000");
    expect(place()).toBe("00000000");
    rig.command(0x11, "0102000001");
    rig.command(0x31, "01");
    rig.command(0x31, "03");
    expect(place()).toBe("00000000");
    rig.command(0x31, "0b");
    expect(place()).toBe("00050003");
    negotiate(rig, 3, VERSION_1);
    expect(place()).toBe("00000000");
  });

  it("[ccw-admin-device-10] [ccw-admin-device-11] [admin-transport-3] stays as it is from negotiation to the next reset", () => {
    const rig = makeRig();
    const place = () => {
      rig.command(0x92, "ffffffff");
      return rig.get(DATA, 4);
    };
    negotiate(rig, 3, ADMIN);
    for (const [code, data] of [
      [0x13, queueAt(0)],
      [0x13, queueAt(1)],
      [0x11, "0000000001"],
      [0x31, "0f"],
      [0x31, "8f"],
    ] as const) {
      expect(brief(rig.command(code, data))).toEqual(OK);
      expect(place()).toBe("00010001");
    }
    rig.command(0x33);
    expect(place()).toBe("00000000");
  });

  it.each([
    [0, 3, CE_DE, INCORRECT_LENGTH, 0, "000100ff"],
    [FLAGS.SLI, 3, CE_DE, 0, 0, "000100ff"],
    [FLAGS.SLI, 2, CE_DE, 0, 0, "0001ffff"],
    [0, 6, CE_DE, INCORRECT_LENGTH, 2, "00010001"],
    [FLAGS.SLI, 6, CE_DE, 0, 2, "00010001"],
  ])(
    "[ccw-admin-device-8] follows the length rules: flags %i, count %i",
    (flags, count, device, subchannel, residual, data) => {
      const rig = makeRig();
      negotiate(rig, 3, ADMIN);
      rig.put(DATA, "ffffffffffff");
      expect(brief(rig.run(ccw1(0x92, flags, count, DATA)))).toEqual([
        device,
        subchannel,
        residual,
      ]);
      expect(rig.get(DATA, 4)).toBe(data);
    },
  );
});

describe("queues", () => {
  const size = (rig: Rig, index: number) => {
    expect(brief(rig.command(0x32, `${be(index, 2)}eeee`))).toEqual(OK);
    return rig.get(DATA, 4);
  };

  it("[ccw-vq-format-1] [ccw-admin-device-23] [admin-unnegotiated-device-1] have size 0 where there are none", () => {
    const rig = makeRig();
    negotiate(rig, 3, VERSION_1);
    expect(size(rig, 0)).toBe("00000100");
    expect(size(rig, 1)).toBe("00010000");
    expect(size(rig, 0xffff)).toBe("ffff0000");
    negotiate(rig, 3, ADMIN);
    expect(size(rig, 1)).toBe("00010100");
    expect(size(rig, 2)).toBe("00020000");
  });

  it("[ccw-vq-format-2] [ccw-vq-device-1] are set up big-endian, whatever res0 holds", () => {
    const rig = makeRig();
    negotiate(rig, 3);
    const block = setVq(0, 8, RING, RING + 0x100, RING + 0x200);
    const odd = `${block.slice(0, 16)}deadbeef${block.slice(24)}`;
    expect(odd.length).toBe(64);
    expect(brief(rig.command(0x13, odd))).toEqual(OK);
    expect(rig.device.queueEnabled(0)).toBe(true);
    expect(rig.device.queueSize(0)).toBe(8);
    expect(rig.device.queueAddress(0, "deviceArea", 0)).toBe(RING + 0x200);
  });

  it.each([
    ["an index that does not exist", queueAt(2)],
    ["a size above the maximum", queueAt(0, 512)],
    ["a size that is no power of two", queueAt(0, 6)],
    ["a size of 0 with addresses", queueAt(0, 0)],
    ["a misaligned area", setVq(0, 8, RING + 1, RING + 0x100, RING + 0x200)],
    ["an area outside memory", setVq(0, 8, 0x1000, RING + 0x100, RING + 0x200)],
    ["an address of 64 bits", `8${setVq(0, 8, RING, RING + 0x100, RING + 0x200).slice(1)}`],
  ])("are rejected with %s, and nothing changes", (_name, block) => {
    const rig = makeRig();
    negotiate(rig, 3);
    expect(brief(rig.command(0x13, block))).toEqual(CUT);
    expect(rig.device.status).toBe(0x0b);
    expect(rig.device.queueEnabled(0)).toBe(false);
    expect(brief(rig.command(0x13, queueAt(0)))).toEqual(OK);
  });

  it("are rejected while enabled, and before FEATURES_OK", () => {
    const rig = makeRig();
    rig.command(0x83, "00030000");
    expect(brief(rig.command(0x13, queueAt(0)))).toEqual(CUT);
    negotiate(rig, 3);
    expect(brief(rig.command(0x13, queueAt(0)))).toEqual(OK);
    expect(brief(rig.command(0x13, queueAt(0)))).toEqual(CUT);
    expect(brief(rig.command(0x13, setVq(0, 0, 0, 0, 0)))).toEqual(CUT);
    expect(rig.device.queueEnabled(0)).toBe(true);
  });

  it("a block of zeros, as drivers send on their way out, does nothing", () => {
    const rig = makeRig();
    negotiate(rig, 3);
    expect(brief(rig.command(0x13, setVq(0, 0, 0, 0, 0)))).toEqual(OK);
    expect(rig.device.queueEnabled(0)).toBe(false);
  });

  it("[ccw-admin-device-14] [admin-unnegotiated-device-2] administration virtqueues are rejected unless negotiated", () => {
    const rig = makeRig();
    negotiate(rig, 3, VERSION_1);
    expect(brief(rig.command(0x13, queueAt(1)))).toEqual(CUT);
    negotiate(rig, 3, ADMIN);
    expect(brief(rig.command(0x13, queueAt(1)))).toEqual(OK);
  });
});

describe("the configuration space", () => {
  const make = (tolerateShortConfig = false) => {
    const config = new ConfigSpace({
      bytes: Uint8Array.from([1, 2, 3, 4, 5, 6]),
      writable: Uint8Array.of(0, 0, 0xff, 0xff),
    });
    const rig = makeRig({ model: idleModel(1, config), tolerateShortConfig });
    negotiate(rig, 3);
    return rig;
  };

  it("is transmitted as a whole", () => {
    const rig = make();
    rig.put(DATA, "ff".repeat(8));
    expect(brief(rig.run(ccw1(0x22, 0, 6, DATA)))).toEqual(OK);
    expect(rig.get(DATA, 7)).toBe("010203040506ff");
    expect(brief(rig.run(ccw1(0x22, 0, 4, DATA)))).toEqual([CE_DE, INCORRECT_LENGTH, 0]);
    expect(brief(rig.run(ccw1(0x22, FLAGS.SLI, 4, DATA)))).toEqual(OK);
    expect(brief(rig.run(ccw1(0x22, FLAGS.SLI, 8, DATA)))).toEqual([CE_DE, 0, 2]);
    expect(brief(rig.command(0x21, "aaaaaaaaaaaa"))).toEqual(OK);
    rig.run(ccw1(0x22, 0, 6, DATA));
    expect(rig.get(DATA, 6)).toBe("0102aaaa0506");
    expect(brief(rig.command(0x21, "0102"))).toEqual([CE_DE, INCORRECT_LENGTH, 0]);
    expect(brief(rig.command(0x21, "0102", FLAGS.SLI))).toEqual(CUT);
  });

  it("may be shorter where that is tolerated", () => {
    const rig = make(true);
    expect(brief(rig.run(ccw1(0x22, 0, 4, DATA)))).toEqual(OK);
    expect(brief(rig.command(0x21, "bbbbbb"))).toEqual(OK);
    rig.run(ccw1(0x22, 0, 4, DATA));
    expect(rig.get(DATA, 4)).toBe("0102bb04");
    expect(brief(rig.run(ccw1(0x22, 0, 8, DATA)))).toEqual([CE_DE, INCORRECT_LENGTH, 2]);
  });
});

describe("DIAGNOSE 0x500", () => {
  it("[ccw-notify-device-1] [ccw-notify-device-2] notifies and returns a cookie", () => {
    const rig = makeRig({ hostCookie: 99 });
    negotiate(rig, 3);
    rig.command(0x13, queueAt(0));
    rig.command(0x31, "0f");
    expect(rig.subchannel.diagnose500(3, 0x10000, 0, 0)).toBe(99);
    expect(rig.subchannel.diagnose500(3, 0x1234_00010000, 0, 99)).toBe(99);
    expect(rig.subchannel.diagnose500(3, 0xdeadbeef_00010000n, 0, 99)).toBe(99);
    expect(rig.trace.events.filter(({ op }) => op === "notify").length).toBe(3);
  });

  it.each([
    ["another subcode", 2, 0x10000, 0],
    ["another subchannel", 3, 0x10001, 0],
    ["a queue that does not exist", 3, 0x10000, 2],
    ["an administration virtqueue that is not negotiated", 3, 0x10000, 1],
    ["a queue index beyond 16 bits", 3, 0x10000, 0x10000],
  ])("[admin-unnegotiated-device-3] is refused for %s", (_name, subcode, id, queue) => {
    const rig = makeRig();
    negotiate(rig, 3, VERSION_1);
    expect(rig.subchannel.diagnose500(subcode, id, queue, 0)).toBe(NOTIFY_REFUSED);
    expect(rig.trace.events.some(({ op }) => op === "notify")).toBe(false);
  });
});

describe("notification data", () => {
  it("[ccw-notify-2] the queue index is in the low half of GPR 3 when the feature is negotiated", () => {
    for (const [features, answer] of [
      [VERSION_1 | (1n << 38n), 1],
      [VERSION_1, NOTIFY_REFUSED],
    ] as const) {
      const rig = makeRig({ features: [FEATURE.VIRTIO_F_NOTIFICATION_DATA] });
      negotiate(rig, 3, features);
      expect(rig.subchannel.diagnose500(3, 0x10000, 0x8005_0000, 0)).toBe(answer);
    }
  });
});

describe("the trace", () => {
  it("has one event for every command that was executed", () => {
    const rig = makeRig();
    rig.put(DATA, "00030000");
    rig.run(ccw1(0x83, FLAGS.CC, 4, DATA) + ccw1(0x55, 0, 1, DATA), 0x00c08000, PROGRAM);
    expect(rig.trace.events).toEqual([
      {
        op: "ccw",
        command: 0x83,
        name: "SET_VIRTIO_REV",
        flags: 0x40,
        count: 4,
        data: "00030000",
        status: 0x0c00,
        residual: 0,
      },
      { op: "ccw", command: 0x55, flags: 0, count: 1, data: "", status: 0x0200, residual: 1 },
    ]);
  });
});
