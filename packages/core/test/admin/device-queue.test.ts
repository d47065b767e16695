import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AdminMailbox, AdminQueues, OUTCOME } from "../../src/admin/index.ts";
import { STATUS } from "../../src/device/index.ts";
import { AdminRig, answerOf, GROUPS, hex, OP, request, settle, TestFamily } from "./rig.ts";

function ready(options: ConstructorParameters<typeof AdminRig>[0] = {}): AdminRig {
  const rig = new AdminRig(options);
  rig.useAll(GROUPS.self);
  return rig;
}

const echo = (data: number[]) => request(OP.ECHO, GROUPS.self, 0, new Uint8Array(data));
const wait = (tag: number) => request(OP.WAIT, GROUPS.self, 0, new Uint8Array([tag]));

describe("truncation and zero extension", () => {
  it.each([
    ["[admin-vq-device-1+] a missing readable part", 0, 64, 48, "0000 0000 00000000"],
    ["[admin-vq-device-1+] half a header", 3, 64, 48, "0000 0000 00000000"],
    ["[admin-vq-device-1+] no data", 24, 64, 16, "0000 0000 00000000 00000000 00000000"],
    ["[admin-vq-device-2+] no writable part", 32, 0, 0, ""],
    ["[admin-vq-device-2+] two bytes", 32, 2, 2, "0000"],
    ["[admin-vq-device-2+] [admin-vq-device-9+] four bytes", 32, 4, 4, "00000000"],
    ["[admin-vq-device-2+] Linux's ten bytes", 32, 10, 10, "0000 0000 00000000 0102"],
    [
      "[admin-vq-device-5+] [admin-vq-device-8+] a whole result",
      32,
      16,
      16,
      "00000000000000000102030405060708",
    ],
  ])("%s", (_, readable, writableLength, used, start) => {
    const rig = ready();
    const whole = readable < 24 ? new Uint8Array(24) : echo([1, 2, 3, 4, 5, 6, 7, 8]);
    const answer = rig.send({ readable: whole.subarray(0, readable), writableLength });
    expect(answer?.used).toBe(used);
    expect(hex(answer!.bytes)).toMatch(new RegExp(`^${start.replaceAll(" ", "")}`));
    expect([...answer!.bytes.subarray(used)].every((byte) => byte === 0xa5)).toBe(true);
  });

  it("[admin-vq-device-3+] [admin-vq-device-4+] takes no notice of what is beyond the structures", () => {
    const rig = ready();
    const data = Array.from({ length: 3000 }, (_, i) => i & 255);
    const answer = rig.send({ readable: echo(data), writableLength: 2000 });
    expect(answer?.used).toBe(8 + 24);
    expect(hex(answer!.bytes.subarray(8, 32))).toBe(hex(new Uint8Array(data.slice(0, 24))));
    expect(answer!.bytes.subarray(32).every((byte) => byte === 0xa5)).toBe(true);
  });

  it("[admin-vq-device-6+] writes an empty result of a command that fails", () => {
    const rig = ready();
    const answer = rig.send({ readable: request(OP.THROW, 0, 0), writableLength: 32 });
    expect(hex(answer!.bytes)).toBe(`0500010000000000${"00".repeat(8)}${"a5".repeat(16)}`);
    expect(answer?.used).toBe(16);
  });

  const LISTED = `${"00".repeat(8)}030000007f000000${"00".repeat(24)}0100000000000000`;
  const DONE = "00".repeat(8);
  const DATA = new Uint8Array(Array.from({ length: 24 }, (_, i) => i + 1));
  /** What 24 bytes or fewer of data are echoed as. */
  const echoed = (length: number) => {
    const known = Math.min(Math.max(length - 24, 0), 24);
    const result = new Uint8Array(Math.max(8, 8 * Math.ceil(known / 8)));
    result.set(DATA.subarray(0, known));
    return `${DONE}${hex(result)}`;
  };

  /** Each request, and the answer to so many bytes of it. */
  const REQUESTS: readonly [string, Uint8Array, (length: number) => string][] = [
    ["LIST_QUERY", request(0, 0, 0), () => LISTED],
    ["LIST_USE", request(1, 0, 0, Uint8Array.of(3, 0, 0, 0, 0x7f, 0, 0, 0)), () => DONE],
    ["ECHO", request(OP.ECHO, 0, 0, DATA), echoed],
    ["MEMBER", request(OP.MEMBER, 0, 0), () => DONE],
    ["AGAIN", request(OP.AGAIN, 0, 0, DATA.subarray(0, 8)), () => DONE],
    ["SELF_ONLY", request(OP.SELF_ONLY, 0, 0), () => DONE],
    ["ADD", request(OP.ADD, 0, 0, Uint8Array.of(5, 0)), () => DONE],
    ["FAR", request(OP.FAR, 0, 0), (length) => (length < 2 ? LISTED : DONE)],
  ];

  it.each(REQUESTS)(
    "[admin-vq-device-7+] carries %s out whatever the length of its readable part",
    (name, whole, answerTo) => {
      for (let length = 0; length <= whole.length + 16; length++) {
        const rig = ready();
        // Of a list, what follows is more of it: words without a bit.
        const readable = new Uint8Array(length).fill(name === "LIST_USE" ? 0 : 0xee);
        readable.set(whole.subarray(0, length));
        const answer = rig.send({ readable, writableLength: 64 });
        // Without a byte of the opcode, the command is LIST_QUERY.
        const expected = length === 0 ? LISTED : answerTo(Math.min(length, whole.length));
        expect(hex(answer!.bytes.subarray(0, answer!.used)), `${length} bytes`).toBe(expected);
        expect(rig.family.total).toBe(name === "ADD" && length > 24 ? 5 : 0);
      }
    },
  );

  it.each(REQUESTS)(
    "[admin-vq-device-7+] carries %s out whatever the length of its writable part",
    (name, readable, answerTo) => {
      const expected = answerTo(readable.length);
      for (let length = 0; length <= expected.length / 2 + 16; length++) {
        const rig = ready();
        const answer = rig.send({ readable, writableLength: length });
        const used = Math.min(length, expected.length / 2);
        expect(answer?.used).toBe(used);
        expect(hex(answer!.bytes)).toBe(expected.slice(0, 2 * used) + "a5".repeat(length - used));
        expect(rig.family.total).toBe(name === "ADD" ? 5 : 0);
      }
    },
  );

  it("[admin-vq-2+] answers alike however the parts are cut", () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 6 });
    const command = fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map((data) => request(OP.ECHO, 0, 0, data)),
      fc.uint8Array({ minLength: 2, maxLength: 2 }).map((data) => request(OP.ADD, 0, 0, data)),
      fc.constantFrom(request(0, 0, 0), request(OP.MEMBER, 0, 1), request(OP.FAR, 9, 0)),
      fc.uint8Array({ maxLength: 24 }).map((data) => {
        data[0] = 0;
        return data;
      }),
    );
    fc.assert(
      fc.property(
        command,
        lengths,
        fc.integer({ min: 0, max: 80 }),
        lengths,
        (readable, readableCuts, writableLength, writableCuts) => {
          if (readable.length + writableLength === 0) return;
          const rig = ready();
          const expected = new Uint8Array(writableLength).fill(0xa5);
          const used = new AdminRigExecutor().run(readable, expected);
          const answer = rig.send({ readable, readableCuts, writableLength, writableCuts });
          expect(answer?.used).toBe(used);
          expect(hex(answer!.bytes)).toBe(hex(expected));
        },
      ),
    );
  });
});

