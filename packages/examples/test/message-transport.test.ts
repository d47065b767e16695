import {
  bringUp,
  createGuestMemory,
  DmaArena,
  layoutFromJson,
  layoutToJson,
} from "@virtio-admin/core";
import {
  connectOwner,
  container,
  DEVICE_MODEL,
  DMA,
  GUEST_MEMORY,
  registerCore,
} from "@virtio-admin/core/di";
import { createEntropy, ENTROPY_REQUESTQ } from "@virtio-admin/devices";
import { COMPLIANCE_CASES, runCase, runCompliance } from "@virtio-admin/testkit";
import { describe, expect, test } from "vitest";
import { registerMessageTransport } from "../src/message-transport/di.ts";
import {
  MESSAGE_LAYOUTS,
  messageFixture,
  SMALLEST_MESSAGE_LIMIT,
} from "../src/message-transport/index.ts";

const MEMORY_BYTES = 1 << 20;

const FIXTURES = {
  "messages of the default size": messageFixture(),
  "the smallest messages": messageFixture({ limit: SMALLEST_MESSAGE_LIMIT }),
};

describe.each(Object.entries(FIXTURES))("compliance of %s", (_, fixture) => {
  test.each(
    COMPLIANCE_CASES.map((one) => [`[${one.clauses.join("] [")}] ${one.id}`, one] as const),
  )("%s", async (_title, one) => {
    const { outcome, reason, error } = await runCase(fixture, one);
    if (error !== undefined) throw error;
    expect(outcome === "passed" || reason !== undefined).toBe(true);
  });
});

test("what does not apply to messages is named, and is no more than this", async () => {
  const { transport, failures, skipped } = await runCompliance(messageFixture());
  expect(transport).toBe("msg");
  expect(failures).toEqual([]);
  // What is about virtual functions, and about the dialect that names the shipped transports.
  const foreign: readonly (string | undefined)[] = [
    "no member on msg has a legacy interface",
    "device parts are for SR-IOV groups, and msg has none",
    "this msg transport does not carry proposal-v5, a reconstruction",
    "VIRTIO_F_NOTIFICATION_DATA is reserved on this msg transport",
  ];
  const others = skipped.filter(({ reason }) => !foreign.includes(reason));
  expect(others.map(({ id, reason }) => `${id}: ${reason}`)).toEqual([
    "admin-place-reserved: this msg transport can say the place",
    "config-reread: msg reads the configuration space in one operation",
    "driver-admin-reserved: this msg transport can say the place",
  ]);
});

test("the layouts are data: each survives its JSON form", () => {
  for (const layout of MESSAGE_LAYOUTS) {
    const document = layoutToJson(layout);
    expect(layoutToJson(layoutFromJson(document)), layout.name).toEqual(document);
  }
});

test("a container finds the transport by its name", async () => {
  const application = container.createChildContainer();
  registerCore(application);
  registerMessageTransport(application);
  const memory = createGuestMemory([{ base: 0, bytes: new Uint8Array(MEMORY_BYTES) }]);
  application.registerInstance(GUEST_MEMORY, memory);
  application.registerInstance(DMA, new DmaArena(memory, 0, MEMORY_BYTES));
  application.registerInstance(DEVICE_MODEL, createEntropy());
  const pair = connectOwner(application, "msg");
  const driver = await bringUp(pair.driver, {
    queues: [{ index: ENTROPY_REQUESTQ }],
    adminQueues: 1,
  });
  expect(driver.admin).toEqual({
    index: 1,
    count: 1,
    source: "GET_DEVICE_INFO, offsets 20, 22",
  });
  await driver.close();
  pair.close();
  await application.dispose();
});
