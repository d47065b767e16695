/**
 * The administration virtqueues of an owner device: buffers in, commands through the executor,
 * used entries out. Hot path: a buffer whose parts are not scattered is read and written in place,
 * and nothing is allocated for it.
 */
import { defer } from "../clock.ts";
import type { AdminFacility, DeviceHost } from "../device/types.ts";
import { VirtioError } from "../errors.ts";
import { copyBytes } from "../memory/copy.ts";
import type { MemoryRegion } from "../memory/types.ts";
import { type Chain, DESCRIPTORS_PER_VISIT, type DeviceQueue } from "../virtqueue/types.ts";
import type { DialectName } from "./dialect-name.ts";
import { DIALECTS } from "./dialects.ts";
import type { AdminExecutor } from "./executor.ts";
import { CommandWork, KEPT_CAPACITY } from "./work.ts";

const DEFAULT_MAX_SIZE = 256;
const LARGEST_SIZE = 32768;
const MOST_QUEUES = 0x10000;
/** The most bytes of data and result that are moved before the rest waits for the event loop. */
const VISIT_BYTES = 2 ** 20;

/** What {@link AdminQueues} are made from. */
export interface AdminQueuesOptions {
  /** What carries the commands out. */
  readonly executor: AdminExecutor;
  /** How many administration virtqueues there are; 1 when absent. */
  readonly count?: number;
  /** The largest size of each, a power of two up to 32768; 256 when absent. */
  readonly maxSize?: number;
  /**
   * The most buffers that are used before other work of the process gets its turn, when a driver
   * keeps adding; the queue's size when absent.
   */
  readonly budget?: number;
}

/**
 * The administration virtqueues of one owner. Commands of one queue are carried out in order: one
 * that waits holds back the later ones of its queue, and of no other. A reset of the queue or of
 * the device fences what is under way: its answer is dropped, and no queue is touched.
 */
export class AdminQueues implements AdminFacility {
  /** How many administration virtqueues there are. */
  readonly queueCount: number;
  /** The largest size of each. */
  readonly maxSize: number;
  /** What carries the commands out. */
  readonly executor: AdminExecutor;
  /** The dialect of the commands: that of the executor. */
  readonly dialect: DialectName;

  readonly #budget: number | undefined;
  readonly #lanes: (Lane | undefined)[] = [];
  #host: DeviceHost | undefined;

  /**
   * Makes the queues; they serve once the device core attaches them.
   *
   * @throws VirtioError `DEVICE_MODEL` when the count is not 1..0x10000, in proposal-v5 not 1, or
   * the size no power of two up to 32768.
   */
  constructor(options: AdminQueuesOptions) {
    const { executor, count = 1, maxSize = DEFAULT_MAX_SIZE, budget } = options;
    if (!Number.isInteger(count) || count < 1 || count > MOST_QUEUES) {
      throw new VirtioError("DEVICE_MODEL", {
        path: "admin.count",
        message: "an owner has 1 to 0x10000 administration virtqueues",
        value: count,
      });
    }
    const isPower = Number.isInteger(maxSize) && maxSize > 0 && (maxSize & (maxSize - 1)) === 0;
    if (!isPower || maxSize > LARGEST_SIZE) {
      throw new VirtioError("DEVICE_MODEL", {
        path: "admin.maxSize",
        message: "the size of a virtqueue is a power of two up to 32768",
        value: maxSize,
      });
    }
    if (budget !== undefined && !(Number.isInteger(budget) && budget > 0)) {
      throw new VirtioError("DEVICE_MODEL", {
        path: "admin.budget",
        message: "the budget is at least one buffer",
        value: budget,
      });
    }
    const { mostQueues } = DIALECTS[executor.dialect];
    if (count > mostQueues) {
      throw new VirtioError("DEVICE_MODEL", {
        path: "admin.count",
        message: `an owner that speaks ${executor.dialect} has ${mostQueues} administration virtqueue`,
        value: count,
        hint: "the dialect has no place to tell of more",
      });
    }
    this.executor = executor;
    this.dialect = executor.dialect;
    this.queueCount = count;
    this.maxSize = maxSize;
    this.#budget = budget;
  }

