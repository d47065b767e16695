/**
 * Random histories of what drivers and a VMM do to a physical function and its virtual functions,
 * twice: on a host that stays, and on hosts that follow one another. Nobody can tell them apart.
 */
import { FEATURE, restoreSnapshot, takeSnapshot } from "@virtio-admin/core";
import { VIRTIO_PCI_COMMON_CFG_LAYOUT } from "@virtio-admin/transport-pci";
import fc from "fast-check";
import { expect, it } from "vitest";
import { Hand, Host, memoryOf, move, QUEUES, revisit, SRIOV_AT, VFS } from "./snapshot-rig.ts";

const { VIRTIO_F_ADMIN_VQ, VIRTIO_F_RING_RESET, VIRTIO_F_SR_IOV } = FEATURE;
const FEATURES = [VIRTIO_F_ADMIN_VQ, VIRTIO_F_RING_RESET, VIRTIO_F_SR_IOV];

/** A host, hands on its functions, and what was read: it goes on with the next host. */
class World {
  host = new Host();
  readonly hands = Array.from({ length: VFS + 1 }, (_, id) => new Hand(id, () => this.host));
  readonly read: unknown[] = [];
  readonly #moves: boolean;

  constructor(moves: boolean) {
    this.#moves = moves;
  }

  get here(): Hand[] {
    return this.hands.slice(0, 1 + this.host.group.memberCount);
  }

  /** The function of this number, or one that there is. */
  hand(id: number): Hand {
    return this.here[id % this.here.length]!;
  }

  move(): void {
    if (this.#moves) this.host = move(this.host);
    else revisit(this.host);
  }

  /** All that anybody outside can see. */
  seen(): unknown {
    return {
      messages: this.host.messages,
      lines: this.here.map(({ pci }) => pci.interruptLine),
      memory: memoryOf(this.host.memory),
      read: this.read,
      state: takeSnapshot(this.host),
      bars: this.here.map(({ pci }) => [pci.memorySpace, pci.barAddress(0), pci.barAddress(1)]),
    };
  }
}

type Step = (world: World) => void;
const step = (name: string, run: Step): Step => Object.assign(run, { toString: () => name });

const id = fc.nat(VFS);
const queue = fc.nat(QUEUES);
const size = fc.constantFrom(1, 2, 4);
const value = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(0, 1, 2, 3, 4, 7, 9, 0xb, 0xf, 0x19, 0x8000, 0xc000) },
  fc.constantFrom(0xffff, 0xffff_ffff, 0x1_0000, 0xe000_0000, 0xfee0_0000),
  fc.nat(0xffff_ffff),
);
const commonOffsets = Object.values(VIRTIO_PCI_COMMON_CFG_LAYOUT.fields).map(
  ({ offset }) => offset,
);
/** Command, BARs, the registers of capabilities, those of SR-IOV, and anything near them. */
const configOffset = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(4, 5, 0x0c, 0x10, 0x14, 0x3c) },
  { weight: 4, arbitrary: fc.integer({ min: 0x40, max: 0xff }) },
  {
    weight: 4,
    arbitrary: fc.constantFrom(...[8, 0x10, 0x20, 0x24, 0x28, 0x2c].map((at) => SRIOV_AT + at)),
  },
  fc.nat(0x160),
);
const barPlace = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ bar: fc.constant(0), offset: fc.constantFrom(...commonOffsets) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ bar: fc.constant(1), offset: fc.nat(23).map((i) => 4 * i) }),
  },
  fc.record({
    bar: fc.constant(0),
    offset: fc.constantFrom(0x1000, 0x2000, 0x2004, 0x2005, 0x3000, 0x3004, 0x3008),
  }),
  fc.record({ bar: fc.constantFrom(0, 1), offset: fc.constantFrom(0x800, 0x3a, 0xffe) }),
);
const word = (number: number) => [0, 8, 16, 24].map((at) => (number >>> at) & 0xff);

