import { MMIO_MAGIC } from "@virtio-admin/transport-mmio";
import { describe, expect, it } from "vitest";
import {
  firstCommand,
  injected,
  ownCommandFamily,
  ownDeviceType,
  ownLayout,
  traceACommand,
  vmmRegisters,
} from "../src/index.ts";

const ENTROPY_BYTES = 16;
/** LIST_QUERY and LIST_USE. */
const LIST_OPCODES = [0, 1];
/** MGMT_ATTRS_GET, FEATURES_GET and FEATURES_SET. */
const FEATURE_OPCODES = [0x100, 0x103, 0x104];

/** Zeros are what a buffer holds that the device never wrote; 16 random bytes are not all zero. */
function expectEntropy(bytes: Uint8Array): void {
  expect(bytes).toHaveLength(ENTROPY_BYTES);
  expect(bytes.some((byte) => byte !== 0)).toBe(true);
}

describe("examples", () => {
  it("first-command: lists the commands, reads entropy and gives all memory back", async () => {
    const { adminQueue, opcodes, bytes, leaked } = await firstCommand();
    expect(adminQueue).toMatchObject({ index: 1, count: 1 });
    expect(opcodes).toEqual(LIST_OPCODES);
    expectEntropy(bytes);
    expect(leaked).toBe(0);
  });

  it.each(["pci", "mmio", "ccw"])("injected: a group on %s, by name", async (name) => {
    const { transport, adminQueues, opcodes, usedByDevice, members } = await injected(name);
    expect(transport).toBe(name);
    expect(adminQueues).toMatchObject({ index: 1, count: 2 });
    expect(opcodes).toEqual(FEATURE_OPCODES);
    expect(usedByDevice).toEqual([...LIST_OPCODES, ...FEATURE_OPCODES]);
    expect(members.map(({ id, eventIndexes }) => [id, eventIndexes])).toEqual([
      [1, true],
      [2, false],
    ]);
    for (const { bytes } of members) expectEntropy(bytes);
  });

  it("injected: a name that nobody registered is refused, with those there are", async () => {
    await expect(injected("carrier-pigeon")).rejects.toMatchObject({
      code: "INJECTION",
      hint: "registered are: pci, mmio, ccw",
    });
  });

  it("vmm-registers: a guest in raw accesses gets its entropy and its interrupt", async () => {
    const { bytes, ...found } = await vmmRegisters();
    expect(found).toEqual({
      magic: MMIO_MAGIC,
      deviceId: 4,
      featuresTaken: true,
      adminQueues: { index: 1, count: 1 },
      interruptLine: [true, false],
      exits: 23,
    });
    expectEntropy(bytes);
  });

  it("own-layout: both halves run on the variant; the collision is found", async () => {
    const { findings, adminQueues, opcodes } = await ownLayout();
    expect(findings).toEqual([
      expect.stringMatching(/offset: AdminQueueNum shares bytes with QueueReset, .* 0xc0 to 0xc3$/),
    ]);
    expect(adminQueues).toEqual({
      index: 1,
      count: 1,
      source: "MMIO registers AdminQueueIndex 0x0c8, AdminQueueNum 0x0cc",
    });
    expect(opcodes).toEqual(LIST_OPCODES);
  });

  it("own-command-family: the handler's state and refusals, the executor's checks", async () => {
    expect(await ownCommandFamily()).toEqual({
      before: [0, 1000, 2000],
      refused: { zeroRate: "EINVAL, INVALID_FIELD", noMember: "EINVAL, INVALID_MEMBER" },
    });
  });

  it("own-device-type: counts in buffers and in the configuration space", async () => {
    expect(await ownDeviceType()).toEqual({
      counts: [40, 42],
      config: { count: 42 },
      wasTold: true,
    });
  });

  it("trace-a-command: the whole way of one command, in both sinks", async () => {
    const { lines, events } = await traceACommand();
    expect(
      events.map((event) => ("name" in event ? `${event.op} ${event.name}` : event.op)),
    ).toEqual([
      "write QueueNotify",
      "notify",
      "command LIST_QUERY",
      "buffer",
      "interrupt",
      "read InterruptStatus",
      "write InterruptACK",
      "read InterruptStatus",
    ]);
    expect(lines).toHaveLength(events.length);
    expect(lines[2]).toContain("LIST_QUERY group 0x0000 member 0: status 0 qualifier 0");
  });
});
