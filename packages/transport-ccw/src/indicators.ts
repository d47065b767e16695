/**
 * The indicator bits through which a device says which queue has used buffers.
 *
 * Classic and configuration indicators are one big-endian 64-bit value; the text does not number
 * its bits, and the usual reading is taken: bit 0 is the least significant one. Adapter indicators
 * are an area of bytes whose bit 0 is, as the text says, the most significant of the first byte.
 *
 * Both sides change the same byte, on different threads perhaps: bits are set and taken with
 * Atomics where the memory is mapped. A hot path: no allocation, no BigInt.
 */
import type { GuestMemory } from "@virtio-admin/core";
import { CLASSIC_INDICATOR_BITS } from "./layout.ts";

/** Where the summary indicator and the queue indicators of a device lie. */
export interface AdapterIndicators {
  /** Guest address of the summary byte. */
  readonly summary: number;
  /** Guest address of the area of queue indicators. */
  readonly area: number;
  /** The bit of queue 0 in the area. */
  readonly firstBit: number;
  /** The interruption subclass, 0..7. */
  readonly subclass: number;
}

/** The value of a summary indicator that is set. */
export const SUMMARY_SET = 0x01;
/** The bit of the configuration indicators that says the configuration changed. */
export const CONFIGURATION_BIT = 0;
/** The length in bytes of classic and configuration indicators. */
export const CLASSIC_INDICATOR_LENGTH: number = CLASSIC_INDICATOR_BITS / 8;
/** The highest interruption subclass. */
export const HIGHEST_SUBCLASS = 7;

const scratch = new Uint8Array(1);

/** Sets bits of one byte; returns the byte before, or -1 when it is not in guest memory. */
function setBits(memory: GuestMemory, address: number, bits: number): number {
  const region = memory.find(address, 1);
  if (region !== undefined) return Atomics.or(region.bytes, address - region.base, bits);
  if (!memory.read(address, scratch)) return -1;
  const before = scratch[0] ?? 0;
  scratch[0] = before | bits;
  return memory.write(address, scratch) ? before : -1;
}

/** Clears bits of one byte; returns the byte before, or 0 when it is not in guest memory. */
function takeBits(memory: GuestMemory, address: number, bits: number): number {
  const region = memory.find(address, 1);
  if (region !== undefined) return Atomics.and(region.bytes, address - region.base, ~bits & 0xff);
  if (!memory.read(address, scratch)) return 0;
  const before = scratch[0] ?? 0;
  scratch[0] = before & ~bits;
  memory.write(address, scratch);
  return before;
}

/** The guest address of the byte that holds bit `bit` (0..63) of classic indicators. */
export function classicByte(indicators: number, bit: number): number {
  return indicators + CLASSIC_INDICATOR_LENGTH - 1 - (bit >>> 3);
}

/** The mask in its byte of bit `bit` of classic indicators. */
export function classicMask(bit: number): number {
  return 1 << (bit & 7);
}

/** The guest address of the byte that holds bit `bit` of an area of adapter indicators. */
export function adapterByte(area: number, bit: number): number {
  return area + Math.floor(bit / 8);
}

/** The mask in its byte of bit `bit` of an area of adapter indicators. */
export function adapterMask(bit: number): number {
  return 0x80 >>> (bit % 8);
}

/** Sets a classic indicator bit; false when the indicators are not in guest memory. */
export function setClassic(memory: GuestMemory, indicators: number, bit: number): boolean {
  return setBits(memory, classicByte(indicators, bit), classicMask(bit)) >= 0;
}

/** Clears a classic indicator bit; true when it was set. */
export function takeClassic(memory: GuestMemory, indicators: number, bit: number): boolean {
  const mask = classicMask(bit);
  return (takeBits(memory, classicByte(indicators, bit), mask) & mask) !== 0;
}

/**
 * Sets the indicator bit of a queue, then the summary indicator. Returns true when an adapter
 * interrupt is due: the summary indicator was not set before.
 */
export function setAdapter(memory: GuestMemory, at: AdapterIndicators, queue: number): boolean {
  const bit = at.firstBit + queue;
  if (setBits(memory, adapterByte(at.area, bit), adapterMask(bit)) < 0) return false;
  return setBits(memory, at.summary, SUMMARY_SET) === 0;
}

/** Clears the indicator bit of a queue; true when it was set. */
export function takeAdapter(memory: GuestMemory, at: AdapterIndicators, queue: number): boolean {
  const bit = at.firstBit + queue;
  const mask = adapterMask(bit);
  return (takeBits(memory, adapterByte(at.area, bit), mask) & mask) !== 0;
}

/** Clears the summary indicator. */
export function clearSummary(memory: GuestMemory, at: AdapterIndicators): void {
  takeBits(memory, at.summary, 0xff);
}

