/** The entropy device, both halves. */
export { createEntropy, type EntropyInit, type EntropySource } from "./device.ts";
export { EntropyDriver, type EntropyDriverOptions } from "./driver.ts";
export { ENTROPY_DEVICE_ID, ENTROPY_REQUESTQ } from "./identity.ts";
