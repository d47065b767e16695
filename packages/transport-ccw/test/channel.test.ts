/** Channel programs: vectors in hex against a device, and what a hostile program comes to. */
import { createGuestMemory } from "@virtio-admin/core";
import {
  CHANNEL_PROGRAM_LIMIT,
  type ChannelOperation,
  type ChannelUnit,
  encodeIrb,
  runChannelProgram,
} from "@virtio-admin/transport-ccw";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  brief,
  CE_DE,
  ccw0,
  ccw1,
  DATA,
  FLAGS,
  hex,
  INCORRECT_LENGTH,
  MEMORY_BASE,
  MEMORY_LENGTH,
  makeRig,
  PROGRAM,
  PROGRAM_CHECK,
  UNIT_CHECK,
  unhex,
} from "./rig.ts";

const FORMAT_0 = 0x00008000;
const FORMAT_1 = 0x00808000;
const WIDE_INDIRECT = 0x00020000;
const SMALL_BLOCKS = 0x00010000;

/** A device with a read (0x02), a write (0x01) and a control (0x07) of 8 bytes, and one refusal. */
function makeUnit() {
  const written: string[] = [];
  const operation = (name: string, output: boolean, run: ChannelOperation["run"]) => ({
    name,
    length: 8,
    input: output ? 0 : 8,
    output,
    run,
  });
  const unit: ChannelUnit = {
    operation: (command) => {
      if (command === 0x02) return operation("read", true, () => unhex("a0a1a2a3a4a5a6a7"));
      if (command === 0x05) return operation("refuse", false, () => undefined);
      if (command !== 0x01 && command !== 0x07) return undefined;
      return operation("write", false, (input) => {
        written.push(hex(input));
        return new Uint8Array(0);
      });
    },
  };
  return { unit, written };
}

function makeChannel() {
  const bytes = new Uint8Array(MEMORY_LENGTH);
  const memory = createGuestMemory([{ base: MEMORY_BASE, bytes }]);
  const { unit, written } = makeUnit();
  const put = (address: number, text: string) => memory.write(address, unhex(text));
  const get = (address: number, length: number) =>
    hex(bytes.subarray(address - MEMORY_BASE, address - MEMORY_BASE + length));
  const run = (program: string, control = FORMAT_1, at = PROGRAM) => {
    put(PROGRAM, program);
    const orb = new DataView(new ArrayBuffer(12));
    orb.setUint32(4, control);
    orb.setUint32(8, at);
    return runChannelProgram(memory, new Uint8Array(orb.buffer), unit);
  };
  return { memory, put, get, run, written };
}

const CUT = UNIT_CHECK | CE_DE;

describe("length rules", () => {
  // command, flags, count → device status, subchannel status, residual, what was moved
  it.each([
    ["read, exact", 0x02, 0, 8, CE_DE, 0, 0, "a0a1a2a3a4a5a6a7"],
    ["read, exact, suppressed", 0x02, FLAGS.SLI, 8, CE_DE, 0, 0, "a0a1a2a3a4a5a6a7"],
    ["read, long", 0x02, 0, 10, CE_DE, INCORRECT_LENGTH, 2, "a0a1a2a3a4a5a6a7ffff"],
    ["read, long, suppressed", 0x02, FLAGS.SLI, 10, CE_DE, 0, 2, "a0a1a2a3a4a5a6a7ffff"],
    ["read, short", 0x02, 0, 3, CE_DE, INCORRECT_LENGTH, 0, "a0a1a2ff"],
    ["read, short, suppressed", 0x02, FLAGS.SLI, 3, CE_DE, 0, 0, "a0a1a2ff"],
    ["read, nothing, suppressed", 0x02, FLAGS.SLI, 0, CE_DE, 0, 0, "ffff"],
    ["read, skipped", 0x02, FLAGS.SKIP, 8, CE_DE, 0, 0, "ffffffffffffffff"],
  ])(
    "[ccw-basic-device-2] [ccw-basic-device-4] %s",
    (_name, command, flags, count, device, subchannel, residual, data) => {
      const { put, get, run } = makeChannel();
      put(DATA, "ff".repeat(16));
      expect(brief(run(ccw1(command, flags, count, DATA)))).toEqual([device, subchannel, residual]);
      expect(get(DATA, data.length / 2)).toBe(data);
    },
  );

  it.each([
    ["write, exact", 0x01, 0, 8, CE_DE, 0, 0, true],
    ["control, exact", 0x07, 0, 8, CE_DE, 0, 0, true],
    ["write, long", 0x01, 0, 11, CE_DE, INCORRECT_LENGTH, 3, false],
    ["write, long, suppressed", 0x01, FLAGS.SLI, 11, CE_DE, 0, 3, true],
    ["write, short", 0x01, 0, 7, CE_DE, INCORRECT_LENGTH, 0, false],
    ["write, short, suppressed", 0x01, FLAGS.SLI, 7, CUT, 0, 0, false],
    ["write, nothing, suppressed", 0x01, FLAGS.SLI, 0, CUT, 0, 0, false],
    ["write, skip is for reads", 0x01, FLAGS.SKIP, 8, CE_DE, 0, 0, true],
  ])(
    "[ccw-basic-device-2] [ccw-basic-device-3] [ccw-basic-device-4] %s",
    (_name, command, flags, count, device, subchannel, residual, acts) => {
      const { put, run, written } = makeChannel();
      put(DATA, "000102030405060708090a0b");
      const ending = run(ccw1(command, flags, count, DATA));
      expect(brief(ending)).toEqual([device, subchannel, residual]);
      expect(written).toEqual(acts ? ["0001020304050607"] : []);
      expect(hex(ending.sense)).toBe((device & UNIT_CHECK) !== 0 ? `80${"00".repeat(31)}` : "");
    },
  );
});