/** The same commands on an executor without a queue. */
class AdminRigExecutor {
  run(readable: Uint8Array, response: Uint8Array): number {
    return ready().executor.execute(readable, response) as number;
  }
}

describe("order", () => {
  it("[admin-vq-device-10+] holds back later commands of a queue while one waits", async () => {
    const rig = ready();
    const placed = [wait(1), echo([9]), wait(2)].map((readable) =>
      rig.add({ readable, writableLength: 16 }),
    );
    rig.port.notify();
    expect(rig.family.seen).toEqual([1]);
    expect(rig.port.queue.reap()).toBe(-1);
    rig.family.waiting[0]!.answer(OUTCOME.OK);
    await settle();
    expect(rig.family.seen).toEqual([1, 2]);
    expect([rig.take(placed[0]!)?.used, rig.take(placed[1]!)?.used]).toEqual([16, 16]);
    expect(rig.port.queue.reap()).toBe(-1);
    rig.family.waiting[1]!.answer(OUTCOME.OK);
    await settle();
    expect(rig.take(placed[2]!)?.used).toBe(16);
  });

  it("[admin-vq-3+] [admin-vq-device-11+] lets another queue go on meanwhile", async () => {
    const rig = ready({ count: 2 });
    const [first, second] = rig.ports;
    const held = rig.add({ readable: wait(1), writableLength: 16 }, first);
    first!.notify();
    const other = rig.send({ readable: echo([7]), writableLength: 16 }, second);
    expect(answerOf(other!.bytes)).toEqual([0, 0]);
    rig.family.waiting[0]!.answer(OUTCOME.OK);
    await settle();
    expect(rig.take(held, first)?.used).toBe(16);
    expect(second!.queue.reap()).toBe(-1);
  });

  it("uses everything, a budget at a time", () => {
    const rig = ready({ budget: 3 });
    const placed = Array.from({ length: 20 }, (_, i) =>
      rig.add({ readable: echo([i]), writableLength: 16 }),
    );
    rig.port.notify();
    expect(placed.map((each) => rig.take(each)?.bytes[8])).toEqual(placed.map((_, i) => i));
  });

  it("serves what was there before DRIVER_OK", () => {
    const rig = ready();
    rig.device.reset();
    rig.bringUp();
    const placed = rig.add({ readable: request(0, 0, 0), writableLength: 16 });
    rig.port.queue.publish();
    rig.admin.start();
    expect(rig.take(placed)?.used).toBe(16);
  });
});

