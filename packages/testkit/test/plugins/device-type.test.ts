import {
  ConfigSpace,
  type DeviceHost,
  type DeviceModel,
  type DeviceQueue,
  type QueueSpec,
} from "@virtio-admin/core";
import { checkDeviceType, type DeviceTypeFixture } from "@virtio-admin/testkit";
import { describe, expect, it } from "vitest";
import { foundBy } from "./broken.ts";

/** Answers with the sum of the first bytes so far; what the driver writes to the configuration is added. */
class Adder implements DeviceModel {
  name = "adder";
  readonly deviceId = 0x3f;
  features: readonly number[] = [0];
  queues: readonly QueueSpec[] = [{ name: "addq", maxSize: 8 }];
  readonly config = new ConfigSpace({ bytes: Uint8Array.of(3, 0), writable: Uint8Array.of(0xff) });
  host: DeviceHost | undefined;
  sum = 0;

  attach(host: DeviceHost): void {
    this.host = host;
  }

  start(): void {
    this.queueNotified(0);
  }

  queueNotified(index: number): void {
    const queue = this.host?.queue(index);
    if (queue === undefined) return;
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      const first = new Uint8Array(1);
      queue.read(chain, 0, first);
      this.sum = (this.sum + (first[0] ?? 0)) & 0xff;
      queue.push(chain, this.write(queue, chain));
    }
    this.host?.publish(index);
  }

  write(queue: DeviceQueue, chain: Parameters<DeviceQueue["push"]>[0]): number {
    return queue.write(chain, 0, Uint8Array.of(this.sum));
  }

  reset(): void {
    this.sum = 0;
  }

  save(): unknown {
    return this.sum;
  }

  restore(value: unknown): () => void {
    if (!Number.isInteger(value)) throw new Error("no sum");
    return () => {
      this.sum = value as number;
    };
  }
}

const fixture = (make: () => DeviceModel): DeviceTypeFixture => ({
  name: "adder",
  make,
  request: { queue: 0, readable: [Uint8Array.of(5)], writable: [1] },
});
const changed = (change: object) => fixture(() => Object.assign(new Adder(), change));

const BROKEN: readonly (readonly [string, DeviceTypeFixture, readonly string[]])[] = [
  ["capitals in its name", changed({ name: "Adder" }), ["device-declares"]],
  ["a queue without a name", changed({ queues: [{ name: "", maxSize: 8 }] }), ["device-declares"]],
  [
    "a dependency of somebody else's feature",
    changed({ featureDependencies: [{ feature: 30, requires: 0 }] }),
    ["device-declares"],
  ],
  ["a queue size of 3", changed({ queues: [{ name: "addq", maxSize: 3 }] }), ["device-declares"]],
  [
    "a feature that it refuses itself",
    changed({ refuseFeatures: () => "no" }),
    ["device-features"],
  ],
  [
    "another mind each time",
    (() => {
      let asked = 0;
      return changed({ refuseFeatures: () => (asked++ % 3 === 1 ? "not now" : undefined) });
    })(),
    ["device-features"],
  ],
  [
    "an interrupt too few",
    fixture(() => {
      const model = new Adder();
      const attach = model.attach.bind(model);
      model.attach = (host) =>
        attach(
          new Proxy(host, {
            get: (target, name) =>
              name === "publish" ? () => undefined : Reflect.get(target, name, target),
          }),
        );
      return model;
    }),
    ["device-serves"],
  ],
  ["no look at what is there already", changed({ start: undefined }), ["device-serves-early"]],
  [
    "one buffer for each notification",
    changed({
      queueNotified(this: Adder, index: number) {
        const queue = this.host?.queue(index);
        const chain = queue?.pop();
        if (queue !== undefined && chain !== undefined) queue.push(chain, this.write(queue, chain));
        this.host?.publish(index);
      },
    }),
    ["device-serves-many"],
  ],
  [
    "an error for a buffer without room",
    changed({
      write(this: Adder, queue: DeviceQueue, chain: Parameters<DeviceQueue["push"]>[0]) {
        if (chain.writableLength === 0) throw new Error("no room");
        return queue.write(chain, 0, Uint8Array.of(this.sum));
      },
    }),
    ["device-any-buffer"],
  ],
  [
    "a buffer that it keeps over a reset",
    fixture(() => {
      const model = new Adder();
      const kept: Parameters<DeviceQueue["push"]>[0][] = [];
      model.start = () => {
        for (const chain of kept) model.host?.queue(0)?.push(chain, 0);
        model.queueNotified(0);
      };
      model.write = (_, chain) => {
        kept.push(chain);
        return 0;
      };
      return model;
    }),
    ["device-reset", "device-any-buffer"],
  ],
  ["a memory of the driver before", changed({ reset() {} }), ["device-reset"]],
  [
    "an error when its queue is reset",
    changed({
      queueReset() {
        throw new Error("not that one");
      },
    }),
    ["device-queue-reset"],
  ],
  [
    "a configuration that outlasts its driver",
    fixture(() => {
      const model = new Adder();
      model.config.reset = () => undefined;
      return model;
    }),
    ["device-config"],
  ],
  ["no state saved", changed({ save: undefined, restore: undefined }), ["device-state"]],
  ["a state that nothing restores", changed({ restore: undefined }), ["device-state"]],
  ["a state that changes nothing", changed({ restore: () => () => undefined }), ["device-state"]],
];

describe("a device type", () => {
  it("passes when it is sound", async () => {
    const report = await checkDeviceType(fixture(() => new Adder()));
    expect(report).toMatchObject({ point: "device type", failures: [], skipped: [] });
  });

  it.each(BROKEN)("with %s is found out", async (_, broken, cases) => {
    expect(await foundBy(checkDeviceType(broken))).toEqual(expect.arrayContaining([...cases]));
  });
});
