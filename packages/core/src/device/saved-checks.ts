/** Checks of a saved device that need nothing but the state and the rules of the specification. */
import { toHex } from "../trace/hex.ts";
import type { ConfigSpace } from "./config-space.ts";
import { refuseState, type SavedConfig } from "./saved-state.ts";
import { DRIVER_STATUS_BITS, STATUS, STATUS_RULES, statusNames } from "./status.ts";

/** Throws unless driver and device can have come to this status together. */
export function checkSavedStatus(status: number, path: string): void {
  const unknown = status & ~(DRIVER_STATUS_BITS | STATUS.DEVICE_NEEDS_RESET);
  if (unknown !== 0) {
    throw refuseState(path, `a device has no status ${statusNames(unknown)}`, { value: status });
  }
  for (const rule of STATUS_RULES) {
    const missing = (rule.with | rule.after) & ~status;
    if ((status & rule.bit) === 0 || missing === 0) continue;
    throw refuseState(path, `${statusNames(rule.bit)} without ${statusNames(missing)}`, {
      value: status,
    });
  }
}

/** A configuration space as it is now. */
export function saveConfig(config: ConfigSpace, toldGeneration: number): SavedConfig {
  const bytes = new Uint8Array(config.length);
  config.read(0, bytes);
  return { bytes: toHex(bytes), generation: config.generation, toldGeneration };
}

/** The saved bytes; throws unless they fit the device's configuration space. */
export function checkSavedConfig(
  config: ConfigSpace | undefined,
  saved: SavedConfig | undefined,
  path: string,
): Uint8Array {
  const length = config?.length ?? 0;
  const found = saved === undefined ? 0 : saved.bytes.length / 2;
  if ((config === undefined) !== (saved === undefined) || length !== found) {
    throw refuseState(path, `the device has ${length} bytes of configuration`, { value: found });
  }
  return Uint8Array.from({ length }, (_, i) =>
    Number.parseInt(saved?.bytes.slice(2 * i, 2 * i + 2) ?? "0", 16),
  );
}