const steps = fc.oneof<{ arbitrary: fc.Arbitrary<Step>; weight: number }[]>(
  {
    weight: 5,
    arbitrary: fc
      .tuple(id, configOffset, size, value)
      .map(([i, offset, n, v]) =>
        step(`config ${i} ${offset.toString(16)}/${n} = ${v.toString(16)}`, (world) =>
          world.hand(i).pci.configWrite(offset, n, v),
        ),
      ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(id, configOffset, size)
      .map(([i, offset, n]) =>
        step(`config ${i} ${offset.toString(16)}/${n}`, (world) =>
          world.read.push(world.hand(i).pci.configRead(offset, n)),
        ),
      ),
  },
  {
    weight: 8,
    arbitrary: fc
      .tuple(id, barPlace, size, value)
      .map(([i, { bar, offset }, n, v]) =>
        step(`bar ${i} ${bar} ${offset.toString(16)}/${n} = ${v.toString(16)}`, (world) =>
          world.hand(i).pci.barWrite(bar, offset, n, v),
        ),
      ),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(id, barPlace, size)
      .map(([i, { bar, offset }, n]) =>
        step(`bar ${i} ${bar} ${offset.toString(16)}/${n}`, (world) =>
          world.read.push(world.hand(i).pci.barRead(bar, offset, n)),
        ),
      ),
  },
  {
    weight: 4,
    arbitrary: id.map((i) =>
      step(`bring up ${i}`, (world) => {
        const hand = world.hand(i);
        hand.bringUp(hand.id === 0 ? FEATURES : []);
      }),
    ),
  },
  {
    weight: 3,
    arbitrary: fc
      .nat(VFS)
      .map((count) => step(`enable ${count}`, (world) => world.hands[0]!.enableVfs(count))),
  },
  {
    weight: 8,
    arbitrary: fc.tuple(id, queue, fc.boolean()).map(([i, q, notified]) =>
      step(`offer ${i} ${q} ${notified}`, (world) => {
        // The administration virtqueue gets what is no command, and answers that.
        const hand = world.hand(i);
        hand.offer(q);
        if (notified) hand.notify(q);
      }),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(id, fc.nat(4), fc.boolean()).map(([i, vector, masked]) =>
      step(`mask ${i} ${vector} ${masked}`, (world) => {
        world.hand(i).mask(vector, masked);
        world.read.push(world.hand(i).pending());
      }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(id, fc.boolean(), fc.boolean())
      .map(([i, on, mask]) =>
        step(`msix ${i} ${on} ${mask}`, (world) => world.hand(i).msix(on, mask)),
      ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(id, fc.subarray(["memory_space", "bus_master", "interrupt_disable"] as const))
      .map(([i, bits]) => step(`command ${i} ${bits}`, (world) => world.hand(i).command(...bits))),
  },
  {
    weight: 3,
    // The device of a virtual function that is not there is in no snapshot.
    arbitrary: fc
      .nat(255)
      .map((byte) => step("change", (world) => world.host.models[0]!.change(byte))),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom(0, 1, 0x101, 0x102, 0x103), fc.nat(VFS), fc.nat(5))
      .map(([opcode, member, number]) =>
        step(`command ${opcode} ${member} ${number}`, (world) => {
          const words = new Array<number>(40).fill(0);
          const list = [0x03, ...new Array<number>(31).fill(0), 0x1f];
          const data = opcode === 1 ? [...list, ...words].slice(0, 40) : word(number);
          world.read.push(world.host.command(opcode, member, [...data, 0, 0, 0, 0]));
        }),
      ),
  },
  { weight: 1, arbitrary: id.map((i) => step(`flr ${i}`, (world) => world.hand(i).flr())) },
  { weight: 6, arbitrary: fc.constant(step("move", (world) => world.move())) },
);

/** Drivers at work before anything happens, or none. */
const begun = fc.boolean();
const history = fc.array(steps, { minLength: 10, maxLength: 60 });

function begin(world: World): void {
  world.hands[0]!.bringUp(FEATURES);
  world.hands[0]!.enableVfs(2);
  world.hands[1]!.bringUp();
}

it("nobody can tell a host that was moved from one that was not", () => {
  const met = { moves: 0, members: 0, pending: 0, messages: 0 };
  fc.assert(
    fc.property(begun, history, (isBegun, all) => {
      const stays = new World(false);
      const moved = new World(true);
      if (isBegun) for (const world of [stays, moved]) begin(world);
      for (const each of all) {
        if (String(each) === "move") {
          met.moves++;
          met.members += stays.host.group.memberCount;
          met.pending += stays.here.filter((hand) => hand.pending() > 0).length;
        }
        each(stays);
        each(moved);
      }
      expect(moved.seen()).toEqual(stays.seen());
      met.messages += stays.host.messages.length;
    }),
    { numRuns: 100 },
  );
  for (const [what, often] of Object.entries(met))
    expect([what, often >= 20]).toEqual([what, true]);
});

it("whatever drivers leave behind in registers can be saved, and put back", () => {
  fc.assert(
    fc.property(begun, history, (isBegun, all) => {
      const world = new World(false);
      if (isBegun) begin(world);
      for (const each of all) each(world);
      for (const { id } of world.here) {
        world.host.devices[id]?.reset();
        world.hands[id]!.msix(false);
      }
      const before = world.host.all();
      const snapshot = takeSnapshot(world.host);
      restoreSnapshot(world.host, snapshot);
      // The group tells of what may have changed.
      world.host.changes--;
      expect(world.host.all()).toEqual(before);
    }),
    { numRuns: 60 },
  );
});
