/**
 * What of a device, and of what works on it, goes into a snapshot, and how it comes back: first
 * everything is checked, then all of it is put in place or nothing.
 */
import { isVirtioError, VirtioError } from "../errors.ts";
import { FEATURE_WORDS, FeatureSet } from "./features.ts";
import { copyJson } from "./json-copy.ts";

/**
 * State that somebody adds to a snapshot who alone knows what it means. Whoever has one of the
 * methods has both.
 */
export interface StateHook {
  /** The state now, made of JSON values; must not throw. */
  save?(): unknown;
  /**
   * Checks a saved value, which may come from anywhere, and changes nothing. What it returns puts
   * the value in place; it is called at most once, in the same turn, and must not throw. It may
   * have been made from what {@link save} told, to go back to that when a restore fails.
   *
   * @throws VirtioError `SNAPSHOT` or any other error when the value is refused
   */
  restore?(value: unknown): () => void;
}

/** The ring of an enabled queue, with no buffer held. */
export interface SavedRing {
  /** The ring index of the buffer that is popped next, 0..0xffff. */
  readonly index: number;
  /** The used index that the driver sees, 0..0xffff. */
  readonly publishedIndex: number;
  /** True while the device wants available buffer notifications. */
  readonly notifications: boolean;
  /** True when the driver was still to be interrupted. */
  readonly interrupt: boolean;
}

/** One queue of a device, administration virtqueues included. */
export interface SavedQueue {
  /** The size that is set. */
  readonly size: number;
  /** The address of the descriptor area, of 64 bits. */
  readonly descriptorArea: string;
  /** The address of the driver area. */
  readonly driverArea: string;
  /** The address of the device area. */
  readonly deviceArea: string;
  /** Present exactly when the queue is enabled. */
  readonly ring?: SavedRing;
}

/** A configuration space. */
export interface SavedConfig {
  /** All of its bytes, two lower-case hexadecimal digits each. */
  readonly bytes: string;
  /** The generation, 0..0xffffffff. */
  readonly generation: number;
  /** The generation that the driver was told of last. */
  readonly toldGeneration: number;
}

/** A driver's use of the legacy interface. */
export interface SavedLegacy {
  /** True once the driver has used the device: its features are settled. */
  readonly inUse: boolean;
}

/**
 * The state of one device, as JSON. Sets of features and addresses are hexadecimal numbers, `0x`
 * and lower-case digits, because they have more bits than a JSON number keeps.
 */
export interface DeviceState {
  /** The virtio device id; a device of another one cannot take the state. */
  readonly deviceId: number;
  /** The device status byte. */
  readonly status: number;
  /** Present when the device is driven through its legacy interface, see `LegacyFacingDevice`. */
  readonly legacy?: SavedLegacy;
  /** The features that the driver wrote; in force when FEATURES_OK is set, or with {@link legacy}. */
  readonly driverFeatures: string;
  /** True when the driver was still to be told of a changed configuration. */
  readonly configurationDue: boolean;
  /** Present when its owner has stopped the device. */
  readonly stopped?: true;
  /** The configuration space, where there is one. */
  readonly config?: SavedConfig;
  /** Every queue by its index. */
  readonly queues: readonly SavedQueue[];
  /** What the device type saved. */
  readonly model?: unknown;
  /** The name of the transport, when the device is connected. */
  readonly transport?: string;
  /** What the transport's device half saved. */
  readonly port?: unknown;
}

/** A change that was checked and is still to be made. */
export interface StateChange {
  /** Makes it. */
  apply(): void;
  /** Goes back to what was there before; only after {@link apply}, even when that threw. */
  undo(): void;
}

/** A change of a device's state. */
export interface DeviceChange extends StateChange {
  /** Lets the device go on after {@link apply}: serves what is available, interrupts if due. */
  resume(): void;
}