describe("refusals", () => {
  it("[ccw-basic-device-1] an unknown command is a unit check with command reject", () => {
    const ending = makeChannel().run(ccw1(0x55, 0, 4, DATA));
    expect(brief(ending)).toEqual([UNIT_CHECK, 0, 4]);
    expect(ending.sense[0]).toBe(0x80);
  });

  it("a command that the device refuses after its data is a unit check with channel end", () => {
    const ending = makeChannel().run(ccw1(0x05, 0, 8, DATA));
    expect(brief(ending)).toEqual([CUT, 0, 0]);
    expect(ending.sense[0]).toBe(0x80);
  });

  it.each([
    ["a program that is not aligned", ccw1(0x02, 0, 8, DATA), FORMAT_1, PROGRAM + 4, PROGRAM + 12],
    ["a program outside memory", "", FORMAT_1, 0x8000, 0x8008],
    ["a program beyond 31 bits", "", FORMAT_1, 0x80000000, 8],
    ["a format-0 program beyond 24 bits", "", FORMAT_0, 0x1000000, 0x1000008],
    ["a command code without a command", ccw1(0x20, 0, 8, DATA), FORMAT_1, PROGRAM, PROGRAM + 8],
    ["the suspend flag", ccw1(0x02, FLAGS.S, 8, DATA), FORMAT_1, PROGRAM, PROGRAM + 8],
    ["modified indirect data", ccw1(0x02, 0x01, 8, DATA), FORMAT_1, PROGRAM, PROGRAM + 8],
    ["a data address beyond 31 bits", ccw1(0x02, 0, 8, 0x80000000), FORMAT_1, PROGRAM, PROGRAM + 8],
    ["a format-0 count of zero", ccw0(0x02, 0, 0, DATA), FORMAT_0, PROGRAM, PROGRAM + 8],
    ["a transfer in channel first", ccw1(0x08, 0, 0, PROGRAM), FORMAT_1, PROGRAM, PROGRAM + 8],
    ["a transport-mode program", ccw1(0x02, 0, 8, DATA), FORMAT_1 | 0x40000, PROGRAM, PROGRAM + 8],
  ])("%s is a program check before the device is asked", (_name, program, control, at, address) => {
    const ending = makeChannel().run(program, control, at);
    expect([...brief(ending), ending.ccwAddress]).toEqual([0, PROGRAM_CHECK, 0, address]);
  });

  it.each([
    ["a read", 0x02, MEMORY_BASE + MEMORY_LENGTH - 4],
    ["a write", 0x01, MEMORY_BASE - 4],
  ])(
    "the data of %s outside memory is a program check that moves nothing",
    (_name, command, at) => {
      const { get, run, written } = makeChannel();
      expect(brief(run(ccw1(command, 0, 8, at)))).toEqual([CE_DE, PROGRAM_CHECK, 8]);
      expect(written).toEqual([]);
      expect(get(MEMORY_BASE + MEMORY_LENGTH - 4, 4)).toBe("00000000");
    },
  );

  it("a short operation request block is a program check", () => {
    const { memory } = makeChannel();
    const ending = runChannelProgram(memory, new Uint8Array(11), makeUnit().unit);
    expect(brief(ending)).toEqual([0, PROGRAM_CHECK, 0]);
  });
});

