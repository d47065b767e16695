/**
 * The words through which the two threads talk about registers and notifications. One register
 * access is under way at a time; notifications of queues are bits, and need no answer.
 */
import { Bell } from "./bell.ts";

/** What a register access is. */
export const ACCESS = { read: 0, write: 1 } as const;

const TO_DEVICE = 0;
const TO_DRIVER = TO_DEVICE + Bell.WORDS;
const ASKED = TO_DRIVER + Bell.WORDS;
const KIND = ASKED + 1;
const OFFSET = ASKED + 2;
const SIZE = ASKED + 3;
const VALUE = ASKED + 4;
const ANSWERED = ASKED + 5;
const ANSWER = ASKED + 6;
const REFUSED = ASKED + 7;
const RISEN = ASKED + 8;
const LEVEL = ASKED + 9;
const HIGHEST_WORD = ASKED + 10;
const DOORBELLS = ASKED + 11;
const WORD_BITS = 32;
/** Queue indexes have 16 bits. */
const QUEUES = 0x10000;

/** The shared words of one device. */
export class Control {
  /** How many bytes they take. */
  static readonly BYTES = 4 * (DOORBELLS + QUEUES / WORD_BITS);
  /** Rings when the device has something to look at. */
  readonly toDevice: Bell;
  /** Rings when the driver has. */
  readonly toDriver: Bell;
  readonly #words: Int32Array;

  /** Takes the words; they are zero at first. */
  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
    this.toDevice = new Bell(this.#words, TO_DEVICE);
    this.toDriver = new Bell(this.#words, TO_DRIVER);
  }

  /** The driver: asks for a register access. Returns its number. */
  ask(kind: number, offset: number, size: number, value: number): number {
    const words = this.#words;
    words[KIND] = kind;
    words[OFFSET] = offset;
    words[SIZE] = size;
    words[VALUE] = value;
    const asked = Atomics.add(words, ASKED, 1) + 1;
    this.toDevice.ring();
    return asked | 0;
  }

  /** The driver: true when the access of that number was carried out. */
  isAnswered(asked: number): boolean {
    return Atomics.load(this.#words, ANSWERED) === asked;
  }

  /** The driver: what was read. */
  get answer(): number {
    return (this.#words[ANSWER] as number) >>> 0;
  }

  /** The driver: true when the device half threw. */
  get refused(): boolean {
    return this.#words[REFUSED] !== 0;
  }

  /** The driver: notifies a queue. */
  notifyQueue(queue: number): void {
    const words = this.#words;
    const word = queue >>> 5;
    if (word > Atomics.load(words, HIGHEST_WORD)) Atomics.store(words, HIGHEST_WORD, word);
    Atomics.or(words, DOORBELLS + word, 1 << (queue & 31));
    this.toDevice.ring();
  }

  /** The driver: how often the interrupt line rose. */
  get risen(): number {
    return Atomics.load(this.#words, RISEN);
  }

  /** The driver: whether it is high. */
  get isHigh(): boolean {
    return Atomics.load(this.#words, LEVEL) !== 0;
  }

  /**
   * The device: takes the notifications that came, and then carries out what the driver asked for.
   * What it notified of before it asked is taken before it is answered, as on any bus.
   *
   * @param access reads or writes a register
   * @param notified is called for each queue
   */
  serve(
    access: (kind: number, offset: number, size: number, value: number) => number,
    notified: (queue: number) => void,
  ): void {
    const words = this.#words;
    const asked = Atomics.load(words, ASKED);
    this.#takeNotifications(notified);
    if (asked === Atomics.load(words, ANSWERED)) return;
    const offset = (words[OFFSET] as number) >>> 0;
    const size = words[SIZE] as number;
    const value = (words[VALUE] as number) >>> 0;
    try {
      words[ANSWER] = access(words[KIND] as number, offset, size, value);
      words[REFUSED] = 0;
    } catch {
      words[REFUSED] = 1;
    }
    Atomics.store(words, ANSWERED, asked);
    this.toDriver.ring();
  }

  #takeNotifications(notified: (queue: number) => void): void {
    const words = this.#words;
    const highest = Atomics.load(words, HIGHEST_WORD);
    for (let word = 0; word <= highest; word++) {
      if (Atomics.load(words, DOORBELLS + word) === 0) continue;
      const bits = Atomics.exchange(words, DOORBELLS + word, 0);
      for (let bit = 0; bit < WORD_BITS; bit++) {
        if ((bits >>> bit) & 1) notified(WORD_BITS * word + bit);
      }
    }
  }

  /** The device: its interrupt line changed. */
  setLine(high: boolean): void {
    Atomics.store(this.#words, LEVEL, high ? 1 : 0);
    if (!high) return;
    Atomics.add(this.#words, RISEN, 1);
    this.toDriver.ring();
  }
}
