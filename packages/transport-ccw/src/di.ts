/**
 * Registration of this transport in a dependency-injection container.
 *
 * @packageDocumentation
 */
import type { CommandLayout } from "@virtio-admin/core";
import { type DependencyContainer, instanceCachingFactory, TRANSPORT } from "@virtio-admin/core/di";
import type { CcwLoopbackOptions } from "./bus.ts";
import { ccwTransport } from "./plugin.ts";

/** What {@link registerCcw} can be told. */
export interface CcwRegistration extends CcwLoopbackOptions {
  /** The channel commands; the reference layout by default. */
  readonly layout?: CommandLayout;
}

/**
 * Registers virtio over channel I/O under `TRANSPORT` in `container`, made when it is first
 * resolved.
 */
export function registerCcw(
  container: DependencyContainer,
  registration: CcwRegistration = {},
): void {
  const { layout, ...options } = registration;
  container.register(TRANSPORT, {
    useFactory: instanceCachingFactory(() => ccwTransport(layout, options)),
  });
}
