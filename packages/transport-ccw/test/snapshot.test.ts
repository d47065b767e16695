/** Snapshots of a subchannel: what is kept between channel programs comes back, and drivers go on. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import {
  AdminExecutor,
  AdminQueues,
  ConfigSpace,
  createGuestMemory,
  type DeviceHost,
  type DeviceModel,
  decodeSnapshot,
  encodeSnapshot,
  isVirtioError,
  type RegionMemory,
  restoreSnapshot,
  SelfGroup,
  takeSnapshot,
  VirtioDevice,
} from "@virtio-admin/core";
import {
  CCW_BASIC_LAYOUT,
  CCW_RATIFIED_LAYOUT,
  CCW_REFERENCE_LAYOUT,
  CcwDevice,
  type CcwDeviceInit,
} from "@virtio-admin/transport-ccw";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { be, ccw1, setVq, unhex } from "./rig.ts";

const BASE = 0x1_0000;
const LENGTH = 0x1_0000;
const RING = 8;
const PAGE = 0x1000;
const QUEUES = 2;
/** Behind the pages of the queues: a channel program, its data, and the indicators. */
const PROGRAM = BASE + 0x8000;
const DATA = BASE + 0x8100;
const INDICATORS = BASE + 0x9000;
const SUMMARY = INDICATORS;
const CONFIGURATION = INDICATORS + 8;
const AREA = INDICATORS + 16;
const CODE = CCW_REFERENCE_LAYOUT.commands;
const schema = JSON.parse(
  readFileSync(new URL("../schema/port.schema.json", import.meta.url), "utf8"),
);
const matchesSchema = new Ajv2020({ strict: true, strictRequired: false }).compile(schema);

/** Fills buffers with the byte that its driver wrote to the configuration. */
class Filler implements DeviceModel {
  readonly name = "filler";
  readonly deviceId = 42;
  readonly features: readonly number[] = [0];
  readonly queues = Array.from({ length: QUEUES }, (_, i) => ({ name: `q${i}`, maxSize: RING }));
  readonly config = new ConfigSpace({
    bytes: Uint8Array.of(1, 2, 3, 4),
    writable: Uint8Array.of(0, 0, 0, 0xff),
  });
  host!: DeviceHost;

  attach(host: DeviceHost): void {
    this.host = host;
  }

  queueNotified(index: number): void {
    const queue = this.host.queue(index);
    if (queue === undefined) return;
    const fill = new Uint8Array(1);
    this.config.read(3, fill);
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      const bytes = new Uint8Array(chain.writableLength).fill(fill[0]!);
      queue.push(chain, queue.write(chain, 0, bytes));
    }
    if (!this.host.checkDefect(index)) this.host.publish(index);
  }

  reset(): void {}
}

/** A subchannel, the device behind it, and a machine that keeps interrupts until they are taken. */
class Host {
  readonly memory: RegionMemory;
  readonly model = new Filler();
  readonly executor = new AdminExecutor({ groups: [new SelfGroup()] });
  readonly device: VirtioDevice;
  readonly subchannel: CcwDevice;
  /** An unsolicited interrupt, and an adapter interrupt of each subclass, that nobody took. */
  unsolicited = false;
  readonly adapter = new Set<number>();
  raised = 0;

  constructor(memory?: RegionMemory, init: Omit<CcwDeviceInit, "device" | "onInterrupt"> = {}) {
    this.memory = memory ?? createGuestMemory([{ base: BASE, bytes: new Uint8Array(LENGTH) }]);
    const admin = new AdminQueues({ executor: this.executor, maxSize: RING });
    this.device = new VirtioDevice({ model: this.model, memory: this.memory, admin });
    this.subchannel = new CcwDevice({
      ...init,
      device: this.device,
      onInterrupt: (interrupt) => {
        this.raised++;
        if (interrupt.kind === "adapter") this.adapter.add(interrupt.subclass);
        else if (interrupt.ending === undefined) this.unsolicited = true;
      },
    });
  }