/** True when the summary indicator is set: there are interrupts that the driver has not served. */
function hasSummary(memory: GuestMemory, { summary }: AdapterIndicators): boolean {
  return memory.read(summary, scratch) && scratch[0] !== 0;
}

/** Where all indicators of a device lie; address 0 stands for none. */
export interface IndicatorPlaces {
  /** Guest address of the classic queue indicators. */
  readonly classic: number;
  /** Guest address of the configuration indicators. */
  readonly configuration: number;
  /** The adapter indicators. */
  readonly adapter: AdapterIndicators | undefined;
}

/** What a signal comes to: which interrupt is due. */
export type DueInterrupt = "none" | "subchannel" | "adapter";

/**
 * The device's side: where the driver wants its indicators. Classic and adapter indicators exclude
 * one another; address 0 takes either away.
 */
export class DeviceIndicators {
  readonly #memory: GuestMemory;
  #classic = 0;
  #configuration = 0;
  #adapter: AdapterIndicators | undefined;

  /** Makes the side of a device that no driver has told anything. */
  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  /** True while classic queue indicators are set up. */
  get isClassic(): boolean {
    return this.#classic !== 0;
  }

  /** The adapter indicators that are set up, if any. */
  get adapter(): AdapterIndicators | undefined {
    return this.#adapter;
  }

  /** Where all of them lie; may be set as a whole, to what {@link refusal} has nothing against. */
  get places(): IndicatorPlaces {
    return {
      classic: this.#classic,
      configuration: this.#configuration,
      adapter: this.#adapter,
    };
  }

  set places({ classic, configuration, adapter }: IndicatorPlaces) {
    this.#classic = classic;
    this.#configuration = configuration;
    this.#adapter = adapter;
  }

  /** Which of these indicators cannot be there, or `undefined`. */
  refusal({ classic, configuration, adapter }: IndicatorPlaces): keyof IndicatorPlaces | undefined {
    if (!this.#isUsable(classic)) return "classic";
    if (!this.#isUsable(configuration)) return "configuration";
    if (adapter === undefined) return undefined;
    return classic === 0 && this.#isSound(adapter) ? undefined : "adapter";
  }

  /** True when the driver may not have seen an adapter interrupt yet. */
  get isAdapterDue(): boolean {
    return this.#adapter !== undefined && hasSummary(this.#memory, this.#adapter);
  }

  /** Sets up classic queue indicators; false, and nothing changed, when that cannot be. */
  setClassic(address: number): boolean {
    if (this.#adapter !== undefined || !this.#isUsable(address)) return false;
    this.#classic = address;
    return true;
  }

  /** Sets up configuration indicators; false, and nothing changed, when that cannot be. */
  setConfiguration(address: number): boolean {
    if (!this.#isUsable(address)) return false;
    this.#configuration = address;
    return true;
  }

  /** Sets up two-stage queue indicators; false, and nothing changed, when that cannot be. */
  setAdapter(wanted: AdapterIndicators): boolean {
    if (this.#classic !== 0) return false;
    if (wanted.area === 0) {
      this.#adapter = undefined;
      return true;
    }
    const isSound = this.#isSound(wanted);
    if (isSound) this.#adapter = wanted;
    return isSound;
  }

  /** Forgets all of them. */
  reset(): void {
    this.#classic = 0;
    this.#configuration = 0;
    this.#adapter = undefined;
  }

  /** Sets the indicator bit of a queue. */
  signalQueue(queue: number): DueInterrupt {
    if (this.#adapter !== undefined) {
      return setAdapter(this.#memory, this.#adapter, queue) ? "adapter" : "none";
    }
    if (this.#classic === 0 || queue >= CLASSIC_INDICATOR_BITS) return "none";
    return setClassic(this.#memory, this.#classic, queue) ? "subchannel" : "none";
  }

  /** Sets the configuration indicator. */
  signalConfiguration(): DueInterrupt {
    if (this.#configuration === 0) return "none";
    const isSet = setClassic(this.#memory, this.#configuration, CONFIGURATION_BIT);
    return isSet ? "subchannel" : "none";
  }

  #isSound({ summary, area, firstBit, subclass }: AdapterIndicators): boolean {
    const first = adapterByte(area, firstBit);
    return (
      area !== 0 &&
      subclass <= HIGHEST_SUBCLASS &&
      Number.isSafeInteger(firstBit) &&
      Number.isSafeInteger(first) &&
      this.#memory.contains(summary, 1) &&
      this.#memory.contains(first, 1)
    );
  }

  #isUsable(address: number): boolean {
    if (address === 0) return true;
    return (
      Number.isSafeInteger(address) && this.#memory.contains(address, CLASSIC_INDICATOR_LENGTH)
    );
  }
}
