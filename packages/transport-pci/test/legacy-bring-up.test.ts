/**
 * Drivers from before virtio 1.0 bring members up, and use them, with nothing but administration
 * commands of the owner's queue, a notification place, interrupts and memory.
 */
import { FEATURE, LEGACY_FEATURE, type LegacyNotifyPlace, STATUS } from "@virtio-admin/core";
import {
  BLOCK_LEGACY_FLUSH,
  BLOCK_REQUEST,
  BLOCK_STATUS,
  createBlock,
  memoryStorage,
  VIRTIO_BLK_CONFIG,
} from "@virtio-admin/devices";
import { describe, expect, it } from "vitest";
import { LegacyDriver, type LegacyQueue, makeLegacyRig, startRig } from "./legacy-rig.ts";

const ANY_LAYOUT = 2 ** 27;
const EVENT_IDX = 2 ** FEATURE.VIRTIO_F_EVENT_IDX;
const SECTORS = 64;

/** A block request's readable part. */
function request(type: number, sector: number, data = new Uint8Array(0)): Uint8Array {
  const bytes = new Uint8Array(16 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setBigUint64(8, BigInt(sector), true);
  bytes.set(data, 16);
  return bytes;
}

describe("a legacy driver of an entropy device", () => {
  it.each([
    ["a place in the member's BAR, MSI-X", {}],
    ["a place in the member's BAR, ISR status", { polled: true }],
    ["the Queue Notify register, MSI-X", { byRegister: true }],
    ["the Queue Notify register, ISR status", { byRegister: true, polled: true }],
  ])(
    "[legacy-access-device-7+] [legacy-access-device-8+] [legacy-access-device-13+] [legacy-access-driver-4+] gets its bytes: %s",
    async (_, options) => {
      const rig = makeLegacyRig();
      const started = await startRig(rig);
      const driver = new LegacyDriver(rig, started, 2, options);
      expect(await driver.begin(ANY_LAYOUT)).toBe(ANY_LAYOUT);
      const queue = await driver.queue(0);
      expect(queue.queue.size).toBe(8);
      await driver.driverOk();
      expect(await driver.read("device_status")).toBe(7);
      for (let round = 0; round < 20; round++) {
        const buffers = [
          driver.add(queue, new Uint8Array(0), 16),
          driver.add(queue, new Uint8Array(0), 5),
        ];
        await driver.kick(queue);
        expect(await driver.interrupted(queue)).toBe(true);
        for (const { id, written } of buffers) {
          expect(queue.queue.reap()).toBe(id);
          expect([...new Set(written())]).toEqual([2]);
        }
        expect(queue.queue.usedLength).toBe(5);
      }
      expect(rig.functionOf(2).legacy).toBeDefined();
    },
  );

  it("[legacy-access-device-7+] with event indexes is notified as it asks", async () => {
    const rig = makeLegacyRig();
    const driver = new LegacyDriver(rig, await startRig(rig), 1);
    expect(await driver.begin(ANY_LAYOUT + EVENT_IDX)).toBe(ANY_LAYOUT + EVENT_IDX);
    const queue = await driver.queue(0);
    await driver.driverOk();
    const first = driver.add(queue, new Uint8Array(0), 4);
    await driver.kick(queue);
    expect(await driver.interrupted(queue)).toBe(true);
    expect(queue.queue.reap()).toBe(first.id);
    // What was not reaped to the end is not asked for again.
    driver.add(queue, new Uint8Array(0), 4);
    await driver.kick(queue);
    expect(await driver.interrupted(queue)).toBe(false);
  });

  it("may use the device before DRIVER_OK, and before it wrote features", async () => {
    const rig = makeLegacyRig();
    const driver = new LegacyDriver(rig, await startRig(rig), 3);
    await driver.begin();
    await driver.write("device_status", 0);
    const queue = await driver.queue(0);
    const early = driver.add(queue, new Uint8Array(0), 4);
    await driver.kick(queue);
    expect(await driver.interrupted(queue)).toBe(true);
    expect(queue.queue.reap()).toBe(early.id);
    expect([...early.written()]).toEqual([3, 3, 3, 3]);
    expect(await driver.read("device_status")).toBe(0);
    // The first use has settled the features.
    await driver.write("driver_features", ANY_LAYOUT);
    expect(await driver.read("driver_features")).toBe(0);
    await driver.driverOk();
    const later = driver.add(queue, new Uint8Array(0), 4);
    await driver.kick(queue);
    expect(queue.queue.reap()).toBe(later.id);
  });

  it("stops a queue with address 0, and starts another in its place", async () => {
    const rig = makeLegacyRig();
    const driver = new LegacyDriver(rig, await startRig(rig), 1);
    await driver.begin();
    const first = await driver.queue(0);
    await driver.driverOk();
    await driver.write("queue_address", 0);
    expect(await driver.read("queue_address")).toBe(0);
    driver.add(first, new Uint8Array(0), 4);
    await driver.kick(first);
    expect(first.queue.reap()).toBe(-1);
    const second = await driver.queue(0);
    const buffer = driver.add(second, new Uint8Array(0), 4);
    await driver.kick(second);
    expect(second.queue.reap()).toBe(buffer.id);
  });

  it("begins anew after a reset, and another driver of another age after that", async () => {
    const rig = makeLegacyRig();
    const started = await startRig(rig);
    const driver = new LegacyDriver(rig, started, 1);
    for (let round = 0; round < 3; round++) {
      await driver.begin();
      const queue = await driver.queue(0);
      await driver.driverOk();
      const buffer = driver.add(queue, new Uint8Array(0), 4);
      await driver.kick(queue);
      expect(queue.queue.reap()).toBe(buffer.id);
    }
    rig.members.set(1, rig.guestOf(1));
    const modern = await rig.bringUpMember(started.sriov, 1);
    expect(modern.features.has(FEATURE.VIRTIO_F_VERSION_1)).toBe(true);
    // Its registers are not the legacy driver's now; a reset is.
    await driver.write("device_status", STATUS.ACKNOWLEDGE | STATUS.FAILED);
    await driver.write("driver_features", ANY_LAYOUT);
    expect(await driver.read("device_status")).toBe(0xf);
    expect(await driver.read("driver_features")).toBe(0);
    await driver.write("device_status", 0);
    expect(await driver.read("device_status")).toBe(0);
  });

  it("does not disturb the drivers of other members", async () => {
    const rig = makeLegacyRig();
    const started = await startRig(rig);
    const drivers = [1, 2, 3].map((id) => new LegacyDriver(rig, started, id));
    const queues: LegacyQueue[] = [];
    for (const driver of drivers) {
      await driver.begin();
      queues.push(await driver.queue(0));
      await driver.driverOk();
    }
    const buffers = drivers.map((driver, i) => driver.add(queues[i]!, new Uint8Array(0), 2));
    await drivers[1]!.kick(queues[1]!);
    expect(queues.map(({ queue }) => queue.reap())).toEqual([-1, buffers[1]!.id, -1]);
    await started.sriov.disable(started.client);
    await started.sriov.enable(3, { barsAt: 0x9000_0000 });
    expect(await drivers[1]!.read("device_status")).toBe(0);
  });
});

describe("notification places", () => {
  it("[legacy-access-device-13+] [legacy-access-device-18+] are the member's, and the owner's where it has them; each works", async () => {
    const rig = makeLegacyRig({
      ownerPlacement: { legacyNotify: { bar: 2, offset: 0x100, length: 16 } },
    });
    const started = await startRig(rig);
    const places = await started.legacy.notifyPlaces(2, {
      owner: (bar) => rig.pf.barLength(bar),
      member: (bar) => started.sriov.barLength(bar),
    });
    expect(places).toEqual<LegacyNotifyPlace[]>([
      { of: "member", bar: 2, offset: 0x4000 },
      { of: "owner", bar: 2, offset: 0x104 },
    ]);
    const driver = new LegacyDriver(rig, started, 2);
    await driver.begin();
    const queue = await driver.queue(0);
    await driver.driverOk();
    for (const { of, bar, offset } of places) {
      const buffer = driver.add(queue, new Uint8Array(0), 4);
      queue.queue.publish();
      const bus = of === "owner" ? rig.bus : driver.bus;
      // Not the place, not the width, not the queue.
      bus.barWrite(bar, offset + 2, 2, 0);
      bus.barWrite(bar, offset, 1, 0);
      bus.barWrite(bar, offset, 4, 0);
      bus.barWrite(bar, offset, 2, 1);
      bus.barWrite(bar, offset, 2, 0xffff);
      expect([bus.barRead(bar, offset, 2), queue.queue.reap()]).toEqual([0, -1]);
      bus.barWrite(bar, offset, 2, 0);
      expect(queue.queue.reap()).toBe(buffer.id);
    }
  });

  it("wait for Bus Master Enable as all notifications do, and answer nothing without VF MSE", async () => {
    const rig = makeLegacyRig();
    const started = await startRig(rig);
    const driver = new LegacyDriver(rig, started, 1);
    await driver.begin();
    const queue = await driver.queue(0);
    await driver.driverOk();
    await driver.bus.configWrite(4, 2, 0);
    const buffer = driver.add(queue, new Uint8Array(0), 4);
    await driver.kick(queue);
    expect(queue.queue.reap()).toBe(-1);
    await driver.bus.configWrite(4, 2, 4);
    expect(queue.queue.reap()).toBe(buffer.id);
    rig.set("control", 1);
    driver.add(queue, new Uint8Array(0), 4);
    await driver.kick(queue);
    expect(queue.queue.reap()).toBe(-1);
  });
});

describe("a legacy driver of a block device", () => {
  async function start() {
    const bytes = Uint8Array.from({ length: SECTORS * 512 }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
    let flushes = 0;
    const storage = memoryStorage(bytes);
    const flushing = { ...storage, flush: () => void flushes++ };
    const rig = makeLegacyRig({
      models: () => createBlock({ storage: flushing, queueSize: 16 }),
    });
    const driver = new LegacyDriver(rig, await startRig(rig), 1);
    return { rig, bytes, driver, flushes: () => flushes };
  }

  it("[legacy-access-device-10+] [legacy-access-device-9+] reads the configuration byte by byte or field by field, and reads and writes sectors", async () => {
    const { driver, bytes, flushes } = await start();
    // SEG_MAX, BLK_SIZE, FLUSH and ANY_LAYOUT.
    const wanted = ANY_LAYOUT + 4 + 64 + 512;
    expect(await driver.begin(wanted)).toBe(wanted);
    // VIRTIO_F_RING_RESET and VIRTIO_F_VERSION_1 are beyond what the register shows.
    expect(await driver.read("device_features")).toBe(
      wanted + EVENT_IDX + 2 ** FEATURE.VIRTIO_F_INDIRECT_DESC + 2 ** LEGACY_FEATURE.UNUSED,
    );
    const { capacity, seg_max, blk_size } = VIRTIO_BLK_CONFIG.fields;
    const config = new DataView((await driver.config(0, 24)).buffer);
    expect(config.getBigUint64(capacity.offset, true)).toBe(64n);
    expect(config.getUint32(seg_max.offset, true)).toBe(14);
    expect(config.getUint32(blk_size.offset, true)).toBe(512);
    const queue = await driver.queue(0);
    expect(queue.queue.size).toBe(16);
    await driver.driverOk();

    const read = driver.add(queue, request(BLOCK_REQUEST.VIRTIO_BLK_T_IN, 3), 1024 + 1);
    await driver.kick(queue);
    expect(await driver.interrupted(queue)).toBe(true);
    expect(queue.queue.reap()).toBe(read.id);
    expect([...read.written()]).toEqual([
      ...bytes.subarray(3 * 512, 5 * 512),
      BLOCK_STATUS.VIRTIO_BLK_S_OK,
    ]);

    const data = new Uint8Array(512).fill(0xa5);
    const write = driver.add(queue, request(BLOCK_REQUEST.VIRTIO_BLK_T_OUT, 9, data), 1);
    const flush = driver.add(queue, request(BLOCK_LEGACY_FLUSH, 0), 1);
    await driver.kick(queue);
    expect([queue.queue.reap(), queue.queue.reap()]).toEqual([write.id, flush.id]);
    expect([...write.written(), ...flush.written()]).toEqual([0, 0]);
    expect([...bytes.subarray(9 * 512, 10 * 512)]).toEqual([...data]);
    expect(flushes()).toBe(1);
  });

  it("that did not accept FLUSH gets stable writes, and may flush all the same", async () => {
    const { driver, flushes } = await start();
    await driver.begin(ANY_LAYOUT);
    const queue = await driver.queue(0);
    await driver.driverOk();
    const write = driver.add(
      queue,
      request(BLOCK_REQUEST.VIRTIO_BLK_T_OUT, 1, new Uint8Array(512)),
      1,
    );
    await driver.kick(queue);
    expect([queue.queue.reap(), flushes()]).toEqual([write.id, 1]);
    const flush = driver.add(queue, request(BLOCK_REQUEST.VIRTIO_BLK_T_FLUSH, 0), 1);
    await driver.kick(queue);
    expect([queue.queue.reap(), flushes()]).toEqual([flush.id, 2]);
    expect([...flush.written()]).toEqual([BLOCK_STATUS.VIRTIO_BLK_S_OK]);
  });
});
