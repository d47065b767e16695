/**
 * Registration of this transport in a dependency-injection container.
 *
 * @packageDocumentation
 */
import { type DependencyContainer, instanceCachingFactory, TRANSPORT } from "@virtio-admin/core/di";
import { type PciTransportOptions, pciTransport } from "./plugin.ts";

/** What {@link registerPci} can be told: the placement of the structures, and the interrupts. */
export interface PciRegistration extends PciTransportOptions {}

/** Registers virtio over PCI under `TRANSPORT` in `container`, made when it is first resolved. */
export function registerPci(
  container: DependencyContainer,
  registration: PciRegistration = {},
): void {
  container.register(TRANSPORT, {
    useFactory: instanceCachingFactory(() => pciTransport(registration)),
  });
}
