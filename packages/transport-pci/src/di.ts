/**
 * Registration of this transport in a dependency-injection container.
 *
 * @packageDocumentation
 */
import { type DependencyContainer, instanceCachingFactory, TRANSPORT } from "@virtio-admin/core/di";
import { type PciTransportOptions, pciTransport } from "./plugin.ts";

/**
 * Registers virtio over PCI under `TRANSPORT` in `container`, made when it is first resolved.
 *
 * @param options the placement of the structures, and the interrupts
 */
export function registerPci(
  container: DependencyContainer,
  options: PciTransportOptions = {},
): void {
  container.register(TRANSPORT, {
    useFactory: instanceCachingFactory(() => pciTransport(options)),
  });
}
