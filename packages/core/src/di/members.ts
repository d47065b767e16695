import type { DependencyContainer, InjectionToken } from "./container.ts";
import type { HostMember } from "./hosted.ts";

/** The members of a host's group. Registered by `composeHost` alone. */
export const MEMBER: InjectionToken<HostMember> = Symbol("virtio-admin.MEMBER");

/**
 * The members that the group of this container is to be made of: those that `composeHost` is told,
 * none elsewhere. What makes a group type asks for them.
 */
export function resolveMembers(container: DependencyContainer): readonly HostMember[] {
  return container.isRegistered(MEMBER, true) ? container.resolveAll(MEMBER) : [];
}
