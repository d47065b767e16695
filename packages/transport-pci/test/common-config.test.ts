/** The common configuration structure, register by register. */
import { FEATURE, STATUS } from "@virtio-admin/core";
import { NO_VECTOR } from "@virtio-admin/transport-pci";
import { describe, expect, it } from "vitest";
import { COMMON, CONFIG_BYTES, MEMORY_BASE, makeRig, type RigOptions } from "./rig.ts";

const { VIRTIO_F_ADMIN_VQ, VIRTIO_F_RING_RESET, VIRTIO_F_VERSION_1 } = FEATURE;

describe("the layout", () => {
  it("[pci-common-format-1] has the offsets and widths of the text", () => {
    const found = Object.fromEntries(
      Object.entries(COMMON).map(([name, { offset, width }]) => [name, [offset, width]]),
    );
    expect(found).toEqual({
      device_feature_select: [0, 4],
      device_feature: [4, 4],
      driver_feature_select: [8, 4],
      driver_feature: [12, 4],
      config_msix_vector: [16, 2],
      num_queues: [18, 2],
      device_status: [20, 1],
      config_generation: [21, 1],
      queue_select: [22, 2],
      queue_size: [24, 2],
      queue_msix_vector: [26, 2],
      queue_enable: [28, 2],
      queue_notify_off: [30, 2],
      queue_desc: [32, 8],
      queue_driver: [40, 8],
      queue_device: [48, 8],
      queue_notif_config_data: [56, 2],
      queue_reset: [58, 2],
      admin_queue_index: [60, 2],
      admin_queue_num: [62, 2],
    });
  });
});

describe("access widths", () => {
  const natural = new Map<number, number>();
  for (const { offset, width } of Object.values(COMMON)) {
    natural.set(offset, Math.min(width, 4));
    if (width === 8) natural.set(offset + 4, 4);
  }

  /** Every register reads something else than 0. */
  const prepare = () => {
    const rig = makeRig();
    rig.negotiate([VIRTIO_F_ADMIN_VQ, VIRTIO_F_RING_RESET]);
    rig.set("device_feature_select", 1);
    rig.set("driver_feature_select", 1);
    rig.set("queue_select", 1);
    for (let at = 32; at < 56; at += 4) rig.setRaw(at, 4, 0x1000 + at);
    rig.setRaw(24, 2, 8);
    return rig;
  };
  const readsZero = new Set([
    COMMON.config_generation.offset,
    COMMON.queue_enable.offset,
    COMMON.queue_notif_config_data.offset,
    COMMON.queue_reset.offset,
  ] as number[]);

  const aligned = Array.from({ length: 64 }, (_, at) => at).flatMap((at) =>
    [1, 2, 4].filter((size) => at % size === 0).map((size) => [at, size] as const),
  );

  it.each(aligned)(
    "[pci-layout-device-1] reads offset %i with %i bytes only where that is a register",
    (at, size) => {
      const value = prepare().raw(at, size);
      if (natural.get(at) === size && !readsZero.has(at)) expect(value).not.toBe(0);
      else expect(value).toBe(0);
    },
  );

  it.each(aligned.filter(([at, size]) => natural.get(at) !== size))(
    "[pci-layout-driver-1] ignores a write at offset %i with %i bytes, which is no register",
    (at, size) => {
      const rig = prepare();
      const before = Array.from(natural, ([place, width]) => rig.raw(place, width));
      rig.setRaw(at, size, 0);
      rig.setRaw(at, size, 0xffffffff);
      expect(Array.from(natural, ([place, width]) => rig.raw(place, width))).toEqual(before);
    },
  );

  it("[pci-layout-device-1] lets the halves of 64-bit fields be accessed independently", () => {
    const rig = makeRig();
    rig.set("queue_select", 0);
    for (const field of [COMMON.queue_desc, COMMON.queue_driver, COMMON.queue_device]) {
      rig.setRaw(field.offset + 4, 4, 0x89abcdef);
      expect(rig.raw(field.offset, 4)).toBe(0);
      rig.setRaw(field.offset, 4, 0x12345678);
      expect(rig.raw(field.offset, 4)).toBe(0x12345678);
      expect(rig.raw(field.offset + 4, 4)).toBe(0x89abcdef);
    }
  });

  it("cuts an access of 8 bytes into two dwords, and a misaligned one into units", () => {
    const rig = makeRig();
    const address = new Uint8Array([0x78, 0x56, 0x34, 0x12, 0xef, 0xcd, 0xab, 0x89]);
    rig.pci.barWriteBytes(0, COMMON.queue_desc.offset, address);
    const back = new Uint8Array(8);
    rig.pci.barReadBytes(0, COMMON.queue_desc.offset, back);
    expect(back).toEqual(address);
    // 18..22: num_queues, then device_status and config_generation as one word, which is none.
    expect(rig.raw(COMMON.num_queues.offset, 4)).toBe(2);
    const config = new Uint8Array(6);
    rig.pci.barReadBytes(0, 0x2001, config);
    expect(config).toEqual(CONFIG_BYTES.slice(1, 7));
  });
});