  /** See {@link AdminFacility.attach}. */
  attach(host: DeviceHost): void {
    this.#host = host;
  }

  /** See {@link AdminFacility.start}: buffers may be there already. */
  start(): void {
    const host = this.#host;
    if (host === undefined) return;
    for (let i = 0; i < this.queueCount; i++) {
      const index = host.adminQueueBase + i;
      if (host.queue(index) !== undefined) this.queueNotified(index);
    }
  }

  /** See {@link AdminFacility.queueNotified}. */
  queueNotified(index: number): void {
    const host = this.#host;
    const place = host === undefined ? -1 : index - host.adminQueueBase;
    if (host === undefined || place < 0 || place >= this.queueCount) return;
    let lane = this.#lanes[place];
    if (lane === undefined) {
      lane = new Lane(host, this.executor, index, this.#budget);
      this.#lanes[place] = lane;
    }
    lane.serve();
  }

  /** See {@link AdminFacility.queueReset}: what is under way on this queue is fenced. */
  queueReset(index: number): void {
    const place = index - (this.#host?.adminQueueBase ?? 0);
    this.#lanes[place]?.fence();
    delete this.#lanes[place];
  }

  /** See {@link AdminFacility.reset}: fences every queue and resets the executor. */
  reset(): void {
    for (const lane of this.#lanes) lane?.fence();
    this.#lanes.length = 0;
    this.executor.reset();
  }
}

/** One queue between two resets: the command under way, and whether it is being served. */
class Lane {
  private readonly host: DeviceHost;
  private readonly executor: AdminExecutor;
  private readonly index: number;
  private readonly budget: number | undefined;
  private readonly work: CommandWork;
  /** The lengths of the two headers of a command. */
  private readonly commandHeader: number;
  private readonly responseHeader: number;
  private readonly header: Uint8Array;
  private readonly headerView: DataView;
  /** The buffer whose command waits. */
  private held: Chain | undefined = undefined;
  private heldBy: DeviceQueue | undefined = undefined;
  private serving = false;
  private fenced = false;

  constructor(
    host: DeviceHost,
    executor: AdminExecutor,
    index: number,
    budget: number | undefined,
  ) {
    this.host = host;
    this.executor = executor;
    this.index = index;
    this.budget = budget;
    this.work = new CommandWork(index, () => this.answerHeld());
    this.commandHeader = executor.commandHeaderLength;
    this.responseHeader = executor.responseHeaderLength;
    this.header = new Uint8Array(Math.max(this.commandHeader, this.responseHeader));
    this.headerView = new DataView(this.header.buffer);
  }

  /** Ends this lane: nothing of it touches the queue or the driver again. */
  fence(): void {
    this.fenced = true;
    this.held = undefined;
    this.heldBy = undefined;
    this.executor.cancel(this.work);
  }

  /** Uses the buffers that are there. */
  serve(): void {
    const { host, executor, index, work } = this;
    if (this.serving || this.held !== undefined || this.fenced || !host.running) return;
    const queue = host.queue(index);
    if (queue === undefined) return;
    this.serving = true;
    work.trace = host.trace ?? executor.trace;
    let left = this.budget ?? queue.size;
    const enough = queue.visited + DESCRIPTORS_PER_VISIT;
    let bytes = VISIT_BYTES;
    let answered = false;
    let more = true;
    while (left > 0 && this.held === undefined) {
      if (queue.visited >= enough || bytes <= 0) break;
      const chain = queue.pop();
      if (chain === undefined) {
        more = false;
        break;
      }
      left--;
      const done = this.begin(queue, chain);
      bytes -= work.dataLength + work.resultLength;
      // A handler may have had the device reset.
      if (this.fenced) return;
      if (done) {
        this.answer(queue, chain);
        answered = true;
      } else {
        this.held = chain;
        this.heldBy = queue;
      }
    }
    this.serving = false;
    if (answered) host.publish(index);
    // The driver may never stop adding buffers, and is not alone: the rest waits for its turn.
    if (this.held !== undefined || host.checkDefect(index) || !more) return;
    if (bytes > 0) host.revisit(index);
    else defer(() => host.revisit(index));
  }

  /**
   * Takes the command out of the buffer, each byte once, and carries it out; true when its outcome
   * is there.
   */
  private begin(queue: DeviceQueue, chain: Chain): boolean {
    const { executor, work, commandHeader } = this;
    const { region } = chain;
    work.resultRoom = Math.max(0, chain.writableLength - this.responseHeader);
    if (region !== undefined && chain.readableLength >= commandHeader) {
      executor.decode(work, region.view, chain.readableAt);
    } else {
      this.header.fill(0);
      queue.read(chain, 0, this.header.subarray(0, commandHeader));
      executor.decode(work, this.headerView, 0);
    }
    work.dataLength = 0;
    const limit = executor.dataLimit(work.opcode);
    if (limit !== 0) this.readData(queue, chain, limit);
    return executor.start(work);
  }

  /** Writes the answer, and uses the buffer. */
  private answer(queue: DeviceQueue, chain: Chain): void {
    // Nor may it be written to any more once a handler found that the device needs a reset.
    const region = this.host.running ? chain.region : undefined;
    queue.push(chain, this.write(queue, chain, region));
    this.work.release();
  }

  private answerHeld(): void {
    const { held, heldBy, work, host, index } = this;
    if (held === undefined || heldBy === undefined || this.fenced) return;
    this.held = undefined;
    this.heldBy = undefined;
    // The memory may be another than when the buffer was popped.
    heldBy.push(held, this.write(heldBy, held, undefined));
    work.release();
    host.publish(index);
    this.serve();
  }

  /** Takes up to `limit` bytes of data out of the buffer, and clears what it may have beyond. */
  private readData(queue: DeviceQueue, chain: Chain, limit: number): void {
    const { work, commandHeader } = this;
    const { region } = chain;
    const supplied = Math.min(limit, Math.max(0, chain.readableLength - commandHeader));
    const end = Math.min(limit, Math.max(KEPT_CAPACITY, supplied));
    const bytes = work.reserveData(end);
    if (region !== undefined) {
      copyBytes(bytes, 0, region.bytes, chain.readableAt + commandHeader, supplied);
    } else {
      queue.read(chain, commandHeader, bytes.subarray(0, supplied));
    }
    work.clearData(supplied, end);
    work.dataLength = supplied;
  }

  /**
   * Writes the answer as far as the buffer goes; returns how many bytes that were.
   *
   * @param region the region that the buffer is known to lie in; the memory is asked when absent
   */
  private write(queue: DeviceQueue, chain: Chain, region: MemoryRegion | undefined): number {
    const { executor, work, responseHeader } = this;
    const length = Math.min(executor.responseLength(work), chain.writableLength);
    if (region === undefined || length < responseHeader) {
      return this.writeCopies(queue, chain, length);
    }
    const at = chain.writableAt;
    executor.encode(work, region.view, at);
    if (length > responseHeader) {
      work.copyResult(region.bytes, region.view, at + responseHeader, length - responseHeader);
    }
    return length;
  }

  /** {@link write} for a buffer of any form. */
  private writeCopies(queue: DeviceQueue, chain: Chain, length: number): number {
    const { executor, work, responseHeader } = this;
    executor.encode(work, this.headerView, 0);
    queue.write(chain, 0, this.header.subarray(0, Math.min(responseHeader, length)));
    if (length > responseHeader) {
      queue.write(chain, responseHeader, work.resultBytes.subarray(0, length - responseHeader));
    }
    return length;
  }
}
