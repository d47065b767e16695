import { VirtioError } from "../errors.ts";
import { SelfGroup } from "../group/self.ts";
import type { LoopbackPair, TransportPlugin } from "../transport/types.ts";
import { type DependencyContainer, type InjectionToken, Lifecycle } from "./container.ts";
import { OwnerDevice } from "./owner.ts";
import { DEVICE_MODEL, DMA, GROUP_TYPE, GUEST_MEMORY, TRANSPORT } from "./tokens.ts";

/** What has to be registered, and how, for an owner to be put together. */
const NEEDED: readonly (readonly [InjectionToken, string])[] = [
  [DEVICE_MODEL, "register the device type of the owner under DEVICE_MODEL"],
  [GUEST_MEMORY, "register the shared memory under GUEST_MEMORY (createGuestMemory makes one)"],
  [GROUP_TYPE, "call registerCore on this container, or register a group under GROUP_TYPE"],
];

/**
 * Registers what every application needs: the Self group, and {@link OwnerDevice}, one for each
 * container. Call it on the container that the rest is registered in: a child that has any
 * registration of a token does not see its parent's.
 */
export function registerCore(container: DependencyContainer): void {
  container.register(GROUP_TYPE, { useValue: new SelfGroup() });
  container.register(
    OwnerDevice,
    { useClass: OwnerDevice },
    {
      lifecycle: Lifecycle.ContainerScoped,
    },
  );
}

/**
 * The owner device of a container; the same one each time.
 *
 * @throws VirtioError `INJECTION` when something is not registered, naming the token and what to
 * register; `DEVICE_MODEL`, `GROUP_INVALID` or `FAMILY_INVALID` when what is registered does not
 * fit together.
 */
export function resolveOwner(container: DependencyContainer): OwnerDevice {
  for (const [token, hint] of NEEDED) need(container, token, hint);
  return container.resolve(OwnerDevice);
}

/**
 * The transport of this name, among all that are registered.
 *
 * @throws VirtioError `INJECTION` when there is none, or more than one, naming those there are
 */
export function resolveTransport(container: DependencyContainer, name: string): TransportPlugin {
  need(container, TRANSPORT, "call registerPci, registerMmio or registerCcw on this container");
  const transports = container.resolveAll(TRANSPORT);
  const [found, second] = transports.filter(({ description }) => description.name === name);
  if (found !== undefined && second === undefined) return found;
  const names = transports.map(({ description }) => description.name).join(", ");
  throw new VirtioError("INJECTION", {
    path: "TRANSPORT",
    message: found === undefined ? "no transport has this name" : "two transports have this name",
    value: name,
    hint: `registered are: ${names}`,
  });
}

/**
 * Connects the container's owner device to the transport of this name, in this process.
 *
 * @returns the driver half of the transport
 * @throws VirtioError `INJECTION` as {@link resolveOwner} and {@link resolveTransport}, and when
 * nothing is registered under `DMA`; `TRANSPORT` when the owner is connected already
 */
export function connectOwner(container: DependencyContainer, name: string): LoopbackPair {
  const transport = resolveTransport(container, name);
  const { device } = resolveOwner(container);
  need(container, DMA, "register the driver's memory under DMA (a DmaArena)");
  return transport.loopback(device, { dma: container.resolve(DMA) });
}

function need(container: DependencyContainer, token: InjectionToken, hint: string): void {
  if (container.isRegistered(token, true)) return;
  throw new VirtioError("INJECTION", {
    path: nameOf(token),
    message: "nothing is registered under this token",
    hint,
  });
}

function nameOf(token: InjectionToken): string {
  return typeof token === "symbol" ? (token.description ?? "symbol") : String(token);
}
