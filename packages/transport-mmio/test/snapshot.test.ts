/** Snapshots of a window: its registers come back, and whoever drives it goes on. */
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
  type GroupSnapshot,
  isVirtioError,
  layoutFromJson,
  layoutToJson,
  type RegionMemory,
  type RegisterLayout,
  restoreSnapshot,
  SelfGroup,
  takeSnapshot,
  VirtioDevice,
} from "@virtio-admin/core";
import {
  MMIO_RATIFIED_LAYOUT,
  MMIO_REFERENCE_LAYOUT,
  MmioDevice,
} from "@virtio-admin/transport-mmio";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const BASE = 0x1_0000;
const LENGTH = 0x1_0000;
const RING = 8;
const PAGE = 0x1000;
const QUEUES = 2;
const CONFIG_AT = 0x100;
const schema = JSON.parse(
  readFileSync(new URL("../schema/port.schema.json", import.meta.url), "utf8"),
);
const matchesSchema = new Ajv2020({ strict: true }).compile(schema);

/** Fills buffers with the byte that its driver wrote to the configuration. */
class Filler implements DeviceModel {
  readonly name = "filler";
  readonly deviceId = 42;
  readonly features: readonly number[] = [0];
  readonly queues = Array.from({ length: QUEUES }, (_, i) => ({ name: `q${i}`, maxSize: RING }));
  readonly config = new ConfigSpace({
    bytes: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    writable: Uint8Array.of(0, 0, 0, 0, 0xff),
  });
  host!: DeviceHost;

  attach(host: DeviceHost): void {
    this.host = host;
  }

  queueNotified(index: number): void {
    const queue = this.host.queue(index);
    if (queue === undefined) return;
    const fill = new Uint8Array(1);
    this.config.read(4, fill);
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      const bytes = new Uint8Array(chain.writableLength).fill(fill[0]!);
      queue.push(chain, queue.write(chain, 0, bytes));
    }
    if (!this.host.checkDefect(index)) this.host.publish(index);
  }

  reset(): void {}
}

/** A window, the device behind it, and its interrupt line as a machine sees it. */
class Host {
  readonly memory: RegionMemory;
  readonly model = new Filler();
  readonly executor = new AdminExecutor({ groups: [new SelfGroup()] });
  readonly device: VirtioDevice;
  readonly window: MmioDevice;
  line = false;
  edges = 0;

  constructor(memory?: RegionMemory, layout: RegisterLayout = MMIO_REFERENCE_LAYOUT) {
    this.memory = memory ?? createGuestMemory([{ base: BASE, bytes: new Uint8Array(LENGTH) }]);
    const admin = new AdminQueues({ executor: this.executor, maxSize: RING });
    this.device = new VirtioDevice({ model: this.model, memory: this.memory, admin });
    this.window = new MmioDevice({
      device: this.device,
      layout,
      onInterrupt: (high) => {
        this.line = high;
        this.edges++;
      },
    });
  }

  at(name: string): number {
    return this.window.layout.registers[name]!.offset;
  }

  read(name: string): number {
    return this.window.read(this.at(name), 4);
  }

  write(name: string, value: number): void {
    this.window.write(this.at(name), 4, value);
  }

  /** Up to DRIVER_OK, with VIRTIO_F_ADMIN_VQ and VIRTIO_F_RING_RESET. */
  bringUp(): void {
    for (const status of [0, 1, 3]) this.write("Status", status);
    [0, 0x301].forEach((word, i) => {
      this.write("DriverFeaturesSel", i);
      this.write("DriverFeatures", word);
    });
    this.write("Status", 0xb);
    for (let queue = 0; queue <= QUEUES; queue++) this.enable(queue);
    this.write("Status", 0xf);
  }