/** A device whose state can be saved and restored; a `VirtioDevice` is one. */
export interface SnapshotDevice {
  /** The device status byte. */
  readonly status: number;
  /**
   * Its state now.
   *
   * @param path what to call the device in errors
   * @throws VirtioError `SNAPSHOT_BUSY` while the device holds a buffer, naming the queue, and from
   * the time at which its parts are set until it goes on
   */
  saveState(path?: string): DeviceState;
  /**
   * Checks whether the device, which must be reset, can take a state of the right form, and changes
   * nothing.
   *
   * @param path what to call the state in errors
   * @throws VirtioError `SNAPSHOT` when it cannot
   */
  prepareState(state: DeviceState, path?: string): DeviceChange;
}

/** True for a device whose state can be saved and restored. */
export function isSnapshotDevice(device: object): device is SnapshotDevice {
  const { saveState, prepareState } = device as Partial<SnapshotDevice>;
  return typeof saveState === "function" && typeof prepareState === "function";
}

/** The error for a state that is refused. */
export function refuseState(
  path: string,
  message: string,
  more: { readonly value?: unknown; readonly hint?: string; readonly cause?: unknown } = {},
): VirtioError {
  return new VirtioError("SNAPSHOT", { path, message, ...more });
}

/** What a hook saved, under its name; nothing when it does not save. */
export function saveHook<Name extends string>(
  name: Name,
  hook: StateHook | undefined,
  path: string,
): { readonly [key in Name]?: unknown } {
  if (hook?.save === undefined) return {};
  const value = copyJson(hook.save(), `${path}.${name}`);
  return { [name]: value } as { readonly [key in Name]?: unknown };
}

/** Checks what a hook is to take; `undefined` when neither side has anything. */
export function prepareHook(
  hook: StateHook | undefined,
  value: unknown,
  path: string,
): StateChange | undefined {
  if (hook?.save === undefined || hook.restore === undefined) {
    if (value === undefined) return undefined;
    throw refuseState(path, "nothing here takes this state", {
      hint: "build the target as the source was built",
    });
  }
  if (value === undefined) {
    throw refuseState(path, "the state is missing", {
      hint: "build the target as the source was built",
    });
  }
  try {
    const before = copyJson(hook.save(), path);
    return { apply: hook.restore(value), undo: hook.restore(before) };
  } catch (error) {
    if (isVirtioError(error, "SNAPSHOT")) throw error;
    throw refuseState(path, "the state is refused", { cause: error });
  }
}

/** These changes as one. One that fails leaves nothing behind: those before it are undone. */
export function inOrder(changes: readonly StateChange[]): StateChange {
  const undoFrom = (last: number): void => {
    for (let i = last; i >= 0; i--) {
      try {
        changes[i]?.undo();
      } catch {
        // A hook that breaks its promise must not keep the others from going back.
      }
    }
  };
  return {
    apply: () => {
      changes.forEach((change, i) => {
        try {
          change.apply();
        } catch (error) {
          undoFrom(i);
          throw error;
        }
      });
    },
    undo: () => undoFrom(changes.length - 1),
  };
}

/** Reads what `String(features)` wrote, at most 32 digits. */
export function featuresFromHex(text: string): FeatureSet {
  const digits = text.slice(2).padStart(8 * FEATURE_WORDS, "0");
  const words: number[] = [];
  for (let word = FEATURE_WORDS - 1; word >= 0; word--) {
    words.push(Number.parseInt(digits.slice(8 * word, 8 * word + 8), 16));
  }
  return FeatureSet.fromWords(words);
}

/** Two halves of an address as one hexadecimal number. */
export function addressToHex(low: number, high: number): string {
  if (high === 0) return `0x${low.toString(16)}`;
  return `0x${high.toString(16)}${low.toString(16).padStart(8, "0")}`;
}

/** The low and the high half of what {@link addressToHex} wrote. */
export function addressFromHex(text: string): readonly [number, number] {
  const digits = text.slice(2).padStart(16, "0");
  return [Number.parseInt(digits.slice(8), 16), Number.parseInt(digits.slice(0, 8), 16)];
}
