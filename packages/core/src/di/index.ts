/**
 * Dependency injection: how an application is put together from the plain classes of this package.
 *
 * @packageDocumentation
 */
import "./polyfill.ts";

export {
  connectOwner,
  registerCore,
  registerPlatformGroup,
  resolveOwner,
  resolveTransport,
} from "./composition.ts";
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
export { DisposalError, type LetGo } from "./disposal.ts";
export { composeHost, type DevicePlan, type HostPlan, type MemberPlan } from "./host.ts";
export { GroupHost, HostMember } from "./hosted.ts";
export { resolveMembers } from "./members.ts";
export { OwnerDevice } from "./owner.ts";
export { createScope, Scope } from "./scope.ts";
export {
  ADMIN_SETTINGS,
  type AdminSettings,
  COMMAND_FAMILY,
  COMMAND_INTERFACE,
  DEVICE_MODEL,
  DMA,
  GROUP_TYPE,
  GUEST_MEMORY,
  TRACE_SINK,
  TRANSPORT,
} from "./tokens.ts";
