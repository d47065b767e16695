/**
 * Dependency injection: how an application is put together from the plain classes of this package.
 *
 * @packageDocumentation
 */
import "./polyfill.ts";

export { connectOwner, registerCore, resolveOwner, resolveTransport } from "./composition.ts";
export {
  container,
  type DependencyContainer,
  type InjectionToken,
  inject,
  injectAll,
  injectable,
  instanceCachingFactory,
  Lifecycle,
} from "./container.ts";
export { OwnerDevice } from "./owner.ts";
export {
  ADMIN_SETTINGS,
  type AdminSettings,
  COMMAND_FAMILY,
  DEVICE_MODEL,
  DMA,
  GROUP_TYPE,
  GUEST_MEMORY,
  TRACE_SINK,
  TRANSPORT,
} from "./tokens.ts";
