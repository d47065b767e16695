import type { AdminExecutor } from "@virtio-admin/core";
import {
  adminQueueInterface,
  type CarrierUnderTest,
  type CommandInterfaceFixture,
  checkCommandInterface,
} from "@virtio-admin/testkit";
import { describe, expect, it } from "vitest";
import { directFixture } from "../hostile/direct.ts";
import { foundBy } from "./broken.ts";

/** Carries commands one after the other, straight to the executor. */
function direct(executor: AdminExecutor): CarrierUnderTest {
  let last: Promise<unknown> = Promise.resolve();
  return {
    carry: (request, writable) => {
      const answer = last.then(async () => {
        const response = new Uint8Array(writable);
        return response.subarray(0, await executor.execute(request, response));
      });
      last = answer;
      return answer;
    },
    reset: () => {
      executor.reset();
      last = Promise.resolve();
    },
  };
}

const fixture = (
  change: (sound: CarrierUnderTest, executor: AdminExecutor) => Partial<CarrierUnderTest>,
): CommandInterfaceFixture => ({
  name: "own",
  connect: (executor) => {
    const sound = direct(executor);
    return { ...sound, ...change(sound, executor) };
  },
});

/** The sound interface, whose answers are changed on their way. */
const answering = (change: (answer: Uint8Array, writable: number) => Uint8Array) =>
  fixture(({ carry }) => ({
    carry: async (request, writable) => change(await carry(request, writable), writable),
  }));

const ALL = [
  "interface-answers",
  "interface-lengths",
  "interface-waits",
  "interface-order",
  "interface-reset",
];

const BROKEN: readonly (readonly [string, CommandInterfaceFixture, readonly string[]])[] = [
  [
    "a window that is never cleared",
    answering((answer, writable) => {
      const window = new Uint8Array(writable);
      window.set(answer);
      return window;
    }),
    ALL,
  ],
  [
    "room for 24 bytes of data",
    fixture(({ carry }) => ({
      carry: (request, writable) => carry(request.slice(0, 48), writable),
    })),
    ["interface-answers", "interface-lengths"],
  ],
  [
    "an error for half a header",
    fixture(({ carry }) => ({
      carry: async (request, writable) => {
        if (request.length < 24) throw new Error("too short");
        return carry(request, writable);
      },
    })),
    ["interface-lengths"],
  ],
  [
    "no patience",
    fixture((_, executor) => ({
      carry: async (request, writable) => {
        const response = new Uint8Array(writable);
        const answer = executor.execute(request, response);
        return response.subarray(0, typeof answer === "number" ? answer : 8);
      },
    })),
    ["interface-waits", "interface-order", "interface-reset"],
  ],
  [
    "no order",
    fixture((_, executor) => ({
      carry: async (request, writable) => {
        const response = new Uint8Array(writable);
        return response.subarray(0, await executor.execute(request, response));
      },
    })),
    ["interface-order"],
  ],
  [
    "a reset that it does not hear of",
    fixture(() => ({ reset: () => undefined })),
    ["interface-reset"],
  ],
];

describe("a command interface", () => {
  it("passes when it is sound", async () => {
    expect(await checkCommandInterface(fixture(() => ({})))).toMatchObject({
      point: "command interface",
      failures: [],
      skipped: [],
    });
  });

  it("passes when it is the admin queue of a sound transport", async () => {
    const report = await checkCommandInterface(adminQueueInterface(directFixture()));
    expect(report.failures).toEqual([]);
  });

  it("is closed after every case", async () => {
    let open = 0;
    const closing = fixture(() => {
      open++;
      return { close: () => open-- };
    });
    await checkCommandInterface(closing);
    expect(open).toBe(0);
  });

  it.each(BROKEN)("with %s is found out", async (_, broken, cases) => {
    expect(await foundBy(checkCommandInterface(broken, { caseLimit: 1000 }))).toEqual(cases);
  });
});
