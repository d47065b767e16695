/** Interrupts of the device half: ISR status and INTx, vectors, masks and pending bits. */
import type { ProvisionWatcher } from "@virtio-admin/core";
import { NO_VECTOR } from "@virtio-admin/transport-pci";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MSIX_ENTRY_LAYOUT } from "../src/layout.ts";
import { HEADER, makeRig, type Rig, type RigOptions } from "./rig.ts";

const STATUS_BIT = HEADER.status.bits.interrupt_status.mask;
const interruptStatus = (rig: Rig) =>
  (rig.pci.configRead(HEADER.status.offset, 2) & STATUS_BIT) !== 0;
const ADDRESS = 0xfee01000;

describe("INTx", () => {
  it("[pci-isr-device-3] [pci-isr-device-4] [pci-isr-device-5] is asserted until ISR status is read", () => {
    const rig = makeRig();
    expect([rig.isr(), interruptStatus(rig)]).toEqual([0, false]);
    rig.pci.usedBuffers(1);
    rig.pci.usedBuffers(0);
    expect(rig.lines).toEqual([true]);
    expect(interruptStatus(rig)).toBe(true);
    expect(rig.isr()).toBe(1);
    expect(rig.lines).toEqual([true, false]);
    expect([rig.isr(), interruptStatus(rig)]).toEqual([0, false]);
  });

  it("[pci-isr-device-2] has a bit of its own for the configuration", () => {
    const rig = makeRig();
    rig.pci.configurationChange();
    rig.pci.usedBuffers(0);
    expect(rig.isr()).toBe(3);
    rig.pci.configurationChange();
    expect(rig.isr()).toBe(2);
    expect(rig.messages).toEqual([]);
  });

  it("[pci-isr-device-4] is silent with Interrupt Disable, and shows in Interrupt Status all the same", () => {
    const rig = makeRig();
    rig.command("memory_space", "bus_master", "interrupt_disable");
    rig.pci.usedBuffers(0);
    expect(rig.lines).toEqual([]);
    expect(interruptStatus(rig)).toBe(true);
    rig.command("memory_space", "bus_master");
    expect(rig.lines).toEqual([true]);
    rig.command("memory_space", "bus_master", "interrupt_disable");
    expect(rig.lines).toEqual([true, false]);
  });

  it("[pci-isr-device-4] follows MSI-X Enable", () => {
    const rig = makeRig();
    rig.pci.usedBuffers(0);
    rig.setMsix(true);
    expect(rig.lines).toEqual([true, false]);
    expect(interruptStatus(rig)).toBe(false);
    rig.setMsix(false);
    expect(rig.lines).toEqual([true, false, true]);
    expect(rig.pci.interruptLine).toBe(true);
  });

  it("is deasserted by a reset of the device", () => {
    const rig = makeRig();
    rig.pci.usedBuffers(0);
    rig.set("device_status", 0);
    expect(rig.lines).toEqual([true, false]);
    expect(rig.isr()).toBe(0);
  });

  it("is not there without an interrupt pin", () => {
    const rig = makeRig({ identity: { interruptPin: 0 } });
    rig.pci.usedBuffers(0);
    expect(rig.lines).toEqual([]);
    expect(rig.isr()).toBe(1);
  });

  it("interrupts for a used buffer of an enabled queue", () => {
    const rig = makeRig();
    rig.negotiate([]);
    rig.enable(1);
    rig.set("device_status", 0xf);
    rig.offer(1);
    rig.notify(1);
    expect(rig.lines).toEqual([true]);
  });
});

