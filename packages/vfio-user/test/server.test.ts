/** What the server answers to single commands, and to what is wrong with them. */
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { encode } from "@virtio-admin/core";
import { type PciDevice, VIRTIO_PCI_COMMON_CFG_LAYOUT } from "@virtio-admin/transport-pci";
import {
  type DmaMemory,
  VFIO_IRQ,
  VFIO_REGION,
  VFIO_USER_COMMAND,
  VFIO_USER_DEVICE_INFO_LAYOUT,
  VFIO_USER_DMA_UNMAP_LAYOUT,
  VFIO_USER_IRQ_INFO_LAYOUT,
  VFIO_USER_REGION_INFO_LAYOUT,
  VFIO_USER_REGION_IO_FDS_LAYOUT,
  VfioUserServer,
} from "@virtio-admin/vfio-user";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadNative, type Native } from "../src/native.ts";
import { RawClient } from "./raw-client.ts";
import {
  entropyFunction,
  openFds,
  privateDirectory,
  sharedMappings,
  unsupported,
  until,
} from "./rig.ts";

const EINVAL = 22;
const EOPNOTSUPP = 95;
const EVENTFD = 4;
const NONE = 1;
const BOOL = 2;
const MASK = 8;
const UNMASK = 16;
const TRIGGER = 32;
const OK = { errno: undefined };

