/** What a transport hands over to be tested: its plug-in, and its bus laid open. */
import type {
  DeviceGroup,
  DmaAllocator,
  DriverTransport,
  GuestMemory,
  LegacyNotifyPlace,
  TransportFacingDevice,
  TransportPlugin,
  VirtioDevice,
} from "@virtio-admin/core";
import type { DeviceHand } from "./compliance/device-hand.ts";
import type { DriverHand } from "./compliance/driver-hand.ts";
import type { DeviceScript } from "./compliance/scripted-device.ts";
import type { Random } from "./random.ts";

/** How a fixture connects the two halves. */
export interface ConnectOptions {
  /** Memory for the driver's queues and buffers. */
  readonly dma: DmaAllocator;
  /**
   * When given, every value that the driver half reads passes through it: the answer of a hostile
   * device. `value` is the honest answer, `bytes` its width; for block reads (a channel program's
   * data) it is called once per byte.
   */
  readonly lie?: (value: number, bytes: number) => number;
}

/** Both halves, connected, with the bus laid open. */
export interface Connection {
  /** The driver half. */
  readonly driver: DriverTransport;
  /**
   * One thing that a hostile driver does on the bus: a register access or a channel program with
   * random offset, width and value, biased to what exists. It may also use the legal operations in
   * an illegal order. Must not throw when the device half behaves.
   */
  poke(random: Random): void;
  /**
   * What the device half made of pokes that it had to refuse or ignore, by kind: how often. It
   * grows with {@link poke}, never by an access that was carried out.
   */
  readonly refused?: ReadonlyMap<string, number>;
  /**
   * Where the halves live apart, in two threads or processes: resolves once whatever either half had
   * told the other before the call has arrived and has been answered: accesses, notifications of
   * queues, interrupts and what the driver half asks the device because of them. Cases await it
   * before they look for what must not have happened. Absent where both are called directly.
   */
  arrived?(): Promise<void>;
  /**
   * The driver's hand, where the driver half lives elsewhere than the case: its rings are made and
   * written there. Absent where the case makes them itself.
   */
  readonly hand?: DriverHand;
  /** Takes both halves apart; the device stays. */
  close(): void;
}

/** A driver half in front of a scripted device. */
export interface ScriptedConnection {
  /** Both halves. */
  readonly connection: Connection;
  /** The device, and its ends of the queues; calls that a case makes return when they are done. */
  readonly hand: DeviceHand;
}

/** Consecutive bytes of guest memory. */
export interface MemoryRun {
  /** The guest address of the first. */
  readonly base: number;
  /** How many there are. */
  readonly length: number;
}

/** A group whose members have a legacy interface, and its owner in the making. */
export interface LegacyOwner {
  /** The group, for the owner's executor. It has no members before {@link enable}. */
  readonly group: DeviceGroup;
  /** As {@link TransportFixture.connect}, for the device that is to be the owner. */
  connect(device: TransportFacingDevice, options: ConnectOptions): Connection;
  /** Lets the members be there, and lets them access memory and be accessed. */
  enable(): void;
  /** Writes 16 bits at a place of a BAR, of the owner or of this member. */
  writeBar(member: number, place: LegacyNotifyPlace, value: number): void;
}

/**
 * A transport as the compliance kit, the hostile peers and the soak see it.
 *
 * Its halves may live apart, in two threads or processes. A case runs where the half lives that it
 * puts to the test, and looks into that half directly; the other half, and what a case makes by hand
 * on its side, it reaches by synchronous calls. There is a fixture for each place: where the device
 * lives, one with `memory` whose connections have `arrived` and `hand`; where the driver lives, one
 * with `memory` and `connectScripted`.
 */
export interface TransportFixture {
  /** The plug-in under test. */
  readonly plugin: TransportPlugin;
  /** Puts a device half around `device` and a driver half beside it. */
  connect(device: TransportFacingDevice, options: ConnectOptions): Connection;
  /**
   * Makes a group of this many members, from number 1, whose devices are transitional. Absent where the
   * transport has no groups whose owner reaches a legacy interface.
   */
  legacyOwner?(members: number, makeDevice: (id: number) => VirtioDevice): LegacyOwner;
  /**
   * Where the halves live apart: makes zeroed guest memory that both reach. The first half of each
   * run is for a driver half that lives elsewhere, and its {@link Connection.hand}. Absent where
   * memory of this thread will do.
   */
  memory?(runs: readonly MemoryRun[]): GuestMemory;
  /**
   * Where the device half lives elsewhere than the case: makes the device of a script there, in
   * memory that `memory` of this fixture made, and connects it. Absent where the case makes it itself.
   */
  connectScripted?(
    memory: GuestMemory,
    script: DeviceScript,
    options: ConnectOptions,
  ): ScriptedConnection;
}
