/** Used buffers that no driver must believe, in a ring of any format, and what it does instead. */
import { type DriverDevice, STATUS } from "@virtio-admin/core";
import type { DriverBench } from "../driver-bench.ts";
import { expectEqual, expectTrue } from "../expect.ts";

/** A device's end of a ring of 8 that it fills by hand. */
export interface HandUsed {
  /** Shows the driver a used buffer. */
  use(id: number, length: number): void;
}

/** One way to break the rules. */
export interface BrokenUsed<Queue extends HandUsed> {
  /** Short name. */
  readonly id: string;
  /** What is wrong, after "that". */
  readonly title: string;
  /** Breaks the rule for the one buffer that is available, of 8 bytes. */
  readonly breakIt: (queue: Queue, id: number) => void;
}

/** What can be wrong whatever the format. */
export const BROKEN_USED: readonly BrokenUsed<HandUsed>[] = [
  {
    id: "id-range",
    title: "names a buffer beyond the ring",
    breakIt: (queue) => queue.use(8, 0),
  },
  {
    id: "id-unknown",
    title: "names a buffer that it was not given",
    breakIt: (queue, id) => queue.use((id + 3) % 8, 0),
  },
  {
    id: "id-twice",
    title: "names a buffer twice",
    breakIt: (queue, id) => {
      queue.use(id, 0);
      queue.use(id, 0);
    },
  },
  {
    id: "length",
    title: "claims more bytes than there is room for",
    breakIt: (queue, id) => queue.use(id, 9),
  },
];

/** The driver fails the device, with FAILED, and reaps no buffer that it did not add. */
export async function expectDistrust<Queue extends HandUsed>(
  bench: DriverBench,
  driven: DriverDevice,
  queue: Queue,
  breakIt: BrokenUsed<Queue>["breakIt"],
): Promise<void> {
  const handle = driven.queue(0);
  let reaped = 0;
  handle.onUsed = () => {
    while (handle.reap() >= 0) reaped++;
  };
  const { address } = bench.dma.allocate(8, 8);
  const id = handle.queue.add([address], [8], 1, 0);
  handle.notify();
  breakIt(queue, id);
  bench.device.interrupt(0);
  await bench.expectSoon("the failure", () => driven.failure !== undefined);
  expectEqual("the state of the device", driven.state, "failed");
  expectTrue("at most the one buffer was reaped", reaped <= 1);
  await bench.expectSoon(
    "FAILED in the last status written",
    () => ((bench.device.statusesWritten.at(-1) ?? 0) & STATUS.FAILED) !== 0,
  );
  await driven.close();
  expectEqual("the last status written", bench.device.statusesWritten.at(-1), 0);
}
