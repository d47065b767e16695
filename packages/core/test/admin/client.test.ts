import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  AdminClient,
  type AdminClientOptions,
  AdminCommandError,
  type AdminQueuePort,
  encodeOpcodeList,
  LIST_QUERY,
  OUTCOME,
  openAdminClient,
  outcome,
} from "../../src/admin/index.ts";
import { AdminRig, type AdminRigOptions, GROUPS, hex, OP, settle, TestTimer } from "./rig.ts";

const { self, platform } = GROUPS;
const ALL = Object.values(OP);

interface Setup extends AdminClientOptions {
  readonly rig?: AdminRigOptions;
}

async function ready({ rig: rigOptions, ...options }: Setup = {}) {
  const rig = new AdminRig(rigOptions);
  const timer = new TestTimer();
  const client = new AdminClient(rig.ports, rig.arena, { timer, ...options });
  for (const group of [self, platform]) await client.listUse(group, await client.listQuery(group));
  return { rig, timer, client };
}

const tagged = (opcode: number, tag: number, group: number = self, member = 0) => ({
  opcode,
  group,
  member,
  data: new Uint8Array([tag]),
  resultLength: 8,
});
const code = (value: string) => expect.objectContaining({ code: value });

describe("lists", () => {
  it("[admin-cmd-driver-1+] [admin-cmd-driver-3+] asks for a group's commands and settles them", async () => {
    const { client } = await ready();
    expect(client.reportedOpcodes(self)).toEqual([0, 1, ...ALL].sort((a, b) => a - b));
    await client.listUse(self, [0, 1, OP.ECHO]);
    expect(client.usedOpcodes(self)).toEqual([0, 1, OP.ECHO]);
    await expect(client.listQuery(5)).rejects.toMatchObject({ qualifierName: "INVALID_GROUP" });
  });

  it("[admin-cmd-driver-2-] [admin-cmd-driver-6-] [admin-cmd-driver-7-] sends nothing that the lists do not allow", async () => {
    const rig = new AdminRig({ traced: true });
    const client = new AdminClient(rig.ports, rig.arena);
    await expect(client.execute({ opcode: OP.ECHO, group: self })).rejects.toEqual(
      code("ADMIN_LIST"),
    );
    await expect(client.listUse(self, [0, 1])).rejects.toMatchObject({
      code: "ADMIN_LIST",
      hint: "call listQuery first",
    });
    await client.listQuery(self);
    await expect(client.listUse(self, [0, 1, 0x30])).rejects.toMatchObject({ value: 0x30 });
    await client.listUse(self, [0, 1, OP.ECHO]);
    await expect(client.execute({ opcode: OP.FAR, group: self })).rejects.toEqual(
      code("ADMIN_LIST"),
    );
    const sent = rig.events.flatMap((event) => (event.op === "command" ? [event.opcode] : []));
    expect(sent).toEqual([0, 1]);
    await expect(
      client.execute({ opcode: OP.FAR, group: self }, { unchecked: true }),
    ).rejects.toMatchObject({ qualifierName: "INVALID_OPCODE" });
  });

  it("[admin-cmd-driver-4-] lets LIST_USE wait for the rest, and the rest for it", async () => {
    const { rig, client } = await ready({ rig: { count: 2, traced: true } });
    rig.events.length = 0;
    const order: string[] = [];
    const note = (name: string) => () => order.push(name);
    const before = client.execute(tagged(OP.WAIT, 1)).then(note("before"));
    const use = client.listUse(platform, [0, 1, OP.ECHO]).then(note("use"));
    const after = client.execute({ opcode: OP.ECHO, group: platform }).then(note("after"));
    await settle();
    expect([client.outstanding, client.waiting]).toEqual([1, 2]);
    rig.family.waiting[0]!.answer(OUTCOME.OK);
    await Promise.all([before, use, after]);
    expect(order).toEqual(["before", "use", "after"]);
    const sent = rig.events.flatMap((event) => (event.op === "command" ? [event.opcode] : []));
    expect(sent).toEqual([OP.WAIT, 1, OP.ECHO]);
  });

  it("[admin-cmd-driver-8+] can give up LIST_USE itself", async () => {
    const { client } = await ready();
    await client.listUse(self, [OP.ECHO]);
    await expect(client.listQuery(self)).rejects.toEqual(code("ADMIN_LIST"));
    expect((await client.execute(tagged(OP.ECHO, 3))).result[0]).toBe(3);
  });
});

