/** Registration of this transport in a dependency-injection container. */
import { type DependencyContainer, instanceCachingFactory, TRANSPORT } from "@virtio-admin/core/di";
import { type MessageTransportOptions, messageTransport } from "./plugin.ts";

/** Registers virtio over messages under `TRANSPORT` in `container`, made when first resolved. */
export function registerMessageTransport(
  container: DependencyContainer,
  options: MessageTransportOptions = {},
): void {
  container.register(TRANSPORT, {
    useFactory: instanceCachingFactory(() => messageTransport(options)),
  });
}
