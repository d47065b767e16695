/** The client against a server that answers what a test says. */
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { encode } from "@virtio-admin/core";
import {
  encodeVersion,
  VFIO_USER_COMMAND,
  VFIO_USER_DEVICE_INFO_LAYOUT,
  VFIO_USER_IRQ_INFO_LAYOUT,
  VFIO_USER_REGION_INFO_LAYOUT,
  VfioUserClient,
} from "@virtio-admin/vfio-user";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Channel, closeAll } from "../src/channel.ts";
import { commandMessage, errorMessage, type Message, replyMessage } from "../src/message.ts";
import { loadNative, type Native } from "../src/native.ts";
import { type ListeningSocket, listenAt } from "../src/socket.ts";
import { openFds, privateDirectory, sharedMappings, unsupported, until } from "./rig.ts";

const { version, deviceGetInfo, deviceGetRegionInfo, deviceGetIrqInfo } = VFIO_USER_COMMAND;
const { regionRead, dmaRead, dmaWrite } = VFIO_USER_COMMAND;
const CAPABILITIES = {
  maxMsgFds: 2,
  maxDataXferSize: 4096,
  maxDmaMaps: 1,
  pgsizes: 4096,
  writeMultiple: false,
};
const MEMORY = { base: 0x1000, length: 0x1000 };

type Script = (message: Message) => Uint8Array | "silence" | "hang up" | undefined;

/** What a server that has a PCI function with five vectors answers. */
function usual({ command, body }: Message): Uint8Array {
  switch (command) {
    case version:
      return encodeVersion({ major: 0, minor: 0, capabilities: CAPABILITIES });
    case deviceGetInfo:
      return encode(VFIO_USER_DEVICE_INFO_LAYOUT, { argsz: 16, flags: 3 });
    case deviceGetRegionInfo:
      return encode(VFIO_USER_REGION_INFO_LAYOUT, { argsz: 32, size: 256, index: body[8] ?? 0 });
    case deviceGetIrqInfo:
      return encode(VFIO_USER_IRQ_INFO_LAYOUT, { argsz: 16, count: body[8] === 2 ? 5 : 0 });
    case regionRead:
      return Uint8Array.from([...body, 1, 2, 3, 4]);
    default:
      return new Uint8Array(0);
  }
}

