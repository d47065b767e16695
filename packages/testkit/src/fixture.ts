/** What a transport hands over to be tested: its plug-in, and its bus laid open. */
import type {
  DeviceGroup,
  DmaAllocator,
  DriverTransport,
  LegacyNotifyPlace,
  TransportFacingDevice,
  TransportPlugin,
  VirtioDevice,
} from "@virtio-admin/core";
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

/** Both halves, connected in one process, with the bus laid open. */
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
  /** Takes both halves apart; the device stays. */
  close(): void;
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

/** A transport as the compliance kit, the hostile peers and the soak see it. */
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
}
