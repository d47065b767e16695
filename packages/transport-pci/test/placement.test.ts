/** Placements that cannot be are refused before anything is connected. */
import { isVirtioError } from "@virtio-admin/core";
import { PCI_TRANSPORT, type PciPlacement } from "@virtio-admin/transport-pci";
import { describe, expect, it } from "vitest";
import { VIRTIO_PCI_COMMON_CFG_LAYOUT } from "../src/layout.ts";
import { makeRig } from "./rig.ts";

const at = (offset: number, length: number, bar = 0) => ({ bar, offset, length });

describe("a placement that contradicts itself", () => {
  it.each<[string, PciPlacement, RegExp]>([
    ["overlap", { windows: { isr: at(63, 1) } }, /windows\.isr: it overlaps windows\.common/],
    ["no such BAR", { bars: [{ index: 1, length: 0x1000 }] }, /windows\.common\.bar/],
    [
      "outside its BAR",
      {
        bars: [
          { index: 0, length: 0x2000 },
          { index: 1, length: 0x1000 },
        ],
      },
      /windows\..*: it is not inside/,
    ],
    [
      "[pci-common-device-1] misaligned common configuration",
      { windows: { common: at(2, 64) } },
      /windows\.common\.offset/,
    ],
    [
      "[pci-device-config-device-1] misaligned device configuration",
      { windows: { device: at(0x2002, 16) } },
      /windows\.device\.offset/,
    ],
    [
      "[pci-notify-device-2] misaligned notification structure",
      { windows: { notify: at(0x3001, 16) } },
      /windows\.notify\.offset/,
    ],
    [
      "[pci-notify-device-4] short notification structure",
      { windows: { notify: at(0x3000, 1) } },
      /windows\.notify\.length/,
    ],
    ["short common configuration", { windows: { common: at(0, 55) } }, /windows\.common\.length/],
    ["[pci-notify-device-3] multiplier 1", { notifyOffMultiplier: 1 }, /notifyOffMultiplier/],
    ["[pci-notify-device-3] multiplier 6", { notifyOffMultiplier: 6 }, /notifyOffMultiplier/],
    ["[pci-notify-device-3] multiplier -4", { notifyOffMultiplier: -4 }, /notifyOffMultiplier/],
    ["[pci-msix-device-1] no vector", { msix: { vectors: 0 } }, /msix\.vectors/],
    ["[pci-msix-device-1] too many vectors", { msix: { vectors: 2049 } }, /msix\.vectors/],
    ["misaligned table", { msix: { table: { bar: 1, offset: 4 } } }, /msix\.table\.offset/],
    [
      "a BAR that is no power of two",
      {
        bars: [
          { index: 0, length: 0x5000 },
          { index: 1, length: 0x1000 },
        ],
      },
      /bars\[0\]/,
    ],
    [
      "a 64-bit BAR over another",
      {
        bars: [
          { index: 0, length: 0x4000, width: 64 },
          { index: 1, length: 0x1000 },
        ],
      },
      /bars\[1\]/,
    ],
    [
      "a 64-bit BAR in the last register",
      {
        msix: false,
        bars: [
          { index: 5, length: 0x4000, width: 64 },
          { index: 0, length: 0x4000 },
        ],
      },
      /bars\[5\]/,
    ],
    [
      "[pci-discovery-device-2] a device id out of range",
      { identity: { deviceId: 0x1080 } },
      /identity\.deviceId/,
    ],
    ["an id that does not fit", { identity: { revisionId: 256 } }, /identity\.revisionId/],
    ["a capability twice", { capabilities: [{ name: "isr" }, { name: "isr" }] }, /capabilities/],
    [
      "a capability without structure",
      { msix: false, capabilities: [{ name: "msix" }] },
      /capabilities/,
    ],
    [
      "a capability in the header",
      { capabilities: [{ name: "isr", at: 0x30 }] },
      /capabilities\.at/,
    ],
    [
      "a capability inside another",
      {
        capabilities: [
          { name: "isr", at: 0x40 },
          { name: "common", at: 0x48 },
        ],
      },
      /capabilities\.at/,
    ],
    [
      "a capability beyond the end",
      { capabilities: [{ name: "isr", at: 0xf4 }] },
      /capabilities\.at/,
    ],
  ])("is refused: %s", (_name, placement, message) => {
    const make = () => makeRig(placement);
    expect(make).toThrow(message);
    try {
      make();
    } catch (error) {
      expect(isVirtioError(error, "TRANSPORT_OPTIONS")).toBe(true);
    }
  });
});

describe("the description", () => {
  it("[pci-common-format-1] says where the administration virtqueues are", () => {
    expect(PCI_TRANSPORT.description).toMatchObject({
      name: "pci",
      adminQueueLocation: "virtio_pci_common_cfg, offsets 60 and 62",
      adminQueueForm: "le16, le16",
      adminQueueStatus: "ratified",
      reservedFeatures: [],
    });
    expect(PCI_TRANSPORT.description.layouts).toContain(VIRTIO_PCI_COMMON_CFG_LAYOUT);
  });
});