  enable(queue: number): void {
    const base = BASE + queue * PAGE;
    this.memory.write(base, new Uint8Array(PAGE));
    this.write("QueueSel", queue);
    this.write("QueueSize", RING);
    const areas = { QueueDesc: base, QueueDriver: base + 0x400, QueueDevice: base + 0x800 };
    for (const [area, address] of Object.entries(areas)) {
      this.write(`${area}Low`, address);
      this.write(`${area}High`, 0);
    }
    this.write("QueueReady", 1);
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

  half(address: number): number {
    const bytes = new Uint8Array(2);
    this.memory.read(address, bytes);
    return bytes[0]! | (bytes[1]! << 8);
  }

  used(queue: number): readonly [number, number] {
    const base = BASE + queue * PAGE;
    return [this.half(base + 0x802), this.half(base + 0xc00) & 0xff];
  }

  bytes(): Uint8Array {
    const bytes = new Uint8Array(LENGTH);
    this.memory.read(BASE, bytes);
    return bytes;
  }

  seen(): unknown {
    const memory = createHash("sha256").update(this.bytes()).digest("hex");
    return [takeSnapshot(this), memory, this.line, this.window.interruptLine];
  }

  /** What a host is served with that goes on elsewhere. */
  revisit(): void {
    for (let queue = 0; queue <= QUEUES; queue++) this.device.notify(queue);
  }

  /** A new host with guest memory as it is. */
  move(): Host {
    const text = encodeSnapshot(takeSnapshot(this));
    const memory = createGuestMemory([{ base: BASE, bytes: this.bytes() }]);
    const host = new Host(memory, this.window.layout);
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

/** A host in the middle of things, its line high. */
function busy(): Host {
  const host = new Host();
  host.bringUp();
  host.write("DeviceFeaturesSel", 3);
  host.write("QueueSel", 1);
  host.window.write(CONFIG_AT + 4, 1, 0x77);
  host.offer(0);
  host.write("QueueNotify", 0);
  return host;
}

describe("a window that was moved", () => {
  it("has its selectors, and raises its line until all is acknowledged", () => {
    const source = busy();
    source.model.config.update(() => undefined);
    source.model.host.configChanged();
    const host = source.move();
    expect([host.line, host.edges, host.read("InterruptStatus")]).toEqual([true, 1, 3]);
    host.write("InterruptACK", 1);
    expect(host.line).toBe(true);
    host.write("InterruptACK", 2);
    expect([host.line, host.edges]).toEqual([false, 2]);
    expect(host.read("DeviceFeatures")).toBe(0);
    host.write("QueueSize", 4);
    expect([host.device.queueSize(0), host.read("QueueReady")]).toEqual([RING, 1]);
    host.write("DriverFeatures", 0);
    expect(host.device.driverFeatures.word(1)).toBe(0x301);
    host.write("QueueReady", 0);
    expect([host.device.queueEnabled(1), host.device.queueEnabled(0)]).toEqual([false, true]);
  });

  it("does not touch a line that stays low", () => {
    const source = busy();
    source.write("InterruptACK", 1);
    const host = source.move();
    expect([host.line, host.edges]).toEqual([false, 0]);
    host.offer(1);
    host.write("QueueNotify", 1);
    expect([host.line, host.used(1)]).toEqual([true, [1, 0x77]]);
  });

  it("reads the same as another snapshot would tell", () => {
    const source = busy();
    expect(source.move().seen()).toEqual(source.seen());
  });
});

describe("the saved form", () => {
  it("has the registers by their names, and matches the schema", () => {
    const { port } = takeSnapshot(busy()).device;
    expect(port).toEqual({
      layout: expect.stringMatching(/^[0-9a-f]{8}$/),
      DeviceFeaturesSel: 3,
      DriverFeaturesSel: 1,
      QueueSel: 1,
      InterruptStatus: 1,
    });
    expect(matchesSchema(port)).toBe(true);
    expect(matchesSchema(takeSnapshot(new Host()).device.port)).toBe(true);
  });

  it("goes with a layout, whatever that says to people", () => {
    const document = layoutToJson(MMIO_REFERENCE_LAYOUT);
    const same = layoutFromJson({ ...document, doc: "The same.", cite: "Here." });
    if (same.kind !== "registers") throw new Error("no registers");
    const snapshot = takeSnapshot(new Host(undefined, same));
    restoreSnapshot(new Host(), snapshot);
    const other = new Host(undefined, MMIO_RATIFIED_LAYOUT);
    expect(refusal(() => restoreSnapshot(other, snapshot))).toBe("device.port.layout");
  });
});

describe("a restore is refused, and nothing has changed", () => {
  // biome-ignore lint/suspicious/noExplicitAny: a test writes anything anywhere.
  it.each<[string, (port: any) => void, string]>([
    ["another layout", (port) => (port.layout = "00000000"), ".layout"],
    ["no selector", (port) => delete port.QueueSel, ".QueueSel"],
    ["a selector of 33 bits", (port) => (port.QueueSel = 2 ** 32), ".QueueSel"],
    ["a negative one", (port) => (port.DeviceFeaturesSel = -1), ".DeviceFeaturesSel"],
    ["a text", (port) => (port.DriverFeaturesSel = "1"), ".DriverFeaturesSel"],
    ["events that there are not", (port) => (port.InterruptStatus = 4), ".InterruptStatus"],
    ["an unknown register", (port) => (port.SHMSel = 0), ".SHMSel"],
  ])("for %s", (_what, damage, path) => {
    const source = busy();
    const snapshot = structuredClone(takeSnapshot(source));
    damage(snapshot.device.port);
    const host = new Host(source.memory);
    host.write("QueueSel", 1);
    host.write("QueueSize", 2);
    const before = host.seen();
    expect(refusal(() => restoreSnapshot(host, snapshot))).toBe(`device.port${path}`);
    expect([host.seen(), host.edges]).toEqual([before, 0]);
  });

  it("for no registers at all, or registers of another transport under this one's name", () => {
    const source = busy();
    for (const port of [undefined, 7, null, []]) {
      const { port: _, ...device } = takeSnapshot(source).device;
      const snapshot = {
        ...takeSnapshot(source),
        device: { ...device, ...(port === undefined ? {} : { port }) },
      } as GroupSnapshot;
      const host = new Host(source.memory);
      const before = host.seen();
      expect(refusal(() => restoreSnapshot(host, snapshot))).toBe("device.port");
      expect(host.seen()).toEqual(before);
    }
  });
});

describe("random histories", () => {
  interface Step {
    readonly op: "write" | "read" | "offer" | "change" | "bring up" | "move";
    readonly offset: number;
    readonly size: number;
    readonly value: number;
  }
  const names = Object.values(MMIO_REFERENCE_LAYOUT.registers).map(({ offset }) => offset);
  const offset = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...names) },
    fc.integer({ min: CONFIG_AT, max: CONFIG_AT + 8 }),
    fc.nat(0x1ff),
  );
  const value = fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom(0, 1, 2, 3, 4, 7, 8, 0xb, 0xf) },
    fc.constantFrom(0xffff, BASE, BASE + PAGE),
    fc.nat(0xffff_ffff),
  );
  const op = fc.constantFrom<Step["op"]>(
    ...(["write", "write", "write", "read", "offer", "offer", "change", "bring up"] as const),
    ...(["move", "move"] as const),
  );
  const size = fc.constantFrom(4, 4, 4, 1, 2);
  const history = fc.array(fc.record<Step>({ op, offset, size, value }), {
    minLength: 10,
    maxLength: 60,
  });

  function run(host: Host, { op, offset, size, value }: Step): number {
    if (op === "write") host.window.write(offset, size, value);
    else if (op === "read") return host.window.read(offset, size);
    else if (op === "bring up") host.bringUp();
    else if (op === "offer") {
      const queue = value % (QUEUES + 1);
      host.offer(queue);
      if (size === 4) host.write("QueueNotify", queue);
    } else if (op === "change") {
      host.model.config.update((_, bytes) => {
        bytes[0] = value & 0xff;
      });
      host.model.host.configChanged();
    }
    return 0;
  }

  it("nobody can tell a window that was moved from one that was not", () => {
    const met = { moves: 0, high: 0 };
    fc.assert(
      fc.property(fc.boolean(), history, (isBegun, all) => {
        const stays = new Host();
        let moved = new Host();
        if (isBegun) for (const host of [stays, moved]) host.bringUp();
        for (const step of all) {
          if (step.op === "move") {
            stays.revisit();
            moved = moved.move();
            met.moves++;
            if (stays.line) met.high++;
          } else {
            expect(run(moved, step)).toBe(run(stays, step));
          }
          expect(moved.line).toBe(stays.line);
        }
        expect(moved.seen()).toEqual(stays.seen());
      }),
      { numRuns: 150 },
    );
    expect([met.moves > 100, met.high > 20]).toEqual([true, true]);
  });
});