describe("features", () => {
  it("[pci-common-device-3] shows the offered bits for any selector", () => {
    const rig = makeRig();
    const words = [0, 1, 2, 3, 4, 0xffffffff].map((select) => {
      rig.set("device_feature_select", select);
      expect(rig.get("device_feature_select")).toBe(select);
      return rig.get("device_feature");
    });
    expect(words[0]! & 0x21).toBe(0x21);
    const high = (bit: number) => 2 ** (bit - 32);
    const wanted = high(VIRTIO_F_VERSION_1) + high(VIRTIO_F_ADMIN_VQ) + high(VIRTIO_F_RING_RESET);
    expect(words[1]! & wanted).toBe(wanted);
    expect(words.slice(2)).toEqual([0, 0, 0, 0]);
  });

  it("does not offer what this transport does not carry", () => {
    const { device } = makeRig();
    for (const bit of [37, 38, 39]) expect(device.offeredFeatures.has(bit)).toBe(false);
  });

  it("[pci-common-device-4] shows the bits that the driver wrote for any selector", () => {
    const rig = makeRig();
    rig.set("driver_feature_select", 0);
    rig.set("driver_feature", 1);
    rig.set("driver_feature_select", 1);
    rig.set("driver_feature", 0x201);
    rig.set("driver_feature_select", 0);
    expect(rig.get("driver_feature")).toBe(1);
    rig.set("driver_feature_select", 1);
    expect(rig.get("driver_feature")).toBe(0x201);
    rig.set("driver_feature_select", 9);
    rig.set("driver_feature", 0xffffffff);
    expect(rig.get("driver_feature")).toBe(0);
  });
});

describe("reset", () => {
  it("[pci-common-device-7] [pci-common-device-8] [pci-common-device-9] [pci-msix-device-7] puts every register back", () => {
    const rig = makeRig();
    const state = () =>
      [0, 1].map((queue) => {
        rig.set("queue_select", queue);
        const names = ["queue_size", "queue_msix_vector", "queue_enable", "queue_reset"] as const;
        return names.map((name) => rig.get(name));
      });
    const fresh = state();
    expect(rig.negotiate([VIRTIO_F_RING_RESET])).toBe(0xb);
    rig.set("config_msix_vector", 1);
    rig.set("device_feature_select", 1);
    expect(rig.enable(1)).toBe(1);
    rig.set("queue_msix_vector", 2);
    rig.set("device_status", 0);
    expect(rig.get("device_status")).toBe(0);
    expect(rig.get("device_feature_select")).toBe(0);
    expect(rig.get("driver_feature_select")).toBe(0);
    expect(rig.get("queue_select")).toBe(0);
    expect(rig.get("config_msix_vector")).toBe(NO_VECTOR);
    expect(state()).toEqual(fresh);
    expect(fresh).toEqual([
      [64, NO_VECTOR, 0, 0],
      [64, NO_VECTOR, 0, 0],
    ]);
  });
});