describe("vector mapping", () => {
  it("[pci-msix-device-4] [pci-msix-device-5] [pci-msix-device-6] maps any event to any vector, and unmaps it", () => {
    const rig = makeRig({ msix: { vectors: 3 } });
    rig.set("queue_select", 1);
    for (const field of ["config_msix_vector", "queue_msix_vector"] as const) {
      expect(rig.get(field)).toBe(NO_VECTOR);
      for (const vector of [0, 1, 2]) {
        rig.set(field, vector);
        expect(rig.get(field)).toBe(vector);
      }
      rig.set(field, NO_VECTOR);
      expect(rig.get(field)).toBe(NO_VECTOR);
    }
  });

  it("[pci-msix-device-9] reads NO_VECTOR after a vector that the table does not have", () => {
    const rig = makeRig({ msix: { vectors: 3 } });
    for (const field of ["config_msix_vector", "queue_msix_vector"] as const) {
      for (const vector of [3, 0x7ff, 0xfffe]) {
        rig.set(field, 1);
        rig.set(field, vector);
        expect(rig.get(field)).toBe(NO_VECTOR);
      }
    }
    const without = makeRig({ msix: false });
    without.set("config_msix_vector", 0);
    expect(without.get("config_msix_vector")).toBe(NO_VECTOR);
  });
});

