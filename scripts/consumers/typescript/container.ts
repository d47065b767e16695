import { createGuestMemory, DmaArena } from "@virtio-admin/core";
import {
  COMMAND_FAMILY,
  composeHost,
  connectOwner,
  createScope,
  DEVICE_MODEL,
  type DependencyContainer,
  DMA,
  GUEST_MEMORY,
  registerCore,
  registerPlatformGroup,
  resolveOwner,
  type Scope,
} from "@virtio-admin/core/di";
import { createEntropy } from "@virtio-admin/devices";
import { registerCcw } from "@virtio-admin/transport-ccw/di";
import { registerMmio } from "@virtio-admin/transport-mmio/di";
import { registerPci } from "@virtio-admin/transport-pci/di";
import { GUEST_BASE, GUEST_BYTES, type RoundTrip, roundTrip, VendorFamily } from "./round-trip.js";

/** A round trip of administration commands over each transport, put together by a container. */
export async function roundTrips(): Promise<RoundTrip[]> {
  const results: RoundTrip[] = [];
  for (const transport of ["pci", "mmio", "ccw"]) {
    const scope = createScope();
    // The compiler's own name for it, without a library of the project's that declares it.
    const application: AsyncDisposable = scope;
    const { container } = scope;
    registerPci(container);
    registerMmio(container);
    registerCcw(container);
    const alone = await throughOwner(container.createChildContainer(), transport);
    const inGroup = await throughHost(scope, transport);
    const differs = JSON.stringify(inGroup) !== JSON.stringify(alone);
    if (differs) throw new Error(`on ${transport}, a host answers otherwise than an owner alone`);
    results.push(alone);
    // Not every browser has Symbol.asyncDispose, and `await using`, yet.
    if (Symbol.asyncDispose === undefined) await scope.dispose();
    else await application[Symbol.asyncDispose]();
  }
  return results;
}

/** An owner alone, in a container of its own. */
async function throughOwner(own: DependencyContainer, transport: string): Promise<RoundTrip> {
  registerCore(own);
  const family = new VendorFamily();
  const memory = createGuestMemory([{ base: GUEST_BASE, bytes: new Uint8Array(GUEST_BYTES) }]);
  const dma = new DmaArena(memory, GUEST_BASE, GUEST_BYTES);
  own.registerInstance(GUEST_MEMORY, memory);
  own.registerInstance(DMA, dma);
  own.registerInstance(DEVICE_MODEL, createEntropy());
  own.registerInstance(COMMAND_FAMILY, family);
  const pair = connectOwner(own, transport);
  return roundTrip(pair, resolveOwner(own).executor, family, dma);
}

/** The same with a member beside it, in a scope that lets go of both. */
async function throughHost(application: Scope, transport: string): Promise<RoundTrip> {
  const family = new VendorFamily();
  const host = await composeHost(application, {
    owner: {
      transport,
      register: (scope) => {
        registerEntropy(scope);
        registerCore(scope.container);
        registerPlatformGroup(scope.container);
        scope.container.registerInstance(COMMAND_FAMILY, family);
      },
    },
    members: [{ id: 1, transport, register: registerEntropy }],
  });
  const dma = host.scope.container.resolve(DMA) as DmaArena;
  const pair = { driver: host.driver, close: () => undefined };
  return roundTrip(pair, host.owner.executor, family, dma);
}

function registerEntropy(scope: Scope): void {
  scope.provide(DEVICE_MODEL, () => createEntropy());
  scope.provide(GUEST_MEMORY, () =>
    createGuestMemory([{ base: GUEST_BASE, bytes: new Uint8Array(GUEST_BYTES) }]),
  );
  scope.provide(DMA, (own) => new DmaArena(own.resolve(GUEST_MEMORY), GUEST_BASE, GUEST_BYTES));
}