describe("fences", () => {
  it.each(["device reset", "queue reset"])(
    "[admin-life-device-3] drops the answer to a command that a %s overtook",
    async (kind) => {
      const rig = ready();
      const stale = rig.add({ readable: wait(1), writableLength: 16 });
      rig.port.notify();
      const { call, answer } = rig.family.waiting[0]!;
      const index = rig.port.index;
      if (kind === "device reset") {
        rig.bringUp();
        rig.useAll(GROUPS.self);
      } else {
        rig.device.resetQueue(index);
        rig.ports = [rig.setUpQueue(index)];
      }
      expect(call.cancelled).toBe(true);
      const fresh = rig.send({ readable: echo([5]), writableLength: 16 });
      expect(fresh?.used).toBe(16);
      answer(OUTCOME.OK);
      await settle();
      expect(rig.port.queue.reap()).toBe(-1);
      const untouched = new Uint8Array(16);
      rig.memory.read(stale.writable[0]!.address, untouched);
      expect(untouched.every((byte) => byte === 0xa5)).toBe(true);
      expect(rig.family.resets).toBe(kind === "device reset" ? 2 : 1);
    },
  );

  it("[admin-life-device-1] [admin-life-device-2] keeps the lists over a queue reset and loses them with the device's", () => {
    const rig = ready();
    const before = rig.executor.used(GROUPS.self);
    rig.device.resetQueue(rig.port.index);
    expect(rig.executor.used(GROUPS.self)).toEqual(before);
    rig.device.reset();
    expect(rig.executor.used(GROUPS.self)).toEqual([0, 1]);
  });
});

describe("a device that needs a reset in the midst of a command", () => {
  it.each<[string, number[]]>([
    ["in one piece", []],
    ["in two", [3]],
  ])("writes nothing to a buffer %s", (_, cuts) => {
    const family = new TestFamily();
    const { handlers, reset } = family.bind();
    const far = () => {
      const { device } = rig;
      device.setQueueAddress(0, "descriptorArea", 0, 1);
      expect(device.enableQueue(0)).toBe(false);
      return OUTCOME.OK;
    };
    family.bind = () => ({ handlers: { ...handlers, [OP.FAR]: far }, reset });
    const rig = ready({ families: [family] });
    const buffer = { readable: request(OP.FAR, GROUPS.self, 0), writableLength: 16 };
    const placed = rig.add({ ...buffer, writableCuts: cuts });
    rig.port.notify();
    expect(rig.device.status & STATUS.DEVICE_NEEDS_RESET).not.toBe(0);
    expect(rig.take(placed)).toBeUndefined();
    for (const { address, length } of placed.writable) {
      const bytes = new Uint8Array(length);
      rig.memory.read(address, bytes);
      expect(hex(bytes)).toBe("a5".repeat(length));
    }
  });
});