describe("MSI-X", () => {
  const ready = (options: RigOptions = {}) => {
    const rig = makeRig({ msix: { vectors: 4 }, ...options });
    for (const vector of [0, 1, 2, 3]) rig.entry(vector, ADDRESS + vector * 4, 0x40 + vector);
    rig.set("config_msix_vector", 0);
    [0, 1].forEach((queue) => {
      rig.set("queue_select", queue);
      rig.set("queue_msix_vector", queue + 1);
    });
    rig.setMsix(true);
    return rig;
  };

  it("sends the message of the vector that an event is mapped to, and leaves INTx alone", () => {
    const rig = ready();
    rig.pci.usedBuffers(1);
    rig.pci.configurationChange();
    expect(rig.messages).toEqual([
      { vector: 2, address: ADDRESS + 8, data: 0x42 },
      { vector: 0, address: ADDRESS, data: 0x40 },
    ]);
    expect(rig.lines).toEqual([]);
    expect(interruptStatus(rig)).toBe(false);
  });

  it("[pci-isr-device-2] [pci-isr-device-3] sets only the configuration bit of ISR status", () => {
    const rig = ready();
    rig.pci.usedBuffers(1);
    expect(rig.isr()).toBe(0);
    rig.pci.configurationChange();
    expect(rig.isr()).toBe(2);
  });

  it("[pci-used-device-1] [pci-config-change-device-1] does not interrupt for an event without vector", () => {
    const rig = ready();
    rig.set("queue_select", 0);
    rig.set("queue_msix_vector", NO_VECTOR);
    rig.set("config_msix_vector", NO_VECTOR);
    rig.pci.usedBuffers(0);
    rig.pci.configurationChange();
    expect(rig.messages).toEqual([]);
    expect(rig.lines).toEqual([]);
  });

  it("[pci-msix-device-7] sends nothing after a reset for what was before", () => {
    const rig = ready();
    rig.entry(1, ADDRESS, 1, true);
    rig.pci.usedBuffers(0);
    rig.set("device_status", 0);
    rig.entry(1, ADDRESS, 1);
    expect(rig.messages).toEqual([]);
    rig.pci.usedBuffers(0);
    expect(rig.messages).toEqual([]);
  });

  it("looks at masks and messages of the table only where the device has the table", () => {
    const rig = ready({ vectorMasking: "vmm" });
    rig.entry(1, 0, 0, true);
    rig.pci.usedBuffers(0);
    expect(rig.messages).toEqual([{ vector: 1, address: 0, data: 0 }]);
    rig.setMsix(true, true);
    rig.pci.usedBuffers(0);
    expect(rig.messages.length).toBe(1);
  });

  it("[pci-device-1] waits for Function Mask and Bus Master Enable, and is sent once both let it", () => {
    const rig = ready();
    rig.setMsix(true, true);
    rig.pci.usedBuffers(0);
    rig.pci.usedBuffers(0);
    rig.command("memory_space");
    rig.setMsix(true);
    expect(rig.messages).toEqual([]);
    rig.command("memory_space", "bus_master");
    expect(rig.messages.map(({ vector }) => vector)).toEqual([1]);
  });

  it("tells who watches of MSI-X Enable and of other vectors, and nobody else", () => {
    const { pci, setMsix, set } = makeRig();
    const told: unknown[] = [];
    const watcher: ProvisionWatcher = {
      changed: (id, what) => void told.push([id, what, pci.msixEnabled, pci.msixVectors]),
    };
    expect(pci.watch(watcher, 9)).toBe(true);
    expect(pci.watch({ changed: () => told.push("another") }, 1)).toBe(false);
    expect(pci.setMsixVectors(2)).toBeUndefined();
    expect(pci.setMsixVectors(0)).toBe("invalid");
    setMsix(true);
    setMsix(true, true);
    expect(pci.setMsixVectors(3)).toBe("in use");
    setMsix(false);
    setMsix(true);
    set("device_status", 1);
    pci.reset();
    expect(told).toEqual([
      [9, "vectors", false, 2],
      [9, "use", true, 2],
      [9, "use", false, 2],
      [9, "use", true, 2],
      [9, "use", false, 2],
    ]);
    expect(pci.watch(undefined, 9)).toBe(true);
    setMsix(true);
    expect([told.length, pci.watch(watcher, 3)]).toEqual([5, true]);
  });

  it("tells who watches when a restore switches it, before anything goes on", () => {
    const saving = makeRig();
    saving.setMsix(true);
    const saved = saving.pci.save();
    const { pci } = makeRig();
    const told: unknown[] = [];
    pci.watch({ changed: (id, what) => void told.push([id, what, pci.msixEnabled]) }, 9);
    const put = pci.restore(saved, "port");
    expect(told).toEqual([]);
    put();
    expect(told).toEqual([[9, "use", true]]);
    pci.restored();
    expect(told.length).toBe(1);
  });

  it("has a table that is masked and empty before it is written, and after a reset", () => {
    const rig = makeRig();
    const { table, pba, vectors } = rig.pci.placement.msix!;
    const read = () =>
      Array.from({ length: 4 * vectors }, (_, i) =>
        rig.pci.barRead(table.bar, table.offset + 4 * i, 4),
      );
    const atReset = Array.from({ length: vectors }, () => [0, 0, 0, 1]).flat();
    rig.command("memory_space", "bus_master");
    expect(read()).toEqual(atReset);
    // What is written as it stands changes nothing; an event of a vector that waits shows.
    rig.pci.barWrite(table.bar, table.offset + 12, 4, 1);
    rig.pci.barWrite(table.bar, table.offset + 8, 4, 0);
    expect(read()).toEqual(atReset);
    rig.setMsix(true);
    rig.negotiate([]);
    rig.set("config_msix_vector", 1);
    rig.set("device_status", 0xf);
    expect(rig.pci.barRead(pba.bar, pba.offset, 4)).toBe(0);
    rig.model.host.configChanged();
    expect(rig.pci.barRead(pba.bar, pba.offset, 4)).toBe(2);
    rig.entry(1, 0xfee0_0000, 7);
    expect(rig.messages).toEqual([{ vector: 1, address: 0xfee0_0000, data: 7 }]);
    expect(read()).toEqual([0, 0, 0, 1, 0xfee0_0000, 0, 7, 0, ...atReset.slice(8)]);
    rig.pci.reset();
    rig.command("memory_space");
    expect([read(), rig.pci.barRead(pba.bar, pba.offset, 4)]).toEqual([atReset, 0]);
  });

  it("keeps the table in whole dwords", () => {
    const rig = ready();
    const table = rig.pci.placement.msix!.table;
    rig.pci.barWrite(table.bar, table.offset, 4, 0xffffffff);
    expect(rig.pci.barRead(table.bar, table.offset, 4)).toBe(0xfffffffc);
    rig.pci.barWrite(table.bar, table.offset + 12, 4, 0xfffffffe);
    expect(rig.pci.barRead(table.bar, table.offset + 12, 4)).toBe(0);
    rig.pci.barWrite(table.bar, table.offset, 1, 0);
    rig.pci.barWrite(table.bar, table.offset, 2, 0);
    expect(rig.pci.barRead(table.bar, table.offset, 4)).toBe(0xfffffffc);
    expect(rig.pci.barRead(table.bar, table.offset, 2)).toBe(0);
    const { bar, offset } = rig.pci.placement.msix!.pba;
    rig.pci.barWrite(bar, offset, 4, 0xffffffff);
    expect(rig.pci.barRead(bar, offset, 4)).toBe(0);
  });
});