  /** Runs one command over data; device and subchannel status, and the data afterwards. */
  command(code: number, data = "", count = data.length / 2, flags = 0x20): string {
    this.memory.write(DATA, unhex(data));
    this.memory.write(PROGRAM, unhex(ccw1(code, flags, count, DATA)));
    const orb = unhex(`cafe0000${be(0x00c08000, 4)}${be(PROGRAM, 4)}`);
    const { conditionCode, deviceStatus, subchannelStatus } = this.subchannel.startSubchannel(orb);
    const after = new Uint8Array(count);
    this.memory.read(DATA, after);
    return [
      conditionCode,
      deviceStatus,
      subchannelStatus,
      Buffer.from(after).toString("hex"),
    ].join();
  }

  /** Up to DRIVER_OK with VIRTIO_F_ADMIN_VQ, in revision 3. */
  bringUp(indicators: "classic" | "adapter"): void {
    this.subchannel.modifySubchannel(true);
    this.command(CODE.SET_VIRTIO_REV.code, "00030000");
    this.command(CODE.VDEV_RESET.code);
    for (const status of ["01", "03"]) this.command(CODE.WRITE_STATUS.code, status);
    this.command(CODE.WRITE_FEAT.code, "0000000000");
    this.command(CODE.WRITE_FEAT.code, "0102000001");
    this.command(CODE.WRITE_STATUS.code, "0b");
    for (let queue = 0; queue <= QUEUES; queue++) {
      const base = BASE + queue * PAGE;
      this.memory.write(base, new Uint8Array(PAGE));
      this.command(CODE.SET_VQ.code, setVq(queue, RING, base, base + 0x400, base + 0x800));
    }
    this.setIndicators(indicators);
    this.command(CODE.SET_CONF_IND.code, be(CONFIGURATION, 8));
    this.command(CODE.WRITE_STATUS.code, "0f");
  }

  setIndicators(indicators: "classic" | "adapter"): void {
    if (indicators === "classic") this.command(CODE.SET_IND.code, be(AREA, 8));
    else
      this.command(CODE.SET_IND_ADAPTER.code, be(SUMMARY, 8) + be(AREA, 8) + be(5, 8) + be(3, 1));
  }

  /** Makes one buffer of 4 bytes available. */
  offer(queue: number): void {
    const base = BASE + queue * PAGE;
    const view = new DataView(new ArrayBuffer(16));
    view.setUint32(0, base + 0xc00, true);
    view.setUint32(8, 4, true);
    view.setUint16(12, 2, true);
    this.memory.write(base, new Uint8Array(view.buffer));
    const index = this.half(base + 0x402);
    this.memory.write(base + 0x404 + 2 * (index % RING), Uint8Array.of(0, 0));
    this.memory.write(base + 0x402, Uint8Array.of((index + 1) & 0xff, ((index + 1) >> 8) & 0xff));
  }

  notify(queue: number): number {
    return this.subchannel.diagnose500(3, this.subchannel.subchannelId, queue, 0);
  }

  half(address: number): number {
    const bytes = new Uint8Array(2);
    this.memory.read(address, bytes);
    return bytes[0]! | (bytes[1]! << 8);
  }

  used(queue: number): readonly [number, number] {
    const base = BASE + queue * PAGE;
    return [this.half(base + 0x802), this.half(base + 0xc00) & 0xff];
  }

  /** The machine delivers what it has: indicators are looked at and cleared. */
  take(): string {
    const had = `${this.unsolicited},${[...this.adapter]}`;
    this.unsolicited = false;
    this.adapter.clear();
    this.subchannel.acceptInterrupt();
    const bytes = new Uint8Array(32);
    this.memory.read(INDICATORS, bytes);
    this.memory.write(INDICATORS, new Uint8Array(32));
    return `${had} ${Buffer.from(bytes).toString("hex")}`;
  }

  bytes(): Uint8Array {
    const bytes = new Uint8Array(LENGTH);
    this.memory.read(BASE, bytes);
    return bytes;
  }

  seen(): unknown {
    const memory = createHash("sha256").update(this.bytes()).digest("hex");
    return [takeSnapshot(this), memory, this.unsolicited, [...this.adapter]];
  }

  /** What a host is served with that goes on elsewhere, and what is raised again there. */
  revisit(): void {
    this.subchannel.restored();
    for (let queue = 0; queue <= QUEUES; queue++) this.device.notify(queue);
  }