describe("queues", () => {
  it("[pci-common-device-15] [pci-common-device-16] reads size 0 for a queue that is not there", () => {
    const rig = makeRig();
    for (const queue of [2, 3, 0x7fff, 0xffff]) {
      rig.set("queue_select", queue);
      expect(rig.get("queue_size")).toBe(0);
      rig.set("queue_size", 8);
      rig.set("queue_msix_vector", 0);
      rig.setRaw(COMMON.queue_desc.offset, 4, 0x1000);
      rig.set("queue_enable", 1);
      expect(rig.get("queue_size")).toBe(0);
      expect(rig.get("queue_msix_vector")).toBe(NO_VECTOR);
      expect(rig.raw(COMMON.queue_desc.offset, 4)).toBe(0);
      expect(rig.get("queue_enable")).toBe(0);
      expect(rig.get("queue_notify_off")).toBe(0);
    }
  });

  it("[pci-common-driver-6] is not disabled by writing 0 to queue_enable", () => {
    const rig = makeRig();
    rig.negotiate([]);
    expect(rig.enable(0)).toBe(1);
    rig.set("queue_enable", 0);
    expect(rig.get("queue_enable")).toBe(1);
    rig.set("queue_select", 1);
    rig.setRaw(COMMON.queue_desc.offset, 4, MEMORY_BASE + 0x1000);
    rig.setRaw(COMMON.queue_driver.offset, 4, MEMORY_BASE + 0x2000);
    rig.setRaw(COMMON.queue_device.offset, 4, MEMORY_BASE + 0x3000);
    for (const value of [0, 2, 0xffff]) {
      rig.set("queue_enable", value);
      expect(rig.get("queue_enable")).toBe(0);
    }
    rig.set("queue_enable", 1);
    expect(rig.get("queue_enable")).toBe(1);
  });

  it("[pci-common-device-16] presents a power of two in queue_size, whatever was written", () => {
    const rig = makeRig();
    rig.negotiate([]);
    rig.set("queue_select", 1);
    rig.set("queue_size", 16);
    for (const size of [3, 5, 63, 65, 0xffff]) {
      rig.set("queue_size", size);
      expect(rig.get("queue_size")).toBe(16);
    }
  });

  it("[pci-common-device-11] [pci-common-device-12] [pci-common-device-14] resets one queue, which can be enabled again", () => {
    const rig = makeRig();
    rig.negotiate([VIRTIO_F_RING_RESET]);
    rig.enable(0);
    rig.enable(1);
    rig.set("queue_msix_vector", 1);
    rig.set("queue_reset", 0);
    expect(rig.get("queue_enable")).toBe(1);
    rig.set("queue_reset", 1);
    expect(rig.get("queue_reset")).toBe(0);
    expect(rig.get("queue_enable")).toBe(0);
    expect(rig.get("queue_size")).toBe(64);
    expect(rig.get("queue_msix_vector")).toBe(NO_VECTOR);
    rig.set("queue_select", 0);
    expect(rig.get("queue_enable")).toBe(1);
    expect(rig.enable(1, MEMORY_BASE + 0x8000)).toBe(1);
    expect(rig.get("queue_reset")).toBe(0);
    rig.set("device_status", 0xf);
    rig.offer(1, MEMORY_BASE + 0x8000);
    rig.notify(1);
    expect(rig.model.notified).toEqual([1]);
  });

  it("[pci-common-device-10] has no queue_reset before VIRTIO_F_RING_RESET is negotiated", () => {
    const rig = makeRig();
    rig.negotiate([]);
    rig.enable(0);
    rig.set("queue_reset", 1);
    expect(rig.get("queue_enable")).toBe(1);
    expect(rig.get("queue_reset")).toBe(0);
  });

  it("asks for a reset when a queue is enabled outside guest memory", () => {
    const rig = makeRig();
    rig.negotiate([]);
    rig.set("queue_select", 0);
    rig.setRaw(COMMON.queue_desc.offset + 4, 4, 0xffffffff);
    rig.set("queue_enable", 1);
    expect(rig.get("queue_enable")).toBe(0);
    expect(rig.get("device_status") & STATUS.DEVICE_NEEDS_RESET).not.toBe(0);
  });
});