describe("a driver that breaks the rules", () => {
  it("makes the device need a reset when it breaks the ring, and is served again after it", () => {
    const rig = ready();
    rig.port.queue.add([0x10], [8], 1, 1);
    rig.port.notify();
    expect(rig.device.status & STATUS.DEVICE_NEEDS_RESET).not.toBe(0);
    rig.bringUp();
    expect(rig.send({ readable: request(0, 0, 0), writableLength: 16 })?.used).toBe(16);
  });

  it("[admin-cmd-device-9-] is answered whatever bytes it sends, and the device goes on", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 80 }), (readable) => {
        // A waiting command holds its queue: it is not what this is about.
        if (readable[0] === OP.WAIT) readable[0] = OP.ECHO;
        const rig = ready();
        const answer = rig.send({ readable, writableLength: 16 });
        expect(answer).toBeDefined();
        expect(rig.device.status & STATUS.DEVICE_NEEDS_RESET).toBe(0);
      }),
    );
  });
});

describe("options and traces", () => {
  it.each([
    [{ count: 0 }, "admin.count"],
    [{ count: 0x10001 }, "admin.count"],
    [{ maxSize: 3 }, "admin.maxSize"],
    [{ maxSize: 65536 }, "admin.maxSize"],
    [{ budget: 0 }, "admin.budget"],
  ])("refuses %o", (options, path) => {
    const { executor } = new AdminRig();
    expect(() => new AdminQueues({ executor, ...options })).toThrow(
      expect.objectContaining({ code: "DEVICE_MODEL", path }),
    );
  });

  it("tells the trace of each command, and what became of it", () => {
    const rig = ready({ traced: true });
    rig.send({ readable: request(OP.MEMBER, GROUPS.self, 2n ** 64n - 1n), writableLength: 8 });
    expect(rig.events.filter(({ op }) => op === "command")).toEqual([
      {
        op: "command",
        queue: rig.port.index,
        opcode: OP.MEMBER,
        name: "MEMBER",
        group: 0,
        member: Number.MAX_SAFE_INTEGER,
        status: 22,
        qualifier: 5,
      },
    ]);
  });
});

describe("mailbox", () => {
  it("carries one command at a time", async () => {
    const rig = ready();
    let done = 0;
    const mailbox = new AdminMailbox({ executor: rig.executor, whenDone: () => done++ });
    mailbox.request.set(echo([1, 2, 3, 4]));
    expect(mailbox.start(28, 4096)).toBe(true);
    expect([mailbox.busy, mailbox.written]).toEqual([false, 16]);
    expect(hex(mailbox.response.subarray(0, 16))).toBe("00000000000000000102030400000000");
    mailbox.request.set(wait(1));
    expect(mailbox.start(25, 16)).toBe(true);
    expect(mailbox.start(25, 16)).toBe(false);
    rig.family.waiting[0]!.answer(OUTCOME.OK);
    await settle();
    expect([mailbox.busy, mailbox.written, done]).toEqual([false, 16, 1]);
  });

  it("forgets the command under way when it is reset", async () => {
    const rig = ready();
    const mailbox = new AdminMailbox({ executor: rig.executor });
    mailbox.request.set(wait(1));
    mailbox.start(25, 16);
    mailbox.reset();
    rig.family.waiting[0]!.answer(OUTCOME.OK);
    await settle();
    expect([mailbox.busy, mailbox.written, mailbox.request[0]]).toEqual([false, 0, 0]);
  });

  it("refuses a window that is too large", () => {
    const { executor } = new AdminRig();
    expect(() => new AdminMailbox({ executor, windowLength: 2 ** 20 + 1 })).toThrow(
      expect.objectContaining({ code: "VALUE_RANGE" }),
    );
  });
});
