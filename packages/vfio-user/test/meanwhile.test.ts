/**
 * What a server answers while its function waits for memory by messages: QEMU serves no memory as
 * long as one of its processors waits for a register. Here everything that the server reads is sent
 * before it begins to wait, as both sides are one process.
 */
import { closeSync } from "node:fs";
import { join } from "node:path";
import { encode } from "@virtio-admin/core";
import { type PciDevice, VIRTIO_PCI_COMMON_CFG_LAYOUT } from "@virtio-admin/transport-pci";
import {
  type DmaMemory,
  VFIO_IRQ,
  VFIO_REGION,
  VFIO_USER_COMMAND,
  VFIO_USER_DMA_UNMAP_LAYOUT,
  VFIO_USER_IRQ_SET_LAYOUT,
  VFIO_USER_REGION_ACCESS_LAYOUT,
  VfioUserServer,
} from "@virtio-admin/vfio-user";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { commandMessage, errorMessage } from "../src/message.ts";
import { RawClient } from "./raw-client.ts";
import { entropyFunction, openFds, privateDirectory, unsupported, until } from "./rig.ts";

const OK = { errno: undefined };
const EFAULT = 14;
const RUNNING = 0xf;
const FIELDS = VIRTIO_PCI_COMMON_CFG_LAYOUT.fields;
const { regionRead, regionWrite, deviceReset, deviceSetIrqs, dmaRead, dmaUnmap } =
  VFIO_USER_COMMAND;
/** The ids of the client's own commands are apart from those of the server. */
const FIRST_ID = 0x100;