describe("shorthands", () => {
  it("uses every command that is reported", async () => {
    const rig = new AdminRig();
    const client = new AdminClient(rig.ports, rig.arena);
    const opcodes = await client.useReported(platform);
    expect(client.usedOpcodes(platform)).toEqual(opcodes);
    expect(opcodes).toEqual(client.reportedOpcodes(platform));
    expect(client.usedOpcodes(self)).toEqual([0, 1]);
  });

  it("sends a command as it is declared", async () => {
    const { client } = await ready();
    const { result } = await client.executeCommand(LIST_QUERY, { group: self });
    expect(result.length).toBe(LIST_QUERY.result.max);
    const short = await client.executeCommand(LIST_QUERY, { group: self, resultLength: 8 });
    expect(short.result).toEqual(result.subarray(0, 8));
    await expect(client.executeCommand(LIST_QUERY, { group: 5 })).rejects.toThrow(/LIST_QUERY/);
  });
});

describe("wire", () => {
  it("[admin-vq-driver-3+] [admin-vq-driver-4+] [admin-format-driver-1+] pads both parts to multiples of 8", async () => {
    const { rig, client } = await ready({ rig: { traced: true } });
    await client.execute({ ...tagged(OP.ECHO, 0xab, platform, 7), resultLength: 0 });
    await client.execute({
      opcode: OP.ECHO,
      group: self,
      data: new Uint8Array(9),
      resultLength: 9,
    });
    const buffers = rig.events.flatMap((event) => (event.op === "buffer" ? [event] : [])).slice(-2);
    expect(buffers.map(({ descriptors }) => descriptors.map(({ length }) => length))).toEqual([
      [32, 8],
      [40, 24],
    ]);
    expect(buffers[0]!.readable).toBe(
      `200000ff${"00".repeat(12)}0700000000000000ab${"00".repeat(7)}`,
    );
  });

  it("[admin-vq-driver-1+] sends commands longer than a slot, and gives their memory back", async () => {
    const { rig, client } = await ready({ dataCapacity: 16, resultCapacity: 16 });
    const free = rig.arena.freeBytes;
    const data = Uint8Array.from({ length: 5000 }, (_, i) => i & 255);
    const { result, usedLength } = await client.execute({
      opcode: OP.ECHO,
      group: self,
      data,
      resultLength: 700,
    });
    expect([usedLength, result.length]).toEqual([32, 700]);
    expect(hex(result.subarray(0, 24))).toBe(hex(data.subarray(0, 24)));
    expect(result.subarray(24).every((byte) => byte === 0)).toBe(true);
    expect(rig.arena.freeBytes).toBe(free);
  });

  it.each([
    [{ opcode: 0x10000, group: 0 }, "opcode"],
    [{ opcode: 0, group: -1 }, "group"],
    [{ opcode: 0, group: 0, member: -1 }, "member"],
    [{ opcode: 0, group: 0, member: 2 ** 53 }, "member"],
    [{ opcode: 0, group: 0, member: 2n ** 64n }, "member"],
    [{ opcode: 0, group: 0, resultLength: -1 }, "resultLength"],
    [{ opcode: 0, group: 0, resultLength: 2 ** 25 }, "resultLength"],
  ])("refuses %o", async (request, path) => {
    const { client } = await ready();
    const free = client.outstanding;
    await expect(client.execute(request)).rejects.toMatchObject({ code: "ADMIN_COMMAND", path });
    expect(client.outstanding).toBe(free);
  });
});

