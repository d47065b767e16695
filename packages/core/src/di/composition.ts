import { PlatformGroup, type PlatformGroupOptions } from "../group/platform.ts";
import { SelfGroup } from "../group/self.ts";
import type { LoopbackPair, TransportPlugin } from "../transport/types.ts";
import { type DependencyContainer, instancePerContainerCachingFactory } from "./container.ts";
import { CONTRACT } from "./contracts.ts";
import { resolveMembers } from "./members.ts";
import { OwnerDevice } from "./owner.ts";
import { type Composed, checkOwner, connect, makeOwner, transportOf } from "./parts.ts";
import { checkRegistered } from "./registered.ts";
import { GROUP_TYPE } from "./tokens.ts";

const owners = new WeakMap<DependencyContainer, Composed<OwnerDevice>>();

/**
 * Registers what every application needs: the Self group, and {@link OwnerDevice}, one for each
 * container. Call it on the container that the rest is registered in: a child that has any
 * registration of a token does not see its parent's.
 */
export function registerCore(container: DependencyContainer): void {
  container.register(GROUP_TYPE, {
    useFactory: instancePerContainerCachingFactory(() => new SelfGroup()),
  });
  container.register(OwnerDevice, { useFactory: (own) => resolveOwner(own) });
}

/**
 * Registers a platform group under `GROUP_TYPE`, of the members that {@link resolveMembers} gives,
 * made when it is first resolved.
 */
export function registerPlatformGroup(
  container: DependencyContainer,
  options: PlatformGroupOptions = {},
): void {
  container.register(GROUP_TYPE, {
    useFactory: instancePerContainerCachingFactory((own) => {
      const members = resolveMembers(own).map(({ managed }) => managed);
      return new PlatformGroup(members, options);
    }),
  });
}

/**
 * The owner device of a container; the same one each time.
 *
 * @throws VirtioError `INJECTION` when a registration is missing, made twice, cannot be made, is
 * not of its contract, or does not fit the others: it names the token and what to register
 */
export function resolveOwner(container: DependencyContainer): OwnerDevice {
  checkOwner(container);
  let owner = owners.get(container);
  if (owner === undefined) {
    owner = makeOwner(container);
    owners.set(container, owner);
  }
  return owner.made;
}

/** The container has no owner any more; what served it is free for another. */
export function forgetOwner(container: DependencyContainer): void {
  owners.get(container)?.release();
  owners.delete(container);
}

/**
 * The transport of this name, among all that are registered.
 *
 * @throws VirtioError `INJECTION` when there is none, or more than one, naming those there are;
 * when one cannot be made or is not of the contract
 */
export function resolveTransport(container: DependencyContainer, name: string): TransportPlugin {
  return transportOf(container, name);
}

/**
 * Connects the container's owner device to the transport of this name, in this process.
 *
 * @returns the driver half of the transport
 * @throws VirtioError `INJECTION` as {@link resolveOwner} and {@link resolveTransport}, and for what
 * is registered under `DMA`; `TRANSPORT` when the owner is connected already
 */
export function connectOwner(container: DependencyContainer, name: string): LoopbackPair {
  checkRegistered(container, CONTRACT.transport);
  checkOwner(container);
  checkRegistered(container, CONTRACT.dma);
  const transport = resolveTransport(container, name);
  return connect(container, resolveOwner(container).device, transport);
}
