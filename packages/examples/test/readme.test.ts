import { readFileSync } from "node:fs";
import * as core from "@virtio-admin/core";
import * as devices from "@virtio-admin/devices";
import * as mmio from "@virtio-admin/transport-mmio";
import { expect, test } from "vitest";

const MODULES: Readonly<Record<string, object>> = {
  "@virtio-admin/core": core,
  "@virtio-admin/devices": devices,
  "@virtio-admin/transport-mmio": mmio,
};

test("the program in the README does what it says", async () => {
  const readme = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");
  const program = /```ts\n(.*?)```/s.exec(readme)?.[1];
  if (program === undefined) throw new Error("the README has a program");
  // A function body has no imports: what they name comes from the modules under test.
  const body = program.replaceAll(/import (\{[^}]*\}) from ("[^"]*");/g, "const $1 = MODULES[$2];");
  expect(body).not.toContain("import ");
  const AsyncFunction = (async () => undefined).constructor as new (
    ...words: string[]
  ) => (modules: typeof MODULES) => Promise<unknown>;
  const run = new AsyncFunction(
    "MODULES",
    `${body}\nreturn { opcodes, features: driver.features };`,
  );
  const found = await run(MODULES);
  expect(found).toMatchObject({ opcodes: [0, 1] });
});
