/** The example of two threads, whose worker has to be bundled before it can run from the sources. */
import { expect, it } from "vitest";
import { twoThreads } from "../../examples/src/two-threads.ts";
import { bundle } from "./bundle.ts";

it("two-threads: sends a batch to a device in a worker, and hears of its end", async () => {
  const examples = new URL("../../examples/src/two-threads.ts", import.meta.url);
  const program = await bundle("two-threads-device", examples.href);
  try {
    const { opcodes, bytes, succeeded, outcome, ended } = await twoThreads(program.url);
    expect(opcodes).toEqual([0, 1]);
    expect(bytes).toHaveLength(16);
    expect(bytes.some((byte) => byte !== 0)).toBe(true);
    expect(succeeded).toBe(100);
    // Whether the answer or the end comes first is for the threads to settle.
    expect(outcome).toMatch(/the device failed|answered before the end/);
    expect(ended).toBe("DEVICE_THREAD");
  } finally {
    await program.remove();
  }
});