describe("administration virtqueues", () => {
  it("[pci-common-format-1] [pci-common-format-2] [pci-common-format-3] [pci-common-device-17] [pci-common-device-18] are placed once they are negotiated", () => {
    const rig = makeRig({ queues: 3, adminQueues: 2 });
    expect(rig.get("num_queues")).toBe(3);
    expect([rig.get("admin_queue_index"), rig.get("admin_queue_num")]).toEqual([0, 0]);
    rig.negotiate([VIRTIO_F_ADMIN_VQ]);
    expect([rig.get("admin_queue_index"), rig.get("admin_queue_num")]).toEqual([3, 2]);
    expect(rig.get("num_queues")).toBe(3);
    rig.set("admin_queue_index", 9);
    rig.set("admin_queue_num", 9);
    expect([rig.get("admin_queue_index"), rig.get("admin_queue_num")]).toEqual([3, 2]);
    rig.set("device_status", 0);
    expect([rig.get("admin_queue_index"), rig.get("admin_queue_num")]).toEqual([0, 0]);
  });

  it("[pci-common-device-15] do not exist for a driver that did not accept them", () => {
    const rig = makeRig({ queues: 1 });
    rig.negotiate([]);
    expect([rig.get("admin_queue_index"), rig.get("admin_queue_num")]).toEqual([0, 0]);
    rig.set("queue_select", 1);
    expect(rig.get("queue_size")).toBe(0);
    expect(rig.enable(1)).toBe(0);
    rig.set("queue_msix_vector", 0);
    expect(rig.get("queue_msix_vector")).toBe(NO_VECTOR);
  });

  it("[pci-notify-device-5] [pci-notify-device-6] are set up and notified like any queue", () => {
    const rig = makeRig({ queues: 1, adminQueues: 3, msix: { vectors: 4 } });
    rig.negotiate([VIRTIO_F_ADMIN_VQ]);
    for (const queue of [1, 2, 3]) {
      rig.set("queue_select", queue);
      expect(rig.get("queue_size")).toBe(16);
      expect(rig.get("queue_notify_off") * 4 + 2).toBeLessThanOrEqual(rig.windows.notify.length);
      expect(rig.enable(queue)).toBe(1);
      rig.set("queue_msix_vector", queue);
      expect(rig.get("queue_msix_vector")).toBe(queue);
    }
  });
});

describe("notifications", () => {
  const live = (options: RigOptions & { accept?: readonly number[] } = {}) => {
    const { accept = [], ...init } = options;
    const rig = makeRig({ queues: 4, ...init });
    rig.negotiate(accept);
    for (const queue of [0, 1, 2, 3]) rig.enable(queue);
    rig.set("device_status", 0xf);
    return rig;
  };

  it("[pci-notify-device-4] [pci-notify-device-6] have an address for every queue by default", () => {
    const rig = live();
    for (const queue of [3, 0, 2, 1]) rig.notify(queue);
    expect(rig.model.notified).toEqual([3, 0, 2, 1]);
  });

  describe("with VIRTIO_F_NOTIFICATION_DATA", () => {
    const DATA = [FEATURE.VIRTIO_F_NOTIFICATION_DATA];
    const LAST = 0xfff;

    it.each([
      ["by default", {}],
      ["in one place", { notifyOffMultiplier: 0 }],
      ["in few places", { windows: { notify: { bar: 0, offset: 0x3000, length: 8 } } }],
      ["far apart", { notifyOffMultiplier: 64 }],
    ])(
      "[pci-notify-device-7+] [pci-notify-device-8+] [pci-notify-device-9+] [pci-notify-device-10+] [pci-notify-device-11+] has room for 32 bits at every queue's place %s",
      (_what, options) => {
        const rig = makeRig({ queues: 4, adminQueues: 2, features: DATA, ...options });
        expect(rig.device.offeredFeatures.has(FEATURE.VIRTIO_F_NOTIFICATION_DATA)).toBe(true);
        const { notifyOffMultiplier: multiplier } = rig.pci.placement;
        const { offset, length } = rig.windows.notify;
        expect([offset % 4, multiplier % 4]).toEqual([0, 0]);
        expect([0, 2 ** Math.round(Math.log2(multiplier))]).toContain(multiplier);
        expect(length).toBeGreaterThanOrEqual(4);
        rig.negotiate([...DATA, FEATURE.VIRTIO_F_ADMIN_VQ]);
        for (let queue = 0; queue < 6; queue++) {
          rig.set("queue_select", queue);
          const place = rig.get("queue_notify_off") * multiplier;
          expect(place + 4).toBeLessThanOrEqual(length);
          rig.enable(queue);
        }
        rig.set("device_status", 0xf);
        for (const [i, queue] of [3, 0, 2, 1].entries()) {
          rig.set("queue_select", queue);
          const place = rig.windows.notify.offset + rig.get("queue_notify_off") * multiplier;
          rig.pci.barWrite(0, place, 4, ((i * 0x7531_0000) | queue) >>> 0);
        }
        expect(rig.model.notified).toEqual([3, 0, 2, 1]);
      },
    );

    it.each([
      [
        "[pci-notify-device-8-] begins at no multiple of 4",
        { windows: { notify: { bar: 0, offset: 0x3002, length: 0x800 } } },
      ],
      [
        "[pci-notify-device-9-] [pci-notify-device-11-] ends 2 bytes behind a multiple of 4",
        { windows: { notify: { bar: 0, offset: 0x3000, length: 6 } } },
      ],
      ["[pci-notify-device-7-] has its places 2 bytes apart", { notifyOffMultiplier: 2 }],
    ])("is not offered by a function whose notification structure %s", (_what, options) => {
      const rig = makeRig({ queues: 4, features: DATA, ...options });
      expect(rig.device.offeredFeatures.has(FEATURE.VIRTIO_F_NOTIFICATION_DATA)).toBe(false);
    });

    it.each([
      ["[pci-available-driver-2-] 16 bits", 4, 2, 1],
      ["8 bits", 4, 1, 1],
      ["another queue's address", 8, 4, 1],
      ["no queue's address", LAST - 3, 4, 1],
      ["a queue that there is not", 4, 4, 0x8000_0009],
    ])("ignores %s", (_what, offset, size, value) => {
      const rig = live({ features: DATA, accept: DATA });
      rig.pci.barWrite(0, rig.windows.notify.offset + offset, size, value);
      expect(rig.model.notified).toEqual([]);
    });
  });

  it.each([
    ["one address", { notifyOffMultiplier: 0 }],
    ["two addresses", { windows: { notify: { bar: 0, offset: 0x3000, length: 6 } } }],
  ])(
    "[pci-notify-device-5] [pci-notify-device-6] share %s where there are no more",
    (_what, options) => {
      const rig = live(options);
      for (const queue of [0, 1, 2, 3]) {
        rig.set("queue_select", queue);
        const end = rig.get("queue_notify_off") * rig.pci.placement.notifyOffMultiplier + 2;
        expect(end).toBeLessThanOrEqual(rig.windows.notify.length);
        rig.notify(queue);
      }
      expect(rig.model.notified).toEqual([0, 1, 2, 3]);
    },
  );

  it.each([
    ["8 bits", 4, 1, 1],
    ["32 bits", 4, 4, 1],
    ["another queue's address", 4, 2, 2],
    ["no queue's address", 2, 2, 1],
    ["a queue that is not there", 4 * 9, 2, 9],
  ])("[pci-available-driver-1] are ignored with %s", (_what, offset, size, value) => {
    const rig = live();
    rig.pci.barWrite(0, rig.windows.notify.offset + offset, size, value);
    expect(rig.model.notified).toEqual([]);
    expect(rig.pci.barRead(0, rig.windows.notify.offset + offset, size)).toBe(0);
  });

  it("wait while the function may not master the bus", () => {
    const rig = live();
    rig.command("memory_space");
    rig.notify(2);
    rig.notify(2);
    expect(rig.model.notified).toEqual([]);
    rig.command("memory_space", "bus_master");
    expect(rig.model.notified).toEqual([2]);
    rig.command("memory_space");
    rig.notify(1);
    rig.set("device_status", 0);
    rig.command("memory_space", "bus_master");
    expect(rig.model.notified).toEqual([2]);
  });
});

