/** What a member costs that no driver uses: memory after a forced collection, before and after. */
import {
  idleDevice,
  idleModel,
  MOST_VECTORS,
  platformGroup,
  virtualFunctions,
} from "./measured-groups.ts";
import { measuredRing } from "./raw-split.ts";

/** Bytes for one member, each beyond the one before unless said. */
export interface IdleBytes {
  /** How many members there were. */
  readonly members: number;
  /** The device core, beyond the device model. */
  readonly device: number;
  /** The member of a platform group, beyond its device core. */
  readonly platformMember: number;
  /** A virtual function that no command has named; its device is not made. */
  readonly virtualFunction: number;
  /** The same after a command has given it other vectors. */
  readonly provisionedFunction: number;
  /** The PCI function that its driver or its first FEATURES_SET has made, beyond its device. */
  readonly pciFunction: number;
}

const MOST_PCI_FUNCTIONS = 1024;

/** Measures idle members; `undefined` unless Node runs with `--expose-gc`. */
export function measureIdleBytes(members: number): IdleBytes | undefined {
  const collect = (globalThis as { gc?: () => void }).gc;
  if (collect === undefined) return undefined;
  const kept: unknown[] = [];
  const bytesNow = (): number => {
    collect();
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const bytesFor = <T>(count: number, make: () => T): [T, number] => {
    const before = bytesNow();
    const made = make();
    kept.push(made);
    return [made, (bytesNow() - before) / count];
  };
  const { memory } = measuredRing(false);
  const models = Array.from({ length: members }, idleModel);
  const [devices, device] = bytesFor(members, () => models.map((m) => idleDevice(memory, m)));
  const [, platformMember] = bytesFor(members, () => platformGroup(devices));
  const deviceOf = (id: number) => devices[id - 1] ?? idleDevice(memory, idleModel());
  const [group, virtualFunction] = bytesFor(members, () => virtualFunctions(members, deviceOf));
  const [, provisionedFunction] = bytesFor(members, () => {
    for (const member of group.managedMembers()) member.provisionVectors?.(MOST_VECTORS);
  });
  const made = Math.min(members, MOST_PCI_FUNCTIONS);
  const [, pciFunction] = bytesFor(made, () => {
    for (let id = 1; id <= made; id++) group.function(id);
  });
  if (kept.length === 0) throw new Error("what was measured is gone");
  return {
    members,
    device,
    platformMember,
    virtualFunction,
    provisionedFunction: virtualFunction + provisionedFunction,
    pciFunction,
  };
}