describe("chaining", () => {
  it("runs command after command, in both formats", () => {
    for (const [ccw, control] of [
      [ccw1, FORMAT_1],
      [ccw0, FORMAT_0],
    ] as const) {
      const { put, get, run, written } = makeChannel();
      put(DATA, "0001020304050607");
      const program = ccw(0x01, FLAGS.CC, 8, DATA) + ccw(0x02, 0, 8, DATA + 16);
      const ending = run(program, control);
      expect([...brief(ending), ending.ccwAddress]).toEqual([CE_DE, 0, 0, PROGRAM + 16]);
      expect(written).toEqual(["0001020304050607"]);
      expect(get(DATA + 16, 8)).toBe("a0a1a2a3a4a5a6a7");
    }
  });

  it("ends at an incorrect length, and goes on where that is suppressed", () => {
    const { run } = makeChannel();
    const second = ccw1(0x02, 0, 8, DATA);
    const stopped = run(ccw1(0x02, FLAGS.CC, 9, DATA) + second);
    expect([...brief(stopped), stopped.ccwAddress]).toEqual([
      CE_DE,
      INCORRECT_LENGTH,
      1,
      PROGRAM + 8,
    ]);
    const whole = run(ccw1(0x02, FLAGS.CC | FLAGS.SLI, 9, DATA) + second);
    expect([...brief(whole), whole.ccwAddress]).toEqual([CE_DE, 0, 0, PROGRAM + 16]);
  });

  it("ends at a unit check", () => {
    const { run, written } = makeChannel();
    const ending = run(ccw1(0x55, FLAGS.CC, 1, DATA) + ccw1(0x01, 0, 8, DATA));
    expect(ending.ccwAddress).toBe(PROGRAM + 8);
    expect(written).toEqual([]);
  });

  it("gathers and scatters a chained data area; later command codes are ignored", () => {
    const { put, get, run, written } = makeChannel();
    put(DATA, "000102");
    put(DATA + 0x100, "0304050607");
    const pieces = (command: number) =>
      ccw1(command, FLAGS.CD, 3, DATA) + ccw1(0x00, 0, 5, DATA + 0x100);
    expect(brief(run(pieces(0x01)))).toEqual([CE_DE, 0, 0]);
    expect(written).toEqual(["0001020304050607"]);
    expect(brief(run(pieces(0x02)))).toEqual([CE_DE, 0, 0]);
    expect(get(DATA, 3) + get(DATA + 0x100, 5)).toBe("a0a1a2a3a4a5a6a7");
  });

  // The flags and counts of two CCWs → subchannel status, residual, CCWs used.
  it.each([
    ["too long in the last", FLAGS.CD, 4, 0, 6, INCORRECT_LENGTH, 2, 2],
    ["too long in the last, suppressed", FLAGS.CD, 4, FLAGS.SLI, 6, 0, 2, 2],
    [
      "over in the first: not suppressible",
      FLAGS.CD | FLAGS.SLI,
      9,
      FLAGS.SLI,
      6,
      INCORRECT_LENGTH,
      1,
      1,
    ],
    ["over at the end of the first", FLAGS.CD, 8, FLAGS.SLI, 6, 0, 6, 2],
    ["too short", FLAGS.CD, 4, 0, 3, INCORRECT_LENGTH, 0, 2],
    ["too short, suppressed", FLAGS.CD, 4, FLAGS.SLI, 3, 0, 0, 2],
  ])(
    "[ccw-basic-device-2] a chained data area, %s",
    (_name, flags, count, flags2, count2, subchannel, residual, used) => {
      const ending = makeChannel().run(
        ccw1(0x02, flags, count, DATA) + ccw1(0x02, flags2, count2, DATA + 0x100),
      );
      expect([...brief(ending), ending.ccwAddress]).toEqual([
        CE_DE,
        subchannel,
        residual,
        PROGRAM + 8 * used,
      ]);
    },
  );

  it("chains no CCW without data", () => {
    const { run } = makeChannel();
    expect(brief(run(ccw1(0x02, FLAGS.CD, 8, DATA) + ccw1(0, 0, 0, DATA)))).toEqual([
      0,
      PROGRAM_CHECK,
      0,
    ]);
    expect(brief(run(ccw1(0x02, FLAGS.CD, 0, DATA) + ccw1(0, 0, 8, DATA)))).toEqual([
      0,
      PROGRAM_CHECK,
      0,
    ]);
  });

  it("transfers in channel, between commands and inside a data area", () => {
    const { put, get, run } = makeChannel();
    put(PROGRAM + 0x100, ccw1(0x02, 0, 5, DATA + 3));
    const program = ccw1(0x02, FLAGS.CD, 3, DATA) + ccw1(0x08, 0, 0, PROGRAM + 0x100);
    expect(brief(run(program))).toEqual([CE_DE, 0, 0]);
    expect(get(DATA, 8)).toBe("a0a1a2a3a4a5a6a7");
    const chained = ccw1(0x02, FLAGS.CC, 8, DATA) + ccw1(0x08, 0, 0, PROGRAM + 0x100);
    expect(brief(run(chained))).toEqual([CE_DE, INCORRECT_LENGTH, 0]);
  });

  it.each([
    ["to another transfer", ccw1(0x08, 0, 0, PROGRAM + 16) + ccw1(0x08, 0, 0, PROGRAM)],
    ["to an unaligned address", ccw1(0x08, 0, 0, PROGRAM + 4)],
    ["with flags in format 1", ccw1(0x08, FLAGS.CC, 0, PROGRAM)],
    ["with a high nibble in format 1", ccw1(0x18, 0, 0, PROGRAM)],
  ])("refuses a transfer in channel %s", (_name, transfer) => {
    const ending = makeChannel().run(ccw1(0x02, FLAGS.CC, 8, DATA) + transfer);
    expect(brief(ending)).toEqual([0, PROGRAM_CHECK, 0]);
  });

  it("takes any xxxx1000 for a transfer in format 0", () => {
    const { put, run } = makeChannel();
    put(PROGRAM + 0x100, ccw0(0x02, 0, 8, DATA));
    const program = ccw0(0x02, FLAGS.CC, 8, DATA) + ccw0(0xf8, 0xff, 9, PROGRAM + 0x100);
    expect(brief(run(program, FORMAT_0))).toEqual([CE_DE, 0, 0]);
  });

  it("stops a program that loops", () => {
    const { run, written } = makeChannel();
    const ending = run(ccw1(0x01, FLAGS.CC, 8, DATA) + ccw1(0x08, 0, 0, PROGRAM));
    expect(brief(ending)).toEqual([0, PROGRAM_CHECK, 0]);
    expect(written.length).toBe(CHANNEL_PROGRAM_LIMIT / 2);
    const data = run(ccw1(0x01, FLAGS.CD, 8, DATA) + ccw1(0x08, 0, 0, PROGRAM));
    expect(brief(data)).toEqual([0, PROGRAM_CHECK, 0]);
  });

  it("tells of a program-controlled interruption in the ending", () => {
    expect(brief(makeChannel().run(ccw1(0x02, FLAGS.PCI, 8, DATA)))).toEqual([CE_DE, 0x80, 0]);
  });
});

