/** The configuration space. */
import { attempt, expectEqual } from "../expect.ts";
import { PROBE_CONFIG, PROBE_WRITABLE } from "../probe-model.ts";
import type { ComplianceCase } from "../types.ts";
import { deviceCase } from "./define.ts";

/** The fields of the probe's configuration space: where they begin, and how long they are. */
const FIELDS: readonly (readonly [offset: number, length: number])[] = [
  [0, 1],
  [1, 1],
  [2, 2],
  [4, 4],
  [8, 8],
  [PROBE_WRITABLE, 4],
  [PROBE_WRITABLE + 4, 4],
];

/** The configuration space. */
export const CONFIGURATION_CASES: readonly ComplianceCase[] = [
  deviceCase(
    "config-fields",
    "Fields of 1, 2, 4 and 8 bytes read as the device type has them, and so does all of it.",
    ["mmio-layout-9", "pci-layout-driver-1"],
    async (context) => {
      const bench = await context.device();
      for (const [offset, length] of FIELDS) {
        expectEqual(
          `${length} bytes at ${offset}`,
          await bench.driver.readConfig(offset, length),
          PROBE_CONFIG.slice(offset, offset + length),
        );
      }
      const whole = await bench.driver.readConfig(0, PROBE_CONFIG.length);
      expectEqual("the configuration space", whole, PROBE_CONFIG);
    },
  ),
  deviceCase(
    "config-readable-early",
    "The configuration space can be read before FEATURES_OK, from the first status on.",
    ["config-space-device-1", "config-space-device-2", "init-driver-2"],
    async (context) => {
      const bench = await context.device();
      await bench.driver.reset();
      expectEqual("4 bytes", await bench.driver.readConfig(4, 4), PROBE_CONFIG.slice(4, 8));
      await bench.begin();
      expectEqual("2 bytes", await bench.driver.readConfig(2, 2), PROBE_CONFIG.slice(2, 4));
    },
  ),
  deviceCase(
    "config-write",
    "A write changes the bits that the device type lets the driver change, and no others.",
    ["init-driver-3"],
    async (context) => {
      const bench = await context.device();
      await bench.runWith(0);
      await bench.driver.writeConfig(PROBE_WRITABLE, Uint8Array.of(1, 2, 3, 4));
      await attempt(bench.driver.writeConfig(4, Uint8Array.of(9, 9, 9, 9)));
      const expected = PROBE_CONFIG.slice();
      expected.set([1, 0, 0, 4], PROBE_WRITABLE);
      const whole = await bench.driver.readConfig(0, PROBE_CONFIG.length);
      expectEqual("the configuration space", whole, expected);
    },
  ),
  deviceCase(
    "config-beyond-end",
    "What lies beyond the configuration space reads 0 or is refused, and cannot be written.",
    ["config-space-driver-5"],
    async (context) => {
      const bench = await context.device();
      await bench.runWith(0);
      const end = PROBE_CONFIG.length;
      await attempt(bench.driver.writeConfig(end, Uint8Array.of(7, 7, 7, 7)));
      let read: Uint8Array | undefined;
      await attempt(
        bench.driver.readConfig(end, 4).then((bytes) => {
          read = bytes;
        }),
      );
      if (read !== undefined) expectEqual("4 bytes beyond the end", read, new Uint8Array(4));
      const whole = await bench.driver.readConfig(0, end);
      expectEqual("the configuration space", whole, PROBE_CONFIG);
    },
  ),
  deviceCase(
    "config-change",
    "A configuration change is notified of, and what is read afterwards is new.",
    ["mmio-device-3", "pci-config-change-device-1", "ccw-classic-interrupt-2"],
    async (context) => {
      const bench = await context.device();
      await bench.runWith(0);
      bench.model.config.update((view) => view.setUint32(4, 0xfeedface, true));
      bench.model.host.configChanged();
      await bench.expectSoon("the configuration interrupt", () => bench.heard.configuration > 0);
      expectEqual("interrupts of used buffers", bench.heard.used.length, 0);
      expectEqual(
        "the field that changed",
        await bench.driver.readConfig(4, 4),
        Uint8Array.of(0xce, 0xfa, 0xed, 0xfe),
      );
      await bench.forget();
      await bench.settle();
      expectEqual("interrupts without a change", bench.heard.configuration, 0);
      bench.model.host.configChanged();
      await bench.expectSoon(
        "another configuration interrupt",
        () => bench.heard.configuration > 0,
      );
    },
  ),
  deviceCase(
    "config-change-then-queue",
    "A configuration interrupt and a used buffer notification do not swallow each other.",
    ["mmio-device-3", "pci-isr-device-2"],
    async (context) => {
      const bench = await context.device();
      const queue = await bench.runWith(0);
      for (let i = 0; i < 3; i++) {
        await bench.forget();
        bench.model.host.configChanged();
        await bench.echo(queue);
        await bench.expectSoon(
          "both interrupts",
          () => bench.toldOf(0) && bench.heard.configuration > 0,
        );
      }
    },
  ),
];
