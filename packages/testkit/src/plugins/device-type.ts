/** Rules of device types: what the device core, a driver and a snapshot rely on. */
import { CONFIG_SPACE_LIMIT, type DeviceModel, FEATURE, FeatureSet } from "@virtio-admin/core";
import { FEATURES_OK_STATUS, RUNNING_STATUS } from "../compliance/device-bench.ts";
import {
  expectEqual,
  expectInteger,
  expectSoon,
  expectText,
  expectTrue,
  settle,
} from "../compliance/expect.ts";
import { ComplianceFailure } from "../compliance/failure.ts";
import type { HandRing, UsedEntry } from "../compliance/hand-ring.ts";
import { Random } from "../random.ts";
import { benchMemory, ModelBench } from "./model-bench.ts";
import {
  type PluginCase,
  type PluginCheckOptions,
  type PluginReport,
  pluginCase,
  runPluginCases,
  skip,
} from "./run.ts";

/** A buffer that a device uses by itself, once it is available. */
export interface DeviceRequest {
  /** The queue it goes to. */
  readonly queue: number;
  /** Its device-readable parts. */
  readonly readable: readonly Uint8Array[];
  /** The lengths of its device-writable parts, in bytes. */
  readonly writable: readonly number[];
}

/** A device type as it is checked. */
export interface DeviceTypeFixture {
  /** What to call it in the report. */
  readonly name: string;
  /** Makes a device of the type. Called for every case. */
  make(): DeviceModel;
  /** A request that it serves. */
  readonly request: DeviceRequest;
  /**
   * Why the same requests may be answered otherwise after a reset, or by another device of the same
   * kind: chance, a storage that is shared. Absent: they may not.
   */
  readonly varies?: string;
}

const SEED = 0x5eed;
const SHAPES = 100;
const FEATURE_TRIES = 50;
const VERSION_1 = FeatureSet.of(FEATURE.VIRTIO_F_VERSION_1);

/** What a device made of one request. */
interface Served {
  readonly used: UsedEntry;
  readonly written: Uint8Array;
}