describe.skipIf(unsupported !== undefined)(`while memory is awaited ${unsupported ?? ""}`, () => {
  let directory: ReturnType<typeof privateDirectory>;
  let before: string[];
  let server: VfioUserServer;
  let client: RawClient;
  let device: PciDevice;
  let memory: DmaMemory;
  let id = FIRST_ID;
  const reasons: (string | undefined)[] = [];

  beforeEach(async () => {
    directory = privateDirectory();
    before = openFds();
    reasons.length = 0;
    id = FIRST_ID;
    server = await VfioUserServer.listen({
      path: join(directory.path, "a.sock"),
      device: (given) => {
        memory = given;
        device = entropyFunction(given);
        return device;
      },
      // No test waits for it: every wait ends by what was sent before.
      dmaTimeout: 20_000,
      onDisconnect: (reason) => void reasons.push(reason?.message),
    });
    client = await RawClient.open(server.path);
    await client.map(0, 0x1_0000, []);
    prepare();
  });

  afterEach(async () => {
    client.close();
    await server.close();
    expect(openFds()).toEqual(before);
    directory.remove();
  });

  /** Goes as far as a driver does before DRIVER_OK. */
  function prepare(): void {
    device.configWrite(4, 2, 6);
    const { bar, offset } = device.placement.windows.common;
    const set = (field: keyof typeof FIELDS, value: number) =>
      device.barWrite(bar, offset + FIELDS[field].offset, Math.min(FIELDS[field].width, 4), value);
    set("device_status", 3);
    set("driver_feature_select", 1);
    set("driver_feature", 1);
    set("device_status", 0xb);
    set("queue_size", 8);
    set("queue_desc", 0x1000);
    set("queue_driver", 0x2000);
    set("queue_device", 0x3000);
    set("queue_enable", 1);
  }

  function send(command: number, body: Uint8Array = new Uint8Array(0), fds: number[] = []): void {
    client.send(commandMessage(id++, command, body), fds);
  }

  function sendWrite(region: number, offset: number, data: readonly number[]): void {
    const values = { region, offset, count: data.length, data };
    send(regionWrite, encode(VFIO_USER_REGION_ACCESS_LAYOUT, values));
  }

  function sendStatus(status: number): void {
    const { bar, offset } = device.placement.windows.common;
    sendWrite(bar, offset + FIELDS.device_status.offset, [status]);
  }

  function sendStatusRead(): void {
    const { bar, offset } = device.placement.windows.common;
    const at = offset + FIELDS.device_status.offset;
    send(regionRead, encode(VFIO_USER_REGION_ACCESS_LAYOUT, { region: bar, offset: at, count: 1 }));
  }

  function sendNotification(): void {
    const { bar, offset } = device.placement.windows.notify;
    sendWrite(bar, offset, [0, 0]);
  }

  /** Fails the function's access of memory, the first since it was made. */
  function failMemory(memoryId = 0): void {
    client.send(errorMessage({ id: memoryId, command: dmaRead }, EFAULT));
  }

  async function expectMemoryAsked(): Promise<void> {
    expect(await client.reply()).toMatchObject({ command: regionWrite, reply: true, ...OK });
    expect(await client.reply()).toMatchObject({ command: dmaRead, reply: false });
  }

  async function expectStatus(status: number): Promise<void> {
    const answer = await client.reply();
    expect(answer).toMatchObject({ command: regionRead, reply: true, ...OK });
    expect(answer?.body.at(-1)).toBe(status);
  }

  it("reads of registers are answered", async () => {
    sendStatus(RUNNING);
    sendStatusRead();
    send(regionRead, encode(VFIO_USER_REGION_ACCESS_LAYOUT, { region: 7, offset: 0, count: 2 }));
    failMemory();
    await expectMemoryAsked();
    await expectStatus(RUNNING);
    const answer = await client.reply();
    expect([...(answer?.body.slice(-2) ?? [])]).toEqual([0xf4, 0x1a]);
    expect(server.connected).toBe(true);
  });

  it("eventfds are taken, memory is taken back, and what is wrong is refused", async () => {
    const fd = client.native.eventfd();
    const irqs = { argsz: 20, flags: 0x24, index: VFIO_IRQ.msix, start: 0, count: 1 };
    sendStatus(RUNNING);
    send(deviceSetIrqs, encode(VFIO_USER_IRQ_SET_LAYOUT, irqs), [fd]);
    const range = { argsz: 24, flags: 0, address: 0, size: 0x1_0000 };
    send(dmaUnmap, encode(VFIO_USER_DMA_UNMAP_LAYOUT, range));
    send(99);
    sendWrite(VFIO_REGION.bar0, 0xffff_0000, [1]);
    failMemory();
    await expectMemoryAsked();
    expect(await client.reply()).toMatchObject({ command: deviceSetIrqs, ...OK });
    expect(await client.reply()).toMatchObject({ command: dmaUnmap, ...OK });
    expect(await client.reply()).toMatchObject({ command: 99, errno: 95 });
    expect(await client.reply()).toMatchObject({ command: regionWrite, errno: 22 });
    expect(memory.rangeCount).toBe(0);
    closeSync(fd);
  });

  it("notifications are answered, kept once, and do not hold reads up", async () => {
    const many = 100;
    sendStatus(RUNNING);
    for (let i = 0; i < many; i++) sendNotification();
    sendStatusRead();
    failMemory();
    // Of all the notifications one is left, for which the function looks into its queue again.
    failMemory(1);
    await expectMemoryAsked();
    for (let i = 0; i < many; i++) {
      expect(await client.reply()).toMatchObject({ command: regionWrite, reply: true, ...OK });
    }
    await expectStatus(RUNNING);
    expect(await client.reply()).toMatchObject({ command: dmaRead, reply: false });
    expect(await client.read(VFIO_REGION.config, 4, 2)).toMatchObject(OK);
    expect(reasons).toEqual([]);
  });

  it("notifications of one queue are kept once, whatever positions they claim", async () => {
    const many = 100;
    sendStatus(RUNNING);
    const { bar, offset } = device.placement.windows.notify;
    for (let i = 0; i < many; i++) sendWrite(bar, offset, [0, 0, i, i % 2 === 0 ? 0 : 0x80]);
    sendStatusRead();
    failMemory();
    await expectMemoryAsked();
    for (let i = 0; i < many; i++) {
      expect(await client.reply()).toMatchObject({ command: regionWrite, reply: true, ...OK });
    }
    await expectStatus(RUNNING);
    // More of them than that would be too much to keep.
    expect(await client.read(VFIO_REGION.config, 4, 2)).toMatchObject(OK);
    expect(reasons).toEqual([]);
  });

  it("a reset of the function ends the wait, and the reply that is late is passed over", async () => {
    sendStatus(RUNNING);
    send(deviceReset);
    await expectMemoryAsked();
    expect(await client.reply()).toMatchObject({ command: deviceReset, reply: true, ...OK });
    failMemory();
    expect(await client.read(VFIO_REGION.config, 4, 2)).toMatchObject(OK);
    expect(reasons).toEqual([]);
  });

  it("a read after a write of a register comes after that write", async () => {
    sendStatus(RUNNING);
    sendStatus(0);
    sendStatusRead();
    await expectMemoryAsked();
    expect(await client.reply()).toMatchObject({ command: regionWrite, reply: true, ...OK });
    await expectStatus(0);
    // The device is as good as new.
    failMemory();
    prepare();
    sendStatus(RUNNING);
    sendStatusRead();
    failMemory(1);
    await expectMemoryAsked();
    await expectStatus(RUNNING);
    expect(server.connected).toBe(true);
  });

  it("hangs up on who resets for ever and never answers", async () => {
    for (let round = 0; server.connected && round < 1000; round++) {
      sendStatus(RUNNING);
      send(deviceReset);
      for (let answer = await client.reply(); answer; answer = await client.reply()) {
        if (answer.command === deviceReset) break;
      }
      if (server.connected) prepare();
    }
    await until(() => !server.connected);
    expect(reasons).toEqual(["vfio-user.connection: the peer does not answer"]);
  });
});