describe.skipIf(unsupported !== undefined)(`the client ${unsupported ?? ""}`, () => {
  let native: Native;
  let directory: ReturnType<typeof privateDirectory>;
  let socket: ListeningSocket;
  let path: string;
  let before: string[];
  let channel: Channel | undefined;
  let serving: boolean;
  let received: Message[];

  beforeEach(async () => {
    native = await loadNative();
    directory = privateDirectory();
    before = openFds();
    path = join(directory.path, "a.sock");
    socket = listenAt(native, path);
    channel = undefined;
    received = [];
    serving = true;
  });

  afterEach(async () => {
    serving = false;
    channel?.close();
    socket.close();
    await until(() => openFds().length <= before.length);
    expect(openFds()).toEqual(before);
    expect(sharedMappings()).toEqual([]);
    directory.remove();
  });

  /** Takes one connection and answers by the script, or as usual where that says nothing. */
  async function serve(script: Script = () => undefined): Promise<void> {
    let fd = -1;
    while (serving && fd < 0) {
      fd = native.accept(socket.fd);
      await turn();
    }
    if (fd < 0) return;
    channel = new Channel(native, fd, 0x20_0000, {
      message: (message) => {
        closeAll(message.fds);
        received.push(message);
        if (message.reply) return;
        const answer = script(message) ?? usual(message);
        if (answer === "hang up") channel?.close();
        else if (answer !== "silence") channel?.send(replyMessage(message, answer));
      },
      closed: () => {},
    });
  }

  const connect = (timeout = 5000) => VfioUserClient.connect({ path, memory: MEMORY, timeout });
  const only =
    (command: number, answer: Uint8Array | "silence" | "hang up"): Script =>
    (message) =>
      message.command === command ? answer : undefined;

  it("gives eventfds in as many messages as the server wants", async () => {
    void serve();
    const client = await connect();
    const sets = received.filter(({ command }) => command === VFIO_USER_COMMAND.deviceSetIrqs);
    expect(sets.map(({ fds }) => fds.length)).toEqual([2, 2, 1]);
    expect(await client.configRead(0, 4)).toBe(0x04030201);
    await client.reset();
    await client.close();
  });

  it.each([
    ["no PCI function", deviceGetInfo, new Uint8Array([16, 0, 0, 0, ...new Array(12).fill(0)])],
    ["too short a reply", deviceGetInfo, new Uint8Array(15)],
    ["another version", version, new Uint8Array([1, 0, 0, 0])],
    ["half a version", version, new Uint8Array(3)],
    ["JSON that is none", version, new Uint8Array([0, 0, 0, 0, 0x7b, 0])],
    ["no region", deviceGetRegionInfo, new Uint8Array(0)],
    ["no interrupts", deviceGetIrqInfo, new Uint8Array(8)],
    [
      "no descriptors taken",
      version,
      encodeVersion({ major: 0, minor: 0, capabilities: { ...CAPABILITIES, maxMsgFds: 0 } }),
    ],
  ])("refuses a server that has %s", async (_name, command, answer) => {
    void serve(only(command, answer));
    await expect(connect()).rejects.toMatchObject({
      code: command === deviceGetInfo && answer.length === 16 ? "DEVICE_UNKNOWN" : "TRANSPORT",
    });
  });

  it.each([version, VFIO_USER_COMMAND.dmaMap, VFIO_USER_COMMAND.deviceSetIrqs])(
    "gives up when the server hangs up on command %i, does not answer, or refuses",
    async (command) => {
      void serve(only(command, "hang up"));
      await expect(connect()).rejects.toThrow(/connection is lost/);
      void serve(only(command, "silence"));
      await expect(connect(50)).rejects.toThrow(/in time/);
      void serve((message) => {
        if (message.command !== command) return undefined;
        channel?.send(errorMessage(message, 22));
        return "silence";
      });
      await expect(connect()).rejects.toMatchObject({ code: "TRANSPORT", value: 22 });
    },
  );

  it.each([
    ["a reply with another id", "f0ff0900100000000100000000000000"],
    ["a reply to another command", "00000a00100000000100000000000000"],
    ["a message without end", "0000090000000080000000000000000"],
    ["a message shorter than itself", "00000900080000000100000000000000"],
  ])("hangs up on %s", async (_name, text) => {
    void serve();
    const client = await connect();
    channel?.send(Uint8Array.from(Buffer.from(text.padEnd(32, "0"), "hex")));
    expect(await client.closed).toMatchObject({ code: "TRANSPORT" });
    await expect(client.barRead(0, 0, 4)).rejects.toMatchObject({ code: "TRANSPORT" });
    await client.close();
  });

  it("takes a read that is too short for nonsense", async () => {
    void serve(only(regionRead, new Uint8Array(18)));
    const client = await connect();
    await expect(client.configRead(0, 4)).rejects.toThrow(/nonsense/);
    await client.close();
  });

  it("serves its memory, and no more than that", async () => {
    void serve();
    const client = await connect();
    const ask = async (command: number, address: bigint, count: bigint, data = 0) => {
      const body = new Uint8Array(16 + data).fill(7);
      const view = new DataView(body.buffer);
      view.setBigUint64(0, address, true);
      view.setBigUint64(8, count, true);
      const already = received.length;
      channel?.send(commandMessage(9, command, body));
      await until(() => received.length > already);
      return received.at(-1);
    };
    expect(await ask(dmaWrite, 0x1ffcn, 4n, 4)).toMatchObject({ reply: true, error: undefined });
    expect(client.memory.find(0x1ffc, 4)?.bytes.subarray(-4)).toEqual(new Uint8Array(4).fill(7));
    const read = await ask(dmaRead, 0x1ff8n, 8n);
    expect([...(read?.body.subarray(16) ?? [])]).toEqual([0, 0, 0, 0, 7, 7, 7, 7]);
    for (const [command, address, count, data, error] of [
      [dmaRead, 0x1ffdn, 4n, 0, 14],
      [dmaRead, 0xfffn, 4n, 0, 14],
      [dmaRead, 2n ** 64n - 1n, 4n, 0, 14],
      [dmaRead, 0x1000n, 2n ** 63n, 0, 22],
      [dmaRead, 0x1000n, 0x10_0001n, 0, 22],
      [dmaRead, 0x1000n, 4n, 1, 22],
      [dmaWrite, 0x1000n, 4n, 3, 22],
      [dmaWrite, 0x1ffdn, 4n, 4, 14],
      [regionRead, 0x1000n, 4n, 0, 95],
    ] as const) {
      expect(await ask(command, address, count, data)).toMatchObject({ reply: true, error });
    }
    await client.close();
  });
});