  /** A new host with guest memory as it is, on the same machine. */
  move(init: Omit<CcwDeviceInit, "device" | "onInterrupt"> = {}): Host {
    const text = encodeSnapshot(takeSnapshot(this));
    const memory = createGuestMemory([{ base: BASE, bytes: this.bytes() }]);
    const host = new Host(memory, init);
    host.unsolicited = this.unsolicited;
    for (const subclass of this.adapter) host.adapter.add(subclass);
    restoreSnapshot(host, decodeSnapshot(Uint8Array.from(text, (char) => char.charCodeAt(0))));
    return host;
  }
}

function refusal(action: () => void): string | undefined {
  try {
    action();
  } catch (error) {
    if (isVirtioError(error, "SNAPSHOT")) return error.path;
    throw error;
  }
  return undefined;
}

function busy(indicators: "classic" | "adapter" = "adapter"): Host {
  const host = new Host();
  host.bringUp(indicators);
  return host;
}

describe.each(["classic", "adapter"] as const)("with %s indicators, a subchannel", (indicators) => {
  it("that was moved goes on: queues, indicators, interrupts, commands", () => {
    const source = busy(indicators);
    source.command(CODE.WRITE_CONF.code, "01020377");
    const host = source.move();
    expect(host.raised).toBe(0);
    for (let i = 1; i <= 20; i++) {
      host.offer(1);
      expect(host.notify(1)).toBe(1);
      expect(host.used(1)).toEqual([i, 0x77]);
      const had = indicators === "classic" ? "true," : "false,3";
      const area = indicators === "classic" ? "0000000000000002" : "0200000000000000";
      const summary = indicators === "classic" ? "00" : "01";
      expect(host.take()).toBe(
        `${had} ${summary}00000000000000${"00".repeat(8)}${area}${"00".repeat(8)}`,
      );
    }
    host.model.host.configChanged();
    expect(host.take()).toContain("true,");
    // The revision stands: READ_ADMIN_VQ answers, and another revision is refused.
    expect(host.command(CODE.READ_ADMIN_VQ.code, "0000", 4)).toBe("0,12,0,00020001");
    expect(host.command(CODE.SET_VIRTIO_REV.code, "00020000")).toMatch(/^0,14,/);
    expect(host.command(CODE.SET_VIRTIO_REV.code, "00030000")).toMatch(/^0,12,/);
  });

  it("raises what the driver may not have seen, once", () => {
    const source = busy(indicators);
    source.offer(0);
    source.notify(0);
    source.model.host.configChanged();
    const host = source.move();
    expect(host.raised).toBe(indicators === "classic" ? 1 : 2);
    host.take();
    expect(host.move().raised).toBe(0);
  });
});

describe("a subchannel that was moved", () => {
  it("has the sense data of the last unit check, which the next command forgets", () => {
    const source = busy();
    expect(source.command(CODE.WRITE_STATUS.code, "80")).toMatch(/^0,14,/);
    const sense = CCW_BASIC_LAYOUT.commands.SENSE.code;
    expect(source.move().command(sense, "", 32)).toBe(`0,12,0,80${"00".repeat(31)}`);
    source.command(CODE.READ_STATUS.code, "", 1);
    expect(source.move().command(sense, "", 32)).toBe(`0,12,0,${"00".repeat(32)}`);
  });

  it("is disabled when it was, and its device keeps what was negotiated", () => {
    const source = busy();
    source.subchannel.modifySubchannel(false);
    const host = source.move();
    expect([host.subchannel.enabled, host.subchannel.revision]).toEqual([false, undefined]);
    expect(host.command(CODE.READ_STATUS.code, "", 1)).toMatch(/^3,/);
    expect(host.device.adminQueueNum).toBe(1);
    host.subchannel.modifySubchannel(true);
    expect(host.command(CODE.SET_VIRTIO_REV.code, "00030000")).toMatch(/^0,12,/);
    expect(host.command(CODE.READ_STATUS.code, "", 1)).toBe("0,12,0,0f");
  });

  it("withholds VIRTIO_F_ADMIN_VQ below revision 3, and then offers it again", () => {
    const source = new Host();
    source.command(CODE.SET_VIRTIO_REV.code, "00020000");
    const host = source.move();
    expect(host.command(CODE.READ_FEAT.code, "0000000001")).toBe(
      source.command(CODE.READ_FEAT.code, "0000000001"),
    );
    expect(host.device.offeredFeatures.has(41)).toBe(false);
    host.subchannel.modifySubchannel(false);
    host.subchannel.modifySubchannel(true);
    host.command(CODE.SET_VIRTIO_REV.code, "00030000");
    expect(host.device.offeredFeatures.has(41)).toBe(true);
  });
});