describe("many at once", () => {
  it("[admin-vq-driver-8+] keeps each member's order over two queues, 64 outstanding", async () => {
    const { rig, client } = await ready({ rig: { count: 2, size: 64 } });
    const sent = Array.from({ length: 64 }, (_, i) =>
      client.execute(tagged(OP.AGAIN, i, platform, i % 8)),
    );
    expect(client.outstanding).toBe(64);
    await Promise.all(sent);
    for (let member = 0; member < 8; member++) {
      const seen = rig.family.seen.filter((tag) => tag % 8 === member);
      expect(seen).toEqual([...seen].sort((a, b) => a - b));
    }
    expect(rig.family.seen.length).toBe(64);
    expect(client.outstanding).toBe(0);
  });

  it("sends a member's commands through one queue while any is outstanding", async () => {
    const { rig, client } = await ready({ rig: { count: 2 } });
    const first = client.execute(tagged(OP.WAIT, 1, platform, 3));
    const second = client.execute(tagged(OP.AGAIN, 2, platform, 3));
    const other = client.execute(tagged(OP.AGAIN, 3, platform, 7));
    await other;
    expect(rig.family.seen).toEqual([1, 3]);
    rig.family.waiting[0]!.answer(OUTCOME.OK);
    await Promise.all([first, second]);
    expect(rig.family.seen).toEqual([1, 3, 2]);
  });

  it("lets commands wait for slots, in order, and refuses more than may wait", async () => {
    const { rig, client } = await ready({ slots: 2, maxWaiting: 3 });
    const sent = Array.from({ length: 6 }, (_, i) =>
      client.execute(tagged(OP.WAIT, i)).then(
        () => i,
        (error) => error.code,
      ),
    );
    expect([client.outstanding, client.waiting]).toEqual([2, 3]);
    for (let i = 0; i < 5; i++) {
      await settle();
      rig.family.waiting[i]!.answer(OUTCOME.OK);
    }
    expect(await Promise.all(sent)).toEqual([0, 1, 2, 3, 4, "QUEUE_FULL"]);
    expect(rig.family.seen).toEqual([0, 1, 2, 3, 4]);
  });

  it("keeps what a waiting command is to send", async () => {
    const { rig, client } = await ready({ slots: 1 });
    const data = new Uint8Array([1]);
    const sent = [0, 0].map(() => client.execute({ opcode: OP.AGAIN, group: self, data }));
    data[0] = 9;
    await Promise.all(sent);
    expect(rig.family.seen).toEqual([1, 1]);
  });
});

describe("abort and deadline", () => {
  it("rejects at once, and keeps the slot until the device returns the buffer", async () => {
    const { rig, client } = await ready({ slots: 1 });
    const controller = new AbortController();
    const aborted = client.execute(tagged(OP.WAIT, 1), { signal: controller.signal });
    await settle();
    controller.abort(new Error("enough"));
    await expect(aborted).rejects.toMatchObject({
      code: "ADMIN_ABORTED",
      cause: expect.objectContaining({ message: "enough" }),
    });
    const next = client.execute(tagged(OP.ECHO, 5));
    await settle();
    expect([client.outstanding, client.waiting]).toEqual([1, 1]);
    rig.family.waiting[0]!.answer(OUTCOME.OK);
    expect((await next).result[0]).toBe(5);
  });

  it("misses a deadline by the timer, once", async () => {
    const { rig, client, timer } = await ready();
    const late = client.execute(tagged(OP.WAIT, 1), { deadlineMs: 50 });
    const intime = client.execute(tagged(OP.WAIT, 2), { deadlineMs: 500 });
    late.catch(() => {});
    await timer.advance(49);
    await timer.advance(1);
    await expect(late).rejects.toEqual(code("ADMIN_DEADLINE"));
    rig.family.waiting[0]!.answer(OUTCOME.OK);
    await settle();
    rig.family.waiting[1]!.answer(OUTCOME.OK);
    expect((await intime).usedLength).toBe(16);
    expect(timer.pending).toBe(0);
  });

  it("takes a waiting command out of the line, and never sends an aborted one", async () => {
    const { rig, client } = await ready({ slots: 1 });
    const controller = new AbortController();
    const { signal } = controller;
    const first = client.execute(tagged(OP.WAIT, 1));
    const waiting = client.execute(tagged(OP.AGAIN, 2), { signal });
    controller.abort();
    await expect(waiting).rejects.toEqual(code("ADMIN_ABORTED"));
    await expect(client.execute(tagged(OP.AGAIN, 3), { signal })).rejects.toEqual(
      code("ADMIN_ABORTED"),
    );
    expect(client.waiting).toBe(0);
    rig.family.waiting[0]!.answer(OUTCOME.OK);
    await first;
    expect(rig.family.seen).toEqual([1]);
  });

  it("learns of a LIST_USE that succeeded after its deadline", async () => {
    const rig = new AdminRig();
    const timer = new TestTimer();
    const client = new AdminClient(rig.ports, rig.arena, { timer });
    await client.listQuery(self);
    const notify = rig.port.notify;
    rig.port.notify = () => {};
    const use = client.listUse(self, [0, 1, OP.ECHO], { deadlineMs: 1 });
    use.catch(() => {});
    await timer.advance(1);
    await expect(use).rejects.toEqual(code("ADMIN_DEADLINE"));
    expect(client.usedOpcodes(self)).toEqual([0, 1]);
    notify.call(rig.port);
    expect(client.usedOpcodes(self)).toEqual([0, 1, OP.ECHO]);
  });
});

