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
   * the value in place, and tells nobody; it is called at most once, in the same turn, and must not
   * throw. It may have been made from what {@link save} told, to go back to that when a restore fails.
   *
   * @param path what to call the value in errors
   * @param device the state that the value is part of, where it is part of a device's: of the right
   * form, and with as many queues as the device here has
   * @throws VirtioError `SNAPSHOT` or any other error when the value is refused
   */
  restore?(value: unknown, path: string, device?: DeviceState): () => void;
}

/** The ring of an enabled queue, with no buffer held. */
export interface SavedRing {
  /** Where the buffer that is popped next stands, 0..0xffff; see {@link DeviceQueue.index}. */
  readonly index: number;
  /** Up to where the driver sees what was used, 0..0xffff. */
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
  /**
   * After {@link apply}: the device is stopped if it was, and its transport told. A device whose
   * owner or members are restored with it is settled before any of them goes on.
   */
  settle(): void;
  /** Settles the device, and lets it go on: serves what is available, interrupts if due. */
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
   * The part of a restore that comes before {@link prepareState}: what the transport saved, which
   * decides what members an owner has and what a device offers. Checks whether the device is reset
   * and built as the state wants it, remembers the transport's state, and changes nothing; that the
   * transport can take the new one is checked when it is applied. It may be undone without that.
   *
   * @param path what to call the state in errors
   * @throws VirtioError `SNAPSHOT` when it cannot; so does {@link StateChange.apply}
   */
  preparePort(state: DeviceState, path?: string): StateChange;
  /**
   * Checks whether the device, which must be reset, can take a state of the right form apart from
   * what its transport saved, and changes nothing.
   *
   * @param path what to call the state in errors
   * @throws VirtioError `SNAPSHOT` when it cannot
   */
  prepareState(state: DeviceState, path?: string): DeviceChange;
}

/** True for a device whose state can be saved and restored. */
export function isSnapshotDevice(device: object): device is SnapshotDevice {
  const { saveState, preparePort, prepareState } = device as Partial<SnapshotDevice>;
  return [saveState, preparePort, prepareState].every((method) => typeof method === "function");
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

/** What a hook is to take, and where that stands. */
export interface SavedHook {
  /** Who takes it. */
  readonly hook: StateHook | undefined;
  /** What it saved; `undefined` when it saved nothing. */
  readonly value: unknown;
  /** What to call it in errors. */
  readonly path: string;
  /** The state of the device that it is part of. */
  readonly device?: DeviceState;
}

/** Checks what a hook is to take; `undefined` when neither side has anything. */
export function prepareHook(saved: SavedHook): StateChange | undefined {
  const { hook, value, path, device } = saved;
  const restore = hookOf(saved);
  if (restore === undefined) return undefined;
  return attempt(path, () => ({
    apply: restore(value, path, device),
    undo: restore(copyJson(hook?.save?.(), path), path),
  }));
}

/**
 * As {@link prepareHook}, but the value is checked no earlier than it is put in place; what it goes
 * back to is how things are now.
 *
 * @param before the state of the device now, what the hook saved included
 */
export function deferHook(
  saved: SavedHook,
  before: { readonly value: unknown; readonly device: DeviceState },
): StateChange | undefined {
  const { value, path, device } = saved;
  const restore = hookOf(saved);
  if (restore === undefined) return undefined;
  const undo = attempt(path, () => restore(before.value, path, before.device));
  return { apply: () => attempt(path, () => restore(value, path, device)()), undo };
}

function hookOf({ hook, value, path }: SavedHook): Required<StateHook>["restore"] | undefined {
  const hint = "build the target as the source was built";
  if (hook?.save === undefined || hook.restore === undefined) {
    if (value === undefined) return undefined;
    throw refuseState(path, "nothing here takes this state", { hint });
  }
  if (value === undefined) throw refuseState(path, "the state is missing", { hint });
  return (...args) => (hook as Required<StateHook>).restore(...args);
}

function attempt<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (isVirtioError(error, "SNAPSHOT")) throw error;
    throw refuseState(path, "the state is refused", { cause: error });
  }
}

/** These changes as one. One that fails leaves nothing behind: those before it are undone. */
export function inOrder(changes: readonly StateChange[]): StateChange {
  let begun = 0;
  const undo = (): void => {
    const reached = changes.slice(0, begun);
    begun = 0;
    undoAll(reached);
  };
  return {
    apply: () => {
      for (const change of changes) {
        begun++;
        try {
          change.apply();
        } catch (error) {
          undo();
          throw error;
        }
      }
    },
    undo,
  };
}

/** Undoes changes, the last one first. */
export function undoAll(changes: readonly StateChange[]): void {
  for (const change of changes.toReversed()) {
    try {
      change.undo();
    } catch {
      // A hook that breaks its promise must not keep the others from going back.
    }
  }
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