describe("the saved form", () => {
  it("has what is kept between programs, and matches the schema", () => {
    const { port } = takeSnapshot(busy()).device;
    expect(port).toEqual({
      layout: expect.stringMatching(/^[0-9a-f]{8}$/),
      subchannelId: 0x10000,
      enabled: true,
      revision: 3,
      sense: "00".repeat(32),
      interruptPending: false,
      indicators: {
        configuration: "0x19008",
        adapter: { summary: "0x19000", area: "0x19010", firstBit: "0x5", subclass: 3 },
      },
    });
    expect(matchesSchema(port)).toBe(true);
    const disabled = new Host();
    disabled.subchannel.modifySubchannel(false);
    for (const host of [disabled, new Host(), busy("classic")]) {
      expect(matchesSchema(takeSnapshot(host).device.port)).toBe(true);
    }
  });
});

describe("a restore is refused, and nothing has changed", () => {
  // biome-ignore lint/suspicious/noExplicitAny: a test writes anything anywhere.
  it.each<[string, (port: any) => void, string]>([
    ["another layout", (port) => (port.layout = "00000000"), ".layout"],
    ["another subchannel", (port) => (port.subchannelId = 0x10001), ".subchannelId"],
    ["no subchannel", (port) => delete port.subchannelId, ".subchannelId"],
    ["a revision that cannot be selected", (port) => (port.revision = 4), ".revision"],
    ["revision 0", (port) => (port.revision = 0), ".revision"],
    ["a revision of a disabled one", (port) => (port.enabled = false), ".revision"],
    [
      "an interrupt of a disabled one",
      (port) => {
        port.enabled = false;
        delete port.revision;
        port.interruptPending = true;
      },
      ".interruptPending",
    ],
    ["sense data of 31 bytes", (port) => (port.sense = "00".repeat(31)), ".sense"],
    ["sense data that is no hex", (port) => (port.sense = "0g".repeat(32)), ".sense"],
    ["no pending interrupt", (port) => (port.interruptPending = 0), ".interruptPending"],
    ["no indicators", (port) => delete port.indicators, ".indicators"],
    [
      "configuration indicators outside memory",
      (port) => (port.indicators.configuration = "0x1fffc"),
      ".indicators.configuration",
    ],
    [
      "classic indicators beside adapter indicators",
      (port) => (port.indicators.classic = "0x19010"),
      ".indicators.adapter",
    ],
    [
      "classic indicators outside memory",
      (port) => {
        port.indicators.classic = "0xffffffffffffffff";
        delete port.indicators.adapter;
      },
      ".indicators.classic",
    ],
    [
      "a summary outside memory",
      (port) => (port.indicators.adapter.summary = "0x0"),
      ".indicators.adapter",
    ],
    [
      "an area outside memory",
      (port) => (port.indicators.adapter.firstBit = "0x100000"),
      ".indicators.adapter",
    ],
    [
      "a first bit beyond 2^53",
      (port) => (port.indicators.adapter.firstBit = "0xffffffffffffffff"),
      ".indicators.adapter",
    ],
    [
      "subclass 8",
      (port) => (port.indicators.adapter.subclass = 8),
      ".indicators.adapter.subclass",
    ],
    ["an unknown member", (port) => (port.more = 1), ".more"],
  ])("for %s", (_what, damage, path) => {
    const source = busy();
    const snapshot = structuredClone(takeSnapshot(source));
    damage(snapshot.device.port);
    const host = new Host(source.memory);
    host.command(CODE.SET_VIRTIO_REV.code, "00010000");
    host.command(CODE.WRITE_STATUS.code, "40");
    host.device.setQueueSize(0, 4);
    const [before, raised] = [host.seen(), host.raised];
    expect(refusal(() => restoreSnapshot(host, snapshot))).toBe(`device.port${path}`);
    expect([host.seen(), host.raised]).toEqual([before, raised]);
    restoreSnapshot(host, takeSnapshot(source));
    expect(host.device.status).toBe(0xf);
  });

  it("where the highest revision or the layout is another", () => {
    const source = busy();
    expect(refusal(() => source.move({ maxRevision: 2 }))).toBe("device.port.revision");
    expect(refusal(() => source.move({ layout: CCW_RATIFIED_LAYOUT }))).toBe("device.port.layout");
    expect(refusal(() => source.move({ subchannelId: 3 }))).toBe("device.port.subchannelId");
  });
});