describe("indirect data addresses", () => {
  it("of format 1: 32 bits, 2 KiB blocks", () => {
    const { put, get, run } = makeChannel();
    put(DATA, "00013ffc00014800");
    expect(brief(run(ccw1(0x02, FLAGS.IDA, 8, DATA)))).toEqual([CE_DE, 0, 0]);
    expect(get(0x13ffc, 4) + get(0x14800, 4)).toBe("a0a1a2a3a4a5a6a7");
  });

  it.each([
    ["4 KiB", WIDE_INDIRECT, "000000000001effd0000000000020000", 0x1effd],
    ["2 KiB", WIDE_INDIRECT | SMALL_BLOCKS, "00000000000147fd0000000000030800", 0x147fd],
  ])("of format 2: 64 bits, %s blocks", (_name, control, list, first) => {
    const { put, get, run } = makeChannel();
    put(DATA, list);
    expect(brief(run(ccw1(0x02, FLAGS.IDA, 8, DATA), FORMAT_1 | control))).toEqual([CE_DE, 0, 0]);
    const second = Number.parseInt(list.slice(16), 16);
    expect(get(first, 3) + get(second, 5)).toBe("a0a1a2a3a4a5a6a7");
  });

  it.each([
    ["a list that is not aligned", DATA + 2, ""],
    ["a list outside memory", 0x8000, ""],
    ["a second address inside a block", DATA, "00013ffc00014804"],
    ["an address beyond 31 bits", DATA, "80013000"],
    ["an address outside memory", DATA, "00001000"],
  ])("%s is a program check", (_name, at, list) => {
    const { put, run } = makeChannel();
    put(DATA, list);
    expect(brief(run(ccw1(0x02, FLAGS.IDA, 8, at)))).toEqual([CE_DE, PROGRAM_CHECK, 8]);
  });
});

