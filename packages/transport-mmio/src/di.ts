/**
 * Registration of this transport in a dependency-injection container.
 *
 * @packageDocumentation
 */
import type { RegisterLayout } from "@virtio-admin/core";
import { type DependencyContainer, instanceCachingFactory, TRANSPORT } from "@virtio-admin/core/di";
import { mmioTransport } from "./plugin.ts";

/** What {@link registerMmio} can be told. */
export interface MmioRegistration {
  /** The registers; the reference layout by default. */
  readonly layout?: RegisterLayout;
}

/** Registers virtio over MMIO under `TRANSPORT` in `container`, made when it is first resolved. */
export function registerMmio(
  container: DependencyContainer,
  registration: MmioRegistration = {},
): void {
  container.register(TRANSPORT, {
    useFactory: instanceCachingFactory(() => mmioTransport(registration.layout)),
  });
}