describe("random histories", () => {
  interface Step {
    readonly op: "command" | "offer" | "change" | "bring up" | "take" | "modify" | "move";
    readonly code: number;
    readonly data: string;
    readonly value: number;
  }
  const codes = [...Object.values(CCW_BASIC_LAYOUT.commands), ...Object.values(CODE)].map(
    ({ code }) => code,
  );
  const byte = fc.oneof(fc.constantFrom(0, 1, 2, 3, 5, 0xb, 0xf), fc.nat(255));
  const data = fc.oneof(
    fc.array(byte, { maxLength: 32 }).map((bytes) => bytes.map((each) => be(each, 1)).join("")),
    fc.constantFrom(
      ...["00030000", "00020000", "0f", "00", be(AREA, 8), be(CONFIGURATION, 8), be(0, 8)],
      be(SUMMARY, 8) + be(AREA, 8) + be(5, 8) + be(3, 1),
      be(0, 8) + be(0, 8) + be(0, 8) + be(0, 1),
      setVq(1, RING, BASE + PAGE, BASE + PAGE + 0x400, BASE + PAGE + 0x800),
    ),
  );
  const op = fc.constantFrom<Step["op"]>(
    ...(["command", "command", "command", "command", "offer", "offer", "change"] as const),
    ...(["bring up", "take", "move", "move", "modify"] as const),
  );
  const history = fc.array(
    fc.record<Step>({ op, code: fc.constantFrom(...codes), data, value: fc.nat(255) }),
    { minLength: 10, maxLength: 60 },
  );

  const indicatorCodes: readonly number[] = [
    ...[CODE.SET_IND.code, CODE.SET_CONF_IND.code, CODE.SET_IND_ADAPTER.code],
  ];

  /**
   * True for indicators that the driver places in its own queues. Whether the device sets one before
   * or after it looks at a descriptor there is up to it, and may differ after a move.
   */
  function isInQueues({ code, data }: Step): boolean {
    if (!indicatorCodes.includes(code)) return false;
    return [0, 16, 32].some((from) => {
      const address = Number.parseInt(data.slice(from, from + 16).padEnd(16, "0"), 16);
      return address >= BASE && address < BASE + (QUEUES + 1) * PAGE;
    });
  }

  function run(host: Host, step: Step): string {
    const { op, code, data, value } = step;
    if (op === "command" && isInQueues(step)) return "";
    if (op === "command") return host.command(code, data, Math.max(1, data.length / 2));
    if (op === "bring up") host.bringUp(value % 2 === 0 ? "classic" : "adapter");
    else if (op === "take") return host.take();
    else if (op === "modify") host.subchannel.modifySubchannel(value % 2 === 0);
    else if (op === "offer") {
      host.offer(value % (QUEUES + 1));
      if (value < 0x80) return String(host.notify(value % (QUEUES + 1)));
    } else if (op === "change") {
      host.model.config.update((_, bytes) => {
        bytes[0] = value;
      });
      host.model.host.configChanged();
    }
    return "";
  }

  it("nobody can tell a subchannel that was moved from one that was not", () => {
    const met = { moves: 0, unsolicited: 0, adapter: 0 };
    fc.assert(
      fc.property(fc.boolean(), history, (isBegun, all) => {
        const stays = new Host();
        let moved = new Host();
        if (isBegun) for (const host of [stays, moved]) host.bringUp("adapter");
        for (const step of all) {
          if (step.op === "move") {
            stays.revisit();
            moved = moved.move();
            met.moves++;
            if (stays.unsolicited) met.unsolicited++;
            met.adapter += stays.adapter.size;
          } else {
            expect(run(moved, step)).toBe(run(stays, step));
          }
        }
        expect(moved.seen()).toEqual(stays.seen());
      }),
      { numRuns: 150 },
    );
    expect([met.moves > 100, met.unsolicited > 10, met.adapter > 10]).toEqual([true, true, true]);
  });
});
