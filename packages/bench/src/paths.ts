/** Every path that is measured, by name: each is made in a process of its own. */
import { CCW_TRANSPORT } from "@virtio-admin/transport-ccw";
import { MMIO_TRANSPORT } from "@virtio-admin/transport-mmio";
import { PCI_TRANSPORT } from "@virtio-admin/transport-pci";
import { commandBatch, commandExecutor, commandPromise, promisePerBatch } from "./admin-paths.ts";
import { handReference } from "./hand-ring.ts";
import { featuresPath, functionsPath, membersPath } from "./member-paths.ts";
import { rawPacked } from "./raw-packed.ts";
import { rawSplit } from "./raw-split.ts";
import type { Subject } from "./subject.ts";
import { transportPath } from "./transport-paths.ts";
import { twoThreads } from "./two-threads.ts";

/** The largest group that is measured. */
export const MOST_MEMBERS = 65_535;
const MEMBER_COUNTS = [1, 256, MOST_MEMBERS];

type Make = () => Subject | Promise<Subject>;

const MEMBER_PATHS = { members: membersPath, functions: functionsPath, features: featuresPath };

/** The paths, in the order of the report. */
export const PATHS: Readonly<Record<string, Make>> = {
  hand: () => handReference(),
  "raw-split": () => rawSplit(),
  "raw-split-atomic": () => rawSplit(true),
  "raw-packed": () => rawPacked(),
  "raw-packed-atomic": () => rawPacked(true),
  "command-executor": () => commandExecutor(),
  "command-batch": () => commandBatch(),
  "command-batch-atomic": () => commandBatch(true),
  "command-promise": () => commandPromise(),
  "promise-per-batch": () => promisePerBatch(),
  "two-threads": () => twoThreads(),
  "transport-pci": () => transportPath(PCI_TRANSPORT),
  "transport-mmio": () => transportPath(MMIO_TRANSPORT),
  "transport-ccw": () => transportPath(CCW_TRANSPORT),
  ...Object.fromEntries(
    Object.entries(MEMBER_PATHS).flatMap(([name, make]) =>
      MEMBER_COUNTS.map((count) => [`${name}-${count}`, () => againstOne(make, count)]),
    ),
  ),
};

/** A path with so many members, to be paired against a group of one too. */
function againstOne(make: (count: number) => Subject, count: number): Subject {
  const baseline = make(1);
  return { ...(count === 1 ? baseline : make(count)), baseline };
}