/** The cases, in the order in which they are run. */
export const DEVICE_TYPE_CASES: readonly PluginCase<DeviceTypeFixture>[] = [
  pluginCase("device-declares", "The type is declared as a type can be.", [], (fixture) => {
    const model = fixture.make();
    const { device } = new ModelBench(model);
    expectText("the name", model.name);
    expectEqual("the name", model.name, model.name.toLowerCase());
    expectTrue("there are queues", model.queues.length > 0);
    for (const { name } of model.queues) expectText("the name of a queue", name);
    for (const { feature } of model.featureDependencies ?? []) {
      expectTrue(`feature ${feature} is the type's own`, model.features.includes(feature));
    }
    expectInteger("the length of the configuration", device.configLength, 0, CONFIG_SPACE_LIMIT);
    expectInteger("the queue of the request", fixture.request.queue, 0, model.queues.length - 1);
  }),
  pluginCase(
    "device-features",
    "It takes all that it offers; whatever it takes or refuses, it takes or refuses again.",
    ["features-device-5"],
    (fixture) => {
      const bench = new ModelBench(fixture.make());
      const { offeredFeatures } = bench.device;
      expectEqual("the status with all features", bench.negotiate(), FEATURES_OK_STATUS);
      const random = new Random(SEED);
      for (let i = 0; i < FEATURE_TRIES; i++) {
        const some = FeatureSet.of(...offeredFeatures.bits().filter(() => random.oneIn(2)));
        const status = bench.negotiate(some.union(VERSION_1));
        expectEqual(
          `the status with ${some}, again`,
          bench.negotiate(some.union(VERSION_1)),
          status,
        );
      }
      bench.expectPeace();
    },
  ),
  pluginCase("device-serves", "A request is used, and the driver is told.", [], async (fixture) => {
    const bench = new ModelBench(fixture.make());
    const { queue } = fixture.request;
    const ring = bench.start(queue);
    await serve(bench, ring, fixture);
    expectTrue("an interrupt told of it", bench.interrupts.includes(queue));
    expectEqual("the status", bench.device.status, RUNNING_STATUS);
    bench.expectPeace();
  }),
  pluginCase(
    "device-serves-early",
    "A request that was available before DRIVER_OK is used after it.",
    [],
    async (fixture) => {
      const { queue, readable, writable } = fixture.request;
      const bench = new ModelBench(fixture.make());
      bench.negotiate();
      const ring = bench.queue(queue);
      ring.add(readable, writable);
      bench.device.notify(queue);
      await settle();
      expectEqual("the used index before DRIVER_OK", ring.usedIndex, 0);
      bench.run();
      await expectSoon("the request is used", () => ring.usedIndex === 1);
      bench.expectPeace();
    },
  ),
  pluginCase("device-serves-many", "Of many requests each is used, once.", [], async (fixture) => {
    const { queue, readable, writable } = fixture.request;
    const bench = new ModelBench(fixture.make());
    const ring = bench.start(queue);
    const count = Math.floor(ring.size / (readable.length + writable.length));
    for (const _round of [1, 2, 3]) {
      const heads = Array.from({ length: count }, () => ring.add(readable, writable).head);
      bench.device.notify(queue);
      const used: UsedEntry[] = [];
      await expectSoon("the requests are used", () => {
        used.push(...ring.takeUsed());
        return used.length >= count;
      });
      await settle();
      used.push(...ring.takeUsed());
      const ids = used.map(({ id }) => id);
      expectEqual("the used ids", ids.sort(ascending), heads.sort(ascending));
    }
    bench.expectPeace();
  }),
  pluginCase(
    "device-any-buffer",
    "Buffers of every shape are survived; after a reset it serves as before.",
    [],
    async (fixture) => {
      const bench = new ModelBench(fixture.make());
      const random = new Random(SEED);
      for (let index = 0; index < bench.device.queueCount; index++) {
        for (let i = 0; i < SHAPES; i++) {
          bench.negotiate();
          const ring = bench.queue(index);
          bench.run();
          const { readable, writable } = shape(random, ring.size);
          ring.add(readable, writable);
          bench.device.notify(index);
          if (random.oneIn(4)) await settle();
          bench.device.reset();
          ring.free();
          bench.expectPeace();
        }
      }
      await settle();
      await serve(bench, bench.start(fixture.request.queue), fixture);
      bench.expectPeace();
    },
  ),
  pluginCase(
    "device-reset",
    "A reset ends what is under way, and the device begins anew.",
    ["reset-device-2", "reset-device-3"],
    async (fixture) => {
      const { queue, readable, writable } = fixture.request;
      const bench = new ModelBench(fixture.make());
      const ring = bench.start(queue);
      const first = await serve(bench, ring, fixture);
      ring.add(readable, writable);
      bench.device.notify(queue);
      bench.device.reset();
      const before = ring.usedIndex;
      bench.interrupts.length = 0;
      await settle();
      expectEqual("the used index after the reset", ring.usedIndex, before);
      expectEqual("the interrupts after the reset", bench.interrupts.length, 0);
      // What is under way may end only when there is a driver again.
      const second = bench.start(queue);
      second.add(readable, writable);
      bench.device.notify(queue);
      bench.device.reset();
      const then = second.usedIndex;
      const renewed = bench.start(queue);
      await settle();
      expectEqual("the used index of the queue before", second.usedIndex, then);
      expectEqual("that of the queue after", renewed.usedIndex, 0);
      const again = await serve(bench, renewed, fixture);
      if (fixture.varies === undefined) expectSame("after a reset", again, first);
      bench.expectPeace();
    },
  ),
  pluginCase(
    "device-queue-reset",
    "A queue that was reset is left alone, and serves again once it is enabled.",
    [],
    async (fixture) => {
      const { queue, readable, writable } = fixture.request;
      const bench = new ModelBench(fixture.make());
      const ring = bench.start(queue);
      ring.add(readable, writable);
      bench.device.notify(queue);
      bench.device.resetQueue(queue);
      const before = ring.usedIndex;
      const renewed = bench.queue(queue);
      await settle();
      expectEqual("the used index of the queue before", ring.usedIndex, before);
      expectEqual("that of the queue after", renewed.usedIndex, 0);
      await serve(bench, renewed, fixture);
      bench.expectPeace();
    },
  ),
  pluginCase(
    "device-config",
    "What the driver writes into the configuration ends with a reset.",
    [],
    (fixture) => {
      const bench = new ModelBench(fixture.make());
      const { device } = bench;
      const length = device.configLength;
      if (length === 0) skip("the type has no configuration space");
      const read = () => {
        const bytes = new Uint8Array(length);
        device.readConfig(0, bytes);
        return bytes;
      };
      const initial = read();
      const random = new Random(SEED);
      bench.negotiate();
      for (let at = 0; at < length + 8; at++) {
        device.writeConfig(at, random.bytes(1 + random.below(8)));
      }
      expectEqual("the status after writes", device.status, FEATURES_OK_STATUS);
      device.reset();
      expectEqual("the configuration after a reset", read(), initial);
      bench.expectPeace();
    },
  ),
  pluginCase(
    "device-state",
    "What requests have set is in a snapshot: a restored device goes on as the first would.",
    [],
    async (fixture) => {
      const model = fixture.make();
      expectEqual("save and restore go together", typeof model.save, typeof model.restore);
      const parts = benchMemory();
      const source = new ModelBench(model, undefined, parts);
      const ring = source.start(fixture.request.queue);
      for (const _ of [1, 2]) await serve(source, ring, fixture);
      const saved = JSON.stringify(source.device.saveState());
      // The driver goes on with the same rings, in the same memory.
      const target = new ModelBench(fixture.make(), undefined, parts);
      const change = target.device.prepareState(JSON.parse(saved));
      change.apply();
      expectEqual("the state", JSON.stringify(target.device.saveState()), saved);
      change.resume();
      const next = await serve(target, ring, fixture);
      source.expectPeace();
      target.expectPeace();
      if (fixture.varies !== undefined) return;
      const twin = new ModelBench(fixture.make());
      const twinRing = twin.start(fixture.request.queue);
      let last: Served | undefined;
      for (const _ of [1, 2, 3]) last = await serve(twin, twinRing, fixture);
      expectSame("once restored", next, last);
    },
  ),
];