describe("the device-specific configuration", () => {
  it("is read and written in any width", () => {
    const rig = makeRig();
    const view = new DataView(CONFIG_BYTES.buffer);
    expect(rig.pci.barRead(0, 0x2000, 1)).toBe(view.getUint8(0));
    expect(rig.pci.barRead(0, 0x2002, 2)).toBe(view.getUint16(2, true));
    expect(rig.pci.barRead(0, 0x2008, 4)).toBe(view.getUint32(8, true));
    rig.negotiate([]);
    rig.pci.barWrite(0, 0x2008, 4, 0x89abcdef);
    expect(rig.pci.barRead(0, 0x2008, 4)).toBe(0x89abcdef);
    rig.pci.barWrite(0, 0x200c, 4, 0xffffffff);
    expect(rig.pci.barRead(0, 0x200c, 4)).toBe(0x1fffffff);
    expect(rig.pci.barRead(0, 0x2010, 4)).toBe(0);
  });

  it("[pci-common-device-6] changes config_generation when a read follows a change, however many there were", () => {
    const rig = makeRig();
    const change = () => rig.model.config!.update((_view, bytes) => void bytes[0]!++);
    const generation = () => rig.get("config_generation");
    const first = generation();
    rig.pci.barRead(0, 0x2000, 4);
    expect(generation()).toBe(first);
    for (let i = 0; i < 256; i++) change();
    rig.pci.barRead(0, 0x2004, 4);
    expect(generation()).not.toBe(first);
    const second = generation();
    rig.pci.barRead(0, 0x2000, 4);
    expect(generation()).toBe(second);
  });
});