describe("retry", () => {
  it("[admin-vq-driver-9+] repeats after EAGAIN with growing delays", async () => {
    const { rig, client, timer } = await ready({
      retry: { attempts: 3, firstDelayMs: 10, maxDelayMs: 15 },
    });
    rig.family.again = 3;
    const sent = client.execute(tagged(OP.AGAIN, 1));
    await settle();
    for (const [step, left] of [
      [9, 2],
      [1, 1],
      [14, 1],
      [1, 0],
      [15, 0],
    ] as const) {
      await timer.advance(step);
      expect(rig.family.again).toBe(left);
    }
    await sent;
    expect(rig.family.seen).toEqual([1]);
  });

  it("gives up after so many attempts, or at once when told so", async () => {
    const retry = { attempts: 1, firstDelayMs: 1, maxDelayMs: 1 };
    const { rig, client, timer } = await ready({ retry });
    rig.family.again = 5;
    const sent = client.execute(tagged(OP.AGAIN, 1));
    sent.catch(() => {});
    await settle();
    await timer.advance(1);
    await expect(sent).rejects.toMatchObject({ statusName: "EAGAIN", retryable: true });
    await expect(client.execute(tagged(OP.AGAIN, 1), { retry: false })).rejects.toBeInstanceOf(
      AdminCommandError,
    );
    expect(rig.family.again).toBe(2);
  });

  it("holds later commands of the member back meanwhile, not those of others", async () => {
    const { rig, client, timer } = await ready();
    rig.family.again = 1;
    const first = client.execute(tagged(OP.AGAIN, 1, platform, 3));
    await settle();
    const second = client.execute(tagged(OP.AGAIN, 2, platform, 3));
    await client.execute(tagged(OP.AGAIN, 3, platform, 7));
    expect(rig.family.seen).toEqual([3]);
    await timer.advance(1);
    await Promise.all([first, second]);
    expect(rig.family.seen).toEqual([3, 1, 2]);
    expect(client.waiting).toBe(0);
  });

  it("stops repeating when aborted, and lets the member's next command go", async () => {
    const { rig, client, timer } = await ready();
    rig.family.again = 1;
    const controller = new AbortController();
    const first = client.execute(tagged(OP.AGAIN, 1), { signal: controller.signal });
    first.catch(() => {});
    await settle();
    const second = client.execute(tagged(OP.AGAIN, 2));
    controller.abort();
    await expect(first).rejects.toEqual(code("ADMIN_ABORTED"));
    await second;
    expect([rig.family.seen, timer.pending, client.waiting]).toEqual([[2], 0, 0]);
  });
});