/** Checks a device type against the rules that all of them keep. */
export function checkDeviceType(
  fixture: DeviceTypeFixture,
  options?: PluginCheckOptions,
): Promise<PluginReport> {
  return runPluginCases("device type", DEVICE_TYPE_CASES, fixture, options);
}

const ascending = (a: number, b: number) => a - b;

/** Sends the fixture's request, and waits until it is used. */
async function serve(
  bench: ModelBench,
  ring: HandRing,
  { request: { queue, readable, writable } }: DeviceTypeFixture,
): Promise<Served> {
  const buffer = ring.add(readable, writable);
  bench.device.notify(queue);
  const found: UsedEntry[] = [];
  await expectSoon("the request is used", () => {
    found.push(...ring.takeUsed());
    return found.length > 0;
  });
  const [used] = found as [UsedEntry];
  expectEqual("the used id", used.id, buffer.head);
  const room = writable.reduce((sum, length) => sum + length, 0);
  expectInteger("the used length", used.length, 0, room);
  return { used, written: buffer.written() };
}

function expectSame(when: string, got: Served, expected: Served | undefined): void {
  if (expected === undefined) throw new ComplianceFailure(when, "an answer", "none");
  expectEqual(`the used length ${when}`, got.used.length, expected.used.length);
  expectEqual(`what it wrote ${when}`, got.written, expected.written);
}

/** Parts that no driver in its senses would make a buffer of. */
function shape(random: Random, room: number): Pick<DeviceRequest, "readable" | "writable"> {
  const lengths = [0, 1, 2, 7, 15, 16, 17, 64, 511, 512, 513, 4096];
  const length = () => random.pick(lengths) ?? 0;
  const parts = 1 + random.below(Math.min(room, 5));
  const readable = random.below(parts + 1);
  return {
    readable: Array.from({ length: readable }, () => random.bytes(length())),
    writable: Array.from({ length: parts - readable }, length),
  };
}
