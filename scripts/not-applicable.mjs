// Clauses that nothing here can be held against, and why. `npm run clauses` reads them, and fails when
// one of them does not exist or is tested after all.
export const NOT_APPLICABLE = {
  "device-parts-device-17":
    "no function here has a power management capability: there is no event of it to generate",
  "device-parts-device-22":
    "no function here has a power management capability: there is no transition during which a command could arrive",
  "device-parts-device-30":
    "VIRTIO_DEV_PART_DEV_CFG has an order and no definition: no part of that name can be told or set",
  "device-parts-device-34":
    "VIRTIO_DEV_PART_DRV_CFG has an order and no definition: no part of that name can be told or set",
};