/** What the rules of PCI say about messages, in the plainest form. */
interface MessageModel {
  enabled: boolean;
  functionMask: boolean;
  busMaster: boolean;
  masked: boolean[];
  pending: boolean[];
  sent: number[];
}

const VECTORS = 70;

function settle(model: MessageModel): void {
  if (!model.enabled || model.functionMask || !model.busMaster) return;
  for (let vector = 0; vector < VECTORS; vector++) {
    if (!model.pending[vector] || model.masked[vector]) continue;
    model.pending[vector] = false;
    model.sent.push(vector);
  }
}

type Step = fc.Command<MessageModel, Rig>;

function step(name: string, apply: (model: MessageModel) => void, run: (rig: Rig) => void): Step {
  return {
    check: () => true,
    run: (model, rig) => {
      apply(model);
      settle(model);
      run(rig);
      expect(rig.messages.map(({ vector }) => vector)).toEqual(model.sent);
      const { bar, offset } = rig.pci.placement.msix!.pba;
      const pending = model.pending.map((_, vector) => {
        const dword = rig.pci.barRead(bar, offset + 4 * (vector >>> 5), 4);
        return ((dword >>> (vector & 31)) & 1) === 1;
      });
      expect(pending).toEqual(model.pending);
    },
    toString: () => name,
  };
}

describe("masking", () => {
  // Few vectors, so that one is raised, masked and unmasked in one run; both dwords have some.
  const vector = fc.constantFrom(0, 31, 32, VECTORS - 1);
  const bit = fc.integer({ min: 0, max: 1 }).map((value) => value === 1);

  it("[pci-device-1] sends what is not masked, once, and what was pending when it may", () => {
    const all = fc.commands(
      [
        vector.map((v) =>
          step(
            `raise ${v}`,
            (model) => {
              if (model.enabled) model.pending[v] = true;
            },
            (rig) => {
              rig.set("config_msix_vector", v);
              rig.pci.configurationChange();
            },
          ),
        ),
        fc.record({ v: vector, masked: bit }).map(({ v, masked }) =>
          step(
            `${masked ? "mask" : "unmask"} ${v}`,
            (model) => {
              model.masked[v] = masked;
            },
            (rig) => {
              const { bar, offset } = rig.pci.placement.msix!.table;
              rig.pci.barWrite(bar, offset + v * MSIX_ENTRY_LAYOUT.size + 12, 4, masked ? 1 : 0);
            },
          ),
        ),
        fc.record({ enabled: bit, functionMask: bit }).map(({ enabled, functionMask }) =>
          step(
            `enable ${enabled} mask ${functionMask}`,
            (model) => Object.assign(model, { enabled, functionMask }),
            (rig) => rig.setMsix(enabled, functionMask),
          ),
        ),
        bit.map((busMaster) =>
          step(
            `bus master ${busMaster}`,
            (model) => Object.assign(model, { busMaster }),
            (rig) =>
              busMaster ? rig.command("memory_space", "bus_master") : rig.command("memory_space"),
          ),
        ),
        fc.constant(
          step(
            "device reset",
            (model) => {
              model.pending.fill(false);
            },
            (rig) => rig.set("device_status", 0),
          ),
        ),
      ],
      { maxCommands: 60, size: "max" },
    );
    fc.assert(
      fc.property(all, (steps) => {
        const rig = makeRig({ msix: { vectors: VECTORS } });
        const model: MessageModel = {
          enabled: false,
          functionMask: false,
          busMaster: true,
          masked: new Array(VECTORS).fill(true),
          pending: new Array(VECTORS).fill(false),
          sent: [],
        };
        fc.modelRun(() => ({ model, real: rig }), steps);
      }),
      { numRuns: 100 },
    );
  });
});
