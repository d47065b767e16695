/** The legacy interface of members, through the commands of their owner. */
import { encode, LEGACY_NOTIFY_ENTRY, LegacyAccessClient, SR_IOV_GROUP } from "@virtio-admin/core";
import { expectAnswer, LIST, sendCommand, WIRE } from "../admin-bench.ts";
import { expectEqual, expectTrue } from "../expect.ts";
import { concat } from "../hand-ring.ts";
import { LEGACY, placesOf, REGISTER } from "../legacy-bench.ts";
import { PROBE_CONFIG, PROBE_QUEUE_SIZES, PROBE_WRITABLE } from "../probe-model.ts";
import type { ComplianceCase } from "../types.ts";
import { deviceCase, driverCase } from "./define.ts";
import { commanding } from "./driver-admin-commands.ts";

/** The features of the probe below 32, the ring's, and the two that only this interface has. */
const OFFERED = 2 ** 0 + 2 ** 1 + 2 ** 5 + 2 ** 28 + 2 ** 29 + 2 ** 27 + 2 ** 30;
const ANY_LAYOUT = 2 ** 27;
const DRIVER_OK = 7;
const NEEDS_RESET = 0x40;
const CONFIG_END = PROBE_CONFIG.length;
/** The registers while MSI-X is disabled. */
const COMMON_END = 20;
const STATUS_OK = new Uint8Array(8);