describe("the interruption response block", () => {
  it.each([
    ["success", ccw1(0x02, 0, 8, DATA), "00804007000100080c000000", "00000000", "00"],
    ["a long read", ccw1(0x02, 0, 11, DATA), "00804017000100080c400003", "00000000", "00"],
    // Concurrent sense: the extended-control bit, and 32 bytes in the extended report word.
    ["a reject", ccw1(0x55, 0, 8, DATA), "008240170001000802000008", "01200000", "80"],
  ])("of %s", (_name, program, scsw, report, sense) => {
    const irb = encodeIrb(makeChannel().run(program));
    expect(irb.length).toBe(64);
    expect(hex(irb.subarray(0, 12))).toBe(scsw);
    expect(hex(irb.subarray(12))).toBe(
      ["00000000", report, "00".repeat(12), sense, "00".repeat(31)].join(""),
    );
  });
});

describe("hostile programs", () => {
  const word = fc.record({
    command: fc.oneof(
      fc.constantFrom(0x03, 0x04, 0x08, 0xe4, 0x83, 0x33, 0x12, 0x11, 0x22, 0x21, 0x31, 0x32),
      fc.constantFrom(0x72, 0x13, 0x43, 0x53, 0x73, 0x92),
      fc.nat(0xff),
    ),
    flags: fc.oneof(fc.constantFrom(0, 0x20, 0x40, 0x60, 0x80, 0xa0), fc.nat(0xff)),
    count: fc.oneof(fc.constantFrom(0, 1, 4, 5, 8, 25, 32), fc.nat(0xffff)),
    address: fc.oneof(
      fc.integer({ min: MEMORY_BASE, max: MEMORY_BASE + 0x2000 }),
      fc.constantFrom(PROGRAM, PROGRAM + 8, DATA),
      fc.nat(0xffffffff),
    ),
  });

  it("never throw, and end within the bound", () => {
    fc.assert(
      fc.property(
        fc.array(word, { minLength: 1, maxLength: 40 }),
        fc.uint8Array({ minLength: 0, maxLength: 64 }),
        fc.constantFrom(FORMAT_0, FORMAT_1, FORMAT_1 | WIDE_INDIRECT),
        (words, data, control) => {
          const rig = makeRig();
          rig.command(0x83, "00030000");
          const text = words.map(({ command, flags, count, address }) =>
            control === FORMAT_0
              ? ccw0(command, flags, count, address % 2 ** 24)
              : ccw1(command, flags, count, address),
          );
          rig.memory.write(DATA, data);
          const ending = rig.run(text.join(""), control);
          expect(ending.conditionCode).toBe(0);
          expect(ending.residual).toBeGreaterThanOrEqual(0);
          expect(ending.residual).toBeLessThanOrEqual(0xffff);
          expect([0, UNIT_CHECK, CE_DE, CUT]).toContain(ending.deviceStatus);
          expect(ending.sense.length > 0).toBe((ending.deviceStatus & UNIT_CHECK) !== 0);
          expect(rig.trace.events.filter(({ op }) => op === "ccw").length).toBeLessThanOrEqual(
            CHANNEL_PROGRAM_LIMIT + 1,
          );
          expect(encodeIrb(ending).length).toBe(64);
        },
      ),
      { numRuns: 400 },
    );
  });

  it("of random bytes never throw", () => {
    const bytes = fc.uint8Array({ minLength: 0, maxLength: 512 });
    fc.assert(
      fc.property(bytes, fc.uint8Array({ minLength: 0, maxLength: 40 }), (program, orb) => {
        const rig = makeRig();
        rig.memory.write(PROGRAM, program);
        const block = Uint8Array.from(orb);
        if (block.length >= 12) new DataView(block.buffer).setUint32(8, PROGRAM);
        expect(() => rig.subchannel.startSubchannel(block)).not.toThrow();
      }),
      { numRuns: 300 },
    );
  });
});