describe.skipIf(unsupported !== undefined)(`the server ${unsupported ?? ""}`, () => {
  let native: Native;
  let directory: ReturnType<typeof privateDirectory>;
  let before: string[];
  let server: VfioUserServer;
  let client: RawClient;
  let device: PciDevice;
  let memory: DmaMemory;
  const fds: number[] = [];
  const reasons: (string | undefined)[] = [];

  beforeEach(async () => {
    native = await loadNative();
    directory = privateDirectory();
    before = openFds();
    reasons.length = 0;
    server = await VfioUserServer.listen({
      path: join(directory.path, "a.sock"),
      device: (given) => {
        memory = given;
        device = entropyFunction(given);
        return device;
      },
      dmaTimeout: 100,
      onDisconnect: (reason) => void reasons.push(reason?.message),
    });
    client = await RawClient.open(server.path);
  });

  afterEach(async () => {
    client.close();
    await server.close();
    for (const fd of fds.splice(0)) closeSync(fd);
    expect(openFds()).toEqual(before);
    expect(sharedMappings()).toEqual([]);
    directory.remove();
  });

  function keep(fd: number): number {
    fds.push(fd);
    return fd;
  }

  const eventfd = () => keep(native.eventfd());
  const file = (length = 0x10000) => keep(native.memory(length));

  describe("information", () => {
    it("tells of the device, its regions and its interrupts", async () => {
      const info = { argsz: 16 };
      expect(
        await client.ask(
          VFIO_USER_COMMAND.deviceGetInfo,
          encode(VFIO_USER_DEVICE_INFO_LAYOUT, info),
        ),
      ).toMatchObject({
        body: encode(VFIO_USER_DEVICE_INFO_LAYOUT, {
          argsz: 16,
          flags: 3,
          num_regions: 9,
          num_irqs: 5,
        }),
      });
      for (let index = 0; index < VFIO_REGION.count; index++) {
        const size = index === VFIO_REGION.config ? 256 : device.barLength(index);
        expect(
          await client.ask(
            VFIO_USER_COMMAND.deviceGetRegionInfo,
            encode(VFIO_USER_REGION_INFO_LAYOUT, { argsz: 32, index }),
          ),
        ).toMatchObject({
          body: encode(VFIO_USER_REGION_INFO_LAYOUT, {
            argsz: 32,
            flags: size === 0 ? 0 : 3,
            index,
            size,
          }),
        });
      }
      const counts = new Map([
        [VFIO_IRQ.intx, 1],
        [VFIO_IRQ.msi, 0],
        [VFIO_IRQ.msix, device.msixVectors ?? -1],
        [VFIO_IRQ.request, 0],
      ]);
      for (const [index, count] of counts) {
        expect(
          await client.ask(
            VFIO_USER_COMMAND.deviceGetIrqInfo,
            encode(VFIO_USER_IRQ_INFO_LAYOUT, { argsz: 16, index }),
          ),
        ).toMatchObject({
          body: encode(VFIO_USER_IRQ_INFO_LAYOUT, {
            argsz: 16,
            flags: index === VFIO_IRQ.intx ? 7 : 9,
            index,
            count,
          }),
        });
      }
    });

    it.each([
      [VFIO_USER_COMMAND.deviceGetInfo, encode(VFIO_USER_DEVICE_INFO_LAYOUT, { argsz: 15 })],
      [VFIO_USER_COMMAND.deviceGetInfo, new Uint8Array(15)],
      [VFIO_USER_COMMAND.deviceGetInfo, new Uint8Array(17)],
      [
        VFIO_USER_COMMAND.deviceGetRegionInfo,
        encode(VFIO_USER_REGION_INFO_LAYOUT, { argsz: 32, index: 9 }),
      ],
      [
        VFIO_USER_COMMAND.deviceGetRegionInfo,
        encode(VFIO_USER_REGION_INFO_LAYOUT, { argsz: 31, index: 0 }),
      ],
      [
        VFIO_USER_COMMAND.deviceGetIrqInfo,
        encode(VFIO_USER_IRQ_INFO_LAYOUT, { argsz: 16, index: 5 }),
      ],
      [
        VFIO_USER_COMMAND.deviceGetIrqInfo,
        encode(VFIO_USER_IRQ_INFO_LAYOUT, { argsz: 16, index: VFIO_IRQ.error }),
      ],
      [VFIO_USER_COMMAND.version, new Uint8Array([0, 0, 1, 0])],
      [VFIO_USER_COMMAND.deviceReset, new Uint8Array(1)],
    ])("refuses command %i with %o", async (command, body) => {
      expect(await client.ask(command, body)).toMatchObject({ errno: EINVAL });
    });

    it.each([
      [
        VFIO_USER_COMMAND.deviceGetRegionIoFds,
        encode(VFIO_USER_REGION_IO_FDS_LAYOUT, { argsz: 16 }),
      ],
      [VFIO_USER_COMMAND.deviceFeature, new Uint8Array(8)],
      [VFIO_USER_COMMAND.migDataRead, new Uint8Array(8)],
      [VFIO_USER_COMMAND.dmaRead, new Uint8Array(16)],
      [14, new Uint8Array(0)],
      [0xffff, new Uint8Array(0)],
    ])("does not support command %i", async (command, body) => {
      expect(await client.ask(command, body)).toMatchObject({ errno: EOPNOTSUPP });
    });

    it("answers nothing to what wants no reply", async () => {
      const silent = Uint8Array.from(Buffer.from("63000d00100000001000000000000000", "hex"));
      client.send(silent);
      client.send(Uint8Array.from(Buffer.from("6300ffff100000001000000000000000", "hex")));
      expect(await client.read(VFIO_REGION.config, 0, 2)).toMatchObject(OK);
    });
  });

  describe("regions", () => {
    it("are read and written", async () => {
      expect((await client.read(VFIO_REGION.config, 0, 4))?.body.subarray(16)).toEqual(
        new Uint8Array([0xf4, 0x1a, 0x44, 0x10]),
      );
      expect(await client.write(VFIO_REGION.config, 4, [6, 0])).toMatchObject(OK);
      expect((await client.read(VFIO_REGION.config, 4, 2))?.body.subarray(16)).toEqual(
        new Uint8Array([6, 0]),
      );
      const common = device.placement.windows.common;
      expect(await client.write(common.bar, common.offset + 20, [1])).toMatchObject(OK);
      expect((await client.read(common.bar, common.offset + 20, 1))?.body[16]).toBe(1);
    });

    it("take several writes at once", async () => {
      const one = (offset: number, data: number) =>
        `${Buffer.from([offset]).toString("hex")}000000000000000700000001000000${Buffer.from([data]).toString("hex")}00000000000000`;
      const body = (count: string, ...ones: string[]) =>
        Uint8Array.from(Buffer.from(`${count}00000000000000${ones.join("")}`, "hex"));
      const multi = VFIO_USER_COMMAND.regionWriteMulti;
      const done = await client.ask(multi, body("02", one(4, 6), one(0x3c, 9)));
      expect(done?.body).toEqual(body("02"));
      expect((await client.read(VFIO_REGION.config, 0x3c, 1))?.body[16]).toBe(9);
      for (const bad of [
        body("03", one(4, 0)),
        body("01"),
        body("01", one(4, 0).replace("07", "08")),
      ]) {
        expect(await client.ask(multi, bad)).toMatchObject({ errno: EINVAL });
      }
      expect((await client.read(VFIO_REGION.config, 4, 1))?.body[16]).toBe(6);
    });

    it.each([
      [VFIO_REGION.config, 255, 2],
      [VFIO_REGION.config, 256, 1],
      [VFIO_REGION.config, 0, 0],
      [VFIO_REGION.config, 2n ** 64n - 1n, 1],
      [VFIO_REGION.config, 2n ** 53n, 1],
      [VFIO_REGION.rom, 0, 1],
      [0, 0, 0xffffffff],
      [0, 0x8000_0000, 4],
      [5, 0, 1],
      [9, 0, 1],
      [0xffffffff, 0, 1],
    ])("refuse what is outside: region %s, offset %s, %s bytes", async (region, offset, count) => {
      expect(await client.read(region, offset, count)).toMatchObject({ errno: EINVAL });
      const data = new Array(Math.min(count, 4)).fill(0);
      expect(await client.write(region, offset, data, count)).toMatchObject({ errno: EINVAL });
    });

    it("refuse a write whose count is not that of its bytes", async () => {
      expect(await client.write(VFIO_REGION.config, 4, [1, 2], 1)).toMatchObject({ errno: EINVAL });
      expect(await client.write(VFIO_REGION.config, 4, [1], 2)).toMatchObject({ errno: EINVAL });
    });

    it("take no descriptors", async () => {
      const fd = eventfd();
      expect(
        await client.ask(VFIO_USER_COMMAND.deviceReset, new Uint8Array(0), [fd, fd]),
      ).toMatchObject({ errno: EINVAL });
    });
  });

  describe("memory", () => {
    const unmap = (address: number, size: number, flags = 0) =>
      client.ask(
        VFIO_USER_COMMAND.dmaUnmap,
        encode(VFIO_USER_DMA_UNMAP_LAYOUT, { argsz: 24, flags, address, size }),
      );

    it("is mapped without a copy, and gone once it is taken back", async () => {
      const fd = file();
      expect(await client.map(0x1000, 0x2000, [fd], 3, 0x4000)).toMatchObject(OK);
      const region = memory.find(0x1800, 16);
      region?.bytes.set([1, 2, 3], 0x1800 - 0x1000);
      const other = native.map(fd, 0x4000, 0x1000) as bigint;
      expect([...new Uint8Array(native.view(other, 0x1000)).subarray(0x800, 0x803)]).toEqual([
        1, 2, 3,
      ]);
      native.unmap(other, 0x1000);
      expect(sharedMappings().length).toBe(1);
      expect(memory.find(0x2fff, 1)).toBe(region);
      expect(memory.find(0x2fff, 2)).toBeUndefined();
      expect(await unmap(0x1000, 0x2000)).toMatchObject(OK);
      expect(memory.find(0x1800, 16)).toBeUndefined();
      expect(sharedMappings()).toEqual([]);
      // A view that somebody kept reads zeros and harms nobody.
      expect(region?.bytes[0x800]).toBe(0);
      region?.bytes.fill(0xff);
      expect(await client.read(VFIO_REGION.config, 0, 2)).toMatchObject(OK);
    });

    it("is not mapped when its file can shrink, when it is not both read and written, or not at all", async () => {
      const path = join(directory.path, "file");
      const plain = keep(openSync(path, "w+"));
      for (const [address, fd, flags] of [
        [0x1000, [plain], 3],
        [0x2000, [file()], 1],
        [0x3000, [], 3],
      ] as const) {
        expect(await client.map(address, 0x1000, fd, flags)).toMatchObject(OK);
        expect(memory.contains(address, 0x1000)).toBe(true);
        expect(memory.find(address, 1)).toBeUndefined();
      }
      expect(sharedMappings()).toEqual([]);
      expect(memory.contains(0x1000, 0x3000)).toBe(true);
      expect(memory.contains(0x1000, 0x3001)).toBe(false);
      expect(memory.write(0x2000, new Uint8Array(1))).toBe(false);
      expect(await unmap(0, 0, 2)).toMatchObject(OK);
      expect(memory.rangeCount).toBe(0);
    });

    it.each([
      ["no bytes", 0x1000, 0, 3, 0, EINVAL],
      ["unknown flags", 0x1000, 0x1000, 7, 0, EINVAL],
      ["more than the file", 0x1000, 0x11000, 3, 0, EINVAL],
      ["beyond the file", 0x1000, 0x1000, 3, 0x10000, EINVAL],
      ["an offset within a page", 0x1000, 0x1000, 3, 1, EINVAL],
      ["beyond 2^53", 2 ** 53 - 4096, 0x1000, 3, 0, EINVAL],
    ])("is refused: %s", async (_name, address, size, flags, offset, errno) => {
      expect(await client.map(address, size, [file()], flags, offset)).toMatchObject({ errno });
      expect(memory.rangeCount).toBe(0);
    });

    it("is refused where there is some, and with two descriptors; none is taken that is not there", async () => {
      const fd = file();
      expect(await client.map(0x2000, 0x1000, [fd])).toMatchObject(OK);
      for (const [address, size] of [
        [0x2000, 0x1000],
        [0x1000, 0x1001],
        [0x2fff, 1],
        [0, 0x10000],
      ] as const) {
        expect(await client.map(address, size, [fd])).toMatchObject({ errno: 17 });
      }
      expect(await client.map(0x8000, 0x1000, [fd, fd])).toMatchObject({ errno: EINVAL });
      expect(await unmap(0x2000, 0x800)).toMatchObject({ errno: 2 });
      expect(await unmap(0x1000, 0x1000)).toMatchObject({ errno: 2 });
      expect(await unmap(0x2000, 0x1000, 1)).toMatchObject({ errno: EOPNOTSUPP });
      expect(await unmap(0x2000, 0x1000, 2)).toMatchObject({ errno: EINVAL });
      expect(memory.rangeCount).toBe(1);
    });
  });

  describe("interrupts", () => {
    it("go through eventfds that can be exchanged, and none is lost meanwhile", async () => {
      const { msix } = VFIO_IRQ;
      const [one, two] = [eventfd(), eventfd()];
      const sink = device.interruptSink;
      expect(
        await client.setIrqs({ flags: EVENTFD | TRIGGER, index: msix, count: 1 }, [one]),
      ).toMatchObject(OK);
      sink?.msix(0, 0, 0);
      expect(native.takeSignal(one)).toBe(true);
      expect(
        await client.setIrqs({ flags: EVENTFD | TRIGGER, index: msix, count: 1 }),
      ).toMatchObject(OK);
      sink?.msix(0, 0, 0);
      expect(native.takeSignal(one)).toBe(false);
      expect(
        await client.setIrqs({ flags: EVENTFD | TRIGGER, index: msix, count: 1 }, [two]),
      ).toMatchObject(OK);
      expect(native.takeSignal(two)).toBe(true);
      expect(await client.setIrqs({ flags: NONE | TRIGGER, index: msix, count: 1 })).toMatchObject(
        OK,
      );
      expect(native.takeSignal(two)).toBe(true);
      expect(
        await client.setIrqs({ flags: BOOL | TRIGGER, index: msix, count: 2, data: [0, 1] }),
      ).toMatchObject(OK);
      expect(native.takeSignal(two)).toBe(false);
      expect(await client.setIrqs({ flags: NONE | TRIGGER, index: msix })).toMatchObject(OK);
      sink?.msix(0, 0, 0);
      expect(native.takeSignal(two)).toBe(false);
    });

    it("INTx masks itself, and comes again when it is unmasked while the line is asserted", async () => {
      const { intx: index } = VFIO_IRQ;
      const fd = eventfd();
      expect(
        await client.setIrqs({ flags: EVENTFD | TRIGGER, index, count: 1 }, [fd]),
      ).toMatchObject(OK);
      device.configurationChange();
      expect(device.interruptLine).toBe(true);
      expect(native.takeSignal(fd)).toBe(true);
      device.configurationChange();
      expect(native.takeSignal(fd)).toBe(false);
      expect(await client.setIrqs({ flags: NONE | UNMASK, index, count: 1 })).toMatchObject(OK);
      expect(native.takeSignal(fd)).toBe(true);
      const { isr } = device.placement.windows;
      expect(await client.write(VFIO_REGION.config, 4, [6, 0])).toMatchObject(OK);
      expect((await client.read(isr.bar, isr.offset, 1))?.body[16]).toBe(2);
      expect(device.interruptLine).toBe(false);
      expect(await client.setIrqs({ flags: NONE | UNMASK, index, count: 1 })).toMatchObject(OK);
      expect(native.takeSignal(fd)).toBe(false);
      expect(await client.setIrqs({ flags: NONE | MASK, index, count: 1 })).toMatchObject(OK);
      device.configurationChange();
      expect(native.takeSignal(fd)).toBe(false);
      expect(
        await client.setIrqs({ flags: BOOL | UNMASK, index, count: 1, data: [0] }),
      ).toMatchObject(OK);
      expect(native.takeSignal(fd)).toBe(false);
      expect(
        await client.setIrqs({ flags: BOOL | UNMASK, index, count: 1, data: [1] }),
      ).toMatchObject(OK);
      expect(native.takeSignal(fd)).toBe(true);
      expect(await client.setIrqs({ flags: EVENTFD | TRIGGER, index, count: 1 })).toMatchObject(OK);
      expect(
        await client.setIrqs({ flags: EVENTFD | TRIGGER, index, count: 1 }, [fd]),
      ).toMatchObject(OK);
      expect(native.takeSignal(fd)).toBe(true);
    });

    it("an eventfd that is full does not stop the server", async () => {
      const fd = eventfd();
      const { msix: index } = VFIO_IRQ;
      expect(
        await client.setIrqs({ flags: EVENTFD | TRIGGER, index, count: 1 }, [fd]),
      ).toMatchObject(OK);
      // The peer shares the eventfd: it fills it, to the value where adding 1 has to wait.
      writeSync(fd, new Uint8Array(new BigUint64Array([2n ** 64n - 2n]).buffer));
      device.interruptSink?.msix(0, 0, 0);
      expect(await client.read(VFIO_REGION.config, 0, 2)).toMatchObject(OK);
    });

    it.each([
      ["no action", { flags: EVENTFD, index: 2, count: 1 }, 1, EINVAL],
      ["no data", { flags: TRIGGER, index: 2, count: 1 }, 0, EINVAL],
      ["two actions", { flags: NONE | TRIGGER | MASK, index: 2, count: 1 }, 0, EINVAL],
      ["two kinds of data", { flags: NONE | BOOL | TRIGGER, index: 2, count: 1 }, 0, EINVAL],
      ["unknown flags", { flags: NONE | TRIGGER | 64, index: 2, count: 1 }, 0, EINVAL],
      ["an unknown type", { flags: NONE | TRIGGER, index: 5, count: 1 }, 0, EINVAL],
      ["a type without interrupts", { flags: EVENTFD | TRIGGER, index: 1, count: 1 }, 1, EINVAL],
      ["more than there are", { flags: NONE | TRIGGER, index: 2, count: 2049 }, 0, EINVAL],
      ["a start beyond", { flags: NONE | TRIGGER, index: 2, start: 2049, count: 0 }, 0, EINVAL],
      [
        "a run that wraps",
        { flags: NONE | TRIGGER, index: 2, start: 0xffffffff, count: 2 },
        0,
        EINVAL,
      ],
      ["fewer eventfds", { flags: EVENTFD | TRIGGER, index: 2, count: 2 }, 1, EINVAL],
      ["more eventfds", { flags: EVENTFD | TRIGGER, index: 2, count: 1 }, 2, EINVAL],
      ["eventfds without use", { flags: NONE | TRIGGER, index: 2, count: 1 }, 1, EINVAL],
      ["too few truth values", { flags: BOOL | TRIGGER, index: 2, count: 2, data: [1] }, 0, EINVAL],
      ["masking of MSI-X", { flags: NONE | MASK, index: 2, count: 1 }, 0, EOPNOTSUPP],
      ["an eventfd for masking", { flags: EVENTFD | MASK, index: 0, count: 1 }, 1, EOPNOTSUPP],
      ["an empty run", { flags: NONE | MASK, index: 0, count: 0 }, 0, EINVAL],
    ])("refuses %s", async (_name, values, count, errno) => {
      const given = Array.from({ length: count }, eventfd);
      expect(await client.setIrqs(values, given)).toMatchObject({ errno });
    });

    it("refuses what is no eventfd", async () => {
      const values = { flags: EVENTFD | TRIGGER, index: VFIO_IRQ.msix, count: 1 };
      expect(await client.setIrqs(values, [file()])).toMatchObject({ errno: EINVAL });
    });
  });

  it("answers a write before it asks for memory that the write needs", async () => {
    await client.map(0, 0x1_0000, []);
    const { common } = device.placement.windows;
    const fields = VIRTIO_PCI_COMMON_CFG_LAYOUT.fields;
    const set = (field: keyof typeof fields, value: number) =>
      client.write(common.bar, common.offset + fields[field].offset, [
        value & 0xff,
        ...(fields[field].width === 1 ? [] : [value >> 8]),
        ...(fields[field].width <= 2 ? [] : [0, 0]),
      ]);
    expect(await client.write(VFIO_REGION.config, 4, [6, 0])).toMatchObject(OK);
    for (const [field, value] of [
      ["device_status", 3],
      ["driver_feature_select", 1],
      ["driver_feature", 1],
      ["device_status", 0xb],
      ["queue_size", 8],
    ] as const) {
      expect(await set(field, value)).toMatchObject(OK);
    }
    for (const [field, value] of [
      ["queue_desc", 0x1000],
      ["queue_driver", 0x2000],
      ["queue_device", 0x3000],
    ] as const) {
      const at = common.offset + fields[field].offset;
      expect(await client.write(common.bar, at, [0, value >> 8, 0, 0])).toMatchObject(OK);
    }
    expect(await set("queue_enable", 1)).toMatchObject(OK);
    const { regionWrite, dmaRead } = VFIO_USER_COMMAND;
    // The device looks into its queues when it begins to run.
    expect(await set("device_status", 0xf)).toMatchObject({
      command: regionWrite,
      reply: true,
      ...OK,
    });
    expect(await client.reply()).toMatchObject({ command: dmaRead, reply: false });
    // In one process nobody can answer: the server has waited, and given up.
    expect(await client.reply()).toBeUndefined();
  });

  it("gives up a client whose memory does not answer, and its function is reset", async () => {
    await client.map(0x1000, 0x1000, []);
    device.configWrite(4, 2, 6);
    expect(memory.read(0x1000, new Uint8Array(4))).toBe(false);
    await until(() => !server.connected);
    expect(reasons).toEqual(["vfio-user.connection: the peer does not answer in time"]);
    expect(device.configRead(4, 2)).toBe(0);
  });

  it.each([
    ["a short size", "0100 0900 0f000000 00000000 00000000", /shorter than its header/],
    ["a huge size", "0100 0900 ffffffff 00000000 00000000", /too long/],
    ["an unknown type", "0100 0900 10000000 03000000 00000000", /neither command nor reply/],
    ["a reply to nothing", "0100 0b00 10000000 01000000 00000000", /nobody waits for/],
  ])("hangs up on %s", async (_name, text, reason) => {
    client.send(Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex")));
    expect(await client.reply()).toBeUndefined();
    await until(() => !server.connected);
    expect(reasons[0]).toMatch(reason);
  });

  it.each([
    ["half a header", "01000900100000", /half a header/],
    ["half a message", "01000900200000000000000000000000aabb", /half a message/],
  ])("takes %s for the end", async (_name, text, reason) => {
    client.send(Uint8Array.from(Buffer.from(text, "hex")));
    client.close();
    await until(() => !server.connected);
    expect(reasons[0]).toMatch(reason);
    client = await RawClient.open(server.path);
  });

  it("hangs up on who does not begin with a version, or with one it does not speak", async () => {
    client.close();
    for (const [command, body] of [
      [VFIO_USER_COMMAND.deviceReset, []],
      [VFIO_USER_COMMAND.version, [1, 0, 0, 0]],
      [VFIO_USER_COMMAND.version, [0, 0, 1, 0, 0x7b, 0]],
    ] as const) {
      const other = await RawClient.connect(server.path);
      expect(await other.ask(command, new Uint8Array(body))).toBeUndefined();
      other.close();
    }
    client = await RawClient.open(server.path);
  });

  it("hangs up on too many descriptors", async () => {
    const given = Array.from({ length: 17 }, eventfd);
    const values = { flags: EVENTFD | TRIGGER, index: VFIO_IRQ.msix, count: 17 };
    expect(await client.setIrqs(values, given)).toBeUndefined();
    await until(() => !server.connected);
    expect(reasons[0]).toMatch(/too many descriptors/);
  });

  it("keeps little for who does not read its replies", async () => {
    const read = Uint8Array.from(
      Buffer.from("0100090020000000000000000000000000000000000000000700000000010000", "hex"),
    );
    let sent = 0;
    while (client.native.send(client.fd, read) > 0 && sent < 1e6) sent++;
    // The socket is full in both directions, and the server waits.
    expect(sent).toBeLessThan(1e6);
    for (let turns = 0; turns < 100; turns++) await new Promise(setImmediate);
    expect(server.connected).toBe(true);
    expect(await client.reply()).toMatchObject(OK);
  });
});
