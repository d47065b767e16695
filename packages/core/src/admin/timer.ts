import type { Timer } from "./types.ts";

interface TimerGlobals {
  setTimeout(callback: () => void, delayMs: number): unknown;
  clearTimeout(handle: unknown): void;
}

/** The timers that every JavaScript host has. */
export const hostTimer: Timer = {
  set(callback, delayMs) {
    return (globalThis as unknown as TimerGlobals).setTimeout(callback, delayMs);
  },
  clear(handle) {
    (globalThis as unknown as TimerGlobals).clearTimeout(handle);
  },
};