describe("a device that answers badly", () => {
  it.each([
    [0, "0000 0000"],
    [8, "0000 0000"],
    [9, "a500 0000"],
    [12, "a5a5 a5a5"],
  ])(
    "[admin-vq-driver-6+] [admin-vq-driver-7+] reads zero beyond a used length of %i",
    async (used, result) => {
      const { client } = await hostile((memory) => memory.fill(0xa5, 8), used);
      const reply = await client.execute(
        { opcode: OP.ECHO, group: self, resultLength: 4 },
        { unchecked: true },
      );
      expect(reply).toEqual({
        usedLength: used,
        result: Uint8Array.from(Buffer.from(result.replace(" ", ""), "hex")),
      });
    },
  );

  it("[admin-format-driver-2-] takes no notice of reserved bytes and of a qualifier beside OK", async () => {
    const { client } = await hostile((memory) => memory.fill(0xff, 2), 12);
    const reply = await client.execute(
      { opcode: OP.ECHO, group: self, resultLength: 4 },
      { unchecked: true },
    );
    expect(hex(reply.result)).toBe("ffffffff");
  });

  it.each([
    [99, 77, "EINVAL", "INVALID_COMMAND"],
    [5, 3, "EINVAL", "INVALID_FIELD"],
    [28, 0xffff, "ENOSPC", "INVALID_COMMAND"],
  ])(
    "[admin-cmd-driver-9+] [admin-cmd-driver-10+] maps status %i, qualifier %i",
    async (status, qualifier, statusName, qualifierName) => {
      const { client } = await hostile((memory) => {
        memory[0] = status;
        memory[2] = qualifier & 255;
        memory[3] = qualifier >> 8;
      }, 8);
      await expect(
        client.execute({ opcode: OP.ECHO, group: self }, { unchecked: true }),
      ).rejects.toMatchObject({ status, qualifier, statusName, qualifierName });
    },
  );

  it("refuses a list of commands without the list commands", async () => {
    const { client } = await hostile((memory) => memory.set(encodeOpcodeList([0, 5]), 8), 16);
    await expect(client.listQuery(self)).rejects.toEqual(code("ADMIN_RESPONSE"));
  });

  it("gives up on a queue whose rules the device broke", async () => {
    const { client, rig } = await hostile(() => {}, 2 ** 31);
    const sent = client.execute({ opcode: OP.ECHO, group: self }, { unchecked: true });
    await expect(sent).rejects.toEqual(code("QUEUE_BROKEN"));
    await expect(client.listQuery(self)).rejects.toEqual(code("QUEUE_BROKEN"));
    const free = rig.arena.freeBytes;
    client.close();
    expect(rig.arena.freeBytes).toBeGreaterThan(free);
  });

  it("settles every promise whatever the device writes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 72, maxLength: 72 }),
        fc.nat(90),
        async (bytes, used) => {
          const { client } = await hostile(
            (memory) => memory.set(bytes.subarray(0, memory.length)),
            used,
          );
          const settled = await client
            .execute(
              { opcode: OP.ECHO, group: self, resultLength: 64 },
              { unchecked: true, retry: false },
            )
            .then(
              (reply) => reply.result.length,
              (error) => error.code,
            );
          expect([64, "ADMIN_STATUS", "QUEUE_BROKEN"]).toContain(settled);
        },
      ),
      { numRuns: 50 },
    );
  });
});

/**
 * A client whose device writes the response and the used entry as told: the used ring is written
 * by hand, since the device half would not report such lengths.
 */
async function hostile(write: (response: Uint8Array) => void, used: number) {
  const rig = new AdminRig();
  const { port } = rig;
  const { queue } = port;
  let last: { id: number; address: number; length: number } | undefined;
  const add = queue.addPair.bind(queue);
  const usedRing = rig.device.queueAddress(port.index, "deviceArea", 0);
  queue.addPair = (readable, readableLength, address, length) => {
    const id = add(readable, readableLength, address, length);
    last = { id, address, length };
    return id;
  };
  let index = 0;
  port.notify = () => {
    queue.publish();
    if (last === undefined) return;
    const response = new Uint8Array(last.length);
    write(response);
    rig.memory.write(last.address, response);
    const entry = new DataView(new ArrayBuffer(8));
    entry.setUint32(0, last.id, true);
    entry.setUint32(4, used, true);
    rig.memory.write(usedRing + 4 + 8 * (index % queue.size), new Uint8Array(entry.buffer));
    index++;
    rig.memory.write(usedRing + 2, new Uint8Array([index & 255, index >> 8]));
    port.onUsed?.();
  };
  return { rig, client: new AdminClient(rig.ports, rig.arena, { timer: new TestTimer() }) };
}

