/** Every command that Linux can send for a member, sent by a module in the guest. */
import {
  DEV_MODE_SET,
  DEV_PARTS_GET,
  DEV_PARTS_METADATA_GET,
  DEV_PARTS_SET,
  type DeviceGroup,
  isLegacyGroup,
  LEGACY_COMMON_CFG_READ,
  LEGACY_COMMON_CFG_WRITE,
  LEGACY_DEV_CFG_READ,
  LEGACY_DEV_CFG_WRITE,
  LEGACY_NOTIFY_INFO,
  type LegacyNotifyPlace,
  resourceObjectCommands,
  SR_IOV_GROUP,
} from "@virtio-admin/core";
import { MEMBER_SECTORS, ownerParts } from "@virtio-admin/fixtures";
import { buildModule } from "../guest/build-module.ts";
import type { GuestResult } from "../guest/lines.ts";
import { type Served, serve } from "../served/function.ts";
import { STEP_TIME, withGuest } from "./boot.ts";
import { linuxOnOurs } from "./covered.ts";
import { MEMBERS, OWNER } from "./entropy.ts";
import { type Cell, expect } from "./types.ts";

/** Not the first, so that a wrong number shows. */
const MEMBER = 3;
const ACKNOWLEDGED = 3;
const QUEUE_SIZE = 256;
const ENXIO = 6;
/** Results are padded to multiples of it. */
const RESULT_UNIT = 8;

/** Where a member like the others is notified, by a driver from before virtio 1.0. */
const PLACE = placeOf(ownerParts(MEMBERS).groups);

/** What the module is to say: the result of a call, and its value where that is known here. */
const EXPECTED: readonly (readonly [what: string, result: number, value?: number])[] = [
  ["vf-number", MEMBER - 1],
  ["has-legacy", 1],
  ["has-parts", 1],
  ["legacy-common-write", 0],
  ["legacy-common-read", 0, ACKNOWLEDGED],
  ["legacy-queue-size", 0, QUEUE_SIZE],
  ["legacy-device-read", 0, MEMBER_SECTORS],
  ["legacy-device-write", 0],
  ["legacy-device-again", 0, MEMBER_SECTORS],
  ["legacy-notify-bar", 0, PLACE.bar],
  ["legacy-notify-offset", 0, PLACE.offset],
  ["legacy-reset", 0],
  ["object-get-create", 0],
  ["object-set-create", 0],
  ["mode-stop", 0],
  ["parts-size", 0],
  ["parts-get", 0],
  ["parts-set", 0],
  ["mode-resume", 0],
  ["object-get-destroy", 0],
  ["object-set-destroy", 0],
  ["object-again", -ENXIO],
];

const OPCODES = [
  LEGACY_COMMON_CFG_WRITE,
  LEGACY_COMMON_CFG_READ,
  LEGACY_DEV_CFG_WRITE,
  LEGACY_DEV_CFG_READ,
  LEGACY_NOTIFY_INFO,
  resourceObjectCommands().CREATE,
  resourceObjectCommands().DESTROY,
  DEV_PARTS_METADATA_GET,
  DEV_PARTS_GET,
  DEV_PARTS_SET,
  DEV_MODE_SET,
];

/** Tells what the module said. */
export const TELL_MODULE = `
dmesg | grep 'member_commands says ' | while read line; do
  set -- \${line#*member_commands says }
  tell command what=$1 result=$2 value=$3
done
`;

/** Commands for members. */
export const MEMBER_COMMANDS: Cell = {
  name: "member-commands",
  needs: "the newest Linux, its headers and a compiler; root",
  checks: "Linux sends each command that it has for a member, and gets the right answer",
  covers: linuxOnOurs("pci", "entropy", ["bring-up", "admin commands"]),
  run: async (bench) => {
    bench.progress("the module is built");
    const module = await buildModule(await bench.environment.toolchain(), "member_commands");
    const served = await serve({ device: OWNER, ...bench.recording });
    const boot = {
      linux: "newest",
      sockets: [{ path: served.socket }],
      modules: ["virtio-rng"],
      script: `insmod /modules/${module.name} member=${MEMBER}\n${TELL_MODULE}`,
      files: new Map([[`modules/${module.name}`, module.bytes]]),
    } as const;
    try {
      const said = await withGuest(bench, boot, async (guest) => {
        const results: GuestResult[] = [];
        for (const _ of EXPECTED) results.push(await guest.result("command", STEP_TIME));
        await guest.result("end", STEP_TIME);
        await guest.poweredOff(STEP_TIME);
        return results;
      });
      expectSaid(said);
      expectServed(served);
      return [
        `${EXPECTED.length} calls, ${OPCODES.length} opcodes, ${member(served).length} commands`,
      ];
    } finally {
      await served.close();
    }
  },
};

function placeOf(groups: readonly DeviceGroup[]): LegacyNotifyPlace {
  const group = groups.find(isLegacyGroup);
  const place = group?.legacyMember(MEMBER)?.notifyPlaces.find(({ of }) => of === "member");
  expect(place !== undefined, "members have no place for legacy notifications");
  return place;
}

function expectSaid(said: readonly GuestResult[]): void {
  for (const [i, [what, result, value]] of EXPECTED.entries()) {
    const fields = said[i]?.fields ?? {};
    const told = `${fields["what"]} ${fields["result"]} ${fields["value"]}`;
    const wanted = `${what} ${result} ${value ?? fields["value"]}`;
    expect(told === wanted, `the module says "${told}", and "${wanted}" is right`);
  }
  const value = (name: string) =>
    said.find(({ fields }) => fields["what"] === name)?.fields["value"];
  const size = Number(value("parts-size"));
  // Linux counts what pads the result, too, and sends it back with the parts.
  const padded = Math.ceil(size / RESULT_UNIT) * RESULT_UNIT;
  const got = value("parts-get");
  expect(size > 0, "the member has no parts");
  expect(Number(got) === padded, `the parts have ${got} bytes, and ${size} was said`);
}

function expectServed(served: Served): void {
  const { counted } = served;
  expect(counted.broken.length === 0, `the device is broken: ${counted.broken.join(", ")}`);
  const commands = member(served);
  for (const { opcode, name } of OPCODES) {
    const sent = commands.filter((command) => command.opcode === opcode);
    expect(sent.length > 0, `${name} was never sent`);
    expect(
      sent.some(({ status }) => status === 0),
      `${name} never succeeded`,
    );
  }
  const refused = commands.filter(({ status }) => status !== 0);
  expect(refused.length === 1, `${refused.map(({ name }) => name).join(", ")} were refused`);
}

/** The commands for the member. */
function member({ counted }: Served) {
  return counted.commands.filter(
    ({ group, member: id }) => group === SR_IOV_GROUP.id && id === MEMBER,
  );
}
