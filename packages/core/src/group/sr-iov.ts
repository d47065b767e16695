import type { GroupType } from "./types.ts";

/**
 * The SR-IOV group type: a physical function owns its virtual functions, numbered from 1 ("Device
 * groups"). A group of this type lives in the PCI transport.
 */
export const SR_IOV_GROUP: GroupType = {
  id: 0x0001,
  name: "SR-IOV",
  private: false,
  transports: ["pci"],
  cite: "Basic Facilities of a Virtio Device / Device groups",
};