/** Legacy access, both halves. */
export const LEGACY_ACCESS_CASES: readonly ComplianceCase[] = [
  deviceCase(
    "legacy-list",
    "The owner of members with a legacy interface offers all the commands that read and write it.",
    ["legacy-access-device-1", "legacy-access-device-14"],
    async (context) => {
      const { owner, queue } = await context.legacyOwner();
      const group = SR_IOV_GROUP.id;
      const { result } = await sendCommand(owner, queue, { opcode: LIST.query, group });
      const bits = result[0] ?? 0;
      const all = [2, 3, 4, 5].every((opcode) => ((bits >> opcode) & 1) === 1);
      expectTrue("opcodes 2 to 5 are in the list", all);
    },
  ),
  deviceCase(
    "legacy-registers",
    "Registers read what the device is, and writing them acts as a legacy driver's write.",
    ["legacy-access-device-2", "legacy-access-device-7", "legacy-access-device-8"],
    async (context) => {
      const bench = await context.legacyOwner();
      const { other } = bench;
      expectEqual("the offered features", await bench.read("deviceFeatures"), OFFERED);
      for (const name of [
        "driverFeatures",
        "queueAddress",
        "queueSelect",
        "deviceStatus",
      ] as const) {
        expectEqual(`${name} after a reset`, await bench.read(name), 0);
      }
      for (const [index, size] of PROBE_QUEUE_SIZES.entries()) {
        await bench.write("queueSelect", index);
        expectEqual(`the size of queue ${index}`, await bench.read("queueSize"), size);
        await bench.write("queueAddress", 0x1234 + index);
      }
      await bench.write("queueSelect", 1);
      expectEqual("the address of queue 1", await bench.read("queueAddress"), 0x1235);
      await bench.write("queueSelect", PROBE_QUEUE_SIZES.length);
      expectEqual("the size of no queue", await bench.read("queueSize"), 0);
      await bench.write("driverFeatures", 2 ** 31 + 2 ** 29 + ANY_LAYOUT + 1);
      const taken = 2 ** 29 + ANY_LAYOUT + 1;
      expectEqual("the features taken", await bench.read("driverFeatures"), taken);
      await bench.write("deviceStatus", 3);
      expectEqual("the status", await bench.read("deviceStatus"), 3);
      await bench.write("deviceStatus", 0);
      expectEqual("the features after a reset", await bench.read("driverFeatures"), 0);
      expectEqual("the address after a reset", await bench.read("queueAddress"), 0);
      expectEqual("the status of another member", other.device.status, 0);
    },
  ),
  deviceCase(
    "legacy-single-field",
    "An access that is not of a single field fails with EINVAL and changes nothing.",
    [
      "legacy-access-device-3",
      "legacy-access-device-4",
      "legacy-access-device-5",
      "legacy-access-device-6",
    ],
    async (context) => {
      const bench = await context.legacyOwner();
      await bench.write("queueAddress", 5);
      const before = bench.state();
      for (const [read, write, accesses] of [
        [LEGACY.commonRead, LEGACY.commonWrite, ODD_COMMON_ACCESSES],
        [LEGACY.deviceRead, LEGACY.deviceWrite, ODD_CONFIG_ACCESSES],
      ] as const) {
        for (const [offset, length] of accesses) {
          const what = `${length} bytes at ${offset}`;
          const answer = await bench.send(read, [offset], length);
          expectAnswer(`opcode ${read}, ${what}`, answer, WIRE.einval, WIRE.invalidField);
          const bytes = new Array<number>(length).fill(0xff);
          const written = await bench.sendWrite(write, offset, bytes);
          expectAnswer(`opcode ${write}, ${what}`, written, WIRE.einval, WIRE.invalidField);
        }
      }
      expectEqual("the state of the members", bench.state(), before);
    },
  ),
  deviceCase(
    "legacy-padded",
    "Parts that are padded to a multiple of 8 bytes are served up to the end of the field.",
    ["legacy-access-device-2", "admin-vq-device-3", "admin-vq-device-7"],
    async (context) => {
      const bench = await context.legacyOwner();
      const [offset] = REGISTER.deviceStatus;
      const written = await bench.sendWrite(LEGACY.commonWrite, offset, [3, 0, 0, 0, 0, 0, 0, 0]);
      expectAnswer("a padded write", written, WIRE.ok, 0);
      const answer = await bench.send(LEGACY.commonRead, [offset, 0, 0, 0, 0, 0, 0, 0], 8);
      expectEqual("a padded read", answer.result, Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0));
      const longer = await bench.sendWrite(LEGACY.commonWrite, offset, [7, 0, 0, 0, 0, 0, 0, 1]);
      expectAnswer("a write of two registers", longer, WIRE.einval, WIRE.invalidField);
      expectEqual("the status", await bench.read("deviceStatus"), 3);
    },
  ),
  deviceCase(
    "legacy-configuration",
    "Fields of the configuration are read in parts, and written as far as the device type lets.",
    ["legacy-access-device-9", "legacy-access-device-10"],
    async (context) => {
      const bench = await context.legacyOwner();
      for (const [offset, length] of [
        [0, 1],
        [2, 2],
        [5, 2],
        [8, 8],
        [12, 4],
      ] as const) {
        const answer = await bench.send(LEGACY.deviceRead, [offset], length);
        const expected = PROBE_CONFIG.slice(offset, offset + length);
        expectEqual(`${length} bytes at ${offset}`, answer.result, expected);
      }
      const bytes = [0xa1, 0xa2, 0xa3, 0xa4];
      const written = await bench.sendWrite(LEGACY.deviceWrite, PROBE_WRITABLE, bytes);
      expectAnswer("a write before any status", written, WIRE.ok, 0);
      const { result } = await bench.send(LEGACY.deviceRead, [PROBE_WRITABLE], 4);
      expectEqual("what can be written", result, Uint8Array.of(0xa1, 0, 0, 0xa4));
    },
  ),
  deviceCase(
    "legacy-bring-up",
    "A legacy driver brings a member up, and uses queues that lie as the legacy layout says.",
    ["legacy-access-device-7", "legacy-access-device-8"],
    async (context) => {
      const bench = await context.legacyOwner();
      await bench.begin(ANY_LAYOUT);
      const rings = [await bench.place(0), await bench.place(1)];
      await bench.write("deviceStatus", DRIVER_OK);
      expectEqual("the status", await bench.read("deviceStatus"), DRIVER_OK);
      for (const [index, ring] of rings.entries()) {
        for (let round = 0; round < 2 * ring.size; round++) {
          await bench.echo(ring, () => bench.write("queueNotify", index));
          expectEqual("ISR status", await bench.read("isrStatus"), 1);
          expectEqual("ISR status, read again", await bench.read("isrStatus"), 0);
        }
      }
    },
  ),
  deviceCase(
    "legacy-early-use",
    "A legacy driver may use the device before DRIVER_OK; features are settled by that.",
    ["legacy-access-device-7"],
    async (context) => {
      const bench = await context.legacyOwner();
      const ring = await bench.place(0);
      await bench.echo(ring, () => bench.write("queueNotify", 0));
      await bench.write("driverFeatures", ANY_LAYOUT);
      expectEqual("the features", await bench.read("driverFeatures"), 0);
      await bench.write("deviceStatus", DRIVER_OK);
      await bench.echo(ring, () => bench.write("queueNotify", 0));
      expectEqual("how often the device type was started", bench.member.model.starts, 1);
    },
  ),
  deviceCase(
    "legacy-queue-stop",
    "The queue address 0 stops a queue; the status 0 stops all, whoever drives the device.",
    ["legacy-access-device-7"],
    async (context) => {
      const bench = await context.legacyOwner();
      await bench.begin();
      const ring = await bench.place(0);
      await bench.write("deviceStatus", DRIVER_OK);
      await bench.write("queueAddress", 0);
      ring.add([Uint8Array.of(1)], [1]);
      await bench.write("queueNotify", 0);
      expectEqual("what a stopped queue used", ring.takeUsed(), []);
      const again = await bench.place(0);
      await bench.echo(again, () => bench.write("queueNotify", 0));
      await bench.write("deviceStatus", 0);
      again.add([Uint8Array.of(1)], [1]);
      await bench.write("queueNotify", 0);
      expectEqual("what was used after a reset", again.takeUsed(), []);
      bench.member.device.writeStatus(3);
      await bench.write("deviceStatus", 0x80);
      expectEqual("the status that another driver set", await bench.read("deviceStatus"), 3);
      await bench.write("deviceStatus", 0);
      expectEqual("the status after a reset", await bench.read("deviceStatus"), 0);
    },
  ),
  deviceCase(
    "legacy-needs-reset",
    "A queue address outside memory, or a broken ring, leaves a device that only a reset helps.",
    ["legacy-access-device-7"],
    async (context) => {
      const bench = await context.legacyOwner();
      await bench.begin();
      await bench.write("queueAddress", 0xffffffff);
      await bench.write("deviceStatus", DRIVER_OK);
      expectEqual("the status", await bench.read("deviceStatus"), DRIVER_OK | NEEDS_RESET);
      await bench.begin();
      const ring = await bench.place(0);
      await bench.write("deviceStatus", DRIVER_OK);
      ring.offer(ring.size);
      ring.publish();
      await bench.write("queueNotify", 0);
      expectEqual("the status", await bench.read("deviceStatus"), DRIVER_OK | NEEDS_RESET);
      await bench.begin();
      const sound = await bench.place(1);
      await bench.write("deviceStatus", DRIVER_OK);
      await bench.echo(sound, () => bench.write("queueNotify", 1));
    },
  ),
  deviceCase(
    "legacy-notify-places",
    "Every place that LEGACY_NOTIFY_INFO names notifies of the queue whose index is written.",
    [
      "legacy-access-device-13",
      "legacy-access-device-15",
      "legacy-access-device-16",
      "legacy-access-device-17",
    ],
    async (context) => {
      const bench = await context.legacyOwner();
      const answer = await bench.send(LEGACY.notifyInfo, [], 64);
      expectAnswer("LEGACY_NOTIFY_INFO", answer, WIRE.ok, 0);
      expectEqual("the flags of the last entry", answer.result[48], 0);
      const places = placesOf(answer.result);
      expectTrue("there is a place", places.length > 0);
      await bench.begin();
      const rings = [await bench.place(0), await bench.place(1), await bench.place(2)];
      await bench.write("deviceStatus", DRIVER_OK);
      for (const place of places) {
        expectTrue(`BAR ${place.bar} is 1 to 5`, place.bar >= 1 && place.bar <= 5);
        expectEqual("the offset modulo 2", place.offset % 2, 0);
        for (const [index, ring] of rings.entries()) {
          const elsewhere = (index + 1) % rings.length;
          await bench.echo(ring, () => {
            bench.notifyAt(place, elsewhere);
            expectEqual("used without its notification", ring.usedIndex, ring.availableIndex - 1);
            bench.notifyAt(place, index);
          });
        }
      }
      expectEqual("buffers of another member", bench.other.model.popped, 0);
    },
  ),
  driverCase(
    "driver-legacy-access",
    "The driver sends whole registers, little-endian, and pads both parts of its commands.",
    [
      "legacy-access-driver-1",
      "legacy-access-driver-2",
      "legacy-access-driver-3",
      "admin-vq-driver-3",
    ],
    async (context) => {
      const { client, requests } = await commanding(context, (readable) =>
        (readable[0] ?? 0) === LEGACY.commonRead
          ? concat([STATUS_OK, Uint8Array.of(0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0)])
          : STATUS_OK,
      );
      const legacy = new LegacyAccessClient(client);
      const unchecked = { unchecked: true };
      const value = await legacy.readCommon(3, { offset: 8, width: 4 }, unchecked);
      expectEqual("the value read", value, 0x12345678);
      await legacy.writeCommon(3, { offset: 14, width: 2 }, 0xabcd, unchecked);
      await legacy.writeDevice(3, 16, Uint8Array.of(1, 2, 3, 4), unchecked);
      expectEqual(
        "the commands",
        requests.map(({ readable }) => readable.slice(24)),
        [
          Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0),
          Uint8Array.of(14, 0, 0, 0, 0, 0, 0, 0, 0xcd, 0xab, 0, 0, 0, 0, 0, 0),
          Uint8Array.of(16, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0),
        ],
      );
      expectEqual(
        "opcodes, group types and members",
        requests.map(({ readable }) => [readable[0], readable[2], readable[16]]),
        [
          [LEGACY.commonRead, 1, 3],
          [LEGACY.commonWrite, 1, 3],
          [LEGACY.deviceWrite, 1, 3],
        ],
      );
    },
  ),
  driverCase(
    "driver-legacy-notify-places",
    "The driver takes no place after the end of the list, nor one that is not in a BAR.",
    ["legacy-access-driver-5", "legacy-access-driver-6", "legacy-access-driver-7"],
    async (context) => {
      const entry = (flags: number, bar: number, offset: bigint) =>
        encode(LEGACY_NOTIFY_ENTRY, { flags, bar, offset });
      const lists = [
        [entry(3, 2, 0n), entry(2, 2, 3n), entry(2, 2, 0x1000n), entry(2, 2, 0xffen)],
        [entry(1, 2, 2n), entry(0, 0, 0n), entry(2, 2, 0n), entry(2, 2, 0n)],
        [entry(2, 0, 0n), entry(2, 6, 0n), entry(2, 4, 0n), entry(2, 2, 2n ** 63n)],
      ];
      let next = 0;
      const { client } = await commanding(context, () =>
        concat([STATUS_OK, ...(lists[next++] ?? [])]),
      );
      const legacy = new LegacyAccessClient(client);
      const bars = {
        member: (bar: number) => (bar === 2 || bar === 0 ? 0x1000 : 0),
        owner: (bar: number) => (bar === 2 ? 0x10 : 0),
      };
      const found = [];
      for (let i = 0; i < lists.length; i++) {
        const places = await legacy.notifyPlaces(1, bars, { unchecked: true });
        found.push(places.map(({ of, bar, offset }) => `${of} ${bar} ${offset}`));
      }
      expectEqual("the places", found, [["member 2 4094"], ["owner 2 2"], []]);
    },
  ),
];

/** Accesses of the common configuration, as offset and length. */
const ODD_COMMON_ACCESSES: readonly (readonly [number, number])[] = [
  [0, 5],
  [0, COMMON_END],
  [2, 4],
  [11, 2],
  [18, 2],
  [19, 2],
  [COMMON_END, 1],
  [0xff, 1],
  [8, 0],
];
/** Accesses of the configuration of the probe. */
const ODD_CONFIG_ACCESSES: readonly (readonly [number, number])[] = [
  [0, 2],
  [1, 3],
  [2, 3],
  [7, 2],
  [8, 9],
  [15, 2],
  [CONFIG_END - 1, 2],
  [CONFIG_END, 1],
  [0xff, 1],
  [16, 0],
];
