/** The buses of our driver halves, over a machine of ours that speaks qtest. */
import { createGuestMemory, DmaArena } from "@virtio-admin/core";
import type { PciInterrupt } from "@virtio-admin/transport-pci";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MICROVM } from "../src/qtest/boards.ts";
import { qtestArguments } from "../src/qtest/machine.ts";
import { QtestMmioBus } from "../src/qtest/mmio.ts";
import { QtestPciBus } from "../src/qtest/pci.ts";
import { makeRig, type Rig } from "./qtest-machine.ts";

const RAM = 0x100000;
const BAR = 0xe0000000;
/** A memory BAR of 64 bits and 16 KiB that can be prefetched. */
const BAR_FLAGS = 0xc;
const BAR_MASK = 0xffffc000;
let rig: Rig;

beforeEach(async () => {
  rig = await makeRig();
});

afterEach(async () => {
  vi.useRealTimers();
  await rig.close();
});

describe("a function", () => {
  const bytes = new Uint8Array(0x1000);
  const dma = new DmaArena(createGuestMemory([{ base: RAM, bytes }]), RAM, bytes.length);

  /** A bus on slot 4, whose function has one BAR of 16 KiB: 64 bits wide, in registers 4 and 5. */
  async function openBus(): Promise<QtestPciBus> {
    let selected = 0;
    /** The command register, both halves of the BAR, and one more; all others read 0. */
    const registers = new Map<number, number>([
      [0x04, 0],
      [0x20, BAR_FLAGS],
      [0x24, 0],
      [0x44, 0],
    ]);
    rig.answer = (line) => {
      const [verb = "", at, text] = line.split(" ");
      const value = Number(text);
      if (verb === "outl" && at === "0xcf8") selected = value & 0xff;
      else if (verb.startsWith("out") && registers.has(selected)) {
        registers.set(selected, selected === 0x20 ? (value & BAR_MASK) | BAR_FLAGS : value);
      } else if (verb.startsWith("in")) {
        const read = (registers.get(selected) ?? 0) >>> (8 * (Number(at) & 3));
        return `OK 0x${(verb === "inw" ? read & 0xffff : read).toString(16)}`;
      } else if (verb.startsWith("read")) return "OK 0x5a";
      return "OK";
    };
    return QtestPciBus.open({ client: rig.client, slot: 4, barBase: BAR, dma });
  }

  it("has its BARs assigned, and is reached there", async () => {
    const bus = await openBus();
    const before = rig.heard.length;
    expect(await bus.barRead(4, 0x1000, 1)).toBe(0x5a);
    await bus.barWrite(4, 0x2004, 2, 0xabcd);
    expect(rig.heard.slice(before)).toEqual(["readb 0xe0001000", "writew 0xe0002004 0xabcd"]);
    expect(() => bus.barRead(0, 0, 4)).toThrow("no memory BAR with an address");
  });

  it("has its configuration space behind two ports, selected and accessed at one go", async () => {
    const bus = await openBus();
    const before = rig.heard.length;
    await Promise.all([bus.configWrite(0x44, 4, -1), bus.configRead(0x22, 2)]);
    expect(rig.heard.slice(before)).toEqual([
      "outl 0xcf8 0x80002044",
      "outl 0xcfc 0xffffffff",
      "outl 0xcf8 0x80002020",
      "inw 0xcfe",
    ]);
    expect(await bus.configRead(0x100, 4)).toBe(0xffffffff);
    await bus.configWrite(0x100, 4, 1);
    expect(rig.heard.length).toBe(before + 4);
  });

  it("takes messages out of RAM, before its handler is called, each once", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const bus = await openBus();
    const [first, second] = [bus.message(0), bus.message(1)];
    expect(first.address % 4).toBe(0);
    expect(second.address).toBe(first.address + 4);
    const word = (address: number) => new DataView(bytes.buffer).getUint32(address - RAM, true);
    const came: [PciInterrupt, number][] = [];
    bus.onInterrupt((interrupt) => came.push([interrupt, word(second.address)]));
    new DataView(bytes.buffer).setUint32(second.address - RAM, second.data, true);
    vi.advanceTimersToNextTimer();
    vi.advanceTimersToNextTimer();
    expect(came).toEqual([[1, 0]]);
    expect(bus.messages.slice(0, 3)).toEqual([0, 1, 0]);
    bus.onInterrupt(undefined);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("tells of its line when that goes up, and at once when it is up", async () => {
    const bus = await openBus();
    const came: PciInterrupt[] = [];
    rig.say("IRQ raise 20\n");
    await bus.configRead(0, 4);
    bus.onInterrupt((interrupt) => came.push(interrupt));
    expect(came).toEqual(["intx"]);
    rig.say("IRQ lower 20\nIRQ raise 20\n");
    await bus.configRead(0, 4);
    expect(came).toEqual(["intx", "intx"]);
    bus.onInterrupt(undefined);
    rig.say("IRQ lower 20\n");
    await bus.configRead(0, 4);
    bus.onInterrupt((interrupt) => came.push(interrupt));
    expect(came.length).toBe(2);
    bus.onInterrupt(undefined);
  });
});

describe("a window", () => {
  it("is the first that has a device", async () => {
    const { base, stride } = MICROVM.windows;
    const wanted = base + 5 * stride;
    rig.answer = (line) => {
      const at = Number(line.split(" ")[1]);
      if (line.startsWith("write")) return "OK";
      if (at % stride === 0) return "OK 0x74726976";
      return at === wanted + 8 ? "OK 0x4" : "OK 0x0";
    };
    const bus = await QtestMmioBus.find(rig.client, MICROVM);
    expect(bus.base).toBe(wanted);
    expect(await bus.read(8, 4)).toBe(4);
    await bus.write(0x70, 4, 1);
    expect(rig.heard.at(-1)).toBe(`writel 0x${(wanted + 0x70).toString(16)} 0x1`);
    const came: string[] = [];
    bus.onInterrupt(() => came.push("up"));
    rig.say("IRQ raise 12\n");
    await bus.read(8, 4);
    expect(came).toEqual(["up"]);
    bus.onInterrupt(() => came.push("still up"));
    expect(came).toEqual(["up", "still up"]);
  });

  it("is not there when none has", async () => {
    rig.answer = () => "OK 0x0";
    await expect(QtestMmioBus.find(rig.client, MICROVM)).rejects.toMatchObject({
      code: "DEVICE_UNKNOWN",
    });
    expect(rig.heard.length).toBe(2 * MICROVM.windows.count);
  });
});

describe("the command line", () => {
  it("takes any path of the RAM and of the socket", () => {
    const args = qtestArguments(MICROVM, '/a,"b', "/c,d");
    const object = args[args.indexOf("-object") + 1] ?? "";
    expect(JSON.parse(object)).toMatchObject({ "mem-path": '/a,"b', share: true });
    expect(args[args.indexOf("-chardev") + 1]).toBe("socket,id=qtest,path=/c,,d");
    expect(args[args.indexOf("-accel") + 1]).toBe("qtest");
  });
});