describe("the end", () => {
  it("rejects whatever is not settled, and gives all memory back", async () => {
    const rig = new AdminRig();
    const free = rig.arena.freeBytes;
    const timer = new TestTimer();
    const client = new AdminClient(rig.ports, rig.arena, { slots: 2, timer });
    await client.listUse(self, await client.listQuery(self));
    rig.family.again = 1;
    const calls = [
      client.execute(tagged(OP.AGAIN, 0)),
      client.execute({ ...tagged(OP.WAIT, 1), data: new Uint8Array(999) }, { deadlineMs: 5 }),
    ];
    await settle();
    calls.push(client.execute(tagged(OP.AGAIN, 2)), client.execute(tagged(OP.WAIT, 3, self, 1)));
    rig.device.reset();
    client.close();
    client.close();
    const settled = await Promise.allSettled([...calls, client.listQuery(self)]);
    expect(settled.map((each) => each.status === "rejected" && each.reason.code)).toEqual(
      Array(5).fill("ADMIN_RESET"),
    );
    expect([rig.arena.freeBytes, timer.pending, client.outstanding, client.waiting]).toEqual([
      free,
      0,
      0,
      0,
    ]);
  });

  it("fails with its device, naming the cause, and keeps the memory", async () => {
    const rig = new AdminRig();
    let fail: ((error: Error) => void) | undefined;
    const client = openAdminClient({
      adminQueues: rig.ports,
      dma: rig.arena,
      onFailure: (listener) => {
        fail = listener;
        return () => {};
      },
    });
    const free = rig.arena.freeBytes;
    const cause = new Error("the bus is gone");
    rig.port.notify = () => {};
    const sent = client.listQuery(self);
    sent.catch(() => {});
    await settle();
    fail?.(cause);
    await expect(sent).rejects.toMatchObject({ code: "ADMIN_RESET", cause });
    expect(rig.arena.freeBytes).toBe(free);
  });

  it("does not listen to its device any more once it has ended, however it ends", () => {
    const rig = new AdminRig();
    const listeners = new Set<(error: Error) => void>();
    const source = {
      adminQueues: rig.ports,
      dma: rig.arena,
      onFailure: (listener: (error: Error) => void) => {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
    };
    const ends = [
      (client: AdminClient) => client.close(),
      () => (rig.port as AdminQueuePort).onReset?.(),
      () => {
        for (const listener of [...listeners]) listener(new Error("the bus is gone"));
      },
    ];
    for (const end of ends) {
      const client = openAdminClient(source);
      expect(listeners.size).toBe(1);
      end(client);
      expect(listeners.size).toBe(0);
      client.close();
    }
  });

  it("needs a queue, and a queue with room for a command", () => {
    const rig = new AdminRig({ size: 1 });
    expect(() => new AdminClient([], rig.arena)).toThrow(code("ADMIN_QUEUE_UNAVAILABLE"));
    expect(() => new AdminClient(rig.ports, rig.arena)).toThrow(code("ADMIN_COMMAND"));
  });

  it("reports what the device answered", async () => {
    const { client } = await ready();
    const sent = client.execute({
      opcode: OP.MEMBER,
      group: platform,
      member: 2n ** 63n,
      name: "MEMBER",
    });
    await expect(sent).rejects.toMatchObject({
      path: "MEMBER (group 0xff00)",
      status: 22,
      qualifier: 5,
    });
    expect(outcome("EINVAL", "INVALID_MEMBER")).toBe(OUTCOME.INVALID_MEMBER);
  });
});
